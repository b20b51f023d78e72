//! `pabal send --file`: a file of notifications, batch by batch, each line answered by itself.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use indicatif::{HumanCount, ProgressBar};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::batches::{self, Refusal, Stuck};
use super::lines::{self, BATCHES_AHEAD_MAX, Batch, ReadError};
use crate::client::{Client, ServerArgs};
use crate::failure::Failure;
use crate::fields::{how_many, text};
use crate::output::{Output, plain};
use crate::signals::{Stop, exit_code};

/// Refused lines that the JSON answer lists; beyond them they are counted.
const REFUSED_LISTED_MAX: usize = 10_000;
/// The name that means standard input.
const STANDARD_INPUT: &str = "-";

/// How to send a file.
#[derive(Debug, clap::Args)]
pub(super) struct FileArgs {
    /// With --file: the first line to send; in a JSON array, the first item.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    from_line: Option<u64>,
}

impl FileArgs {
    /// Refuses options of a file where there is none: the parser can't, because what names the file conflicts with what
    /// names recipients.
    pub(super) fn refuse_without_file(&self) -> Result<(), Failure> {
        match self.from_line {
            Some(_) => Err(Failure::Usage("--from-line is for --file: name the file".to_owned())),
            None => Ok(()),
        }
    }
}

/// How it went.
#[derive(Default)]
struct Tally {
    accepted: u64,
    replayed: u64,
    refused: u64,
    refused_listed: Vec<Value>,
    /// The line to go on with, where it did not come to the end of the file.
    next_line: Option<u64>,
}

pub(super) async fn run(
    path: &Path,
    args: &FileArgs,
    server: &ServerArgs,
    output: Output,
) -> Result<ExitCode> {
    let (file, size) = open(path, output)?;
    let mut client = Client::open(server).await?;
    let mut stop = Stop::listen()?;
    let bar = match size {
        Some(size) => output.bytes_bar("sending", size),
        None => output.spinner("sending"),
    };
    let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD_MAX);
    let from_line = args.from_line.unwrap_or(1);
    // A thread of its own: a read from a terminal or a pipe can't be taken back, and must not keep the process.
    std::thread::spawn(move || lines::read(file, from_line, &sender));

    let mut tally = Tally { next_line: Some(from_line), ..Tally::default() };
    let failed = tally.send_all(&mut client, &mut batches, &mut stop, &bar, output).await;
    bar.finish_and_clear();
    let file_name =
        if path == Path::new(STANDARD_INPUT) { "-".to_owned() } else { path.display().to_string() };
    tally.end(&file_name, server, failed, stop.is_asked(), output)
}

fn open(path: &Path, output: Output) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new(STANDARD_INPUT) {
        if std::io::stdin().is_terminal() {
            output.note("reading notifications from the terminal, one to a line; Ctrl-D ends them");
        }
        return Ok((Box::new(std::io::stdin()), None));
    }
    let unusable = |error: std::io::Error| {
        Failure::Configuration(format!("{}: the file can't be read: {error}", path.display()))
    };
    let file = File::open(path).map_err(unusable)?;
    let about = file.metadata().map_err(unusable)?;
    if about.is_dir() {
        return Err(Failure::Configuration(format!("{} is a folder", path.display())).into());
    }
    Ok((Box::new(file), Some(about.len())))
}

impl Tally {
    /// Sends batch by batch until the file ends, someone asks for the stop, or it can't go on.
    async fn send_all(
        &mut self,
        client: &mut Client,
        batches: &mut mpsc::Receiver<Result<Batch, ReadError>>,
        stop: &mut Stop,
        bar: &ProgressBar,
        output: Output,
    ) -> Result<()> {
        loop {
            let batch = tokio::select! {
                biased;
                () = stop.asked() => return Ok(()),
                batch = batches.recv() => batch,
            };
            let batch = match batch {
                None => {
                    self.next_line = None;
                    return Ok(());
                }
                Some(Ok(batch)) => batch,
                Some(Err(error)) => return Err(Failure::Configuration(format!("the file: {error}")).into()),
            };
            let bytes_read = batch.bytes_read;
            if !self.send(client, batch, stop, bar, output).await? {
                return Ok(());
            }
            bar.set_position(bytes_read);
            bar.set_message(format!(
                "{} accepted, {} refused",
                HumanCount(self.taken()),
                HumanCount(self.refused)
            ));
        }
    }

