//! The reference of the configuration as text: for the guide, as an example file, for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::reference::{KEYS, Key, Kind, SECTIONS};

/// What stands for the name of a project in the example file.
const EXAMPLE_NAME: &str = "my-app";

const TOML_HEAD: &str = "\
## Pabal's configuration, with every key that there is. What begins with one '#' is a key with its default, or with
## an example where it says so: remove the '#' to set it. Every key can also be given as the variable that is named,
## which wins, and with _FILE at its end as a file that holds the value.
";

/// The reference as Markdown: a table for each section.
pub fn markdown() -> String {
    let mut text = String::new();
    for (section, about) in SECTIONS {
        let title = match *section {
            "" => format!("### {about}"),
            section => format!("### `[{}]`: {}", named(section, "NAME"), lower_first(about)),
        };
        let rows: Vec<String> = keys_of(section).map(row).collect();
        let head = "| key | variable | default | holds | meaning |\n| --- | --- | --- | --- | --- |";
        write(&mut text, format_args!("{title}\n\n{head}\n{}\n\n", rows.join("\n")));
    }
    text.trim_end().to_owned() + "\n"
}

fn row(key: &Key) -> String {
    let default = match (key.is_required, key.default) {
        (true, _) => "required".to_owned(),
        (false, "") => String::new(),
        (false, default) => format!("`{default}`"),
    };
    let variable = key.variable().replace('*', "NAME");
    let path = named(key.path, "NAME");
    format!("| `{path}` | `{variable}` | {default} | {} | {} |", holds(key), key.meaning)
}

/// What a key may hold, in words.
fn holds(key: &Key) -> String {
    let kind = match key.kind {
        Kind::Text if key.limit.is_empty() => "text".to_owned(),
        Kind::Text => String::new(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
        Kind::Path => "path".to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Backend => "URL".to_owned(),
        Kind::Number { least } => {
            let unit = key.unit().unwrap_or("number");
            if key.limit.is_empty() { format!("{unit}, {least} or more") } else { unit.to_owned() }
        }
    };
    let secret = if key.is_secret { "secret" } else { "" };
    let parts = [kind.as_str(), key.limit, secret];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// An example file with every key. As it is, it is a configuration that works for one project.
pub fn toml() -> String {
    let mut text = TOML_HEAD.to_owned();
    for (section, about) in SECTIONS {
        write(&mut text, format_args!("\n## {about}.\n"));
        if !section.is_empty() {
            write(&mut text, format_args!("[{}]\n", named(section, EXAMPLE_NAME)));
        }
        for key in keys_of(section) {
            write(&mut text, format_args!("\n{}", toml_key(key)));
        }
    }
    text
}

fn toml_key(key: &Key) -> String {
    let (_, name) = key.split();
    let value = if key.default.is_empty() { key.example } else { key.default };
    let value = match key.kind {
        Kind::Number { .. } | Kind::Flag => value.to_owned(),
        // As JSON writes a string, so does TOML.
        Kind::Text | Kind::Choice(_) | Kind::Path | Kind::Backend => Value::from(value).to_string(),
    };
    let example = if key.default.is_empty() && !key.is_required { " There is no default." } else { "" };
    let off = if key.is_required { "" } else { "#" };
    let variable = key.variable().replace('*', &EXAMPLE_NAME.to_uppercase().replace('-', "_"));
    format!("## {}{example}\n## {variable}: {}\n{off}{name} = {value}\n", key.meaning, holds(key))
}

/// The example file with every key set.
#[cfg(test)]
pub(super) fn toml_uncommented() -> String {
    let uncommented = |line: &str| line.strip_prefix('#').unwrap_or(line).to_owned() + "\n";
    toml().lines().map(uncommented).collect()
}

/// The reference for programs: a list of keys.
pub fn json() -> Value {
    KEYS.iter().map(json_key).collect()
}

fn json_key(key: &Key) -> Value {
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    let (kind, choices, least) = match key.kind {
        Kind::Text => ("text", None, None),
        Kind::Choice(words) => ("choice", Some(words), None),
        Kind::Path => ("path", None, None),
        Kind::Flag => ("flag", None, None),
        Kind::Backend => ("url", None, None),
        Kind::Number { least } => ("number", None, Some(least)),
    };
    let default = match key.kind {
        Kind::Number { .. } => key.default.parse::<u64>().map_or(Value::Null, Value::from),
        Kind::Flag => key.default.parse::<bool>().map_or(Value::Null, Value::from),
        Kind::Text | Kind::Choice(_) | Kind::Path | Kind::Backend => text(key.default),
    };
    json!({
        "key": named(key.path, "NAME"),
        "variable": key.variable().replace('*', "NAME"),
        "kind": kind,
        "choices": choices,
        "least": least,
        "unit": key.unit(),
        "limit": text(key.limit),
        "default": default,
        "example": text(key.example),
        "required": key.is_required,
        "secret": key.is_secret,
        "meaning": key.meaning,
    })
}

fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.split().0 == section)
}

fn named(path: &str, name: &str) -> String {
    path.replace('*', name)
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().unwrap_or_default();
    // A word that goes on in capitals is a name.
    if letters.clone().next().is_some_and(char::is_uppercase) {
        return text.to_owned();
    }
    first.to_lowercase().chain(letters).collect()
}

fn write(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    text.write_fmt(arguments).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const BEGIN: &str = "<!-- begin generated: pabal config reference -->\n";
    const END: &str = "<!-- end generated -->";

    #[test]
    fn the_guide_holds_what_is_generated() {
        let guide = include_str!("../../../../docs/guide/configuration.md");
        let (_, rest) = guide.split_once(BEGIN).expect("the guide has the mark where the reference begins");
        let (found, _) = rest.split_once(END).expect("the guide has the mark where the reference ends");
        assert!(
            found == markdown(),
            "docs/guide/configuration.md is not what is generated: run 'cargo xtask generate'"
        );
    }

    fn load(toml: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pabal.toml");
        std::fs::write(&file, toml).unwrap();
        Config::load(Some(&file), []).unwrap()
    }

    #[test]
    fn the_example_file_works_as_it_is_and_changes_nothing() {
        let mut config = load(&toml());
        let projects = std::mem::take(&mut config.fcm.projects);
        assert_eq!(projects.keys().map(|name| name.as_str()).collect::<Vec<_>>(), [EXAMPLE_NAME]);
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn the_example_file_loads_with_every_line_uncommented() {
        let text = toml_uncommented();
        let config = load(&text);
        assert_eq!(config.fcm.projects.len(), 1);
        let set: toml::Table = text.parse().unwrap();
        let is_set = |key: &&Key| {
            let mut place = Some(&toml::Value::Table(set.clone())).cloned();
            for part in named(key.path, EXAMPLE_NAME).split('.') {
                place = place.and_then(|value| value.get(part).cloned());
            }
            place.is_some()
        };
        assert!(KEYS.iter().all(|key| is_set(&key)));
    }

    #[test]
    fn numbers_are_numbers_for_programs() {
        let json = json();
        let port = json.as_array().unwrap().iter().find(|key| key["key"] == "retry.attempts_max").unwrap();
        assert_eq!((&port["default"], &port["least"]), (&Value::from(40), &Value::from(1)));
    }
}
