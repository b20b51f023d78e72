//! Cursors: where a list goes on. Opaque to callers, and bound to the list, the app and the filters that they came from:
//! one that is used elsewhere would quietly skip what it should show, so it is refused.
//!
//! ```text
//!   base64url( version 1 byte | binding 8 bytes | place … )
//! ```
//!
//! The binding is a short hash that anybody could compute. It prevents mistakes and authenticates nobody: a place names
//! nothing that the caller's key could not list anyway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, DeliveryId, DeviceId, ItemId, KeyId, NotificationId, RedriveId, UserId};
use pabal_core::seam::store::MarkedAt;

use super::problem::Problem;
use crate::limits;

const VERSION: u8 = 1;
const BINDING_BYTES: usize = 8;

/// A place in a list, as bytes. What is written is read as the same; any other bytes are `None`.
pub(super) trait Place: Sized {
    fn write(&self) -> Vec<u8>;
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// Which list a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Binding([u8; BINDING_BYTES]);

impl Binding {
    /// `filters` are the list's parameters but for cursor and limit, by name.
    pub(super) fn new(list: &str, app: AppId, filters: &[(&'static str, String)]) -> Self {
        let mut hasher = blake3::Hasher::new();
        // Each part with its length: no two lists of parts are written alike.
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        part(list.as_bytes());
        part(&app.0.to_be_bytes());
        let mut filters: Vec<_> = filters.iter().collect();
        filters.sort_unstable();
        for (name, value) in filters {
            part(name.as_bytes());
            part(value.as_bytes());
        }
        let mut bound = [0; BINDING_BYTES];
        bound.copy_from_slice(&hasher.finalize().as_bytes()[..BINDING_BYTES]);
        Self(bound)
    }

    /// The cursor of a place in this list.
    pub(super) fn cursor(self, place: &impl Place) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.0);
        bytes.extend(place.write());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor of this list means.
    pub(super) fn place<P: Place>(self, cursor: &str) -> Result<P, Problem> {
        let foreign = || Problem::value("cursor", "is none that this server gave");
        if cursor.len() > limits::CURSOR_CHARS_MAX {
            let max = limits::CURSOR_CHARS_MAX;
            return Err(Problem::value("cursor", format!("is longer than {max} characters")));
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| foreign())?;
        let (version, rest) = bytes.split_first().ok_or_else(foreign)?;
        if *version != VERSION {
            return Err(Problem::value("cursor", "is of another version of the server; begin without one"));
        }
        let (binding, place) = rest.split_at_checked(BINDING_BYTES).ok_or_else(foreign)?;
        if binding != self.0 {
            return Err(Problem::value("cursor", "belongs to another list or other filters"));
        }
        P::read(place).ok_or_else(foreign)
    }
}

macro_rules! place_of_id {
    ($($id:ident),+) => {
        $(impl Place for $id {
            fn write(&self) -> Vec<u8> {
                self.as_bytes().to_vec()
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_bytes)
            }
        })+
    };
}

place_of_id!(NotificationId, DeliveryId, RedriveId, KeyId);

impl Place for ItemId {
    fn write(&self) -> Vec<u8> {
        let kind = match self {
            ItemId::Delivery(_) => 0,
            ItemId::FanOut(_) => 1,
        };
        [&[kind], self.as_bytes().as_slice()].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (0, id) => DeliveryId::read(id).map(ItemId::Delivery),
            (1, id) => NotificationId::read(id).map(ItemId::FanOut),
            _ => None,
        }
    }
}

