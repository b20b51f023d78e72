//! Every bound of the emulator has its name here, so that nothing grows without someone having chosen how far.
//!
//! Two kinds live side by side: what FCM itself refuses (with its source) and what the emulator holds in memory
//! before it starts to drop, which is always told to whoever reads.

use std::time::Duration;

// --- What FCM refuses ---------------------------------------------------------------------------------------

/// Bytes of keys and values one platform's part of a message may have. Firebase documentation: 4,096 bytes.
/// Production was observed (July 2026) to let about a tenth more pass; the documented limit is what is safe to rely on.
pub const MAX_PAYLOAD_BYTES: usize = 4_096;
/// Longest topic name, in characters (discovery document, revision 20261023).
pub const MAX_TOPIC_CHARS: usize = 900;
/// Most topics in one condition (Firebase documentation).
pub const MAX_CONDITION_TOPICS: usize = 5;
/// Deepest nesting of parentheses and negations in a condition; the emulator's own bound on recursion.
pub const MAX_CONDITION_DEPTH: usize = 32;
/// Longest registration token or installation id, in characters. Production tokens have 142 (observed July 2026).
pub const MAX_TOKEN_CHARS: usize = 1_024;
/// Topics one registration may be subscribed to (Firebase documentation).
pub const MAX_TOPICS_PER_REGISTRATION: usize = 2_000;
/// Registrations in one `iid/v1:batchAdd` or `batchRemove` (Instance ID reference).
pub const MAX_BATCH_REGISTRATIONS: usize = 1_000;
/// Longest analytics label, in characters.
pub const MAX_ANALYTICS_LABEL_CHARS: usize = 50;
/// Longest time to live of an Android message: four weeks (discovery document, revision 20261023).
pub const MAX_TTL_S: u64 = 2_419_200;
/// Concurrent HTTP/2 streams that FCM advertises per connection.
pub const MAX_CONCURRENT_STREAMS: u32 = 100;
/// How far in the future the `iat` of an assertion may lie.
pub const MAX_IAT_SKEW_S: i64 = 300;
/// Longest life of an assertion, `exp - iat`.
pub const MAX_ASSERTION_LIFETIME_S: i64 = 3_600;

// --- FCM's own rates, in force when `quota` and `limits` ask for them (Firebase documentation) -------------------

/// Messages of a project per minute.
pub const FCM_MESSAGES_PER_MINUTE: u32 = 600_000;
/// Messages to one Android device per minute.
pub const FCM_DEVICE_PER_MINUTE: u32 = 240;
/// Messages to one Android device per hour.
pub const FCM_DEVICE_PER_HOUR: u32 = 5_000;
/// Collapsible messages that may come at once, per app and device.
pub const FCM_COLLAPSIBLE_BURST: u32 = 20;
/// Seconds after which one more collapsible message may come.
pub const FCM_COLLAPSIBLE_REFILL_S: u32 = 180;
/// Different collapse keys that FCM keeps per device.
pub const FCM_COLLAPSE_KEYS: u32 = 4;
/// Sends to topics and conditions that may be under way at once in a project.
pub const FCM_FANOUTS: u32 = 1_000;
/// Devices that a project's fan-outs reach per second.
pub const FCM_FANOUT_DEVICES_PER_S: u32 = 10_000;
/// Registrations subscribed and unsubscribed per second in a project.
pub const FCM_SUBSCRIPTIONS_PER_S: u32 = 3_000;

// --- What one request or connection may cost ------------------------------------------------------------------

/// Largest request body. A message of [`MAX_PAYLOAD_BYTES`] with everything escaped stays far below.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Violations reported of one request; the rest of the same request are left out of the answer.
pub const MAX_VIOLATIONS: usize = 20;
/// Connections served at once; further ones wait in the listen backlog.
pub const MAX_CONNECTIONS: usize = 1_024;
/// A TLS handshake that takes longer is dropped.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an HTTP/1.1 client may take to send its request head.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(300);

// --- What is remembered --------------------------------------------------------------------------------------

