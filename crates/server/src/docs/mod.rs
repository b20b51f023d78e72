//! The pages at `/docs`: the document at `/openapi.json`, for people.
//!
//! Its files are part of the binary, so it works offline and always shows the API of this server. It is plain HTML, CSS
//! and JavaScript modules: what is in `assets` is what the browser gets. It loads nothing from any other origin, and
//! [`CONTENT_SECURITY_POLICY`] holds it to that.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY as POLICY_HEADER, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};

use crate::api::Shared;
use crate::api::problem::Problem;

/// What the page may do, kept by the browser.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// One file of the page.
#[derive(Debug, Clone, Copy)]
struct Asset {
    /// Below `/docs/`.
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

macro_rules! asset {
    ($name:literal, $content_type:ident) => {
        Asset { name: $name, content_type: $content_type, text: include_str!(concat!("assets/", $name)) }
    };
}

const PAGE: Asset = asset!("index.html", HTML);

/// What the page loads.
const ASSETS: &[Asset] = &[
    asset!("icon.svg", SVG),
    asset!("page.css", CSS),
    asset!("operations.css", CSS),
    asset!("main.js", JAVASCRIPT),
    asset!("dom.js", JAVASCRIPT),
    asset!("document.js", JAVASCRIPT),
    asset!("markdown.js", JAVASCRIPT),
    asset!("operation.js", JAVASCRIPT),
    asset!("schema.js", JAVASCRIPT),
    asset!("snippet.js", JAVASCRIPT),
];

/// `GET /docs`.
pub(crate) async fn page() -> Response {
    PAGE.into_response()
}

/// The files that the page loads. They are part of it, and no part of the API.
pub(crate) fn files() -> Router<Shared> {
    // The page names its files by paths below `/docs`, which hold from there alone.
    let with_slash = get(|| async { Redirect::permanent("../docs") });
    Router::new().route("/docs/{file}", get(file)).route("/docs/", with_slash)
}

async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(|| Problem::not_found("file"))?;
    Ok(asset.into_response())
}

impl IntoResponse for Asset {
    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, self.content_type),
            (POLICY_HEADER, CONTENT_SECURITY_POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            // The next version's page is another one.
            (CACHE_CONTROL, "no-cache"),
        ];
        (headers, self.text).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/assets");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_known = ASSETS.iter().chain([&PAGE]).any(|asset| asset.name == name);
            assert!(is_known, "{name} is not in ASSETS");
        }
    }

    #[test]
    fn no_file_names_another_origin_to_load_from() {
        for asset in ASSETS.iter().chain([&PAGE]) {
            for loading in ["src=\"http", "href=\"http", "url(http", "from \"http", "@import", "//cdn"] {
                assert!(!asset.text.contains(loading), "{} has {loading}", asset.name);
            }
        }
    }
}
