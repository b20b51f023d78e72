//! Query parameters: each is known and there once, or the request is refused.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use pabal_core::ids::Invalid;

use super::problem::{Problem, ProblemKind};
use crate::limits;

/// The parameters of a request that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Query {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
}

/// A request without any parameter: the endpoint knows none.
pub(super) struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::parse(parts.uri.query()).finish().map(|()| NoQuery)
    }
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self { left: pairs.into_owned().collect(), known: Vec::new() }
    }

    /// The parameter of this name.
    pub(super) fn take<T: FromStr<Err = Invalid>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Problem> {
        self.known.push(name);
        let Some(position) = self.left.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, text) = self.left.swap_remove(position);
        text.parse().map(Some).map_err(|invalid| Problem::invalid_at(name, &invalid))
    }

    /// How many items a page is to have.
    pub(super) fn take_limit(&mut self) -> Result<usize, Problem> {
        Ok(self.take::<PageItems>("limit")?.map_or(limits::PAGE_ITEMS_DEFAULT, |items| items.0))
    }

    /// Refuses what is left.
    pub(super) fn finish(self) -> Result<(), Problem> {
        let Some((name, _)) = self.left.into_iter().next() else { return Ok(()) };
        let detail = if self.known.contains(&name.as_str()) {
            format!("the query parameter {name} is there twice")
        } else if self.known.is_empty() {
            format!("the query parameter {name} is not known; none is known here")
        } else {
            format!("the query parameter {name} is not known; known here: {}", self.known.join(", "))
        };
        Err(Problem::new(ProblemKind::InvalidRequest, detail).at(name))
    }
}

struct PageItems(usize);

impl FromStr for PageItems {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse() {
            Ok(items) if (1..=limits::PAGE_ITEMS_MAX).contains(&items) => Ok(Self(items)),
            _ => Err(Invalid::new("limit", format!("must be 1 to {}", limits::PAGE_ITEMS_MAX))),
        }
    }
}
