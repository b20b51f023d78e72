//! The little language of topic conditions: `'a' in topics && ('b' in topics || !('c' in topics))`.
//!
//! Google refuses a malformed one with a bare INVALID_ARGUMENT (observed July 2026), so nothing but yes or no is
//! needed of the check. At most [`MAX_CONDITION_TOPICS`] topics; nesting is bounded because the parser recurses.

use super::target::is_topic_name;
use crate::limits::{MAX_CONDITION_DEPTH, MAX_CONDITION_TOPICS};

/// A well-formed condition.
#[derive(Debug)]
pub(crate) struct Condition<'c> {
    /// In the order they are named; one that is named twice stands here twice.
    topics: Vec<&'c str>,
    holds: Expression,
}

/// What must hold, over the indices of the topics.
#[derive(Debug)]
enum Expression {
    Topic(usize),
    Not(Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

/// A device's topics among those of a condition: bit `i` is set where it is subscribed to the `i`th.
pub(crate) type Membership = u8;

const _: () = assert!(MAX_CONDITION_TOPICS <= Membership::BITS as usize);

impl<'c> Condition<'c> {
    /// None if it is malformed.
    pub(crate) fn parse(condition: &'c str) -> Option<Condition<'c>> {
        let mut parser = Parser { rest: condition, topics: Vec::new() };
        let holds = parser.any(MAX_CONDITION_DEPTH)?;
        parser.rest.trim_start().is_empty().then_some(Condition { topics: parser.topics, holds })
    }

    pub(crate) fn topics(&self) -> &[&'c str] {
        &self.topics
    }

    /// Whether a device with these topics gets the message.
    pub(crate) fn holds_for(&self, membership: Membership) -> bool {
        self.holds.holds_for(membership)
    }
}

impl Expression {
    fn holds_for(&self, membership: Membership) -> bool {
        match self {
            Expression::Topic(index) => membership >> index & 1 == 1,
            Expression::Not(one) => !one.holds_for(membership),
            Expression::All(parts) => parts.iter().all(|part| part.holds_for(membership)),
            Expression::Any(parts) => parts.iter().any(|part| part.holds_for(membership)),
        }
    }
}

/// Recursive descent; `None` is "malformed".
struct Parser<'c> {
    rest: &'c str,
    topics: Vec<&'c str>,
}

impl<'c> Parser<'c> {
    /// `all ('||' all)*`
    fn any(&mut self, depth: usize) -> Option<Expression> {
        let mut parts = vec![self.all(depth)?];
        while self.take("||").is_some() {
            parts.push(self.all(depth)?);
        }
        Some(Expression::Any(parts))
    }

    /// `one ('&&' one)*`
    fn all(&mut self, depth: usize) -> Option<Expression> {
        let mut parts = vec![self.one(depth)?];
        while self.take("&&").is_some() {
            parts.push(self.one(depth)?);
        }
        Some(Expression::All(parts))
    }

    /// `'!' one | '(' any ')' | 'name' in topics`
    fn one(&mut self, depth: usize) -> Option<Expression> {
        let depth = depth.checked_sub(1)?;
        if self.take("!").is_some() {
            return Some(Expression::Not(Box::new(self.one(depth)?)));
        }
        if self.take("(").is_some() {
            let inner = self.any(depth)?;
            self.take(")")?;
            return Some(inner);
        }
        self.topic()
    }

    fn topic(&mut self) -> Option<Expression> {
        let quote = if self.take("'").is_some() { '\'' } else { self.take("\"").map(|()| '"')? };
        let (name, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        let index = self.topics.len();
        if index >= MAX_CONDITION_TOPICS || !is_topic_name(name) {
            return None;
        }
        self.topics.push(name);
        self.take("in")?;
        self.rest.starts_with(char::is_whitespace).then_some(())?;
        self.take("topics")?;
        Some(Expression::Topic(index))
    }

    /// Takes a token, white space before it included.
    fn take(&mut self, token: &str) -> Option<()> {
        let rest: &'c str = self.rest.trim_start().strip_prefix(token)?;
        self.rest = rest;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_valid(condition: &str) -> bool {
        Condition::parse(condition).is_some()
    }

    #[test]
    fn well_formed_conditions() {
        for condition in [
            "'a' in topics",
            "'a' in topics && 'b' in topics",
            "'a' in topics || ('b' in topics && !('c' in topics))",
            "!'a' in topics",
            "\"a\" in topics",
            " ( 'a' in topics ) ",
        ] {
            assert!(is_valid(condition), "{condition}");
        }
    }

    #[test]
    fn malformed_conditions() {
        for condition in [
            "",
            "a in topics",
            "'a' in",
            "'a' topics",
            "'a' intopics",
            "'a' in topics &&",
            "'a' in topics & 'b' in topics",
            "('a' in topics",
            "'a' in topics)",
            "'a b' in topics",
            "'' in topics",
        ] {
            assert!(!is_valid(condition), "{condition}");
        }
    }

    #[test]
    fn topics_and_nesting_are_bounded() {
        let topics = |n: usize| vec!["'a' in topics"; n].join(" || ");
        assert!(is_valid(&topics(MAX_CONDITION_TOPICS)));
        assert!(!is_valid(&topics(MAX_CONDITION_TOPICS + 1)));
        let nested = |n: usize| format!("{}'a' in topics{}", "(".repeat(n), ")".repeat(n));
        assert!(is_valid(&nested(MAX_CONDITION_DEPTH - 1)));
        assert!(!is_valid(&nested(MAX_CONDITION_DEPTH)));
        assert!(!is_valid(&"!".repeat(100_000)));
    }

    #[test]
    fn conditions_hold_as_they_are_written() {
        /// `members`: the topics, of `a`, `b` and `c`, that a device has.
        fn check(condition: &str, members: &str, expected: bool) {
            let parsed = Condition::parse(condition).unwrap();
            let has = |topic: &str| u8::from(members.contains(topic));
            let bits = parsed.topics().iter().enumerate();
            let membership = bits.fold(0, |bits, (index, topic)| bits | has(topic) << index);
            assert_eq!(parsed.holds_for(membership), expected, "{condition} for {members:?}");
        }
        check("'a' in topics", "a", true);
        check("'a' in topics", "b", false);
        check("!'a' in topics", "", true);
        check("'a' in topics && 'b' in topics", "a", false);
        check("'a' in topics && 'b' in topics", "ab", true);
        // && binds tighter than ||.
        check("'a' in topics || 'b' in topics && 'c' in topics", "a", true);
        check("('a' in topics || 'b' in topics) && 'c' in topics", "a", false);
        check("('a' in topics || 'b' in topics) && 'c' in topics", "bc", true);
        check("'a' in topics && !('b' in topics || 'c' in topics)", "a", true);
        check("'a' in topics && !('b' in topics || 'c' in topics)", "ac", false);
        check("!(!'a' in topics)", "a", true);
    }
}
