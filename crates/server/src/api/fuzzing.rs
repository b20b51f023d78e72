//! What the fuzzer reaches of the API: bytes of strangers, as far as they are read before anything else is asked.

use pabal_core::chance::SeededChance;
use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, ItemId, NotificationId};
use pabal_core::limits;
use pabal_core::notification::{Notification, Recipients};
use pabal_core::route::Credential;
use pabal_core::seam::store::MarkedAt;

use super::cursor::{Binding, Place};
use super::marks::Restoring;
use super::notifications::{check_batch, check_request};
use super::projects::Projects;
use super::users::Erasure;
use crate::config::{FcmSection, ProjectSection};

const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

/// A body of `POST /v1/notifications`.
///
/// # Panics
/// If an invalid notification comes of it.
pub fn request(bytes: &[u8]) {
    let chance = SeededChance::from_seed(1);
    if let Ok(notification) = check_request(bytes, AppId::DEFAULT, NOW, &chance, &projects()) {
        hold(&notification);
    }
}

/// A body of `POST /v1/notifications/batch`; the first byte says in which form.
///
/// # Panics
/// If an invalid notification comes of it, or more of them than are allowed.
pub fn batch(bytes: &[u8]) {
    let Some((form, body)) = bytes.split_first() else { return };
    let chance = SeededChance::from_seed(1);
    let items = check_batch(form % 2 == 0, body, AppId::DEFAULT, NOW, &chance, &projects());
    assert!(items.len() <= crate::limits::BATCH_LINES_MAX);
    items.iter().for_each(hold);
}

/// The cursor of any list.
///
/// # Panics
/// If what is read is written differently.
pub fn cursor(bytes: &[u8]) {
    let binding = Binding::new("list", AppId::DEFAULT, &[("state", "dead".to_owned())]);
    let text = String::from_utf8_lossy(bytes);
    same::<NotificationId>(binding, &text, bytes);
    same::<ItemId>(binding, &text, bytes);
    same::<MarkedAt>(binding, &text, bytes);
    same::<Erasure>(binding, &text, bytes);
    same::<Restoring>(binding, &text, bytes);
}

/// Reads a place from a cursor as it came, and from one that has these bytes for a place.
fn same<P: Place>(binding: Binding, text: &str, bytes: &[u8]) {
    let read = binding.place::<P>(text).ok().into_iter().chain(P::read(bytes));
    for place in read {
        let cursor = binding.cursor(&place);
        let again = binding.place::<P>(&cursor).map(|again| again.write());
        assert!(again.is_ok_and(|again| again == place.write()), "{cursor} is another place");
    }
}

fn hold(notification: &Notification) {
    assert!((0..=limits::TTL_S_MAX as i64 * 1000).contains(&notification.ttl_ms));
    assert!(notification.send_at.is_none_or(|at| at > NOW));
    let message = &notification.message;
    assert!(message.title.as_ref().is_none_or(|title| title.len() <= limits::TITLE_BYTES_MAX));
    assert!(message.body.as_ref().is_none_or(|body| body.len() <= limits::BODY_BYTES_MAX));
    assert!(message.data.len() <= limits::DATA_ENTRIES_MAX);
    if let Recipients::Users(users) = &notification.recipients {
        assert!((1..=limits::USERS_MAX).contains(&users.len()));
    }
}

fn projects() -> Projects {
    let project = |endpoint: &str| ProjectSection {
        service_account: "sa.json".into(),
        endpoint: Some(endpoint.to_owned()),
    };
    let mut fcm = FcmSection::default();
    if let Ok(name) = Credential::new("my-app") {
        fcm.projects.insert(name, project("http://127.0.0.1:9099"));
    }
    Projects::new(&fcm)
}
