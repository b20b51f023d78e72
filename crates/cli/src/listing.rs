//! Lists: page after page of the API, as a table or as one JSON value.
//!
//! Pages are shown as they come, so that a list of any length needs the memory of one page. A page may be short or empty
//! and yet have a next one: what counts is the cursor alone.

use anyhow::Result;
use serde_json::Value;

use crate::client::Client;
use crate::fields::text;
use crate::output::{Output, Table};
use crate::path::Query;

/// Items that the API gives in one page at most.
const PAGE_ITEMS_MAX: usize = 1000;

/// How many to show.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct HowMany {
    /// How many to show at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    limit: usize,
    /// Show all that there are.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "must be a number above 0".to_owned())
}

impl HowMany {
    /// No fewer than there are.
    pub(crate) const ALL: HowMany = HowMany { limit: PAGE_ITEMS_MAX, all: true };

    const fn left(self, shown: usize) -> usize {
        if self.all { PAGE_ITEMS_MAX } else { self.limit.saturating_sub(shown) }
    }
}

/// A list of the API's, and how people see it.
pub(crate) struct Listing {
    pub(crate) path: &'static str,
    /// What its items are called in answers.
    pub(crate) plural: &'static str,
    pub(crate) columns: &'static [&'static str],
    /// An item's cells.
    pub(crate) row: fn(&Value) -> Vec<String>,
}

impl Listing {
    /// Shows what a query finds. Gives what the last page says beside its items.
    pub(crate) async fn show(
        &self,
        client: &mut Client,
        query: &Query,
        how_many: HowMany,
        output: Output,
    ) -> Result<Value> {
        let (mut shown, mut cursor) = (0, None::<String>);
        loop {
            let page_items = how_many.left(shown).min(PAGE_ITEMS_MAX).to_string();
            let page_query = query.clone().with("limit", Some(&page_items)).with("cursor", cursor.as_deref());
            let mut page = client.get(&page_query.behind(self.path)).await?;
            let items = match page[self.plural].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            };
            self.show_page(&items, shown == 0 && cursor.is_none(), shown == 0, output)?;
            shown += items.len();
            cursor = Some(text(&page, "next_cursor").to_owned()).filter(|cursor| !cursor.is_empty());
            if cursor.is_none() || how_many.left(shown) == 0 {
                self.end(&mut page, shown, output)?;
                return Ok(page);
            }
        }
    }

    fn show_page(&self, items: &[Value], is_first: bool, is_head: bool, output: Output) -> Result<()> {
        if output.is_json() {
            let begin = if is_first { format!("{{\"{}\":[", self.plural) } else { String::new() };
            let rows = items.iter().enumerate().map(|(at, item)| {
                let before = if is_head && at == 0 { "" } else { "," };
                format!("{before}\n{item}")
            });
            return output.print(&(begin + &rows.collect::<String>()));
        }
        if items.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(self.columns);
        items.iter().for_each(|item| table.row((self.row)(item)));
        let table = table.to_string();
        let rows = if is_head { table.as_str() } else { table.split_once('\n').map_or("", |(_, rows)| rows) };
        output.print(rows)
    }

    fn end(&self, page: &mut Value, shown: usize, output: Output) -> Result<()> {
        let Some(rest) = page.as_object_mut() else { return Ok(()) };
        rest.remove(self.plural);
        if output.is_json() {
            let rest: String = rest.iter().map(|(name, value)| format!(",\"{name}\":{value}")).collect();
            return output.print(&format!("\n]{rest}}}\n"));
        }
        if shown == 0 {
            output.note(&format!("there are no such {}", self.plural.replace('_', " ")));
        } else if rest.get("next_cursor").is_some_and(|cursor| !cursor.is_null()) {
            output.note(&format!("there are more than these {shown}: --all shows them"));
        }
        Ok(())
    }
}
