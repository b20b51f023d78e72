//! What commands answer: text and JSON that are expected, and failures with their codes.

use std::process::Command;
use std::time::Duration;

use fcm_emulator::{FaultKind, Faults, TokenRule};
use serde_json::{Value, json};

use crate::load::DEADLINE;
use crate::program::{Installation, Served, run};

/// An id that nothing has.
pub(crate) const UNKNOWN: &str = "0192f0c1-2345-7000-8000-000000000000";

impl Served {
    /// What a command prints that succeeds, and says nothing beside it unless `note` is part of that.
    #[track_caller]
    pub(crate) fn told(&self, arguments: &[&str], note: &str) -> String {
        let (code, out, error) = run(&mut self.client(arguments));
        assert_eq!(code, 0, "{arguments:?}: {error}");
        let is_as_said = if note.is_empty() { error.is_empty() } else { error.contains(note) };
        assert!(is_as_said, "{arguments:?}: {error}");
        out
    }

    /// What a command answers in JSON that succeeds; nothing may stand beside it.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let out = self.told(&[arguments, &["--json"]].concat(), "");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    }

    /// Ends with a code and these words, and with `--json` in the same way.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], code: i32, words: &str) {
        expect_failure(&mut self.client(arguments), code, words);
        let (ended, _, error) = run(&mut self.client(&[arguments, &["--json"]].concat()));
        let shown: Value = serde_json::from_str(&error).unwrap_or_else(|wrong| panic!("{wrong}: {error}"));
        assert_eq!((ended, &shown["exit_code"]), (code, &json!(code)), "{error}");
        assert!(shown["error"].as_str().unwrap().contains(words), "{error}");
    }

    /// Looks at a command's JSON until it is as expected.
    pub(crate) async fn until(&self, arguments: &[&str], is_so: impl Fn(&Value) -> bool) -> Value {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let waiting = async {
            loop {
                let seen = self.json(arguments);
                if is_so(&seen) {
                    return seen;
                }
                ticks.tick().await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.expect("it comes to be so")
    }

    /// The id of what `send` accepts.
    pub(crate) fn sent(&self, arguments: &[&str]) -> String {
        let accepted = self.json(&[&["send", "--title", "t"], arguments].concat());
        accepted["id"].as_str().unwrap().to_owned()
    }
}

#[track_caller]
pub(crate) fn expect_failure(command: &mut Command, code: i32, words: &str) {
    let (ended, _, error) = run(command);
    assert_eq!(ended, code, "{command:?}: {error}");
    assert!(error.contains(words), "{command:?}: {error}");
}

/// An installation whose provider answers to tokens by their beginnings.
pub(crate) async fn with_faults(rules: &[(&str, FaultKind)]) -> Installation {
    let installation = Installation::make().await;
    set_faults(&installation, rules);
    installation
}

pub(crate) fn set_faults(installation: &Installation, rules: &[(&str, FaultKind)]) {
    let rule = |(prefix, answer): &(&str, FaultKind)| TokenRule {
        prefix: (*prefix).to_owned(),
        answer: *answer,
        first: None,
        status: None,
    };
    let tokens = rules.iter().map(rule).collect();
    installation.emulator.set_faults(Faults { tokens, ..Faults::default() }).unwrap();
}
