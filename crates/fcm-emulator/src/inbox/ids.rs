//! The list of (target, `pabal_id`) of every accepted send, in order: the book a chaos test compares with.
//!
//! Targets repeat (one device gets many messages), so each is kept once. When the list is full, *new* sends are left
//! out and counted; the list stays a complete prefix, never one with holes.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use serde::Serialize;

use crate::hash::{Hash128, PassThrough};
use crate::limits::{MAX_KEPT_ID_BYTES, MAX_KEPT_IDS};
use crate::message::Target;

/// One accepted send, by its ids only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceivedId {
    /// Its number; not in the compact JSON.
    #[serde(skip)]
    pub cursor: u64,
    /// Token, installation id, topic or condition.
    pub target: Arc<str>,
    /// `message.data.pabal_id`, empty if absent.
    pub pabal_id: Box<str>,
}

#[derive(Debug)]
pub(super) struct Ids {
    /// The cursor before the first entry.
    base: u64,
    known: HashMap<Hash128, Arc<str>, BuildHasherDefault<PassThrough>>,
    entries: Vec<(Arc<str>, Box<str>)>,
    bytes: usize,
    dropped: u64,
    max_entries: usize,
    max_bytes: usize,
}

impl Default for Ids {
    fn default() -> Ids {
        Ids::bounded(MAX_KEPT_IDS, MAX_KEPT_ID_BYTES)
    }
}

impl Ids {
    fn bounded(max_entries: usize, max_bytes: usize) -> Ids {
        Ids {
            base: 0,
            known: HashMap::default(),
            entries: Vec::new(),
            bytes: 0,
            dropped: 0,
            max_entries,
            max_bytes,
        }
    }

    pub(super) fn starting_after(cursor: u64) -> Ids {
        Ids { base: cursor, ..Ids::default() }
    }

    pub(super) fn push(&mut self, target_key: Hash128, target: Target<'_>, pabal_id: &str) {
        let is_new = !self.known.contains_key(&target_key);
        let bytes = self.bytes + pabal_id.len() + if is_new { target.value.len() } else { 0 };
        // Once one is left out all are: a cursor is a position in this list.
        if self.dropped > 0 || self.entries.len() >= self.max_entries || bytes > self.max_bytes {
            self.dropped += 1;
            return;
        }
        self.bytes = bytes;
        let target = self.known.entry(target_key).or_insert_with(|| target.value.into());
        self.entries.push((Arc::clone(target), pabal_id.into()));
    }

    /// Appends up to `limit` entries after a cursor and says how many.
    pub(super) fn copy_after(&self, after: u64, limit: usize, into: &mut Vec<ReceivedId>) -> usize {
        let start = usize::try_from(after.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let rest = self.entries.get(start..).unwrap_or_default();
        let copied = &rest[..rest.len().min(limit)];
        let first_cursor = self.base + start as u64 + 1;
        into.extend(copied.iter().zip(first_cursor..).map(|((target, pabal_id), cursor)| ReceivedId {
            cursor,
            target: Arc::clone(target),
            pabal_id: pabal_id.clone(),
        }));
        copied.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::TargetKind;

    fn push(ids: &mut Ids, token: &str, pabal_id: &str) {
        let key = token.bytes().fold(0, |key, byte| key << 8 | u128::from(byte));
        ids.push(key, Target { kind: TargetKind::Token, value: token }, pabal_id);
    }

    #[test]
    fn when_full_new_entries_are_left_out() {
        let mut by_count = Ids::bounded(2, usize::MAX);
        let mut by_bytes = Ids::bounded(usize::MAX, 5);
        for ids in [&mut by_count, &mut by_bytes] {
            for pabal_id in ["11", "22", "33", ""] {
                push(ids, "a", pabal_id);
            }
            let mut kept = Vec::new();
            assert_eq!(ids.copy_after(0, 10, &mut kept), 2);
            assert_eq!(kept[1].pabal_id.as_ref(), "22");
            assert_eq!(ids.dropped(), 2);
        }
    }

    #[test]
    fn the_bounds_are_the_named_ones() {
        let ids = Ids::default();
        assert_eq!((ids.max_entries, ids.max_bytes), (MAX_KEPT_IDS, MAX_KEPT_ID_BYTES));
    }
}
