//! Paths and queries of requests. Names are the users' own: any character may be in them.

use std::fmt::Write;

/// A query, parameter by parameter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(String);

impl Query {
    /// Adds a parameter, if there is one.
    pub(crate) fn with(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            let before = if self.0.is_empty() { '?' } else { '&' };
            // Writing to a String can't fail.
            write!(self.0, "{before}{name}={}", segment(value)).unwrap_or_default();
        }
        self
    }

    /// The path with this query.
    pub(crate) fn behind(&self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}

/// A text as one segment of a path, or as a value in a query: all but what is surely plain is encoded (RFC 3986, 2.3).
pub(crate) fn segment(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encoded =
        |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_arrives() {
        assert_eq!(segment("a-b_c.d~1"), "a-b_c.d~1");
        assert_eq!(segment("유 a/b?#%+&="), "%EC%9C%A0%20a%2Fb%3F%23%25%2B%26%3D");
        let query = Query::default().with("user", Some("a b")).with("state", None).with("limit", Some("1"));
        assert_eq!(query.behind("/v1/x"), "/v1/x?user=a%20b&limit=1");
        assert_eq!(Query::default().behind("/v1/x"), "/v1/x");
    }
}
