//! Forgetting a person: what is known of them goes, what was counted stays. All in one step, however much there is.

use std::sync::Arc;

use pabal_core::ids::{AppId, UserId};
use pabal_core::message::Message;
use pabal_core::seam::store::Erased;

use crate::recipients::{Unit, recipients_of};
use crate::rows::{NotificationRow, State};

impl State {
    pub(crate) fn erase_user(&mut self, app: AppId, user: &UserId) -> Erased {
        let mut erased = Erased { devices: self.devices.remove_all(app, user), ..Erased::default() };
        for row in self.deliveries.values_mut().filter(|row| row.app == app) {
            if row.user() == Some(user) {
                row.recipient = None;
                erased.deliveries += 1;
            }
        }
        for row in self.notifications.values_mut().filter(|row| row.notification.app == app) {
            erased.notifications += u64::from(erase_recipient(row, user));
        }
        erased
    }
}

/// Takes a user out of the recipients, and the message where nobody else is to read it. Answers whether they were among
/// them.
fn erase_recipient(row: &mut NotificationRow, user: &UserId) -> bool {
    let mut found = false;
    for unit in row.units.iter_mut().filter(|unit| unit.user() == Some(user)) {
        *unit = Unit::Erased;
        found = true;
    }
    if found {
        row.notification.recipients = recipients_of(&row.units);
        if row.units.iter().all(|unit| *unit == Unit::Erased) {
            row.notification.message = Arc::new(Message::default());
        }
    }
    found
}
