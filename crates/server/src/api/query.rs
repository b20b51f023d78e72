//! Query parameters: each is known and there once, or the request is refused.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use pabal_core::clock::Timestamp;
use pabal_core::ids::{AppId, Invalid};

use super::cursor::{Binding, Place};
use super::problem::{Problem, ProblemKind};
use super::time;
use crate::limits;

/// The parameters of a request: those that nobody has asked for yet, and what was read of the others.
#[derive(Debug)]
pub(super) struct Query {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
    taken: Vec<(&'static str, String)>,
}

/// Which page of a list is asked for.
#[derive(Debug)]
pub(super) struct Page<P> {
    /// Where it begins: after this place, in the list's order.
    pub(super) from: Option<P>,
    /// How many items it has at most.
    pub(super) max: usize,
    binding: Binding,
}

impl<P: Place> Page<P> {
    /// The cursor of the page that begins at `place`.
    pub(super) fn next_cursor(&self, place: Option<P>) -> Option<String> {
        place.map(|place| self.binding.cursor(&place))
    }
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
        Self { left: pairs.into_owned().collect(), known: Vec::new(), taken: Vec::new() }
    }

    /// The parameter of this name.
    pub(super) fn take<T: FromStr<Err = Invalid>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Problem> {
        self.known.push(name);
        let Some(position) = self.left.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, text) = self.left.swap_remove(position);
        let value = text.parse().map_err(|invalid| Problem::invalid_at(name, &invalid))?;
        self.taken.push((name, text));
        Ok(Some(value))
    }

    /// The parameter of this name, a time.
    pub(super) fn take_time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        Ok(self.take::<Moment>(name)?.map(|moment| moment.0))
    }

    /// The page of the list `list` of an app. To be taken last: what was taken before are the list's filters, and its
    /// cursors hold for these alone.
    pub(super) fn take_page<P: Place>(&mut self, list: &str, app: AppId) -> Result<Page<P>, Problem> {
        let binding = self.binding(list, app);
        let cursor = self.take_cursor()?;
        let max = self.take::<PageItems>("limit")?.map_or(limits::PAGE_ITEMS_DEFAULT, |items| items.0);
        let from = cursor.map(|cursor| binding.place(&cursor)).transpose()?;
        Ok(Page { from, max, binding })
    }

    /// What binds cursors to a list, an app, and the filters that were taken so far.
    pub(super) fn binding(&self, list: &str, app: AppId) -> Binding {
        Binding::new(list, app, &self.taken)
    }

    /// Where work in steps goes on, if this is not its first request.
    pub(super) fn take_place<P: Place>(&mut self, binding: Binding) -> Result<Option<P>, Problem> {
        self.take_cursor()?.map(|cursor| binding.place(&cursor)).transpose()
    }

    /// The cursor as it came, for what is bound by more than parameters.
    pub(super) fn take_cursor(&mut self) -> Result<Option<String>, Problem> {
        Ok(self.take::<CursorText>("cursor")?.map(|cursor| cursor.0))
    }

    /// Whether any parameter was there so far.
    pub(super) fn took_none(&self) -> bool {
        self.taken.is_empty()
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

/// Read by the list's binding.
struct CursorText(String);

impl FromStr for CursorText {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(Self(text.to_owned()))
    }
}

struct Moment(Timestamp);

impl FromStr for Moment {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        time::parse("time", text).map(Self).map_err(|mut invalid| {
            // In a query, a plus sign stands for a space.
            if text.contains(' ') {
                invalid.problem.push_str("; a plus sign in a URL is written %2B");
            }
            invalid
        })
    }
}