/// Time, then user and device with a character between them that neither can hold.
impl Place for MarkedAt {
    fn write(&self) -> Vec<u8> {
        let mut bytes = self.at.as_ms().to_be_bytes().to_vec();
        bytes.extend(format!("{}\n{}", self.user, self.device).into_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (at, names) = bytes.split_at_checked(8)?;
        let at = Timestamp::from_ms(i64::from_be_bytes(at.try_into().ok()?));
        let (user, device) = std::str::from_utf8(names).ok()?.split_once('\n')?;
        Some(Self { at, user: UserId::new(user).ok()?, device: DeviceId::new(device).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list() -> Binding {
        Binding::new("deliveries", AppId(1), &[("user", "ann".to_owned()), ("state", "dead".to_owned())])
    }

    fn name() -> impl Strategy<Value = String> {
        "\\PC{1,32}"
    }

    proptest! {
        #[test]
        fn a_place_is_read_as_it_was_written(id: [u8; 16], is_delivery: bool, at: i64, user in name(), device in name()) {
            let (delivery, notification) = (DeliveryId::from_bytes(id), NotificationId::from_bytes(id));
            prop_assert_eq!(list().place::<DeliveryId>(&list().cursor(&delivery)), Ok(delivery));
            let redrive = RedriveId::from_bytes(id);
            prop_assert_eq!(list().place::<RedriveId>(&list().cursor(&redrive)), Ok(redrive));
            let item = if is_delivery { ItemId::Delivery(delivery) } else { ItemId::FanOut(notification) };
            prop_assert_eq!(list().place::<ItemId>(&list().cursor(&item)), Ok(item));
            let (user, device) = (UserId::new(user).unwrap(), DeviceId::new(device).unwrap());
            let marked = MarkedAt { at: Timestamp::from_ms(at), user, device };
            prop_assert_eq!(list().place::<MarkedAt>(&list().cursor(&marked)), Ok(marked));
        }

        #[test]
        fn any_text_is_refused_or_read(text in "\\PC{0,64}", bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bound = vec![VERSION];
            bound.extend(list().0);
            bound.extend(&bytes);
            for cursor in [text, URL_SAFE_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bound)] {
                let read = list().place::<MarkedAt>(&cursor);
                if let Ok(place) = read {
                    prop_assert_eq!(list().cursor(&place), cursor);
                }
            }
        }

        #[test]
        fn cursors_fit_a_url_and_their_limit(user in "\\PC{128}", at: i64) {
            let cut = |text: &str| text.chars().scan(0, |bytes, c| { *bytes += c.len_utf8(); (*bytes <= 128).then_some(c) }).collect::<String>();
            let (user, device) = (UserId::new(cut(&user)).unwrap(), DeviceId::new(cut(&user)).unwrap());
            let cursor = list().cursor(&MarkedAt { at: Timestamp::from_ms(at), user, device });
            prop_assert!(cursor.len() <= limits::CURSOR_CHARS_MAX);
            prop_assert!(cursor.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_list_app_and_filters() {
        let cursor = list().cursor(&DeliveryId::from_bytes([7; 16]));
        let filter = |name, value: &str| (name, value.to_owned());
        let (user, state) = (filter("user", "ann"), filter("state", "dead"));
        let same = Binding::new("deliveries", AppId(1), &[state.clone(), user.clone()]);
        assert_eq!(same, list(), "their order is nothing");
        let others = [
            Binding::new("notifications", AppId(1), &[user.clone(), state.clone()]),
            Binding::new("deliveries", AppId(2), &[user.clone(), state.clone()]),
            Binding::new("deliveries", AppId(1), std::slice::from_ref(&user)),
            Binding::new("deliveries", AppId(1), &[filter("user", "bea"), state.clone()]),
            Binding::new("deliveries", AppId(1), &[filter("use", "rann"), state]),
        ];
        for other in others {
            let problem = other.place::<DeliveryId>(&cursor).unwrap_err();
            assert_eq!(problem, Problem::value("cursor", "belongs to another list or other filters"));
        }
    }

    #[test]
    fn what_is_no_cursor_is_told_apart() {
        let told = |cursor: &str, problem: &str| {
            let refused = list().place::<DeliveryId>(cursor).unwrap_err();
            assert_eq!(refused, Problem::value("cursor", problem), "{cursor}");
        };
        told("", "is none that this server gave");
        told("not base64!", "is none that this server gave");
        told("AQ", "is none that this server gave");
        told("Ag", "is of another version of the server; begin without one");
        told(&"A".repeat(limits::CURSOR_CHARS_MAX + 1), "is longer than 1024 characters");
        let of_another_kind = list().cursor(&ItemId::Delivery(DeliveryId::from_bytes([1; 16])));
        told(&of_another_kind, "is none that this server gave");
    }
}