/// Bodies kept for listing; beyond it the oldest are dropped and counted.
pub const MAX_KEPT_BODIES: usize = 100_000;
/// Bytes of bodies kept for listing; beyond it the oldest are dropped and counted.
pub const MAX_KEPT_BODY_BYTES: usize = 128 * 1024 * 1024;
/// Accepted sends whose target and `pabal_id` are remembered; beyond it new ones are dropped and counted.
pub const MAX_KEPT_IDS: usize = 2_000_000;
/// Bytes of targets and `pabal_id`s remembered; beyond it new ones are dropped and counted.
pub const MAX_KEPT_ID_BYTES: usize = 512 * 1024 * 1024;
/// Distinct (target, `pabal_id`) pairs told apart; beyond it `unique` stands still and the rest are counted as dropped.
pub const MAX_UNIQUE: usize = 20_000_000;
/// Subscriptions kept; beyond it further ones are refused with RESOURCE_EXHAUSTED and a text that says so.
pub const MAX_SUBSCRIPTIONS: usize = 1_000_000;
/// Bytes of names of registrations and topics kept; beyond it further subscriptions are refused likewise.
pub const MAX_SUBSCRIPTION_BYTES: usize = 256 * 1024 * 1024;
/// Devices that a send to a topic or condition is recorded with; how many it reached is always told.
pub const MAX_REACHED_LISTED: usize = 1_000;
/// Devices whose rates are watched under `limits`; sends to further devices aren't limited.
pub const MAX_WATCHED_DEVICES: usize = 500_000;
/// Access tokens remembered; beyond it the one that expires first is forgotten.
pub const MAX_ACCESS_TOKENS: usize = 10_000;
/// Projects one emulator serves.
pub const MAX_PROJECTS: usize = 64;
/// Longest project id, in characters.
pub const MAX_PROJECT_CHARS: usize = 63;

// --- What a reader may ask for -------------------------------------------------------------------------------

/// Messages listed when no limit is given.
pub const DEFAULT_LIST_LIMIT: usize = 1_000;
/// Most messages, with bodies, in one answer.
pub const MAX_LIST_LIMIT: usize = 10_000;
/// Most ids in one answer.
pub const MAX_ID_LIST_LIMIT: usize = 200_000;
/// Subscriptions in one page of `topicSubscriptions` when no `pageSize` is given (discovery document).
pub const DEFAULT_SUBSCRIPTION_PAGE: usize = 1_000;
/// Most subscriptions in one page; a larger `pageSize` counts as this (discovery document).
pub const MAX_SUBSCRIPTION_PAGE: usize = 2_000;
/// Bytes of one page of a list, about: the item that passes it is the page's last.
pub const MAX_LIST_BYTES: usize = 64 * 1024 * 1024;
/// Ids copied under one hold of the lock, so that a big read doesn't stop sends.
pub const ID_PAGE: usize = 4_096;
/// Longest long-poll, in milliseconds.
pub const MAX_WAIT_MS: u64 = 60_000;

// --- What a page that watches gets ----------------------------------------------------------------------------

/// Pages that watch at once; a further one is answered 503.
pub const MAX_EVENT_STREAMS: usize = 32;
/// Messages told at once.
pub const MAX_EVENTS_BATCH: usize = 500;
/// Bytes of messages told at once, about: the message that passes it is the batch's last.
pub const MAX_EVENTS_BATCH_BYTES: usize = 1024 * 1024;
/// How long a watcher is left in peace after each batch.
pub const EVENTS_PAUSE: Duration = Duration::from_millis(100);
/// Messages that a watcher may be behind, also one that begins to watch; older ones are skipped, and it is told.
pub const MAX_EVENTS_BEHIND: u64 = 5_000;
/// How often a watcher to whom nothing is told gets a sign of life.
pub const EVENTS_HEARTBEAT: Duration = Duration::from_secs(15);

// --- What a faults file may ask for --------------------------------------------------------------------------

/// Longest added latency, in milliseconds.
pub const MAX_LATENCY_MS: u32 = 600_000;
/// Longest Retry-After, in seconds.
pub const MAX_RETRY_AFTER_S: u32 = 86_400;
/// Largest rate and burst of the quota's bucket.
pub const MAX_QUOTA: u32 = 1_000_000_000;
/// Largest number of any key of `limits`, but for `collapse_keys` and `fanouts.concurrent`.
pub const MAX_RATE: u32 = 1_000_000_000;
/// Most collapse keys per device that `limits` may allow: each is remembered.
pub const MAX_COLLAPSE_KEYS: u32 = 100;
/// Most fan-outs at once that `limits` may allow: each is remembered until it ends.
pub const MAX_FANOUTS: u32 = 100_000;
/// Most rules per token prefix.
pub const MAX_TOKEN_RULES: usize = 1_000;
/// Targets whose sends are counted for `first`; sends to further targets succeed.
pub const MAX_FIRST_COUNTERS: usize = 2_000_000;
