//! The subscriptions from three sides: by registration, by topic, and in the order they were made.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::{Reached, Subscribed};
use crate::limits::{
    MAX_REACHED_LISTED, MAX_SUBSCRIPTION_BYTES, MAX_SUBSCRIPTIONS, MAX_TOPICS_PER_REGISTRATION,
};
use crate::message::{Condition, Membership};

/// Why a subscription isn't made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscribeError {
    /// The registration has [`MAX_TOPICS_PER_REGISTRATION`] topics.
    TooManyTopics,
    /// The emulator's own bound on memory.
    Full,
}

/// One subscription, as it is listed.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) cursor: u64,
    pub(super) project: usize,
    pub(super) registration: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) created_at_ms: i64,
}

#[derive(Debug)]
pub(super) struct Book {
    last_cursor: u64,
    in_order: BTreeMap<u64, Entry>,
    projects: HashMap<usize, Project>,
    /// Of the names of registrations and topics, each counted once per project.
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

/// Topics, each with the cursor and the time of creation of its subscription.
type Topics = BTreeMap<Arc<str>, (u64, i64)>;

#[derive(Debug, Default)]
struct Project {
    /// Topics of each registration. None is empty.
    registrations: BTreeMap<Arc<str>, Topics>,
    /// Registrations of each topic. None is empty.
    topics: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Default for Book {
    fn default() -> Book {
        Book::bounded(MAX_SUBSCRIPTIONS, MAX_SUBSCRIPTION_BYTES)
    }
}

impl Book {
    fn bounded(max_entries: usize, max_bytes: usize) -> Book {
        Book {
            last_cursor: 0,
            in_order: BTreeMap::new(),
            projects: HashMap::new(),
            bytes: 0,
            max_entries,
            max_bytes,
        }
    }

    pub(super) fn subscribe(
        &mut self,
        project: usize,
        registration: &str,
        topic: &str,
        now_ms: i64,
    ) -> Result<Subscribed, SubscribeError> {
        if let Some(created_at_ms) = self.created_at_ms(project, registration, topic) {
            return Ok(Subscribed::Existed(created_at_ms));
        }
        let of_project = self.projects.entry(project).or_default();
        let topics = of_project.registrations.get(registration).map_or(0, BTreeMap::len);
        if topics >= MAX_TOPICS_PER_REGISTRATION {
            return Err(SubscribeError::TooManyTopics);
        }
        let new_registration = if topics == 0 { registration.len() } else { 0 };
        let new_topic = if of_project.topics.contains_key(topic) { 0 } else { topic.len() };
        let bytes = self.bytes + new_registration + new_topic;
        if self.in_order.len() >= self.max_entries || bytes > self.max_bytes {
            return Err(SubscribeError::Full);
        }
        self.bytes = bytes;
        self.last_cursor += 1;
        let (registration, topic) = of_project.enter(registration, topic, (self.last_cursor, now_ms));
        let entry = Entry { cursor: self.last_cursor, project, registration, topic, created_at_ms: now_ms };
        self.in_order.insert(self.last_cursor, entry);
        Ok(Subscribed::Created(now_ms))
    }

    pub(super) fn unsubscribe(&mut self, project: usize, registration: &str, topic: &str) -> bool {
        let Some(of_project) = self.projects.get_mut(&project) else { return false };
        let Some((cursor, freed)) = of_project.strike(registration, topic) else { return false };
        self.bytes -= freed;
        self.in_order.remove(&cursor);
        true
    }

    pub(super) fn created_at_ms(&self, project: usize, registration: &str, topic: &str) -> Option<i64> {
        let topics = self.projects.get(&project)?.registrations.get(registration)?;
        topics.get(topic).map(|(_, created_at_ms)| *created_at_ms)
    }

    pub(super) fn topics_of(
        &self,
        project: usize,
        registration: &str,
        after: &str,
        limit: usize,
    ) -> (Vec<(Arc<str>, i64)>, bool) {
        let of_project = self.projects.get(&project);
        let Some(topics) = of_project.and_then(|of_project| of_project.registrations.get(registration))
        else {
            return (Vec::new(), false);
        };
        let mut rest = topics.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let page = rest.by_ref().take(limit);
        let page: Vec<_> = page.map(|(topic, (_, created_at_ms))| (topic.clone(), *created_at_ms)).collect();
        (page, rest.next().is_some())
    }

