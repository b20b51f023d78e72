//! The little language of topic conditions: `'a' in topics && ('b' in topics || !('c' in topics))`.
//!
//! Google refuses a malformed one with a bare INVALID_ARGUMENT (observed July 2026), so nothing but yes or no is
//! needed. At most [`MAX_CONDITION_TOPICS`] topics; nesting is bounded because the parser recurses.

use super::target::is_topic_name;
use crate::limits::{MAX_CONDITION_DEPTH, MAX_CONDITION_TOPICS};

/// Whether a condition is well-formed.
pub(crate) fn is_valid(condition: &str) -> bool {
    let mut parser = Parser { rest: condition, topics: 0 };
    parser.any(MAX_CONDITION_DEPTH).is_some() && parser.rest.trim_start().is_empty()
}

/// Recursive descent; `None` is "malformed".
struct Parser<'c> {
    rest: &'c str,
    topics: usize,
}

impl<'c> Parser<'c> {
    /// `all ('||' all)*`
    fn any(&mut self, depth: usize) -> Option<()> {
        self.all(depth)?;
        while self.take("||").is_some() {
            self.all(depth)?;
        }
        Some(())
    }

    /// `one ('&&' one)*`
    fn all(&mut self, depth: usize) -> Option<()> {
        self.one(depth)?;
        while self.take("&&").is_some() {
            self.one(depth)?;
        }
        Some(())
    }

    /// `'!' one | '(' any ')' | 'name' in topics`
    fn one(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        if self.take("!").is_some() {
            return self.one(depth);
        }
        if self.take("(").is_some() {
            self.any(depth)?;
            return self.take(")");
        }
        self.topic()
    }

    fn topic(&mut self) -> Option<()> {
        let quote = if self.take("'").is_some() { '\'' } else { self.take("\"").map(|()| '"')? };
        let (name, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        self.topics += 1;
        if self.topics > MAX_CONDITION_TOPICS || !is_topic_name(name) {
            return None;
        }
        self.take("in")?;
        self.rest.starts_with(char::is_whitespace).then_some(())?;
        self.take("topics")
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
}
