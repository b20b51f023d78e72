//! Following redrives to their end. The server carries them out: whoever stops looking stops nothing.

use std::time::Duration;

use anyhow::Result;
use indicatif::{HumanCount, ProgressBar};
use serde_json::Value;

use crate::client::{Client, ServerArgs};
use crate::fields::{how_many, number, text};
use crate::output::Output;
use crate::signals::Stop;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Where redrives are.
pub(super) const PATH: &str = "/v1/dead-letters/redrive";

/// How following ended.
pub(super) enum Followed {
    /// All of them have ended, so.
    Ended(Vec<Value>),
    /// Someone asked to stop looking, with this code for the end.
    Left(i32),
}

/// Looks at redrives until none runs any more.
pub(super) async fn follow(
    client: &mut Client,
    mut jobs: Vec<Value>,
    stop: &mut Stop,
    output: Output,
) -> Result<Followed> {
    let bar = output.count_bar("redriving", 0);
    let followed = loop {
        show(&bar, &jobs);
        if !jobs.iter().any(is_running) {
            break Followed::Ended(jobs);
        }
        if let Some(code) = stop.is_asked() {
            break Followed::Left(code);
        }
        tokio::select! {
            biased;
            () = stop.asked() => continue,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        for job in jobs.iter_mut().filter(|job| is_running(job)) {
            *job = client.get(&format!("{PATH}/{}", text(job, "id"))).await?;
        }
    };
    bar.finish_and_clear();
    Ok(followed)
}

fn show(bar: &ProgressBar, jobs: &[Value]) {
    let total = |job: &Value| job["total"].as_u64().unwrap_or_else(|| number(job, "reopened"));
    bar.set_length(jobs.iter().map(total).sum());
    bar.set_position(jobs.iter().map(|job| number(job, "reopened")).sum());
}

/// Whether it goes on.
pub(super) fn is_running(job: &Value) -> bool {
    text(job, "state") == "running"
}

/// How a redrive stands, in one line.
pub(super) fn as_text(job: &Value) -> String {
    let (id, state, rate) = (text(job, "id"), text(job, "state"), number(job, "rate"));
    let of_total =
        job["total"].as_u64().map(|total| format!(" of {}", HumanCount(total))).unwrap_or_default();
    let reopened = HumanCount(number(job, "reopened"));
    let skipped = job["skipped"].as_u64().filter(|skipped| *skipped > 0);
    let skipped = skipped.map(|skipped| format!(", {} skipped", HumanCount(skipped))).unwrap_or_default();
    let left = job["eta_s"].as_u64().map(|eta_s| format!(", done in {eta_s} s")).unwrap_or_default();
    format!("redrive {id} {state}: {reopened}{of_total} reopened{skipped}, {rate} a second at most{left}")
}

/// How to look at redrives that go on, and how to stop them.
pub(super) fn where_to_look(jobs: &[Value], server: &ServerArgs) -> String {
    let server = server.as_option();
    let running: Vec<&str> = jobs.iter().filter(|job| is_running(job)).map(|job| text(job, "id")).collect();
    let [id] = running.as_slice() else {
        return format!(
            "{} on the server: see 'pabal dead-letters redrive status{server}', and stop one with 'pabal \
             dead-letters redrive stop{server} ID'",
            how_many(running.len() as u64, "redrive")
        );
    };
    format!(
        "it goes on, on the server: see 'pabal dead-letters redrive status{server} {id}', and stop it with 'pabal \
         dead-letters redrive stop{server} {id}'"
    )
}
