//! What came of it all, read delivery by delivery from the store's history.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use fcm_emulator::Counts;
use pabal_core::delivery::DeliveryState;
use pabal_core::ids::{AppId, DeliveryId, NotificationId};
use pabal_core::limits::DEVICES_PER_USER_MAX;
use pabal_core::seam::History;
use pabal_core::seam::store::DeliveryView;
use serde_json::{Value, json};

use super::record::Accepted;

/// What came of it all.
#[derive(Debug, Default)]
pub(super) struct Report {
    notifications: usize,
    sent_now: usize,
    deliveries: usize,
    delivered: usize,
    retried: usize,
    attempts: u64,
    open: usize,
    /// How many ended otherwise than delivered, by state and reason.
    ended: BTreeMap<String, usize>,
    /// Milliseconds from accepted to delivered, in order.
    latencies_ms: Vec<u64>,
    accepts: Vec<Duration>,
    provider: Counts,
    /// Delivered after the most attempts.
    pub(super) example_retried: Option<DeliveryId>,
    pub(super) example_dead: Option<DeliveryId>,
    example_attempts: u32,
}

impl Report {
    /// Looks at every delivery of what was accepted.
    pub(super) async fn collect(
        history: &dyn History,
        accepted: &Accepted,
        sent_now: usize,
        accepts: Vec<Duration>,
        provider: Counts,
    ) -> Result<Self> {
        let mut report =
            Self { notifications: accepted.len(), sent_now, accepts, provider, ..Self::default() };
        for id in accepted.values() {
            let id: NotificationId = id.parse().context("the record holds what is no id")?;
            for delivery in history.deliveries(AppId::DEFAULT, id, None, DEVICES_PER_USER_MAX).await? {
                report.count(&delivery);
            }
        }
        report.latencies_ms.sort_unstable();
        report.accepts.sort_unstable();
        Ok(report)
    }

    fn count(&mut self, delivery: &DeliveryView) {
        self.deliveries += 1;
        self.attempts += u64::from(delivery.attempts);
        self.retried += usize::from(delivery.attempts > 1);
        match (delivery.state, delivery.finished_at) {
            (DeliveryState::Delivered, Some(finished_at)) => {
                self.delivered += 1;
                self.latencies_ms.push(delivery.created_at.ms_until(finished_at));
                if delivery.attempts > self.example_attempts.max(1) {
                    self.example_attempts = delivery.attempts;
                    self.example_retried = Some(delivery.id);
                }
            }
            (state, _) if state.is_open() => self.open += 1,
            (state, _) => {
                let reason = delivery.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                *self.ended.entry(format!("{state}{reason}")).or_default() += 1;
                if state == DeliveryState::Dead {
                    self.example_dead = Some(delivery.id);
                }
            }
        }
    }

    /// Sends that the provider took although it had taken the same one before.
    fn duplicates(&self) -> u64 {
        self.provider.accepted.saturating_sub(self.provider.unique)
    }

    pub(super) fn print(&self, json: bool) {
        if json { println!("{}", self.as_json()) } else { println!("\n{}", self.as_table()) }
    }

    fn as_table(&self) -> String {
        let row = |name: &str, value: String, note: String| format!("  {name:<34}{value:>10}   {note}\n");
        let number = |count: usize| thousands(count as u64);
        let mut table = row("notifications accepted", number(self.notifications), self.accept_note());
        table += &row(
            "deliveries made of them",
            number(self.deliveries),
            "one for each device, or for a person without one".to_owned(),
        );
        table += &row("delivered", number(self.delivered), "taken by the provider".to_owned());
        let attempts = format!("{} attempts in all", thousands(self.attempts));
        table += &row("tried more than once", number(self.retried), attempts);
        for (why, count) in &self.ended {
            table += &row(why, number(*count), comment(why).to_owned());
        }
        table += &row("still waiting", number(self.open), String::new());
        let note = "in this start: the answer was lost; one tag keeps the copy off the screen".to_owned();
        table += &row("sent twice", thousands(self.duplicates()), note);
        for (name, part) in
            [("half within", 0.5), ("90 % within", 0.9), ("99 % within", 0.99), ("all within", 1.0)]
        {
            let latency = percentile(&self.latencies_ms, part).copied().unwrap_or_default();
            let name = format!("accepted to delivered, {name}");
            table += &row(&name, format!("{} ms", thousands(latency)), String::new());
        }
        table
    }

    fn accept_note(&self) -> String {
        match (percentile(&self.accepts, 0.5), percentile(&self.accepts, 0.99)) {
            (Some(half), Some(most)) => {
                let (half, most) = (half.as_millis(), most.as_millis());
                format!(
                    "{} by this start; half answered within {half} ms, 99 % within {most} ms",
                    thousands(self.sent_now as u64)
                )
            }
            _ => "all by an earlier start".to_owned(),
        }
    }

    fn as_json(&self) -> Value {
        let latency = |part| percentile(&self.latencies_ms, part);
        json!({
            "notifications": self.notifications,
            "sent_now": self.sent_now,
            "deliveries": self.deliveries,
            "delivered": self.delivered,
            "retried": self.retried,
            "attempts": self.attempts,
            "ended": self.ended,
            "open": self.open,
            "duplicates": self.duplicates(),
            "latency_ms": { "p50": latency(0.5), "p90": latency(0.9), "p99": latency(0.99), "max": latency(1.0) },
            "example_retried": self.example_retried.map(|id| id.to_string()),
            "example_dead": self.example_dead.map(|id| id.to_string()),
        })
    }
}

/// What a state and a reason come from here.
fn comment(why: &str) -> &'static str {
    match why.rsplit(": ").next() {
        Some("attempts_exhausted") => "the demo gives up after 5 attempts; a server after 40 by default",
        Some("no_device") => "people without a device, or whose only one was retired before",
        Some("unregistered") => "the app was uninstalled; the device is retired",
        Some("malformed_target") => "the token is none; the device is quarantined",
        _ => "",
    }
}

/// The value that `part` of all values do not exceed.
fn percentile<T>(sorted: &[T], part: f64) -> Option<&T> {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.max(1) - 1)
}

/// 1234567 as 1,234,567.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<String> = [0, 12, 999, 1000, 20_000, 1_234_567].map(thousands).into();
        assert_eq!(shown, ["0", "12", "999", "1,000", "20,000", "1,234,567"]);
    }

    #[test]
    fn percentiles_are_values_that_occur() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(percentile(&values, 0.5), Some(&100));
        assert_eq!(percentile(&values, 0.99), Some(&198));
        assert_eq!(percentile(&values, 1.0), Some(&200));
        assert_eq!(percentile::<u64>(&[], 0.5), None);
    }
}
