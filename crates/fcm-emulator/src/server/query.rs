//! The query parameters of FCM's methods: both spellings of a name, the last of a repeated one, and Google's refusal
//! of what the method doesn't have.

use std::collections::HashMap;

use crate::envelope::{ApiError, Violation};
use crate::json::Json;

/// Parameters that every Google API takes (discovery document, revision 20261023); they change nothing here.
const COMMON: [&str; 12] = [
    "$.xgafv",
    "$alt",
    "access_token",
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "pretty_print",
    "quota_user",
    "upload_type",
    "upload_protocol",
];

/// The parameters of a request, by their names in snake_case.
#[derive(Debug)]
pub(super) struct Query {
    values: HashMap<&'static str, String>,
}

impl Query {
    /// `known`: the parameters that the method has, in snake_case.
    pub(super) fn parse(query: &str, known: &[&'static str]) -> Result<Query, ApiError> {
        let mut values = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let snake = snake_case(&name);
            if let Some(known) = known.iter().find(|known| **known == snake) {
                values.insert(*known, value.into_owned());
            } else if !COMMON.contains(&snake.as_str()) {
                let description = format!(
                    "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field \
                     '{name}' could not be found in request message."
                );
                return Err(ApiError::bad_json(vec![Violation { field: None, description }]));
            }
        }
        Ok(Query { values })
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(super) fn is_true(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(wrong_value(name, "TYPE_BOOL", other)),
        }
    }

    pub(super) fn int32(&self, name: &str) -> Result<Option<i32>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| wrong_value(name, "TYPE_INT32", text))
    }
}

fn wrong_value(name: &str, type_name: &str, value: &str) -> ApiError {
    let shown = Json::String(value.into());
    let description = format!("Invalid value at '{name}' ({type_name}), {shown}");
    ApiError::bad_json(vec![Violation::of(name, description)])
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for char in name.chars() {
        if char.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_and_the_last_one_wins() {
        let query =
            Query::parse("pageSize=1&page_size=2&alt=json&prettyPrint=false", &["page_size"]).unwrap();
        assert_eq!(query.int32("page_size").unwrap(), Some(2));
        assert_eq!(query.get("page_token"), None);
    }

    #[test]
    fn what_the_method_does_not_have_is_refused() {
        let error = Query::parse("allowMissing=true", &["topic_name"]).unwrap_err();
        assert_eq!(
            error.message(),
            "Invalid JSON payload received. Unknown name \"allowMissing\": Cannot bind query parameter. Field \
             'allowMissing' could not be found in request message."
        );
        let query = Query::parse("page_size=x&allow_missing=yes", &["page_size", "allow_missing"]).unwrap();
        let error = query.int32("page_size").unwrap_err();
        assert_eq!(error.message(), "Invalid value at 'page_size' (TYPE_INT32), \"x\"");
        let error = query.is_true("allow_missing").unwrap_err();
        assert_eq!(error.message(), "Invalid value at 'allow_missing' (TYPE_BOOL), \"yes\"");
    }
}
