//! What a provider said, made fit for the timeline: no markup, and never the address it was about.
//!
//! A registration token is a capability to reach a person; providers like to echo it in their texts.

use pabal_core::device::Target;

/// Characters at the beginning of a token by which a cut or altered copy of it is still recognised.
const TELLING_CHARS: usize = 16;
/// Bytes below which an address is no capability (a token has 142), and would tear ordinary words apart.
const ADDRESS_BYTES_MIN: usize = 4;

/// `text` without the address of `target`, whole or cut short.
pub(crate) fn scrubbed(text: &str, target: &Target) -> String {
    let address = target.address();
    let instead = match target {
        Target::Token(_) => "(token)",
        Target::Fid(_) => "(fid)",
        // Names that the caller chose for many people; they say nothing about one.
        Target::FcmTopic(_) | Target::FcmCondition(_) => return text.to_owned(),
    };
    if address.len() < ADDRESS_BYTES_MIN {
        return text.to_owned();
    }
    let whole = text.replace(address, instead);
    match address.char_indices().nth(TELLING_CHARS) {
        Some((end, _)) => without_runs(&whole, &address[..end], instead),
        None => whole,
    }
}

/// Replaces each run of address characters that begins with `prefix`.
fn without_runs(text: &str, prefix: &str, instead: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(prefix) {
        out.push_str(&rest[..at]);
        out.push_str(instead);
        let after = &rest[at + prefix.len()..];
        let run = after.find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.~%".contains(c)));
        rest = &after[run.unwrap_or(after.len())..];
    }
    out.push_str(rest);
    out
}

/// The text of an HTML page as one line: no tags, no styles, no scripts.
pub(crate) fn html_text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        text.push(' ');
        rest = after_element(&rest[at..]);
    }
    text.push_str(rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What follows the tag at the beginning of `html`, or the whole element if its content is not for people.
fn after_element(html: &str) -> &str {
    for (opening, closing) in [("<style", "</style"), ("<script", "</script"), ("<!--", "-->")] {
        if html.starts_with(opening) {
            let end = html.find(closing).unwrap_or(html.len());
            return after_tag(&html[end..]);
        }
    }
    after_tag(html)
}

fn after_tag(html: &str) -> &str {
    html.find('>').map_or("", |end| &html[end + 1..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(text: &str) -> Target {
        Target::Token(text.to_owned())
    }

    #[test]
    fn a_token_is_recognised_whole_and_cut_short() {
        let long = token("dXk9_q:APA91bHPRgkFLJu6AmAmoXwEoDfOQ5gSz6I");
        assert_eq!(scrubbed("no dXk9_q:APA91bHPRgkFLJu6AmAmoXwEoDfOQ5gSz6I here", &long), "no (token) here");
        assert_eq!(scrubbed("'dXk9_q:APA91bHPRgkFL...' is bad", &long), "'(token)' is bad");
        assert_eq!(scrubbed("nothing of it", &long), "nothing of it");
        assert_eq!(scrubbed("short is short", &token("short")), "(token) is (token)");
        assert_eq!(scrubbed("fid f123", &Target::Fid("f123".into())), "fid (fid)");
        assert_eq!(scrubbed("an ace", &token("a")), "an ace");
        assert_eq!(scrubbed("topic news", &Target::FcmTopic("news".into())), "topic news");
    }

    #[test]
    fn a_page_becomes_a_line() {
        let page = "<!DOCTYPE html><html lang=en><title>Error 502</title><style>*{margin:0}</style>\n<p><b>502.</b> \
                    <ins>That's an error.</ins><p>Please try again in 30 seconds. <script>x<y</script>";
        assert_eq!(html_text(page), "Error 502 502. That's an error. Please try again in 30 seconds.");
        assert_eq!(html_text("<style>never closed"), "");
        assert_eq!(html_text("plain"), "plain");
    }

    proptest! {
        #[test]
        fn no_text_keeps_the_token(before in ".{0,20}", address in "[A-Za-z0-9_:-]{20,60}", after in ".{0,20}") {
            let text = scrubbed(&format!("{before}{address}{after}"), &token(&address));
            prop_assert!(!text.contains(&address));
            prop_assert!(!text.contains(&address[..TELLING_CHARS]));
        }

        #[test]
        fn any_page_becomes_text(html in "[<>a-z!/ -]{0,60}") {
            prop_assert!(html_text(&html).len() <= html.len() * 2);
        }
    }
}
