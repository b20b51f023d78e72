//! Query parameters: each is known and there once, or the request is refused.

use std::str::FromStr;

use pabal_core::ids::Invalid;

use super::problem::{Problem, ProblemKind};
use crate::limits;

/// The parameters of a request that nobody has asked for yet.
#[derive(Debug)]
pub(super) struct Query {
    left: Vec<(String, String)>,
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self { left: pairs.into_owned().collect() }
    }

    /// The parameter of this name.
    pub(super) fn take<T: FromStr<Err = Invalid>>(&mut self, name: &str) -> Result<Option<T>, Problem> {
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
        match self.left.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                let detail = format!("the query parameter {name} is not known here, or there twice");
                Err(Problem::new(ProblemKind::InvalidRequest, detail).at(name))
            }
        }
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
