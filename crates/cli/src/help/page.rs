//! The guide's page about the command line, made of what the parser knows.

use clap::{Arg, Command};

use super::{GROUPS, examples_of, examples_text};
use crate::failure::EXIT_CODES;

const HEAD: &str = "\
# The command line

Everything is one binary, `pabal`. This page is what `pabal help` says, command by command: `cargo xtask generate` writes
it.

Commands that speak to a server find it by `--url` or `PABAL_URL` and show their key by `--api-key` or `PABAL_API_KEY`;
they are clients of the [HTTP API](api.md) like any other. Answers are for people; with `--json` they are one JSON value
on standard output, and failures one on standard error: `{\"error\": \"…\", \"exit_code\": 4}`.
";

/// The page, in Markdown.
pub(crate) fn page(mut command: Command) -> String {
    command.build();
    let mut text = HEAD.to_owned();
    for (title, names) in GROUPS {
        let in_group: Vec<&Command> = names.iter().filter_map(|name| command.find_subcommand(name)).collect();
        let in_group: String =
            in_group.into_iter().filter(|sub| sub.get_name() != "help").map(|sub| chapter(sub, "")).collect();
        text.push_str(&format!("\n## {title}\n{in_group}"));
    }
    text.push_str(&exit_codes());
    text
}

/// A command, and those below it.
fn chapter(command: &Command, above: &str) -> String {
    let path = format!("{above} {}", command.get_name()).trim_start().to_owned();
    let below = command.get_subcommands().filter(|sub| sub.get_name() != "help");
    let below: String = below.map(|sub| chapter(sub, &path)).collect();
    if command.is_subcommand_required_set() {
        return below;
    }
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let about = about.trim_end_matches('.');
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let examples = examples_of(&path).map(examples_text).unwrap_or_default();
    let examples: String = examples.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    format!(
        "\n### pabal {path}\n\n{about}.\n\n```text\n{usage}\n```\n{}\n```sh\n{examples}```\n{below}",
        options(command)
    )
}

fn options(command: &Command) -> String {
    let own =
        |arg: &&Arg| !arg.is_hide_set() && !["help", "version", "json"].contains(&arg.get_id().as_str());
    let rows: String = command.get_arguments().filter(own).map(row).collect();
    if rows.is_empty() {
        String::new()
    } else {
        format!("\n| option | default | meaning |\n| --- | --- | --- |\n{rows}")
    }
}

fn row(arg: &Arg) -> String {
    let takes: Vec<String> = match arg.get_action().takes_values() {
        true => arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect(),
        false => Vec::new(),
    };
    let long = arg.get_long().map(|long| format!("--{long}"));
    let shown: Vec<String> = long.into_iter().chain(takes).collect();
    let defaults = arg.get_default_values().iter().filter(|_| arg.get_action().takes_values());
    let defaults = defaults.map(|value| format!("`{}`", value.to_string_lossy()));
    let variable = arg.get_env().map(|name| format!("the variable `{}`", name.to_string_lossy()));
    let default: Vec<String> = variable.into_iter().chain(defaults).collect();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let words = arg.get_possible_values();
    let words: Vec<String> = words.iter().map(|word| format!("`{}`", word.get_name())).collect();
    let one_of = if words.is_empty() || !arg.get_action().takes_values() {
        String::new()
    } else {
        format!(": {}", words.join(", "))
    };
    format!("| `{}` | {} | {help}{one_of}. |\n", shown.join(" "), default.join(", else "))
}

fn exit_codes() -> String {
    let rows: String = EXIT_CODES.iter().map(|(code, meaning)| format!("| {code} | {meaning} |\n")).collect();
    format!(
        "\n## Exit codes\n\nWhat each means in full is in [errors](errors.md#exit-codes-of-the-command-line).\n\n| code | meaning |\n| --- | --- |\n{rows}"
    )
}
