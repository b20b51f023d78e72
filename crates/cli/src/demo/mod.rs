//! `pabal serve --demo`: the whole product on one machine, on a bad day.
//!
//! ```text
//!   senders ── HTTP ──► the server ── HTTP/2 ──► an FCM emulator that throttles, fails and loses answers
//! ```
//!
//! Nothing is faked but the provider: the server, its database and its API are those that anybody runs. Everything is
//! kept in one folder, and a second start goes on where the first one ended.

mod campaign;
mod folder;
mod guide;
mod people;
mod progress;
mod record;
mod report;
mod senders;
mod stage;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use pabal_core::ids::AppId;
use pabal_server::config::LogSection;
use tokio::sync::mpsc;

use self::campaign::NOTIFICATIONS;
use self::folder::Folder;
use self::progress::Progress;
use self::record::Accepted;
use self::report::Report;
use self::stage::Stage;
use crate::logging;
use crate::signals::Signals;

/// By then the table is shown, whatever still waits.
const SHOW_BY: Duration = Duration::from_secs(80);
/// How often the counters are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(crate) async fn run(json: bool) -> Result<ExitCode> {
    // What goes wrong here goes wrong on purpose, and is in the table.
    logging::start(&LogSection { level: "error".to_owned(), ..LogSection::default() })?;
    let began = Instant::now();
    let folder = Folder::open()?;
    let before = record::read(&folder.sent_file())?;
    let stage = Stage::set(&folder).await?;
    let progress = Progress::new(json, began);
    guide::welcome(&progress, &folder, &stage, before.len());

    let mut signals = Signals::listen()?;
    let played = tokio::select! {
        played = play(&folder, &stage, &progress, before) => Some(played),
        asked = signals.stop_asked() => asked.map(|()| None)?,
    };
    if let Some(played) = played {
        let report = played?;
        report.print(json);
        guide::where_to_look(&progress, &folder, &stage, &report);
        signals.stop_asked().await?;
    }
    progress.say("Stopping: what is under way finishes first. Once more Ctrl-C ends at once.");
    signals.end_at_the_next();
    stage.strike().await;
    Ok(ExitCode::SUCCESS)
}

/// Sends what is not sent yet, waits until nothing is open any more, and looks at what came of it.
async fn play(folder: &Folder, stage: &Stage, progress: &Progress, before: Accepted) -> Result<Report> {
    let left: Vec<usize> = (0..NOTIFICATIONS).filter(|number| !before.contains_key(number)).collect();
    if before.is_empty() {
        let devices = senders::register(&stage.server).await?;
        progress.say(&format!("{} people with {devices} devices are registered.", people::PEOPLE));
    }
    let (sender, answers) = mpsc::channel(1024);
    let path = folder.sent_file();
    let sending = Box::pin(senders::send(&stage.server, left, sender));
    let recording = Box::pin(record::write(&path, answers));
    let sent = async { tokio::try_join!(sending, recording) };
    let (accepts, now) = {
        let mut sent = std::pin::pin!(sent);
        loop {
            tokio::select! {
                sent = &mut sent => break sent?,
                () = tokio::time::sleep(LOOK_EVERY) => progress.show(&look(stage).await?),
            }
        }
    };
    let mut accepted = before;
    let sent_now = now.len();
    accepted.extend(now);
    while look(stage).await?.open > 0 && progress.elapsed() < SHOW_BY {
        tokio::time::sleep(LOOK_EVERY).await;
        progress.show(&look(stage).await?);
    }
    progress.end_line();
    let history = stage.running.history();
    Report::collect(&*history, &accepted, sent_now, accepts, stage.emulator.count()).await
}

/// How it goes, from counters.
async fn look(stage: &Stage) -> Result<progress::Counts> {
    let totals = stage.running.history().totals(AppId::DEFAULT).await?;
    Ok(progress::Counts::new(&totals))
}
