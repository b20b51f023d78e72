//! Reading requests without a server around them, for the fuzzer.

use pabal_core::chance::Chance;
use pabal_core::clock::Timestamp;
use pabal_core::ids::AppId;
use pabal_core::notification::Notification;

use super::items::{Form, ItemRequest};
use super::request::NotificationRequest;
use crate::api::body;
use crate::api::problem::Problem;
use crate::api::projects::Projects;

/// Reads and checks the body of a single notification.
pub(in crate::api) fn check_request(
    bytes: &[u8],
    app: AppId,
    now: Timestamp,
    chance: &dyn Chance,
    projects: &Projects,
) -> Result<Notification, Problem> {
    let request: NotificationRequest = body::parse(bytes, "body").map_err(Problem::from)?;
    request.check(app, now, chance, projects)
}

/// Reads and checks a batch: what of it would be accepted.
pub(in crate::api) fn check_batch(
    as_array: bool,
    body: &[u8],
    app: AppId,
    now: Timestamp,
    chance: &dyn Chance,
    projects: &Projects,
) -> Vec<Notification> {
    let form = if as_array { Form::Array } else { Form::Lines };
    let items = form.items(body).unwrap_or_default();
    let check = |item: &[u8]| {
        let request = ItemRequest::parse(item)?;
        request.key()?;
        request.notification.check(app, now, chance, projects)
    };
    items.into_iter().filter_map(|item| check(item).ok()).collect()
}
