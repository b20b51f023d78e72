//! What the command line says about itself: groups of commands, examples that tests run through the parser, exit codes;
//! and all of it as the guide's page.

mod examples;
mod page;

use clap::{Command, CommandFactory};

use self::examples::EXAMPLES;
pub(crate) use self::page::page;
use crate::Cli;
use crate::failure::EXIT_CODES;

/// The commands, by what one wants. A test finds every command in one of them.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Run", &["serve", "emulator"]),
    ("Send and follow", &["send", "status", "notifications", "deliveries", "stats", "top"]),
    ("What did not arrive", &["dead-letters"]),
    ("People and access", &["devices", "users", "keys", "apps"]),
    ("Look after it", &["config", "migrate", "backup"]),
    ("About this program", &["completions", "help"]),
];

/// What a newcomer does.
const FIRST_STEPS: [(&str, &str); 3] = [
    ("pabal serve --demo", "try it all on this machine: a server, an FCM emulator, 20,000 notifications"),
    (
        "pabal config reference --toml > pabal.toml",
        "write a configuration; start with pabal serve --config pabal.toml",
    ),
    (
        "pabal send --to-token TOKEN --title Hello",
        "send one to a device, and see what comes of it with pabal status",
    ),
];

/// The command line with its help.
pub(crate) fn command() -> Command {
    let mut command = with_examples(Cli::command(), "");
    let template = format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{}{}\n{}\n{{options}}\n\n{}",
        groups(&command),
        first_steps(&command),
        heading(&command, "Options:"),
        exit_codes(&command),
    );
    command = command.help_template(template);
    command
}

/// Adds its examples to each command, and to the long help the exit codes.
fn with_examples(command: Command, path: &str) -> Command {
    let commands: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let with_own = match examples_of(path) {
        Some(examples) => {
            let text = format!("{}\n{}", heading(&command, "Examples:"), examples_text(examples));
            let long = format!("{text}\n{}", exit_codes(&command));
            command.after_help(text.trim_end().to_owned()).after_long_help(long)
        }
        None => command,
    };
    commands.into_iter().fold(with_own, |command, name| {
        let path = format!("{path} {name}").trim_start().to_owned();
        command.mut_subcommand(name, |sub| with_examples(sub, &path))
    })
}

/// The examples of a command, by its path without `pabal`.
fn examples_of(path: &str) -> Option<&'static [(&'static str, &'static str)]> {
    EXAMPLES.iter().find(|(of, _)| *of == path).map(|(_, examples)| *examples)
}

fn examples_text(examples: &[(&str, &str)]) -> String {
    examples.iter().map(|(line, what)| format!("  # {what}\n  {line}\n")).collect()
}

fn groups(command: &Command) -> String {
    let names = GROUPS.iter().flat_map(|(_, names)| names.iter());
    let width = names.map(|name| name.len()).max().unwrap_or_default();
    let row = |name: &&str| format!("  {name:<width$}  {}\n", about(command, name));
    let group = |(title, names): &(&str, &[&str])| {
        let rows: String = names.iter().map(row).collect();
        format!("{}\n{rows}\n", heading(command, &format!("{title}:")))
    };
    GROUPS.iter().map(group).collect()
}

/// What a command does, in one line.
fn about(command: &Command, name: &str) -> String {
    match command.find_subcommand(name).and_then(Command::get_about) {
        Some(about) => about.to_string(),
        // The parser adds `help` later.
        None => "Tell more about a command, as pabal help send".to_owned(),
    }
}

fn first_steps(command: &Command) -> String {
    let steps: String = FIRST_STEPS.iter().map(|(line, what)| format!("  # {what}\n  {line}\n")).collect();
    format!("{}\n{steps}", heading(command, "To begin with:"))
}

fn exit_codes(command: &Command) -> String {
    let codes: String =
        EXIT_CODES.iter().map(|(code, meaning)| format!("  {code:<8}  {meaning}\n")).collect();
    format!("{}\n{}", heading(command, "Exit codes:"), codes.trim_end())
}

/// A heading as the parser's own are, which loses its colour where there is none.
fn heading(command: &Command, text: &str) -> String {
    let style = command.get_styles().get_header();
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let all = command();
        let shown = all.get_subcommands().filter(|sub| !sub.is_hide_set()).map(Command::get_name);
        let mut there: Vec<&str> = shown.chain(["help"]).collect();
        grouped.sort_unstable();
        there.sort_unstable();
        assert_eq!(grouped, there);
    }

    /// The paths of the commands that do something.
    fn leaves(command: &Command, path: &str) -> Vec<String> {
        let subs: Vec<&Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).collect();
        let does_something = !command.is_subcommand_required_set();
        let own = does_something.then(|| path.to_owned());
        let below = |sub: &&Command| leaves(sub, format!("{path} {}", sub.get_name()).trim_start());
        own.into_iter().chain(subs.iter().flat_map(below)).collect()
    }

    #[test]
    fn every_command_has_examples_and_no_other_has() {
        let mut there = leaves(&command(), "");
        let mut here: Vec<&str> = EXAMPLES.iter().map(|(path, _)| *path).collect();
        there.sort_unstable();
        here.sort_unstable();
        assert_eq!(here, there);
    }

    /// The words of a line, as a shell would have them.
    fn words(line: &str) -> Vec<String> {
        let line = line.split(" > ").next().unwrap();
        let mut words = vec![String::new()];
        let mut quoted = None;
        for c in line.chars() {
            match (c, quoted) {
                ('\'' | '"', None) => quoted = Some(c),
                (c, Some(quote)) if c == quote => quoted = None,
                (' ', None) => words.push(String::new()),
                (c, _) => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    #[test]
    fn every_example_is_a_line_that_is_understood() {
        let examples =
            EXAMPLES.iter().flat_map(|(path, examples)| examples.iter().map(move |(line, _)| (*path, *line)));
        for (path, line) in examples.chain(FIRST_STEPS.iter().map(|(line, _)| ("", *line))) {
            let words = words(line);
            assert!(words.join(" ").starts_with(&format!("pabal {path}")), "{line} is no example of {path}");
            if let Err(error) = command().try_get_matches_from(words) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn the_help_teaches_a_newcomer() {
        let help = command().render_help().to_string();
        for part in [
            "Run:\n  serve ",
            "To begin with:",
            "pabal serve --demo\n",
            "--json",
            "Exit codes:\n  0         done\n",
        ] {
            assert!(help.contains(part), "{part}: {help}");
        }
    }
}
