//! A few numbers of the process, from `/proc/self`. Where there is none they are missing.

use std::fmt;

use pabal_core::clock::Timestamp;
use pabal_engine::metrics::{Described, Measured};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;

static BUILD: Described = Described::info("pabal_build", &["version"], "The version that runs.");
static STARTED: Described =
    Described::gauge("pabal_process_start_time", &[], "When the server started, since 1970.")
        .in_unit(Measured::Seconds);
static MEMORY: Described =
    Described::gauge("pabal_process_resident_memory", &[], "Memory that the process holds.")
        .in_unit(Measured::Bytes);
static OPEN_FDS: Described =
    Described::gauge("pabal_process_open_fds", &[], "File descriptors that the process has open.");
static MAX_FDS: Described =
    Described::gauge("pabal_process_max_fds", &[], "File descriptors that the process may have open.");

/// Every metric of the process.
#[cfg(test)]
pub(super) static PROCESS: &[&Described] = &[&BUILD, &STARTED, &MEMORY, &OPEN_FDS, &MAX_FDS];

/// The process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) started_at: Timestamp,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        BUILD.expose(encoder, [(&[][..], &Build)])?;
        STARTED.expose_number(encoder, self.started_at.as_ms() / 1000)?;
        let numbers = [(&MEMORY, resident_bytes()), (&OPEN_FDS, open_fds()), (&MAX_FDS, max_fds())];
        for (described, number) in numbers {
            if let Some(number) = number {
                described.expose_number(encoder, number)?;
            }
        }
        Ok(())
    }
}

/// The build's own labels: they are known when it is compiled.
#[derive(Debug, Clone, Copy)]
struct Build;

impl EncodeMetric for Build {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Info
    }
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: i64 = field(&status, "VmRSS:")?.parse().ok()?;
    Some(kib * 1024)
}

fn max_fds() -> Option<i64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    field(&limits, "Max open files")?.parse().ok()
}

fn open_fds() -> Option<i64> {
    // The listing has a descriptor of its own.
    let listed = std::fs::read_dir("/proc/self/fd").ok()?.count();
    i64::try_from(listed).ok().map(|listed| listed - 1)
}

/// The first word after a name at the start of a line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_seen() {
        assert!(resident_bytes().unwrap() > 1024 * 1024);
        let before = open_fds().unwrap();
        assert!((1..=max_fds().unwrap()).contains(&before));
    }
}
