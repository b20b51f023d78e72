//! What the command line says about itself.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{pabal, run};

#[test]
fn the_guides_page_is_what_the_program_says() {
    let (code, out, error) = run(&mut pabal(&["help-markdown"]));
    assert_eq!((code, error.as_str()), (0, ""));
    let page = include_str!("../../../../docs/guide/cli.md");
    assert!(out == page, "docs/guide/cli.md is not what is generated: run 'cargo xtask generate'");
}

#[test]
fn every_exit_code_is_explained() {
    let (_, out, _) = run(&mut pabal(&["help-markdown"]));
    let errors = include_str!("../../../../docs/guide/errors.md");
    let (_, table) = out.split_once("## Exit codes").unwrap();
    let codes: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).skip(1).collect();
    assert_eq!(codes.len(), 9, "{codes:?}");
    for code in codes.into_iter().skip(1) {
        assert!(errors.contains(&format!("\n| {code} | ")), "{code}");
    }
}

#[test]
fn what_is_misspelt_gets_the_nearest_word() {
    for (arguments, nearest) in [
        (&["serv"][..], "serve"),
        (&["config", "chek"], "check"),
        (&["send", "--to-user", "a", "--titel", "t"], "--title"),
        (&["completions", "bsh"], "bash"),
    ] {
        let (code, out, error) = run(&mut pabal(arguments));
        assert_eq!((code, out.as_str()), (2, ""));
        let tip = error.lines().find(|line| line.contains("tip:")).unwrap_or_default();
        assert!(tip.contains(&format!("'{nearest}'")), "{error}");
    }
}

#[test]
fn every_command_shows_examples_and_exit_codes() {
    for command in [&["serve"][..], &["send"], &["status"], &["config", "check"], &["emulator", "fcm"]] {
        let (code, out, _) = run(&mut pabal(&[command, &["--help"]].concat()));
        assert_eq!(code, 0);
        assert!(out.contains("Examples:\n  # ") && out.contains("Exit codes:\n  0         done\n"), "{out}");
    }
}

#[test]
fn completions_are_scripts_that_shells_take() {
    for (shell, part) in [("bash", "complete -F"), ("zsh", "#compdef pabal"), ("fish", "complete -c pabal")] {
        let (code, script, _) = run(&mut pabal(&["completions", shell]));
        assert_eq!(code, 0);
        assert!(script.contains(part) && script.contains("idempotency-key"), "{shell}: {script}");
        let (_, json, _) = run(&mut pabal(&["completions", shell, "--json"]));
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((json["shell"].as_str(), json["script"].as_str()), (Some(shell), Some(script.as_str())));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pabal.bash");
    std::fs::write(&file, run(&mut pabal(&["completions", "bash"])).1).unwrap();
    assert!(Command::new("bash").arg("-n").arg(file).status().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut command = pabal(&["config", "reference"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_reference_comes_in_three_forms() {
    let (_, markdown, _) = run(&mut pabal(&["config", "reference"]));
    assert!(markdown.contains("| `listen` | `PABAL_LISTEN` | `127.0.0.1:8080` | "), "{markdown}");
    let (_, json, _) = run(&mut pabal(&["config", "reference", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json[0]["key"].as_str(), json[0]["secret"].as_bool()), (Some("listen"), Some(false)));
    let folder = tempfile::tempdir().unwrap();
    let (_, toml, _) = run(&mut pabal(&["config", "reference", "--toml"]));
    std::fs::write(folder.path().join("pabal.toml"), &toml).unwrap();
    // All that is missing is the key file that it names.
    let mut command = pabal(&["config", "check", "--config", "pabal.toml"]);
    let (code, out, _) = run(command.current_dir(folder.path()).env("PABAL_LISTEN", "127.0.0.1:0"));
    assert_eq!((code, out.matches("PROBLEM").count()), (6, 1), "{out}");
    assert!(out.contains("PROBLEM fcm.projects.my-app.service_account: can't read"), "{out}");
}
