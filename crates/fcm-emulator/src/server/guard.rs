//! Keeps web pages out of the emulator's own paths.
//!
//! The emulator has no access control: whoever reaches it on this machine may read every message. A browser on this
//! machine reaches it too, on behalf of any page it shows. Two rules keep such pages out, and programs notice neither:
//!
//! - *DNS rebinding*: a page of `evil.example` whose name suddenly means 127.0.0.1 would be of our origin. The browser
//!   still names that host, so only loopback's names and those of the certificate are answered.
//! - *Cross-site requests*: a page may send a request without being allowed to read the answer. Whatever changes
//!   something is refused if its `Origin`, which browsers add and programs don't, is another than the emulator's.

use std::net::IpAddr;

use http::Method;
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;

use crate::identity::SERVED_NAMES;

/// Tells nothing and changes nothing; probes ask for it by any name.
const OPEN: &str = "/emulator/v1/healthz";

/// What is wrong with a request to the emulator's own paths, if anything.
pub(super) fn problem(head: &Parts) -> Option<String> {
    if head.uri.path() == OPEN {
        return None;
    }
    let hosts = hosts(head);
    if let Some(foreign) = hosts.iter().find(|host| !is_ours(host)) {
        return Some(format!(
            "the host `{foreign}` is refused, because a web page could pretend to be it; use localhost or 127.0.0.1"
        ));
    }
    let changes = head.method != Method::GET && head.method != Method::HEAD;
    let origin = head.headers.get(ORIGIN).filter(|_| changes)?;
    let origin = String::from_utf8_lossy(origin.as_bytes());
    let same = origin
        .split_once("://")
        .is_some_and(|(_, authority)| hosts.iter().any(|host| host.eq_ignore_ascii_case(authority)));
    (!same).then(|| format!("a page of the origin `{origin}` may not change anything here"))
}

/// Every authority the request names: HTTP/2 has its own field for it, and may carry a `Host` as well.
fn hosts(head: &Parts) -> Vec<String> {
    let authority = head.uri.authority().map(|authority| authority.as_str().to_owned());
    let named = head.headers.get_all(HOST).into_iter();
    let named = named.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    authority.into_iter().chain(named).collect()
}

/// Whether only this machine can be meant by it.
fn is_ours(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    host == "localhost"
        || host.ends_with(".localhost") // never asked of DNS (RFC 6761, 6.3)
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || SERVED_NAMES.contains(&host)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn refused(method: Method, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        problem(&request.body(()).unwrap().into_parts().0).is_some()
    }

    #[test]
    fn only_names_of_this_machine_are_ours() {
        for ours in ["localhost", "LOCALHOST:9099", "localhost.", "app.localhost:1", "127.0.0.1:9099"] {
            assert!(is_ours(ours), "{ours}");
        }
        for ours in ["127.1.2.3", "[::1]:9099", "[::1]", "fcm.googleapis.com", "iid.googleapis.com:443"] {
            assert!(is_ours(ours), "{ours}");
        }
        for foreign in
            ["", "evil.example", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example"]
        {
            assert!(!is_ours(foreign), "{foreign}");
        }
        for foreign in ["10.0.0.1:9099", "0.0.0.0", "[::]", "localhost@evil.example", "a b"] {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }

    #[test]
    fn every_name_of_a_request_counts() {
        let get = |uri, headers: &[(&str, &str)]| refused(Method::GET, uri, headers);
        assert!(!get("/emulator/", &[("host", "127.0.0.1:9099")]));
        assert!(!get("/emulator/", &[]));
        assert!(get("/emulator/", &[("host", "evil.example")]));
        assert!(!get(OPEN, &[("host", "probe.example")]));
        assert!(get("http://evil.example/emulator/", &[("host", "localhost")]));
        assert!(get("http://localhost/emulator/", &[("host", "evil.example")]));
        assert!(get("/emulator/", &[("host", "localhost"), ("host", "evil.example")]));
    }

    #[test]
    fn what_changes_something_is_of_our_origin_or_of_none() {
        let with = |method, origin| {
            refused(method, "/emulator/v1/faults", &[("host", "localhost:9099"), ("origin", origin)])
        };
        assert!(!refused(Method::PUT, "/emulator/v1/faults", &[("host", "localhost:9099")]));
        assert!(!with(Method::PUT, "http://localhost:9099"));
        assert!(!with(Method::GET, "https://evil.example"));
        for foreign in [
            "https://evil.example",
            "http://localhost:3000",
            "http://127.0.0.1:9099",
            "null",
            "",
            "localhost:9099",
        ] {
            assert!(with(Method::PUT, foreign), "{foreign}");
            assert!(with(Method::DELETE, foreign), "{foreign}");
        }
    }
}
