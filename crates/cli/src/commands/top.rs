//! `pabal top`: how an app stands, second by second.

mod screen;
mod view;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use self::view::View;
use super::stats::{PATH, as_text};
use crate::client::{Client, ServerArgs};
use crate::output::Output;
use crate::signals::{Stop, exit_code};

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Events of the terminal that wait to be looked at.
const EVENTS_WAITING_MAX: usize = 64;

/// Watch how many deliveries go where, each second. Without a terminal it shows the numbers once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    let mut client = Client::open(&args.server).await?;
    // Before the screen is taken: what is wrong with the address or the key is said in words.
    let first = client.get(PATH).await?;
    if output.is_json() || !std::io::stdout().is_terminal() {
        output.answer(&first, as_text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut stop = Stop::listen()?;
    let mut view = View::new(&args.server.url, first, Instant::now());
    let mut terminal = ratatui::try_init()?;
    let watched = watch(&mut terminal, &mut client, &mut view, &mut stop).await;
    ratatui::try_restore()?;
    watched?;
    Ok(stop.is_asked().map_or(ExitCode::SUCCESS, exit_code))
}

/// Draws and looks, until `q` or a signal.
async fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    client: &mut Client,
    view: &mut View,
    stop: &mut Stop,
) -> Result<()> {
    let mut events = events();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        terminal.draw(|frame| screen::draw(frame, view))?;
        let is_due = tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            event = events.recv() => match event {
                Some(event) if is_quit(&event) => return Ok(()),
                Some(_) => false,
                // The terminal is gone.
                None => return Ok(()),
            },
            _ = ticks.tick() => true,
        };
        if is_due {
            look(client, view, stop).await;
        }
    }
}

/// Looks once. A server that does not answer is told on the screen, and asked again a second later.
async fn look(client: &mut Client, view: &mut View, stop: &mut Stop) {
    let looked = async {
        let answer = client.once(http::Method::GET, PATH, None).await?;
        Ok::<_, anyhow::Error>(answer.expect_success()?)
    };
    tokio::select! {
        biased;
        () = stop.asked() => {}
        looked = looked => match looked {
            Ok(stats) => view.take(stats, Instant::now()),
            Err(error) => view.fail(&error),
        },
    }
}

/// What happens at the terminal. The thread ends with the process: a read from a terminal can't be taken back.
fn events() -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(EVENTS_WAITING_MAX);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    events
}

/// Whether someone wants to leave: `q`, Esc, or Ctrl-C, which is no signal while the screen is taken.
fn is_quit(event: &Event) -> bool {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else { return false };
    match code {
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
        KeyCode::Char('c') => modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}
