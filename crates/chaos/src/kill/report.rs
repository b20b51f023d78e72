//! What came of a run: gates that decide, a table for people, one JSON object for scripts.

use std::fmt;

use serde::Serialize;

use super::judge::Verdict;

/// The longest that a restarted server may take, from ready to the first send that arrives.
const RECOVERY_MS_MAX: u64 = 5000;
/// The most that one kill may cut off. The engine has 1,000 permits by default; the rest is room for fan-outs and for
/// whatever else one day is in flight.
const IN_FLIGHT_MAX: u64 = 1500;
/// How many kills in a hundred must cut something off, or the test tests nothing.
const KILLS_WITH_WORK_IN_A_HUNDRED: u64 = 90;

/// A run.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) rounds: u64,
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) explained: u64,
    pub(crate) lost: u64,
    pub(crate) strays: u64,
    pub(crate) duplicates: u64,
    pub(crate) in_flight: u64,
    pub(crate) in_flight_max: u64,
    pub(crate) answers_lost: u64,
    pub(crate) kills_with_work_in_flight: u64,
    pub(crate) longest_recovery_ms: u64,
    /// The exit code of the server that was asked to stop; `None` if a signal ended it.
    pub(crate) stop_code: Option<i32>,
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    /// The gates that do not hold.
    pub(crate) failed: Vec<String>,
    #[serde(skip)]
    pub(crate) findings: Vec<String>,
}

impl Report {
    /// Adds a kill that cut off so much.
    pub(crate) fn kill(&mut self, in_flight: u64) {
        self.rounds += 1;
        self.in_flight += in_flight;
        self.in_flight_max = self.in_flight_max.max(in_flight);
        self.kills_with_work_in_flight += u64::from(in_flight > 0);
    }

    /// Adds a start after a kill, and how long its first send took.
    pub(crate) fn recovery(&mut self, ms: u64) {
        self.longest_recovery_ms = self.longest_recovery_ms.max(ms);
    }

    /// Adds the verdict, and decides.
    pub(crate) fn close(mut self, verdict: Verdict) -> Report {
        let Verdict { accepted, delivered, explained, lost, duplicates, strays, findings } = verdict;
        (self.accepted, self.delivered, self.explained) = (accepted, delivered, explained);
        (self.lost, self.duplicates, self.strays) = (lost, duplicates, strays);
        self.findings = findings;
        self.failed = self.gates().into_iter().filter(|(holds, _)| !holds).map(|(_, gate)| gate).collect();
        self
    }

    pub(crate) fn holds(&self) -> bool {
        self.failed.is_empty()
    }

    fn gates(&self) -> [(bool, String); 8] {
        let Report { rounds, in_flight, answers_lost, .. } = self;
        let may = in_flight + answers_lost;
        let with_work = KILLS_WITH_WORK_IN_A_HUNDRED;
        [
            (self.accepted > 0, "accepted > 0".to_owned()),
            (self.lost == 0, "lost = 0".to_owned()),
            (self.strays == 0, "strays = 0".to_owned()),
            (self.duplicates <= may, format!("duplicates <= in_flight + answers_lost = {may}")),
            (self.in_flight_max <= IN_FLIGHT_MAX, format!("in_flight_max <= {IN_FLIGHT_MAX}")),
            (
                self.kills_with_work_in_flight * 100 >= rounds * with_work,
                format!("kills_with_work_in_flight >= {with_work} % of {rounds}"),
            ),
            (
                self.longest_recovery_ms <= RECOVERY_MS_MAX,
                format!("longest_recovery_ms <= {RECOVERY_MS_MAX}"),
            ),
            (self.stop_code == Some(0), "stop_code = 0".to_owned()),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("rounds", self.rounds),
            ("accepted", self.accepted),
            ("delivered", self.delivered),
            ("explained", self.explained),
            ("lost", self.lost),
            ("strays", self.strays),
            ("duplicates", self.duplicates),
            ("in flight at kills", self.in_flight),
            ("  at most", self.in_flight_max),
            ("  kills with any", self.kills_with_work_in_flight),
            ("answers lost", self.answers_lost),
            ("longest recovery, ms", self.longest_recovery_ms),
        ];
        for (name, value) in lines {
            writeln!(f, "{name:<22}{value:>10}")?;
        }
        write!(f, "{:<22}{:>10.1}", "seconds", self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> (Report, Verdict) {
        let mut report = Report { answers_lost: 2, stop_code: Some(0), ..Report::default() };
        report.kill(3);
        report.recovery(5000);
        (report, Verdict { accepted: 9, delivered: 8, explained: 1, duplicates: 5, ..Verdict::default() })
    }

    fn check(change: fn(&mut Report, &mut Verdict), gate: &str) {
        let (mut report, mut verdict) = good();
        change(&mut report, &mut verdict);
        let failed = report.close(verdict).failed;
        assert!(failed.len() == 1 && failed[0].starts_with(gate), "{gate}: {failed:?}");
    }

    #[test]
    fn a_good_run_holds() {
        let (report, verdict) = good();
        assert!(report.close(verdict).holds());
    }

    #[test]
    fn each_gate_fails_alone() {
        check(|_, verdict| verdict.accepted = 0, "accepted");
        check(|_, verdict| verdict.lost = 1, "lost");
        check(|_, verdict| verdict.strays = 1, "strays");
        check(|_, verdict| verdict.duplicates = 6, "duplicates");
        check(|report, _| report.kill(1501), "in_flight_max");
        check(|report, _| report.kill(0), "kills_with_work_in_flight");
        check(|report, _| report.recovery(5001), "longest_recovery_ms");
        check(|report, _| report.stop_code = Some(1), "stop_code");
        check(|report, _| report.stop_code = None, "stop_code");
    }
}
