//! `/v1/users/{user}`: forgetting a person.
//!
//! ```text
//!   ending ──► erasing ──► done          each in steps; between any two of them a request may run out of time
//! ```
//!
//! How far it came is in the cursor of the problem that the caller then gets, and nowhere else: an erasure that nobody
//! goes on with leaves nothing to clean up. The counts so far are in it too, so that the last answer is about all of it.

use axum::extract::{Path, RawQuery, State};
use axum::response::Json;
use http::StatusCode;
use pabal_core::ErrorKind;
use pabal_core::clock::Timestamp;
use pabal_core::delivery::Reason;
use pabal_core::ids::{AppId, ItemId, UserId};
use pabal_core::seam::Selection;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::cursor::{Binding, Place};
use super::document::{Operation, Tag, schema};
use super::problem::{Problem, ProblemKind};
use super::query::Query;
use super::routes::Routes;
use super::time_left::TimeLeft;
use super::{Api, Shared};
use crate::auth::{Granted, Manages};

pub(super) fn routes() -> Routes {
    Routes::new().delete("/v1/users/{user}", erase, operation())
}

fn operation() -> Operation {
    Operation::new(Tag::People, "eraseUser", "Forget a person")
        .text(
            "Ends what is open for a user, then erases: the devices, the user in deliveries and in the recipients of \
             notifications (also of those that are not yet due), and messages that were meant for nobody else. \
             Deliveries and notifications themselves stay, with `\"to\": null`, so that counts stay true.\n\n\
             Once it is done, a repeat finds nothing and answers zeros. Where a person has more than fits into one \
             request it is answered 503 `unfinished` with a `cursor`: repeat the request with it until the answer is \
             200, whose numbers are those of all these requests. Without the cursor it would begin again, and might \
             never end. Backups that were made before still hold the person.",
        )
        .path::<schema::UserId>("user", "Whom to forget.")
        .query::<schema::Cursor>("cursor", "The `cursor` of the problem `unfinished` before, for the same user.")
        .refuses(&[ProblemKind::InvalidValue, ProblemKind::Unfinished])
        .answers::<ErasedBody>(
            StatusCode::OK,
            "The person is forgotten.",
            json!({ "cancelled": 3, "in_flight": 0, "devices": 2, "deliveries": 120, "notifications": 118 }),
        )
}

/// What was forgotten, by this request and those whose cursors led to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Erased)]
struct ErasedBody {
    /// Open deliveries that were ended.
    cancelled: u64,
    /// Deliveries being attempted right now: these may still arrive.
    in_flight: u64,
    /// Devices removed.
    devices: u64,
    /// Deliveries that no longer say whom they were for.
    deliveries: u64,
    /// Notifications from whose recipients the user was taken.
    notifications: u64,
}

async fn erase(
    caller: Granted<Manages>,
    State(api): State<Shared>,
    Path(user): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<ErasedBody>, Problem> {
    let time = TimeLeft::of(&api);
    let user = UserId::new(user)?;
    let binding = Binding::new("an erasure", caller.app, &[("user", user.to_string())]);
    let mut query = Query::parse(query.as_deref());
    let mut erasure = query.take_place::<Erasure>(binding)?.unwrap_or_default();
    query.finish()?;
    loop {
        erasure.step(&api, caller.app, &user).await?;
        if erasure.stage == Stage::Done {
            return Ok(Json(erasure.done));
        }
        time.check(|| (erasure.words(), binding.cursor(&erasure)))?;
    }
}

/// An erasure between two steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Erasure {
    stage: Stage,
    done: ErasedBody,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// To end what is open, after this place.
    Ending(Option<(Timestamp, ItemId)>),
    /// To erase, where the store said that its next step begins.
    Erasing(Option<String>),
    Done,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Ending(None)
    }
}

impl Erasure {
    async fn step(&mut self, api: &Api, app: AppId, user: &UserId) -> Result<(), Problem> {
        self.stage = match &self.stage {
            Stage::Ending(after) => {
                let whose = Selection::User(app, user.clone());
                let ended = api.engine.end_step(whose, Reason::CancelRequested, *after).await?;
                self.done.cancelled += ended.ended;
                self.done.in_flight += ended.in_flight;
                ended.next.map_or(Stage::Erasing(None), |next| Stage::Ending(Some(next)))
            }
            Stage::Erasing(after) => {
                let erased = api.store.erase_user(app, user, after.clone()).await;
                let erased = erased.map_err(|error| match error.kind() {
                    ErrorKind::Conflict => Problem::value("cursor", "is none that this server gave"),
                    _ => Problem::from(error),
                })?;
                self.done.devices += erased.devices;
                self.done.deliveries += erased.deliveries;
                self.done.notifications += erased.notifications;
                erased.next.map_or(Stage::Done, |next| Stage::Erasing(Some(next)))
            }
            Stage::Done => Stage::Done,
        };
        Ok(())
    }

