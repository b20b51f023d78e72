//! What bounds a single request, by name. What bounds the whole server is configured (`[http]`).

use std::time::Duration;

/// Bytes of the body of `POST /v1/notifications`.
pub const NOTIFICATION_BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the body of `PUT /v1/users/{user}/devices/{device}`.
pub const DEVICE_BODY_BYTES_MAX: usize = 16 * 1024;
/// Items of a page of a list, where the caller does not say.
pub const PAGE_ITEMS_DEFAULT: usize = 100;
/// Items of a page of a list at most.
pub const PAGE_ITEMS_MAX: usize = 1000;
/// Bytes of a request's head on HTTP/1.1; on HTTP/2, of its header list.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Requests that one HTTP/2 connection may have open.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// Characters of a caller's own `x-request-id`; a longer one is replaced.
pub const REQUEST_ID_CHARS_MAX: usize = 64;
/// Characters of the name of one of FCM's topics.
pub const FCM_TOPIC_CHARS_MAX: usize = 900;
/// Characters of a language tag.
pub const LOCALE_CHARS_MAX: usize = 35;
/// Keys whose records are kept in memory.
pub const KEYS_CACHED_MAX: usize = 1000;
/// How long a key's record is believed before it is read again.
pub const KEY_CACHED_FOR: Duration = Duration::from_secs(5);
/// How long `/readyz` waits for the store.
pub const READY_PROBE: Duration = Duration::from_secs(2);