    pub(super) fn of_topic(&self, project: usize, topic: &str) -> Reached {
        let registrations = self.projects.get(&project).and_then(|of_project| of_project.topics.get(topic));
        Reached {
            count: registrations.map_or(0, BTreeSet::len) as u64,
            registrations: registrations.into_iter().flatten().take(MAX_REACHED_LISTED).cloned().collect(),
        }
    }

    /// A device that is subscribed to nothing isn't known, and no condition reaches it.
    pub(super) fn of_condition(&self, project: usize, condition: &Condition<'_>) -> Reached {
        let Some(of_project) = self.projects.get(&project) else {
            return Reached { count: 0, registrations: Arc::default() };
        };
        let (mut count, mut registrations) = (0, Vec::new());
        of_project.each_that_holds(condition, |registration| {
            count += 1;
            if registrations.len() < MAX_REACHED_LISTED {
                registrations.push(Arc::clone(registration));
            }
        });
        Reached { count, registrations: registrations.into() }
    }

    pub(super) fn after(&self, cursor: u64, limit: usize) -> Vec<Entry> {
        let rest = self.in_order.range((Bound::Excluded(cursor), Bound::Unbounded));
        rest.take(limit).map(|(_, entry)| entry.clone()).collect()
    }

    pub(super) fn clear(&mut self) {
        let last_cursor = self.last_cursor;
        *self = Book { last_cursor, ..Book::bounded(self.max_entries, self.max_bytes) };
    }
}

impl Project {
    /// The names as they are kept.
    fn enter(&mut self, registration: &str, topic: &str, made: (u64, i64)) -> (Arc<str>, Arc<str>) {
        let known = self.registrations.get_key_value(registration).map(|(known, _)| Arc::clone(known));
        let registration = known.unwrap_or_else(|| registration.into());
        let known = self.topics.get_key_value(topic).map(|(known, _)| Arc::clone(known));
        let topic: Arc<str> = known.unwrap_or_else(|| topic.into());
        self.registrations.entry(Arc::clone(&registration)).or_default().insert(Arc::clone(&topic), made);
        self.topics.entry(Arc::clone(&topic)).or_default().insert(Arc::clone(&registration));
        (registration, topic)
    }

    /// The cursor of what was struck out, and the bytes of names that are needed no longer.
    fn strike(&mut self, registration: &str, topic: &str) -> Option<(u64, usize)> {
        let topics = self.registrations.get_mut(registration)?;
        let (cursor, _) = topics.remove(topic)?;
        let mut freed = 0;
        if topics.is_empty() {
            self.registrations.remove(registration);
            freed += registration.len();
        }
        if let Some(registrations) = self.topics.get_mut(topic) {
            registrations.remove(registration);
            if registrations.is_empty() {
                self.topics.remove(topic);
                freed += topic.len();
            }
        }
        Some((cursor, freed))
    }

