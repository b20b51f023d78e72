//! How commands answer: people get text, programs get JSON, and standard output holds nothing else.
//!
//! | | standard output | standard error |
//! | --- | --- | --- |
//! | for people | the answer: text, a table | notes, progress on a terminal, what failed |
//! | `--json` | the answer: one JSON value, indented on a terminal only | what failed, as JSON |
//!
//! A reader that goes away early (`pabal … | head`) is no failure: see [`is_nobody_reads`].

use std::fmt;
use std::io::{ErrorKind, IsTerminal, Write};

use anyhow::Result;
use comfy_table::{ContentArrangement, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

/// What stands between the columns of a table.
const COLUMN_GAP: (u16, u16) = (0, 2);
/// How a bar over bytes looks.
const BYTES_BAR: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
/// How a bar over things looks.
const COUNT_BAR: &str = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
/// How work looks whose end nobody knows.
const SPINNER: &str = "{spinner} {msg}";

/// Where answers go, and for whom they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether answers are for programs.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Answers: with the value itself, or with the text that it means to people.
    pub(crate) fn answer(self, value: &Value, for_people: impl FnOnce(&Value) -> String) -> Result<()> {
        match (self.json, std::io::stdout().is_terminal()) {
            (true, true) => print(&format!("{value:#}\n")),
            (true, false) => print(&format!("{value}\n")),
            (false, _) => print(&ended(for_people(value))),
        }
    }

    /// A sentence beside the answer, for people only.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            eprintln!("pabal: {text}");
        }
    }

    /// A bar over `total` bytes, for people at a terminal only; elsewhere it shows nothing.
    pub(crate) fn bytes_bar(self, what: &'static str, total: u64) -> ProgressBar {
        self.bar(BYTES_BAR, Some(total), what)
    }

    /// A bar over `total` things.
    pub(crate) fn count_bar(self, what: &'static str, total: u64) -> ProgressBar {
        self.bar(COUNT_BAR, Some(total), what)
    }

    /// Work that goes on, nobody knows how long.
    pub(crate) fn spinner(self, what: &'static str) -> ProgressBar {
        self.bar(SPINNER, None, what)
    }

    fn bar(self, template: &str, total: Option<u64>, what: &'static str) -> ProgressBar {
        let is_seen = !self.json && std::io::stderr().is_terminal();
        let target = if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(total, target).with_style(style).with_message(what)
    }

    /// A sentence beside the answer while a bar is shown.
    pub(crate) fn note_above(self, bar: &ProgressBar, text: &str) {
        bar.suspend(|| self.note(text));
    }

    /// A part of an answer that is told in parts, as it is.
    pub(crate) fn print(self, text: &str) -> Result<()> {
        print(text)
    }
}

/// Whether an error only means that whoever read standard output has gone.
pub(crate) fn is_nobody_reads(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn ended(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A table without lines: columns that `awk` and eyes can follow. Cells that are empty show `-`.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// With the names of its columns.
    pub(crate) fn new(columns: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns.iter().map(|name| name.to_uppercase()));
        for column in table.column_iter_mut() {
            column.set_padding(COLUMN_GAP);
        }
        Self(table)
    }

    /// Adds a row. What was given by others may hold anything: see [`plain`].
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        let cell = |text: &str| if text.is_empty() { "-".to_owned() } else { plain(text) };
        self.0.add_row(cells.into_iter().map(|text| cell(text.as_ref())));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|line| writeln!(f, "{}", line.trim_end()))
    }
}

/// Text that can do nothing to a terminal: control characters are shown, not obeyed.
pub(crate) fn plain(text: &str) -> String {
    let letter = |c: char| {
        let shown: Box<dyn Iterator<Item = char>> =
            if c.is_control() { Box::new(c.escape_default()) } else { Box::new(std::iter::once(c)) };
        shown
    };
    text.chars().flat_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_straight_columns_and_nothing_that_terminals_obey() {
        let mut table = Table::new(&["id", "what it is"]);
        table.row(["1", "오늘\u{1b}[31m"]);
        table.row(["234", ""]);
        assert_eq!(table.to_string(), "ID   WHAT IT IS\n1    오늘\\u{1b}[31m\n234  -\n");
    }

    #[test]
    fn a_bar_shows_nothing_to_programs() {
        assert!(Output::new(true).bytes_bar("x", 1).is_hidden());
    }

    #[test]
    fn only_a_reader_that_left_is_nobody() {
        let error = |kind: ErrorKind| anyhow::Error::from(std::io::Error::from(kind));
        assert!(is_nobody_reads(&error(ErrorKind::BrokenPipe)));
        assert!(!is_nobody_reads(&error(ErrorKind::PermissionDenied)));
    }
}
