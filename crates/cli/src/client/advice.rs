//! What a refusal means to whoever sits at the terminal: the problem in one line, and what to do next.

use http::StatusCode;

use super::Answer;

/// The words that scopes have.
const SCOPES: [&str; 4] = ["send", "read", "manage", "admin"];
/// What the command line says where only the first key will do.
const FIRST_KEY: &str = "Use an admin key of the app default, as 'pabal serve' prints at its first start or as api_key is configured";

/// The problem of an answer in one line, with what to do next.
pub(super) fn message(answer: &Answer) -> String {
    let text = |key: &str| answer.body[key].as_str().unwrap_or_default();
    let mut message = format!("{} ({})", text("title"), answer.status.as_u16());
    for (part, before, after) in [("detail", ": ", ""), ("request_id", " [request ", "]")] {
        if !text(part).is_empty() {
            message.extend([before, text(part), after]);
        }
    }
    match next_step(answer, text("detail")) {
        Some(advice) => format!("{message}. {advice}"),
        None => message,
    }
}

fn next_step(answer: &Answer, detail: &str) -> Option<String> {
    match answer.status {
        StatusCode::UNAUTHORIZED => Some(
            "Give the key with PABAL_API_KEY or --api-key; 'pabal serve' prints one at its first start, and \
             'pabal keys create' makes more"
                .to_owned(),
        ),
        StatusCode::FORBIDDEN => Some(key_to_use(detail)),
        StatusCode::NOT_FOUND if detail.starts_with("there is no such path") => {
            Some("Is the server older than this program, or is there a path in --url?".to_owned())
        }
        StatusCode::NOT_FOUND => Some("A key sees what belongs to its own app only".to_owned()),
        _ if answer.is_not_now() => {
            let wait = answer.retry_after().map(|wait| format!("in {} s", wait.as_secs()));
            Some(format!("Repeat it {}", wait.unwrap_or_else(|| "in a moment".to_owned())))
        }
        _ => None,
    }
}

/// Which key would do, where one lacks a scope.
fn key_to_use(detail: &str) -> String {
    let lacking = SCOPES.into_iter().find(|scope| detail.contains(&format!("scope '{scope}'")));
    match lacking {
        None | Some("admin") => FIRST_KEY.to_owned(),
        Some(scope) => {
            format!("An admin makes a key that has it: pabal keys create --name NAME --scope {scope}")
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{HeaderValue, RETRY_AFTER};
    use serde_json::json;

    use super::*;

    fn said(status: u16, detail: &str) -> String {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        let body = json!({ "title": "Title", "detail": detail, "request_id": "r1" });
        message(&Answer { status: StatusCode::from_u16(status).unwrap(), headers, body })
    }

    #[test]
    fn a_refusal_says_what_to_do_next() {
        for (status, detail, end) in [
            (401, "d", "'pabal keys create' makes more"),
            (403, "this API key lacks the scope 'read'", "pabal keys create --name NAME --scope read"),
            (403, "this API key lacks the scope 'admin'", "as api_key is configured"),
            (403, "only an admin key of the app default may", "as api_key is configured"),
            (404, "there is no such path; see the guide", "or is there a path in --url?"),
            (404, "there is no such delivery", "its own app only"),
            (429, "d", ". Repeat it in 7 s"),
            (503, "d", ". Repeat it in 7 s"),
            (409, "it is so", "Title (409): it is so [request r1]"),
        ] {
            assert!(said(status, detail).ends_with(end), "{}", said(status, detail));
        }
    }
}
