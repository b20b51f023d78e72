//! What happens, as server-sent events, for a page that watches.
//!
//! | event | data | when |
//! | --- | --- | --- |
//! | `hello` | `run, projects, cleared_at` | first |
//! | `faults` | the faults in force | first, and whenever they change |
//! | `cleared` | `cleared_at`: messages up to this cursor are forgotten | after a clear |
//! | `skipped` | `count` | messages are left out, because the reader is slow or they are forgotten |
//! | `message` | as in the list of messages | one was accepted; `id` is where to resume |
//! | `counts` | as in the counts | after messages and clears |
//!
//! A reader gets at most [`MAX_EVENTS_BATCH`] messages per [`EVENTS_PAUSE`], and is never more than
//! [`MAX_EVENTS_BEHIND`] behind: a person can't read more, and a sender that is being measured should not be slowed
//! down by someone who watches. The ids name the run, because cursors begin anew when the emulator does.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::faults::active::ActiveFaults;
use crate::inbox::{Head, ReceivedMessage};
use crate::limits::{
    EVENTS_HEARTBEAT, EVENTS_PAUSE, MAX_EVENT_STREAMS, MAX_EVENTS_BATCH, MAX_EVENTS_BATCH_BYTES,
    MAX_EVENTS_BEHIND,
};
use crate::state::State;

/// Chunks that wait for a slow reader. Beyond it nothing is read from the inbox for them.
const CHUNKS_AHEAD: usize = 2;

/// Who may watch, and which run of the emulator they watch.
#[derive(Debug)]
pub(crate) struct Watchers {
    slots: Arc<Semaphore>,
    run: String,
}

impl Default for Watchers {
    /// The run's name is never seeded: a run that replays chance is another run all the same.
    fn default() -> Watchers {
        let run = format!("{:016x}", SmallRng::from_os_rng().random::<u64>());
        Watchers { slots: Arc::new(Semaphore::new(MAX_EVENT_STREAMS)), run }
    }
}

/// The body of an answer that goes on until the reader leaves.
#[derive(Debug)]
pub(crate) struct EventBody {
    chunks: mpsc::Receiver<Bytes>,
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.chunks.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// Starts a stream after an id that an earlier one gave, or from the beginning. None if too many are open.
pub(crate) fn follow(state: &Arc<State>, last_id: Option<&str>) -> Option<EventBody> {
    let slot = Arc::clone(&state.watchers.slots).try_acquire_owned().ok()?;
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let head = state.inbox.head();
    let resumed = last_id.and_then(|id| cursor_of(id, &state.watchers.run)).unwrap_or_default();
    let mut faults = state.watch_faults();
    faults.mark_changed();
    let follower = Follower {
        state: Arc::clone(state),
        chunks: sender,
        cursor: resumed.clamp(head.cleared_at, head.last_cursor),
        cleared_at: head.cleared_at,
        faults,
        _slot: slot,
    };
    tokio::spawn(follower.run());
    Some(EventBody { chunks })
}

/// The cursor of an id `{run}-{cursor}`, if it is of this run.
fn cursor_of(id: &str, run: &str) -> Option<u64> {
    id.strip_prefix(run)?.strip_prefix('-')?.parse().ok()
}

/// One reader's place in the book.
struct Follower {
    state: Arc<State>,
    chunks: mpsc::Sender<Bytes>,
    cursor: u64,
    cleared_at: u64,
    faults: watch::Receiver<Arc<ActiveFaults>>,
    _slot: OwnedSemaphorePermit,
}

impl Follower {
    /// Until the reader has gone.
    async fn run(mut self) {
        let mut text = self.greeting();
        loop {
            let head = self.state.inbox.head();
            self.news(head, &mut text);
            let caught_up = self.cursor == head.last_cursor;
            if !text.is_empty() {
                if self.chunks.send(std::mem::take(&mut text).into()).await.is_err() {
                    return;
                }
                tokio::time::sleep(EVENTS_PAUSE).await;
            }
            if caught_up && !self.wait(head, &mut text).await {
                return;
            }
        }
    }

    /// Until there is something to tell, or a sign of life is due; false if the reader has gone.
    async fn wait(&mut self, head: Head, text: &mut String) -> bool {
        tokio::select! {
            biased;
            () = self.chunks.closed() => return false,
            _ = self.faults.changed() => self.faults.mark_changed(),
            changed = self.state.inbox.wait_beyond_head(head, EVENTS_HEARTBEAT) => {
                if !changed {
                    text.push_str(":\n\n"); // a comment, by which both sides notice that the other has gone
                }
            }
        }
        true
    }

    fn greeting(&self) -> String {
        let hello = json!({
            "run": self.state.watchers.run,
            "projects": self.state.project_ids(),
            "cleared_at": self.cleared_at,
        });
        let mut text = "retry: 1000\n".to_owned();
        push(&mut text, "hello", None, &hello);
        push(&mut text, "counts", None, &self.state.inbox.count());
        text
    }

    /// Appends everything that is new.
    fn news(&mut self, head: Head, text: &mut String) {
        if self.faults.has_changed().unwrap_or(false) {
            push(text, "faults", None, self.faults.borrow_and_update().faults());
        }
        let cleared = head.cleared_at != self.cleared_at;
        if cleared {
            self.cleared_at = head.cleared_at;
            self.cursor = self.cursor.max(head.cleared_at);
            push(text, "cleared", None, &json!({"cleared_at": head.cleared_at}));
        }
        let from = self.cursor;
        self.messages(head, text);
        if cleared || self.cursor != from {
            push(text, "counts", None, &self.state.inbox.count());
        }
    }

