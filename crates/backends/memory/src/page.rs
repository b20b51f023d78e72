//! Paging a notification into deliveries. Each page is one step, fenced by the lease's epoch and by the cursor that it
//! names, so that a page run twice, or by a worker that was overtaken, changes nothing.

use pabal_core::clock::Timestamp;
use pabal_core::ids::ItemId;
use pabal_core::seam::{Cursor, Lease, PageMade, Then};

use crate::rows::State;

impl State {
    pub(crate) fn page(
        &mut self,
        lease: &Lease,
        from: &Cursor,
        users_max: usize,
        now: Timestamp,
    ) -> PageMade {
        let ItemId::FanOut(id) = lease.id else { return PageMade::Refused(Then::Done) };
        self.end_fan_out_if_over(id, now);
        let Some(row) = self.notifications.get_mut(&id) else { return PageMade::Refused(Then::Done) };
        let fits = row.state.is_open()
            && lease.epoch > row.settled
            && lease.epoch >= row.paged
            && *from == cursor_at(row.resolved);
        if !fits {
            return PageMade::Refused(State::then_of_fan_out(row, now));
        }
        row.paged = lease.epoch;
        let work = self.expand(id, users_max.max(1), now);
        let (cursor, last) = self
            .notifications
            .get(&id)
            .map_or((from.clone(), true), |row| (cursor_at(row.resolved), !row.state.is_open()));
        PageMade::Made { work, cursor, last }
    }
}

/// The cursor after so many resolved units; the empty text is the beginning.
pub(crate) fn cursor_at(resolved: usize) -> Cursor {
    Cursor(if resolved == 0 { String::new() } else { resolved.to_string() })
}
