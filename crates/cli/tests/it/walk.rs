//! Walks through a page of the guide: runs its commands as they stand there, in one shell, and holds what they print
//! against what the page says they print.
//!
//! Between `<!-- begin tested -->` and `<!-- end tested -->` each `sh` block is a step. A `json` or `text` block after it is
//! its output, in which `…` stands for anything. Blocks of other languages are for readers.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

const BEGIN: &str = "<!-- begin tested -->";
const END: &str = "<!-- end tested -->";
/// What is printed before each step, so that their outputs can be told apart.
const MARK: &str = "@@ step ";
const DEADLINE: Duration = Duration::from_secs(120);

/// Commands of a page, and what they print.
pub(crate) struct Step {
    commands: String,
    output: Option<Quoted>,
}

/// Output as a page has it.
enum Quoted {
    Json(Value),
    Text(String),
}

impl Step {
    /// A step that is not on the page.
    pub(crate) fn of(commands: &str, output: Option<&str>) -> Step {
        Step { commands: commands.to_owned(), output: output.map(|text| Quoted::Text(text.to_owned())) }
    }
}

/// The steps of a page.
pub(crate) fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let tested =
        page.split(BEGIN).skip(1).map(|rest| rest.split_once(END).expect("every begin has an end").0);
    for (language, text) in tested.flat_map(blocks) {
        let output = match language {
            "sh" => {
                steps.push(Step { commands: text, output: None });
                continue;
            }
            "json" => {
                Quoted::Json(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
            }
            "text" => Quoted::Text(text),
            _ => continue,
        };
        let step = steps.last_mut().expect("an output follows its commands");
        assert!(step.output.replace(output).is_none(), "a second output of: {}", step.commands);
    }
    steps
}

/// The fenced blocks of a page: language and content.
pub(crate) fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(language), false) => blocks.push((language, String::new())),
            (Some(_), true) => {}
            (None, true) => {
                let (_, text) = blocks.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
                continue;
            }
            (None, false) => continue,
        }
        inside = !inside;
    }
    assert!(!inside, "a block has no end");
    blocks
}

/// Runs the steps in a folder, each `replaced` by what is fixed on the page and can't be in a test, as ports.
pub(crate) async fn walk(steps: &[Step], folder: &Path, replaced: &[(&str, &str)]) {
    let mut script = "set -euo pipefail\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        let commands = replaced.iter().fold(step.commands.clone(), |text, (from, to)| text.replace(from, to));
        script.push_str(&format!("printf '\\n{MARK}{number}\\n'\n{commands}\n"));
    }
    let printed = run(&script, folder).await;
    let outputs: Vec<&str> = printed.split(MARK).skip(1).collect();
    assert_eq!(outputs.len(), steps.len(), "it ended before its last step:\n{printed}");
    for (number, (step, output)) in steps.iter().zip(outputs).enumerate() {
        let (_, output) = output.split_once('\n').unwrap();
        let back = replaced.iter().fold(output.to_owned(), |text, (from, to)| text.replace(to, from));
        if let Some(Err(problem)) = step.output.as_ref().map(|quoted| quoted.compare(back.trim())) {
            panic!("step {number}: {problem}\nit ran:\n{}\nand printed:\n{back}", step.commands);
        }
    }
}

/// Runs a script to its end, which must be a good one, and gives what it printed.
async fn run(script: &str, folder: &Path) -> String {
    let (out, error) = (folder.join("walk.out"), folder.join("walk.err"));
    let file = |path: &Path| Stdio::from(std::fs::File::create(path).unwrap());
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(folder).process_group(0);
    command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&error));
    for (name, _) in std::env::vars().filter(|(name, _)| crate::program::is_setting(name)) {
        command.env_remove(name);
    }
    let program = Path::new(env!("CARGO_BIN_EXE_pabal")).parent().unwrap().display();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = command.env("PATH", format!("{program}:{path}")).spawn().unwrap();
    let group = Group(child.id().unwrap());
    let ended = tokio::time::timeout(DEADLINE, child.wait()).await;
    drop(group);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let (out, error) = (read(&out), read(&error));
    let status = ended.unwrap_or_else(|_| panic!("no end within {DEADLINE:?}:\n{out}\n{error}")).unwrap();
    assert!(status.success(), "{status}:\n{out}\n{error}");
    out
}

