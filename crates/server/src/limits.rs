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
/// How long a connection that has not sent a head yet may stay, however many others come.
pub const NEWCOMER_GRACE: Duration = Duration::from_millis(500);
/// Bytes of an answer that are handed to a connection at once; more only once these are taken.
pub const ANSWER_CHUNK_BYTES: usize = 16 * 1024;
/// Bytes of answers that one HTTP/2 stream keeps for a client that takes them slowly.
pub const STREAM_SEND_BYTES_MAX: usize = 64 * 1024;
/// Requests that one connection may take back before they are answered; then it is cut.
pub const TAKEN_BACK_PER_CONNECTION_MAX: usize = 500;
/// Streams of one HTTP/2 connection that may be reset before they are looked at; then it is told to calm down.
pub const RESETS_PENDING_MAX: usize = 20;
/// Streams of one HTTP/2 connection that may be reset for an error of the client's; then it is told to calm down.
pub const RESETS_FOR_ERRORS_MAX: usize = 100;
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
/// Keys that are not known, and are looked up at once: each guess costs a read of the store.
pub const STRANGERS_AT_ONCE_MAX: usize = 32;
/// How often it is written when keys were last used.
pub const KEY_USES_WRITTEN_EVERY: Duration = Duration::from_secs(60);
/// Keys whose last use is written in one step.
pub const KEY_USES_BATCH_MAX: usize = 1000;
/// Bytes of the name of an API key.
pub const KEY_NAME_BYTES_MAX: usize = 128;
/// Bytes of the body of `POST /v1/keys` and `POST /v1/apps`.
pub const KEY_BODY_BYTES_MAX: usize = 4 * 1024;
/// How long `/readyz` waits for the store.
pub const READY_PROBE: Duration = Duration::from_secs(2);
/// Notifications of a batch that comes as a JSON array.
pub const BATCH_ITEMS_MAX: usize = 1000;
/// Notifications of a batch that comes as lines.
pub const BATCH_LINES_MAX: usize = 10_000;
/// Bytes of a batch's body.
pub const BATCH_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Batches that the server works on at once: each holds its body in memory.
pub const BATCHES_IN_FLIGHT_MAX: usize = 8;
/// Notifications of a batch that are accepted in one commit.
pub const BATCH_STEP_ITEMS_MAX: usize = 500;
/// Users whom the notifications of one such commit may name together.
pub const BATCH_STEP_USERS_MAX: usize = 1000;
/// Bytes of a page of notifications; it ends where the next one would not fit. One notification always does.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Notifications that are read at once for such a page.
pub const PAGE_STEP_ITEMS: usize = 50;
/// Characters of a cursor.
pub const CURSOR_CHARS_MAX: usize = 1024;
/// Devices that one request may restore by name.
pub const RESTORE_DEVICES_MAX: usize = 1000;
/// Bytes of the body of `POST /v1/devices/restore`.
pub const RESTORE_BODY_BYTES_MAX: usize = 512 * 1024;
/// Bytes of the body of `POST /v1/dead-letters/redrive`.
pub const REDRIVE_BODY_BYTES_MAX: usize = 16 * 1024;
/// How many dead letters a redrive reopens a second, where the caller does not say.
pub const REDRIVE_RATE_DEFAULT: u32 = 100;
/// Dead letters that one request removes.
pub const PURGE_ITEMS_MAX: usize = 10_000;
/// Rows that one step of purging or restoring changes.
pub const STEP_ROWS_MAX: usize = 1000;
/// How much of a request's time work may take that is done in steps, in percent; the rest is for its answer.
pub const STEPS_TIME_PERCENT: u64 = 70;