    /// Sends one batch. Gives whether all of it was decided on.
    async fn send(
        &mut self,
        client: &mut Client,
        batch: Batch,
        stop: &mut Stop,
        bar: &ProgressBar,
        output: Output,
    ) -> Result<bool> {
        let last_item = batch.items.last().map_or(0, |item| item.line);
        let last = last_item.max(batch.too_long.last().copied().unwrap_or_default());
        let (sent, went) = batches::send(client, batch.items, stop).await;
        self.accepted += sent.accepted;
        self.replayed += sent.replayed;
        let too_long = |line| Refusal {
            line,
            status: 413,
            problem: json!({ "detail": "the line is longer than any notification may be" }),
        };
        let mut refused = sent.refused;
        refused.extend(batch.too_long.into_iter().map(too_long));
        refused.sort_unstable_by_key(|refusal| refusal.line);
        for refusal in refused {
            self.refuse(refusal, bar, output);
        }
        if let Err(stuck) = went {
            self.next_line = Some(stuck.lines.0);
            return Err(explained(stuck));
        }
        if let Some(line) = sent.left_at {
            self.next_line = Some(line);
            return Ok(false);
        }
        self.next_line = self.next_line.max(Some(last + 1));
        Ok(true)
    }

    fn refuse(&mut self, refusal: Refusal, bar: &ProgressBar, output: Output) {
        let Refusal { line, status, problem } = refusal;
        self.refused += 1;
        let kind = text(&problem, "type").trim_start_matches("urn:pabal:problem:");
        output
            .note_above(bar, &format!("line {line}: {} ({status} {kind})", plain(text(&problem, "detail"))));
        if self.refused_listed.len() < REFUSED_LISTED_MAX {
            self.refused_listed.push(json!({ "line": line, "status": status, "problem": problem }));
        }
    }

    const fn taken(&self) -> u64 {
        self.accepted + self.replayed
    }

    /// Tells how it went, whatever ended it.
    fn end(
        self,
        file: &str,
        server: &ServerArgs,
        failed: Result<()>,
        stopped: Option<i32>,
        output: Output,
    ) -> Result<ExitCode> {
        let answer = json!({
            "accepted": self.accepted,
            "replayed": self.replayed,
            "refused": self.refused,
            "next_line": self.next_line,
            "refused_lines": self.refused_listed,
        });
        output.answer(&answer, |_| self.as_text())?;
        if let Some(line) = self.next_line {
            let server = server.as_option();
            output.note(&format!(
                "the rest is not sent; go on with: pabal send{server} --file {file} --from-line {line}"
            ));
        }
        failed?;
        if let (Some(code), Some(_)) = (stopped, self.next_line) {
            return Ok(exit_code(code));
        }
        if self.refused > 0 {
            let problem = format!(
                "{} refused, the others are accepted: repair them and send those alone, or the whole file again if \
                 each of its lines has an idempotency_key",
                how_many(self.refused, "line"),
            );
            return Err(Failure::Refused(problem).into());
        }
        Ok(ExitCode::SUCCESS)
    }

    fn as_text(&self) -> String {
        let before = match self.replayed {
            0 => String::new(),
            replayed => format!(" ({} of them before, not sent again)", HumanCount(replayed)),
        };
        let refused = match self.refused {
            0 => String::new(),
            refused => format!(", refused {}", HumanCount(refused)),
        };
        format!("Accepted {}{before}{refused}", how_many(self.taken(), "notification"))
    }
}

/// Why it can't go on, and what is not known.
fn explained(stuck: Stuck) -> anyhow::Error {
    let (first, last) = stuck.lines;
    if !stuck.is_unknown {
        return stuck.error;
    }
    let behind = last + 1;
    stuck.error.context(format!(
        "lines {first} to {last}: whether they were accepted is not known. Look with 'pabal notifications list', then \
         go on from line {first}, which is safe where each has an idempotency_key, or from line {behind} to leave them out"
    ))
}

/// The value of `--file`.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("name a file, or - for standard input".to_owned()) } else { Ok(text.into()) }
}
