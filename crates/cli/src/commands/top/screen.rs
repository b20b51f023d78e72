//! How it is drawn.

use indicatif::HumanCount;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table};

use super::super::stats::queue_lines;
use super::view::{StateRow, View};
use crate::output::plain;

/// Lines of the table of states: a frame, its head, and the states.
const STATES_HEIGHT: u16 = 10;
/// Lines of the queue: a frame, two lanes, what is in flight, the oldest.
const QUEUE_HEIGHT: u16 = 6;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let heights = [
        Constraint::Length(1),
        Constraint::Length(STATES_HEIGHT),
        Constraint::Length(QUEUE_HEIGHT),
        Constraint::Min(3),
        Constraint::Length(1),
    ];
    let [head, states, queue, paused, foot] = Layout::vertical(heights).areas(frame.area());
    let title = format!(" pabal top   {}   app {}", plain(&view.url), plain(view.app()));
    frame.render_widget(Paragraph::new(title.bold()), head);
    frame.render_widget(states_table(view), states);
    let lines = queue_lines(&view.stats);
    let lines = match lines.as_slice() {
        [] => vec![Line::from("  shown to keys of the app default")],
        [_, lines @ ..] => lines.iter().map(|line| Line::from(line.clone())).collect(),
    };
    frame
        .render_widget(Paragraph::new(lines).block(Block::bordered().title(" queue, over all apps ")), queue);
    frame.render_widget(paused_lines(view), paused);
    let foot_line = match &view.trouble {
        Some(trouble) => Line::from(format!(" no answer: {}", plain(trouble))).red(),
        None => Line::from(" q leaves"),
    };
    frame.render_widget(Paragraph::new(foot_line), foot);
}

fn states_table(view: &View) -> Table<'static> {
    let widths = [Constraint::Length(16), Constraint::Length(16), Constraint::Length(12)];
    let head = Row::new(["state", "           count", "  per second"]).bold();
    let rows = view.rows().into_iter().map(state_row);
    Table::new(rows, widths).header(head).block(Block::bordered().title(" deliveries "))
}

fn state_row(row: StateRow) -> Row<'static> {
    let rate = row.rate.map(|rate| format!("{rate:>+12.1}")).unwrap_or_default();
    let colour = match row.state.as_str() {
        "delivered" => Color::Green,
        "dead" => Color::Red,
        "retrying" => Color::Yellow,
        _ => Color::Reset,
    };
    let cells = [plain(&row.state), format!("{:>16}", HumanCount(row.count).to_string()), rate];
    Row::new(cells).style(Style::new().fg(colour))
}

fn paused_lines(view: &View) -> Paragraph<'static> {
    let lines: Vec<Line<'static>> = match view.paused() {
        paused if paused.is_empty() => vec![Line::from("  none")],
        paused => paused.into_iter().map(|line| Line::from(line).red()).collect(),
    };
    Paragraph::new(lines).block(Block::bordered().title(" paused routes "))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_screen_has_all_the_numbers() {
        let stats = |delivered: u64| {
            json!({
                "app": "default", "deliveries": { "delivered": delivered, "dead": 3 }, "reasons": [],
                "queue": { "entries": { "transactional": 7, "bulk": 1200 }, "oldest_due_age_ms": 61_000, "in_flight": 5 },
                "paused": [{ "route": "bulk/fcm/demo/ios", "since": "T", "reason": "401\u{1b}[2J" }],
            })
        };
        let began = Instant::now();
        let mut view = View::new("http://127.0.0.1:8080", stats(1000), began);
        view.take(stats(13_345), began + Duration::from_secs(1));
        let screen = drawn(&view, 80, 24);
        for part in [
            "http://127.0.0.1:8080   app default",
            "delivered                  13,345     +12345.0",
            "dead                            3         +0.0",
            "bulk                   1,200",
            "in flight                  5",
            "due for 61 seconds",
            "bulk/fcm/demo/ios since T: 401\\u{1b}[2J",
            "q leaves",
        ] {
            assert!(screen.contains(part), "{part}:\n{screen}");
        }
        view.fail(&anyhow::anyhow!("no server answers"));
        assert!(drawn(&view, 80, 24).contains("no answer: no server answers"));
        drawn(&view, 5, 2);
    }
}