/// A shell and what it started. Killed when dropped: a walk that fails half-way leaves nothing running.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody may be left in it.
        let mut kill = std::process::Command::new("kill");
        kill.args(["-KILL", "--", &format!("-{}", self.0)])
            .stderr(Stdio::null())
            .status()
            .map(drop)
            .unwrap_or_default();
    }
}

impl Quoted {
    fn compare(&self, printed: &str) -> Result<(), String> {
        match self {
            Quoted::Json(quoted) => {
                let printed: Value = serde_json::from_str(printed).map_err(|error| error.to_string())?;
                compare_json("", quoted, &printed)
            }
            Quoted::Text(quoted) => compare_lines(quoted, printed),
        }
    }
}

/// What takes time is another number each time; everything else is as it is quoted.
fn compare_json(key: &str, quoted: &Value, printed: &Value) -> Result<(), String> {
    let differs = || Err(format!("{key} is {printed}, where the page says {quoted}"));
    match (quoted, printed) {
        (Value::String(quoted), _) if quoted == "…" && !printed.is_null() => Ok(()),
        (Value::String(quoted), Value::String(printed)) if fits(quoted, printed) => Ok(()),
        (Value::Number(_), Value::Number(_)) if key.ends_with("_ms") => Ok(()),
        (Value::Array(quoted), Value::Array(printed)) if quoted.len() == printed.len() => {
            quoted.iter().zip(printed).try_for_each(|(quoted, printed)| compare_json(key, quoted, printed))
        }
        (Value::Object(quoted), Value::Object(printed)) if quoted.keys().eq(printed.keys()) => {
            quoted.iter().try_for_each(|(key, quoted)| compare_json(key, quoted, &printed[key]))
        }
        _ if quoted == printed => Ok(()),
        _ => differs(),
    }
}

/// Line by line; a line that is `…` alone is any number of lines. How wide columns are depends on what is in them.
fn compare_lines(quoted: &str, printed: &str) -> Result<(), String> {
    let mut left = printed.lines().map(squeezed).filter(|line| !line.is_empty());
    let mut may_skip = false;
    for quoted in quoted.lines().map(squeezed).filter(|line| !line.is_empty()) {
        if quoted == "…" {
            may_skip = true;
            continue;
        }
        let found = if may_skip { left.find(|line| fits(&quoted, line)) } else { left.next() };
        match found {
            Some(line) if fits(&quoted, &line) => may_skip = false,
            Some(line) => return Err(format!("'{line}' is printed, where the page says '{quoted}'")),
            None => return Err(format!("'{quoted}' is not printed")),
        }
    }
    match left.next() {
        Some(line) if !may_skip => Err(format!("'{line}' is printed, and not on the page")),
        _ => Ok(()),
    }
}

/// With one space where there are more.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text is what is quoted, where `…` stands for anything.
fn fits(quoted: &str, text: &str) -> bool {
    let Some((before, after)) = quoted.split_once('…') else { return quoted == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| fits(after, &rest[at..]))
}

#[test]
fn quotes_are_held_to_what_is_printed() {
    for (quoted, text, does) in [
        ("a … c", "a bb c", true),
        ("a … c", "a bb d", false),
        ("…", "", true),
        ("… (1 delivery)", "x (2 deliveries)", false),
        ("a", "a b", false),
    ] {
        assert_eq!(fits(quoted, text), does, "{quoted} {text}");
    }
    assert!(compare_lines("a  b\n…\nd", "a b\nc\nc\nd\n").is_ok());
    assert!(compare_lines("a\n…\nd", "a\nc\n").is_err());
    assert!(compare_lines("a\n", "a\nb\n").is_err());
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let quoted = json(r#"{"id": "…", "n": 1, "latency_ms": 2}"#);
    let check = |text: &str| compare_json("", &quoted, &json(text)).is_ok();
    assert!(check(r#"{"id": "x", "n": 1, "latency_ms": 7}"#));
    assert!(!check(r#"{"id": "x", "n": 2, "latency_ms": 7}"#));
    assert!(!check(r#"{"id": null, "n": 1, "latency_ms": 7}"#));
    assert!(!check(r#"{"id": "x", "n": 1, "latency_ms": 7, "more": 1}"#));
}