    /// Looks at the subscribers of the condition's topics only, unless it holds without any topic.
    fn each_that_holds(&self, condition: &Condition<'_>, mut found: impl FnMut(&Arc<str>)) {
        let topics: Vec<Option<&BTreeSet<Arc<str>>>> =
            condition.topics().iter().map(|topic| self.topics.get(*topic)).collect();
        let membership = |registration: &Arc<str>| -> Membership {
            topics.iter().enumerate().fold(0, |bits, (index, subscribers)| {
                let is_in = subscribers.is_some_and(|subscribers| subscribers.contains(registration));
                bits | Membership::from(is_in) << index
            })
        };
        if condition.holds_for(0) {
            self.registrations
                .keys()
                .filter(|registration| condition.holds_for(membership(registration)))
                .for_each(found);
            return;
        }
        for (index, subscribers) in topics.iter().enumerate() {
            for registration in subscribers.iter().copied().flatten() {
                let bits = membership(registration);
                let seen_before = bits & ((1 << index) - 1) != 0;
                if !seen_before && condition.holds_for(bits) {
                    found(registration);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(subscriptions: &[(&str, &str)]) -> Book {
        let mut book = Book::default();
        for (registration, topic) in subscriptions {
            book.subscribe(0, registration, topic, 7).unwrap();
        }
        book
    }

    fn names(reached: &Reached) -> Vec<&str> {
        assert_eq!(reached.count, reached.registrations.len() as u64);
        reached.registrations.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn a_second_subscription_is_the_first() {
        let mut book = book(&[]);
        assert_eq!(book.subscribe(0, "r", "t", 7), Ok(Subscribed::Created(7)));
        assert_eq!(book.subscribe(0, "r", "t", 8), Ok(Subscribed::Existed(7)));
        assert_eq!(book.subscribe(1, "r", "t", 9), Ok(Subscribed::Created(9)), "another project's");
        assert!(book.unsubscribe(0, "r", "t"));
        assert!(!book.unsubscribe(0, "r", "t"));
        assert_eq!(book.created_at_ms(0, "r", "t"), None);
        assert_eq!(book.created_at_ms(1, "r", "t"), Some(9));
        assert_eq!(book.bytes, 2, "what is struck out is freed");
    }

    #[test]
    fn conditions_reach_each_device_once() {
        let book = book(&[("1", "a"), ("2", "a"), ("2", "b"), ("3", "b"), ("4", "c")]);
        let check = |condition: &str, expected: &[&str]| {
            let condition = Condition::parse(condition).unwrap();
            assert_eq!(names(&book.of_condition(0, &condition)), expected, "{condition:?}");
        };
        assert_eq!(names(&book.of_topic(0, "a")), ["1", "2"]);
        check("'a' in topics || 'b' in topics", &["1", "2", "3"]);
        check("'a' in topics && 'b' in topics", &["2"]);
        check("'a' in topics && !('b' in topics)", &["1"]);
        check("!('a' in topics)", &["3", "4"]);
        check("'nobody' in topics", &[]);
        assert_eq!(book.of_topic(1, "a").count, 0, "another project's devices");
    }

    #[test]
    fn a_wide_fan_out_is_counted_whole_and_listed_in_part() {
        let mut book = Book::default();
        for n in 0..=MAX_REACHED_LISTED {
            book.subscribe(0, &n.to_string(), "t", 0).unwrap();
        }
        let condition = Condition::parse("'t' in topics").unwrap();
        for reached in [book.of_topic(0, "t"), book.of_condition(0, &condition)] {
            assert_eq!(reached.count, MAX_REACHED_LISTED as u64 + 1);
            assert_eq!(reached.registrations.len(), MAX_REACHED_LISTED);
        }
    }

    #[test]
    fn topics_of_a_registration_come_in_pages() {
        let book = book(&[("r", "b"), ("r", "a"), ("r", "c"), ("other", "d")]);
        let page = |after, limit| {
            let (page, more) = book.topics_of(0, "r", after, limit);
            (page.into_iter().map(|(topic, _)| topic.to_string()).collect::<String>(), more)
        };
        assert_eq!(page("", 2), ("ab".to_owned(), true));
        assert_eq!(page("b", 2), ("c".to_owned(), false));
        assert_eq!(page("", 3), ("abc".to_owned(), false));
    }

    #[test]
    fn topics_and_memory_are_bounded() {
        let default = Book::default();
        assert_eq!((default.max_entries, default.max_bytes), (MAX_SUBSCRIPTIONS, MAX_SUBSCRIPTION_BYTES));
        let mut book = Book::default();
        for n in 0..MAX_TOPICS_PER_REGISTRATION {
            book.subscribe(0, "r", &n.to_string(), 0).unwrap();
        }
        assert_eq!(book.subscribe(0, "r", "more", 0), Err(SubscribeError::TooManyTopics));
        assert!(book.subscribe(0, "r", "0", 0).is_ok(), "what exists isn't one more");
        for mut book in [Book::bounded(1, usize::MAX), Book::bounded(usize::MAX, 3)] {
            assert!(book.subscribe(0, "r", "t", 0).is_ok());
            assert_eq!(book.subscribe(0, "s", "t2", 0), Err(SubscribeError::Full));
            assert!(book.unsubscribe(0, "r", "t"));
            assert!(book.subscribe(0, "s", "t2", 0).is_ok());
        }
    }

    #[test]
    fn the_list_is_in_order_and_its_cursor_survives_a_clear() {
        let mut book = book(&[("r", "b"), ("s", "a"), ("r", "a")]);
        book.unsubscribe(0, "s", "a");
        let cursors = |book: &Book, after| -> Vec<u64> {
            book.after(after, 10).iter().map(|entry| entry.cursor).collect()
        };
        assert_eq!(cursors(&book, 0), [1, 3]);
        book.clear();
        book.subscribe(0, "r", "b", 0).unwrap();
        assert_eq!(cursors(&book, 1), [4]);
    }
}
