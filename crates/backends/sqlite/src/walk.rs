//! Lists that are bounded twice: by what they find, and by the rows that they look at for it. A statement walks an index
//! in its order and says of each row whether it is wanted; here it is stopped where enough was found or looked at, and
//! the place where it stopped is where the next page begins.

use pabal_core::clock::Timestamp;
use pabal_core::{Result, limits};
use rusqlite::{Connection, Params, Row};

use crate::errors::from_sqlite;

/// How much a walk may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Rows it finds at most.
    pub(crate) max: usize,
    /// Rows it looks at at most.
    pub(crate) looks: usize,
}

/// What a walk came to.
#[derive(Debug)]
pub(crate) struct Walked<T> {
    /// What it found, in its order.
    pub(crate) found: Vec<T>,
    /// How many rows it looked at.
    pub(crate) looked: usize,
    /// The last of these.
    pub(crate) last: Option<T>,
    /// Where it stopped; `None` where it came to its end.
    pub(crate) next: Option<T>,
}

impl<T> Walked<T> {
    /// Of a walk that has nothing to look at.
    pub(crate) const fn nothing() -> Self {
        Self { found: Vec::new(), looked: 0, last: None, next: None }
    }
}

impl Bounds {
    /// Of a page of a list.
    pub(crate) const fn of_page(max: usize) -> Self {
        Self { max, looks: limits::LIST_SCAN_MAX }
    }

    /// What is left after a walk.
    pub(crate) fn after<T>(self, walked: &Walked<T>) -> Self {
        Self { max: self.max - walked.found.len(), looks: self.looks - walked.looked }
    }

    pub(crate) const fn is_spent(self) -> bool {
        self.max == 0 || self.looks == 0
    }
}

/// Walks the rows of a statement. `read` answers a row's place in the order, and whether it is wanted. A walk that may not
/// even begin stops nowhere: its caller knows where it wanted to begin.
pub(crate) fn walk<T: Clone>(
    connection: &Connection,
    operation: &'static str,
    (sql, parameters): (&str, impl Params),
    bounds: Bounds,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<(T, bool)>,
) -> Result<Walked<T>> {
    let step = || -> rusqlite::Result<Walked<T>> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut walked = Walked::nothing();
        while let Some(row) = rows.next()? {
            if walked.found.len() == bounds.max || walked.looked == bounds.looks {
                walked.next = walked.last.clone();
                break;
            }
            let (place, is_wanted) = read(row)?;
            walked.looked += 1;
            if is_wanted {
                walked.found.push(place.clone());
            }
            walked.last = Some(place);
        }
        Ok(walked)
    };
    step().map_err(|error| from_sqlite(operation, error))
}

/// Sorts after every id.
const ABOVE_ALL: [u8; 17] = [0xFF; 17];

/// The ids of a stretch of time, as bounds for a statement: `from` is within, `below` is not. Ids begin with their time
/// in milliseconds, in six bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ids {
    pub(crate) from: Vec<u8>,
    pub(crate) below: Vec<u8>,
}

impl Ids {
    /// Those made at `since` or later, and before `until`.
    pub(crate) fn made(since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        Self {
            from: since.map_or_else(Vec::new, first_at),
            below: until.map_or_else(|| ABOVE_ALL.to_vec(), first_at),
        }
    }

    /// Of these, those below an id.
    pub(crate) fn before(mut self, id: Option<&[u8; 16]>) -> Self {
        if let Some(id) = id.filter(|id| id.as_slice() < self.below.as_slice()) {
            self.below = id.to_vec();
        }
        self
    }
}

/// What sorts before every id of this time, and after every earlier one.
fn first_at(at: Timestamp) -> Vec<u8> {
    let ms = u64::try_from(at.as_ms()).unwrap_or(0).to_be_bytes();
    if ms[..2] == [0, 0] { ms[2..].to_vec() } else { ABOVE_ALL.to_vec() }
}

#[cfg(test)]
mod tests {
    use pabal_core::ids::NotificationId;

    use super::*;

    fn numbers(max: usize, looks: usize) -> Walked<i64> {
        let connection = Connection::open_in_memory().unwrap();
        let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1) SELECT n, n % 2 FROM n";
        walk(&connection, "test", (sql, [9]), Bounds { max, looks }, |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    }

    #[test]
    fn a_walk_stops_where_enough_was_found_or_looked_at() {
        let by_found = numbers(2, 100);
        assert_eq!((by_found.found, by_found.looked, by_found.next), (vec![1, 3], 3, Some(3)));
        let by_looks = numbers(100, 4);
        assert_eq!((by_looks.found, by_looks.looked, by_looks.next), (vec![1, 3], 4, Some(4)));
        let to_its_end = numbers(5, 9);
        assert_eq!((to_its_end.found.len(), to_its_end.next), (5, None), "nothing lies behind its last");
        assert_eq!(numbers(0, 9).next, None);
    }

    #[test]
    fn ids_are_bounded_by_their_time() {
        let at = |ms| Timestamp::from_ms(ms);
        let id = |ms, random| NotificationId::new(at(ms), [random; 10]).as_bytes().to_vec();
        let ids = Ids::made(Some(at(1000)), Some(at(2000)));
        assert!(id(999, 0xFF) < ids.from && ids.from <= id(1000, 0));
        assert!(id(1999, 0xFF) < ids.below && ids.below <= id(2000, 0));
        let all = Ids::made(None, None);
        assert!(all.from <= id(0, 0) && id((1 << 48) - 1, 0xFF) < all.below);
        let never = Ids::made(Some(at(1 << 48)), Some(at(-1)));
        assert!(id((1 << 48) - 1, 0xFF) < never.from && never.below <= id(0, 0));
        let before = NotificationId::new(at(1500), [1; 10]);
        assert_eq!(ids.clone().before(Some(before.as_bytes())).below, before.as_bytes());
        assert_eq!(ids.clone().before(Some(&[0xFF; 16])), ids);
    }
}