    /// How far it came, for people.
    fn words(&self) -> String {
        match self.stage {
            Stage::Ending(_) => {
                format!("{} open deliveries are ended, and there are more", self.done.cancelled)
            }
            _ => format!("{} deliveries are erased, and there may be more", self.done.deliveries),
        }
    }
}

/// ```text
///   5 × counts | 0                       at the beginning
///              | 1 | due | item          ending, after this
///              | 2 | text of the store   erasing; no text at its beginning
/// ```
impl Place for Erasure {
    fn write(&self) -> Vec<u8> {
        let ErasedBody { cancelled, in_flight, devices, deliveries, notifications } = self.done;
        let counts = [cancelled, in_flight, devices, deliveries, notifications];
        let mut bytes: Vec<u8> = counts.into_iter().flat_map(u64::to_be_bytes).collect();
        match &self.stage {
            Stage::Ending(None) => bytes.push(0),
            Stage::Ending(Some((due, item))) => {
                bytes.push(1);
                bytes.extend(due.as_ms().to_be_bytes());
                bytes.extend(item.write());
            }
            Stage::Erasing(next) => {
                bytes.push(2);
                bytes.extend(next.as_deref().unwrap_or_default().as_bytes());
            }
            // Nothing goes on there: no cursor is made of it.
            Stage::Done => bytes.push(3),
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (counts, rest) = bytes.split_at_checked(5 * 8)?;
        let mut counts = counts.chunks_exact(8).map(|count| {
            // Numbers that anybody could have written: a sum of them never overflows.
            count.try_into().ok().map(u64::from_be_bytes).filter(|count| *count <= u64::from(u32::MAX))
        });
        let mut count = || counts.next().flatten();
        let done = ErasedBody {
            cancelled: count()?,
            in_flight: count()?,
            devices: count()?,
            deliveries: count()?,
            notifications: count()?,
        };
        let stage = match rest.split_first()? {
            (0, []) => Stage::Ending(None),
            (1, place) => {
                let (due, item) = place.split_at_checked(8)?;
                let due = Timestamp::from_ms(i64::from_be_bytes(due.try_into().ok()?));
                Stage::Ending(Some((due, ItemId::read(item)?)))
            }
            (2, text) => {
                let text = std::str::from_utf8(text).ok()?;
                Stage::Erasing(Some(text.to_owned()).filter(|text| !text.is_empty()))
            }
            _ => return None,
        };
        Some(Self { stage, done })
    }
}

#[cfg(test)]
mod tests {
    use pabal_core::ids::DeliveryId;

    use super::*;

    #[test]
    fn an_erasure_goes_on_as_it_was_left() {
        let done =
            ErasedBody { cancelled: 1, in_flight: 2, devices: 3, deliveries: 1 << 31, notifications: 5 };
        let item = ItemId::Delivery(DeliveryId::from_bytes([7; 16]));
        for stage in [
            Stage::Ending(None),
            Stage::Ending(Some((Timestamp::from_ms(-5), item))),
            Stage::Erasing(None),
            Stage::Erasing(Some("deliveries".to_owned())),
        ] {
            let erasure = Erasure { stage, done: done.clone() };
            assert_eq!(Erasure::read(&erasure.write()), Some(erasure));
        }
    }

    #[test]
    fn bytes_of_anybody_are_no_erasure() {
        let begun = Erasure::default().write();
        let mut huge = begun.clone();
        huge[0] = 0xFF;
        let with = |rest: &[u8]| [&begun[..40], rest].concat();
        for bytes in
            [&b""[..], &begun[..40], &huge, &with(&[3]), &with(&[0, 0]), &with(&[1, 1]), &with(&[2, 0xFF])]
        {
            assert_eq!(Erasure::read(bytes), None, "{bytes:?}");
        }
    }
}