    /// Appends the next batch of messages, after a jump if the reader is too far behind.
    fn messages(&mut self, head: Head, text: &mut String) {
        let from = self.cursor.max(head.last_cursor.saturating_sub(MAX_EVENTS_BEHIND));
        let page = self.state.inbox.messages(from, MAX_EVENTS_BATCH, &self.state.project_ids());
        let first = page.items.first().map_or(head.last_cursor + 1, |message| message.cursor);
        let skipped = first.saturating_sub(self.cursor + 1);
        if skipped > 0 {
            push(text, "skipped", None, &json!({"count": skipped}));
        }
        self.cursor = self.cursor.max(first.saturating_sub(1));
        let before = text.len();
        for message in &page.items {
            push_message(text, &self.state.watchers.run, message);
            self.cursor = message.cursor;
            if text.len() - before > MAX_EVENTS_BATCH_BYTES {
                break; // the rest is read again for the next batch
            }
        }
    }
}

fn push_message(text: &mut String, run: &str, message: &ReceivedMessage) {
    push(text, "message", Some((run, message.cursor)), message);
}

/// One event. JSON of serde's has no line breaks, so its data is one line.
fn push(text: &mut String, event: &str, id: Option<(&str, u64)>, data: &impl Serialize) {
    let Ok(data) = serde_json::to_string(data) else { return };
    if let Some((run, cursor)) = id {
        text.push_str(&format!("id: {run}-{cursor}\n"));
    }
    text.push_str(&format!("event: {event}\ndata: {data}\n\n"));
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::message::{Collapsing, Outgoing, Target, TargetKind};
    use crate::schema::Schema;
    use crate::state::Beginnings;

    fn state() -> Arc<State> {
        Arc::new(State::new(Beginnings {
            base_url: String::new(),
            accounts: vec![crate::identity::Account::generate("demo").unwrap()],
            token_lifetime_s: 1,
            schema: Schema::load().unwrap(),
            faults: Default::default(),
            seed: Some(1),
        }))
    }

    fn accept(state: &State, body: &str) {
        let target = Target { kind: TargetKind::Token, value: "t" };
        let collapsing = Collapsing::default();
        let outgoing = Outgoing { target, pabal_id: "", collapsing, validate_only: false };
        state.inbox.accept(0, outgoing, body.as_bytes(), None, false);
    }

    async fn next(body: &mut EventBody) -> String {
        String::from_utf8(body.chunks.recv().await.unwrap().to_vec()).unwrap()
    }

    fn messages(text: &str) -> usize {
        text.matches("event: message\n").count()
    }

    #[test]
    fn ids_resume_their_own_run_only() {
        assert_eq!(cursor_of("00ff-17", "00ff"), Some(17));
        for foreign in ["00fe-17", "00ff17", "00ff-", "00ff-x", "", "17"] {
            assert_eq!(cursor_of(foreign, "00ff"), None, "{foreign}");
        }
    }

    #[test]
    fn an_event_is_one_line_of_data() {
        let mut text = String::new();
        push(&mut text, "message", Some(("r", 7)), &json!({"body": "a\nb\r\n\ndata: c"}));
        assert_eq!(text, "id: r-7\nevent: message\ndata: {\"body\":\"a\\nb\\r\\n\\ndata: c\"}\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn batches_are_bounded_and_leave_pauses() {
        let state = state();
        for _ in 0..=MAX_EVENTS_BATCH {
            accept(&state, r#"{"message":{"token":"t"}}"#);
        }
        let mut body = follow(&state, None).unwrap();
        let started = Instant::now();
        assert_eq!(messages(&next(&mut body).await), MAX_EVENTS_BATCH);
        assert_eq!(messages(&next(&mut body).await), 1);
        assert_eq!(started.elapsed().as_millis(), EVENTS_PAUSE.as_millis());
    }

    #[tokio::test(start_paused = true)]
    async fn batches_are_bounded_in_bytes() {
        let state = state();
        let half = "x".repeat(MAX_EVENTS_BATCH_BYTES / 2);
        for _ in 0..4 {
            accept(&state, &format!(r#"{{"message":{{"token":"t","data":{{"a":"{half}"}}}}}}"#));
        }
        let mut body = follow(&state, None).unwrap();
        assert_eq!(messages(&next(&mut body).await), 2);
        assert_eq!(messages(&next(&mut body).await), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_by_signs_of_life() {
        let state = state();
        let mut body = follow(&state, None).unwrap();
        assert!(next(&mut body).await.contains("event: hello\n"));
        let started = Instant::now();
        assert_eq!(next(&mut body).await, ":\n\n");
        assert_eq!(started.elapsed().as_secs(), EVENTS_HEARTBEAT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_has_gone_is_forgotten() {
        let state = state();
        let mut body = follow(&state, None).unwrap();
        next(&mut body).await;
        assert_eq!(state.watchers.slots.available_permits(), MAX_EVENT_STREAMS - 1);
        drop(body);
        while state.watchers.slots.available_permits() < MAX_EVENT_STREAMS {
            tokio::time::sleep(EVENTS_PAUSE).await; // virtual: the follower may be in its own pause
        }
    }
}
