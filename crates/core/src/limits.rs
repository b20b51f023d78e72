//! Every bound that a caller or an operator can meet, by name. Errors quote these; tests cover each.

/// Bytes of a user's name.
pub const USER_ID_BYTES_MAX: usize = 128;
/// Bytes of a device's name.
pub const DEVICE_ID_BYTES_MAX: usize = 128;
/// Bytes of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long an `Idempotency-Key` is remembered.
pub const IDEMPOTENCY_KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// Bytes of a title.
pub const TITLE_BYTES_MAX: usize = 1024;
/// Bytes of a body text.
pub const BODY_BYTES_MAX: usize = 4096;
/// Bytes of an image or link URL.
pub const URL_BYTES_MAX: usize = 2048;
/// Entries of `data`.
pub const DATA_ENTRIES_MAX: usize = 100;
/// Bytes of all keys and values of `data` together. FCM documents 4,096 for a whole message.
pub const DATA_BYTES_MAX: usize = 4096;
/// Bytes of a native override (`fcm`), as JSON.
pub const OVERRIDE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a collapse key.
pub const COLLAPSE_KEY_BYTES_MAX: usize = 64;

/// Seconds of the longest time to live: four weeks, as FCM has it.
pub const TTL_S_MAX: u64 = 2_419_200;
/// Seconds of the time to live if the caller names none.
pub const TTL_S_DEFAULT: u64 = 2_419_200;
/// What every notification has at least to be handed to its provider, so that a `ttl` of 0 ("now or never") gets its
/// one chance.
pub const TTL_GRACE_MS: i64 = 10_000;
/// How far ahead `send_at` may lie.
pub const SEND_AT_AHEAD_MS_MAX: i64 = 366 * 24 * 60 * 60 * 1000;
/// How far back `send_at` may lie and still mean "now": what clocks and queues between caller and server cost.
pub const SEND_AT_PAST_MS_MAX: i64 = 60 * 1000;

/// Users that one notification may name in `users`.
pub const USERS_MAX: usize = 1000;
/// Devices that one user may have.
pub const DEVICES_PER_USER_MAX: usize = 50;
/// Bytes of a registration token, a FID, a topic or a condition.
pub const TARGET_BYTES_MAX: usize = 4096;
/// Bytes of a credential's name (an FCM project in the configuration).
pub const CREDENTIAL_BYTES_MAX: usize = 64;

/// Bytes of an app's name.
pub const APP_NAME_BYTES_MAX: usize = 64;
/// Apps that there may be.
pub const APPS_MAX: usize = 1000;
/// Keys of an app that are not revoked.
pub const KEYS_PER_APP_MAX: usize = 1000;
/// Rows that one page of a list, or one step of maintenance, looks at.
pub const LIST_SCAN_MAX: usize = 10_000;
/// Redrive jobs of an app that may run at once.
pub const REDRIVES_RUNNING_MAX: usize = 10;
/// How long a redrive job is kept after its end at least, so that whoever follows it sees the end.
pub const REDRIVE_KEPT_MS: u64 = 60 * 60 * 1000;
/// Dead letters that one job may reopen in a second.
pub const REDRIVE_RATE_MAX: u32 = 10_000;

/// Routes that may exist at once.
pub const ROUTES_MAX: usize = 256;
/// Credentials that the routes have room for: each may have a route per lane and platform, beside the fan-outs.
pub const CREDENTIALS_MAX: usize = (ROUTES_MAX - 2) / 8;
/// Ids that one claim may lease.
pub const CLAIM_MAX: usize = 1000;
/// Items that one call to a queue may carry.
pub const QUEUE_BATCH_MAX: usize = 1000;
/// Users that one page of a fan-out resolves.
pub const FAN_OUT_PAGE_USERS: usize = 500;

/// Abandoned this often, a leased item is a suspect: it is claimed apart from the others.
pub const SUSPECT_AFTER: u32 = 2;
/// Abandoned this often alone, an item is dead: once may be a coincidence (a hard kill, an answer that was lost).
pub const ABANDONED_ALONE_MAX: u32 = 5;
/// Abandoned this often in all, an item is dead: as an ordinary item, then with ever fewer other suspects, then alone.
pub const ABANDONED_MAX: u32 = SUSPECT_AFTER + (SUSPECT_BATCHES.len() as u32 - 1) + ABANDONED_ALONE_MAX;
/// How many suspects are claimed at once, by how often they were abandoned beyond [`SUSPECT_AFTER`].
pub const SUSPECT_BATCHES: [usize; 3] = [64, 8, 1];

/// How long what can't be read waits before it is looked at again: a newer program may be able to.
pub const UNREADABLE_RETRY_MS: u64 = 60 * 60 * 1000;

/// Characters kept of what a provider said about an attempt.
pub const DETAIL_CHARS_MAX: usize = 300;

/// How many suspects that were abandoned `abandoned` times may be claimed together.
pub fn suspects_at_once(abandoned: u32) -> usize {
    let step = abandoned.saturating_sub(SUSPECT_AFTER) as usize;
    SUSPECT_BATCHES[step.min(SUSPECT_BATCHES.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_come_fewer_at_a_time_the_more_often_they_were_abandoned() {
        let batches: Vec<usize> = (SUSPECT_AFTER..=ABANDONED_MAX).map(suspects_at_once).collect();
        assert_eq!(batches, [64, 8, 1, 1, 1, 1, 1, 1]);
        assert_eq!(ABANDONED_MAX, 9);
    }
}
