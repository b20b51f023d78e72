//! `pabal backup`: a checked copy of the store, beside a running server too.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{HumanBytes, HumanCount};
use pabal_server::{BackedUp, shown};
use serde_json::{Value, json};

use super::serve::explained;
use super::store::StoreArgs;
use crate::output::Output;
use crate::signals::Signals;

/// Copy the store into one file, while its server runs or not, and check the copy.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The file to make. It must not be there.
    target: PathBuf,
}

pub(crate) async fn run(args: Args, output: Output) -> Result<ExitCode> {
    let url = args.store.url(output)?;
    let began = Instant::now();
    let mut signals = Signals::listen()?;
    let is_asked_to_stop = Arc::new(AtomicBool::new(false));
    let copying = {
        let (url, target, is_asked_to_stop) =
            (url.clone(), args.target.clone(), Arc::clone(&is_asked_to_stop));
        tokio::task::spawn_blocking(move || copy(&url, &target, &is_asked_to_stop, output))
    };
    tokio::pin!(copying);
    let (copied, stopped_by) = tokio::select! {
        biased;
        copied = &mut copying => (copied?, None),
        code = signals.next() => {
            is_asked_to_stop.store(true, Ordering::Relaxed);
            signals.end_at_the_next();
            (copying.await?, Some(code?))
        }
    };
    match (copied.map_err(|error| explained(&error))?, stopped_by) {
        (Some(backup), _) => {
            let answer = as_json(&args, &url, &backup, began.elapsed());
            output.answer(&answer, |_| as_text(&args, &url, &backup, began.elapsed()))?;
            Ok(ExitCode::SUCCESS)
        }
        (None, code) => {
            output.note("ended before the copy was made; nothing is left of it");
            Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
        }
    }
}

fn copy(
    url: &str,
    target: &Path,
    is_asked_to_stop: &AtomicBool,
    output: Output,
) -> Result<Option<BackedUp>, pabal_server::StartError> {
    let bar = output.bytes_bar("copying", 0);
    let mut look = |bytes: u64, bytes_total: u64| {
        bar.set_length(bytes_total);
        bar.set_position(bytes);
        if bytes == bytes_total {
            bar.set_message("checking");
        }
        if is_asked_to_stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let copied = pabal_server::back_up(url, target, &mut look);
    bar.finish_and_clear();
    copied
}

fn as_json(args: &Args, url: &str, backup: &BackedUp, took: Duration) -> Value {
    json!({
        "store": shown(url),
        "target": args.target.display().to_string(),
        "bytes": backup.bytes,
        "schema": backup.schema,
        "notifications": backup.notifications,
        "deliveries": backup.deliveries,
        "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn as_text(args: &Args, url: &str, backup: &BackedUp, took: Duration) -> String {
    format!(
        "{} is copied to {} and checked\n  {}, schema {}, {} notifications, {} deliveries, in {:.1} s",
        shown(url),
        args.target.display(),
        HumanBytes(backup.bytes),
        backup.schema,
        HumanCount(backup.notifications),
        HumanCount(backup.deliveries),
        took.as_secs_f64(),
    )
}
