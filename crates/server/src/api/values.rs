//! Addresses and URLs, checked beyond what the core asks of them: what a provider is sure to refuse is refused here,
//! where the caller still hears of it.

use pabal_core::device::Target;

use super::problem::Problem;
use crate::limits;

/// An address of a kind, for the field `field`.
pub(super) fn target(field: &str, kind: &str, address: String) -> Result<Target, Problem> {
    let target = Target::new(kind, address).map_err(|invalid| Problem::invalid_at(field, &invalid))?;
    let problem = match &target {
        Target::Token(text) | Target::Fid(text) if text.contains(char::is_whitespace) => "holds white space",
        Target::FcmTopic(name) if name.starts_with("/topics/") => "is written without /topics/",
        Target::FcmTopic(name) if !is_topic(name) => {
            "must have 1 to 900 letters, digits and characters of '-', '_', '.', '~', '%'"
        }
        _ => return Ok(target),
    };
    Err(Problem::value(field, problem))
}

/// Source: firebase.google.com/docs/cloud-messaging, "Topics": `[a-zA-Z0-9-_.~%]+`.
fn is_topic(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '%');
    (1..=limits::FCM_TOPIC_CHARS_MAX).contains(&name.len()) && name.chars().all(fits)
}

/// A picture is loaded by phones: only the web's own schemes can be.
pub(super) fn check_image(url: &str) -> Result<(), Problem> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", ""));
    let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let has_host = !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']);
    if is_web && has_host && is_one_word(url) {
        Ok(())
    } else {
        Err(Problem::value("image", "must be a URL that begins with https:// or http://"))
    }
}

/// What a tap opens may be any link that the app knows, but nothing that runs as a program.
pub(super) fn check_link(link: &str) -> Result<(), Problem> {
    if !is_one_word(link) {
        return Err(Problem::value("link", "holds white space or a control character"));
    }
    let scheme = link.split_once(':').map_or("", |(scheme, _)| scheme);
    let runs = ["javascript", "data", "vbscript"].iter().any(|bad| scheme.eq_ignore_ascii_case(bad));
    if runs {
        return Err(Problem::value("link", "must be a URL or a link of the app's own, and no script"));
    }
    Ok(())
}

fn is_one_word(text: &str) -> bool {
    !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_they_claim() {
        let is_good = |kind: &str, address: &str| target("to", kind, address.to_owned()).is_ok();
        for (kind, address) in [
            ("token", "dQw4:APA91b-x_Y"),
            ("fid", "cX1-_abc"),
            ("fcm_topic", "news-2026_a.b~c%20"),
            ("fcm_condition", "'a' in topics && 'b' in topics"),
        ] {
            assert!(is_good(kind, address), "{address}");
        }
        let long = "x".repeat(901);
        for (kind, address) in [
            ("token", "two words"),
            ("fid", "a\u{2003}b"),
            ("fcm_topic", "/topics/news"),
            ("fcm_topic", "news!"),
            ("fcm_topic", "소식"),
            ("fcm_topic", &long),
        ] {
            assert!(!is_good(kind, address), "{address}");
        }
    }

    #[test]
    fn images_are_of_the_web_and_links_run_nothing() {
        for url in ["https://example.com/a.png", "HTTP://127.0.0.1:80/x?y#z", "https://예시.kr/그림.png"]
        {
            assert!(check_image(url).is_ok(), "{url}");
        }
        for url in
            ["a.png", "ftp://h/a.png", "https://", "https:///a", "data:image/png;base64,x", "https://h/a b"]
        {
            assert!(check_image(url).is_err(), "{url}");
        }
        for link in ["https://example.com/", "myapp://day/7", "/day/7", "day", "mailto:a@b", "tel:+8221234"] {
            assert!(check_link(link).is_ok(), "{link}");
        }
        for link in ["javascript:alert(1)", "JavaScript:x", "data:text/html,x", "a b", "https://h/\tx"] {
            assert!(check_link(link).is_err(), "{link}");
        }
    }
}
