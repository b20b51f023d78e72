//! The page at `/emulator/`: every device as a phone or a browser, with what it would show, live.
//!
//! Its files are part of the binary, so it works offline and is always the page of this emulator. It is plain HTML,
//! CSS and JavaScript modules: what is in `assets` is what the browser gets. It asks nothing of any other origin by
//! itself, and [`CONTENT_SECURITY_POLICY`] holds it to that: what is shown was written by whoever sends, so no script,
//! style, frame, font or connection but its own is possible. Images are the exception, because a person may ask for
//! one.

pub(crate) mod events;

/// One file of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asset {
    /// Below `/emulator/`; the page itself is the empty one.
    name: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) text: &'static str,
}

/// What the page may do, kept by the browser.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' http: https:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($name:literal, $content_type:ident) => {
        Asset { name: $name, content_type: $content_type, text: include_str!(concat!("assets/", $name)) }
    };
}

const ASSETS: &[Asset] = &[
    Asset { name: "", content_type: HTML, text: include_str!("assets/index.html") },
    asset!("icon.svg", SVG),
    asset!("page.css", CSS),
    asset!("devices.css", CSS),
    asset!("notifications.css", CSS),
    asset!("faults.css", CSS),
    asset!("main.js", JAVASCRIPT),
    asset!("dom.js", JAVASCRIPT),
    asset!("limits.js", JAVASCRIPT),
    asset!("stream.js", JAVASCRIPT),
    asset!("control.js", JAVASCRIPT),
    asset!("message.js", JAVASCRIPT),
    asset!("screen.js", JAVASCRIPT),
    asset!("devices.js", JAVASCRIPT),
    asset!("device-card.js", JAVASCRIPT),
    asset!("notification-card.js", JAVASCRIPT),
    asset!("faults.js", JAVASCRIPT),
    asset!("fault-kinds.js", JAVASCRIPT),
    asset!("first-steps.js", JAVASCRIPT),
];

/// The file of a path below `/emulator/`.
pub(crate) fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/page/assets");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "index.html" || asset(&name).is_some(), "{name} is not in ASSETS");
        }
    }

    #[test]
    fn no_file_names_another_origin_to_load_from() {
        for asset in ASSETS {
            for loading in ["src=\"http", "href=\"http", "url(http", "from \"http", "@import", "//cdn"] {
                assert!(!asset.text.contains(loading), "{} has {loading}", asset.name);
            }
        }
    }

    #[test]
    fn only_what_is_there_is_found() {
        assert_eq!(asset("").unwrap().content_type, HTML);
        assert_eq!(asset("main.js").unwrap().content_type, JAVASCRIPT);
        assert_eq!((asset("index.html"), asset("../mod.rs"), asset("nothing")), (None, None, None));
    }
}
