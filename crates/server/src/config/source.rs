//! Where the values come from: the file, then the variables laid over it; and who is to blame for one that is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::ConfigError;
use super::reference::{KEYS, Key, Kind};
use crate::shape::Misfit;

const PREFIX: &str = "PABAL_";
/// The value is in the file that the variable names: for secrets that are mounted as files.
const FILE_SUFFIX: &str = "_FILE";
/// Variables of the command line's own.
const FOREIGN: [&str; 3] = ["PABAL_URL", "PABAL_CONFIG", "PABAL_CA"];
/// What Kubernetes and Docker set for a service that is called `pabal`.
const FOREIGN_PREFIXES: [&str; 2] = ["PABAL_SERVICE_", "PABAL_PORT"];

/// All values, and which variable gave which.
pub(super) struct Source {
    file: String,
    value: Value,
    by_variable: BTreeMap<String, String>,
}

impl Source {
    /// Reads the file; without one there is nothing yet.
    pub(super) fn read(file: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = file else {
            let value = Value::Object(Map::new());
            return Ok(Self { file: "configuration".to_owned(), value, by_variable: BTreeMap::new() });
        };
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            origin: file.clone(),
            problem: format!("can't be read: {error}"),
        })?;
        let mut source = Self::parse(file, &text)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            anchor(&mut source.value, folder);
        }
        Ok(source)
    }

    /// Reads the text of a file.
    pub(super) fn parse(file: String, text: &str) -> Result<Self, ConfigError> {
        let value: Value = toml::from_str(text).map_err(|error| {
            // The error's own display quotes the line, which may hold a secret.
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            let problem = format!("line {line} is not TOML: {}", error.message());
            ConfigError { origin: file.clone(), problem }
        })?;
        Ok(Self { file, value, by_variable: BTreeMap::new() })
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// Lays the variables over what is there.
    pub(super) fn lay_over(&mut self, variables: &[(String, String)]) -> Result<(), ConfigError> {
        let is_ours = |name: &str| name.starts_with(PREFIX) && !is_foreign(name);
        let ours: BTreeMap<&String, &String> =
            variables.iter().filter(|(name, _)| is_ours(name)).map(|(name, value)| (name, value)).collect();
        for (&name, &given) in &ours {
            let fail = |problem: String| ConfigError { origin: name.clone(), problem };
            let from_file = name.strip_suffix(FILE_SUFFIX).filter(|plain| self.key_of(plain).is_some());
            let plain = from_file.unwrap_or(name);
            let Some((key, path)) = self.key_of(plain) else {
                return Err(fail("is no key of the configuration".to_owned()));
            };
            if from_file.is_some() && ours.keys().any(|known| *known == plain) {
                return Err(fail(format!("{plain} is given too; leave one out")));
            }
            let text = match from_file {
                Some(_) => std::fs::read_to_string(given)
                    .map_err(|error| fail(format!("can't read {given}: {error}")))?
                    .trim_end()
                    .to_owned(),
                None => given.clone(),
            };
            let value = typed(key, text).map_err(&fail)?;
            set(&mut self.value, &path, value);
            self.by_variable.insert(path.join("."), name.clone());
        }
        Ok(())
    }

    /// Says where a misfit comes from.
    pub(super) fn blame(&self, misfit: &Misfit) -> ConfigError {
        let origin = self.by_variable.get(&misfit.path).unwrap_or(&self.file);
        ConfigError { origin: origin.clone(), problem: misfit.to_string() }
    }

    /// The key that a variable means, and its path with the operator's own names in it.
    fn key_of(&self, variable: &str) -> Option<(&'static Key, Vec<String>)> {
        KEYS.iter().find_map(|key| {
            let pattern = key.variable();
            let name = match pattern.split_once('*') {
                None => (pattern == variable).then(String::new)?,
                Some((before, after)) => {
                    let name = variable.strip_prefix(before)?.strip_suffix(after)?;
                    if name.is_empty() {
                        return None;
                    }
                    self.project_named(name)
                }
            };
            let part = |part: &str| if part == "*" { name.clone() } else { part.to_owned() };
            Some((key, key.path.split('.').map(part).collect()))
        })
    }

    /// The project in the file whose name a variable can mean, or else the name as Firebase writes its ids.
    fn project_named(&self, in_variable: &str) -> String {
        let as_in_variable = |name: &str| {
            let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            name.chars().map(letter).collect::<String>()
        };
        let projects = self.value.pointer("/fcm/projects").and_then(Value::as_object);
        let known = projects.into_iter().flat_map(Map::keys).find(|name| as_in_variable(name) == in_variable);
        known.cloned().unwrap_or_else(|| in_variable.to_lowercase().replace('_', "-"))
    }
}

fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name) || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn typed(key: &Key, text: String) -> Result<Value, String> {
    match key.kind {
        Kind::Text | Kind::Choice(_) | Kind::Path | Kind::Backend => Ok(Value::String(text)),
        Kind::Flag => text.parse().map(Value::Bool).map_err(|_| "must be true or false".to_owned()),
        Kind::Number { .. } => match text.parse::<u64>() {
            Ok(number) => Ok(Value::from(number)),
            Err(_) => Err("must be a whole number".to_owned()),
        },
    }
}

/// Puts a value at a path. What is in the way and no table is replaced: the variable wins.
fn set(root: &mut Value, path: &[String], value: Value) {
    let mut place = root;
    for part in path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(fields) = place else { return };
        place = fields.entry(part.clone()).or_insert(Value::Null);
    }
    *place = value;
}

/// Makes the relative paths of a file start at the file's folder.
fn anchor(root: &mut Value, folder: &Path) {
    for key in KEYS.iter().filter(|key| matches!(key.kind, Kind::Path | Kind::Backend)) {
        let parts: Vec<&str> = key.path.split('.').collect();
        visit(root, &parts, &mut |text| match key.kind {
            Kind::Path => *text = folder.join(&*text).display().to_string(),
            Kind::Backend => {
                if let Some(path) = text.strip_prefix("sqlite://") {
                    *text = format!("sqlite://{}", folder.join(path).display());
                }
            }
            Kind::Text | Kind::Choice(_) | Kind::Number { .. } | Kind::Flag => {}
        });
    }
}

fn visit(value: &mut Value, path: &[&str], change: &mut dyn FnMut(&mut String)) {
    match (path, value) {
        ([], Value::String(text)) => change(text),
        (["*", rest @ ..], Value::Object(fields)) => {
            fields.values_mut().for_each(|field| visit(field, rest, change));
        }
        ([name, rest @ ..], Value::Object(fields)) => {
            if let Some(field) = fields.get_mut(*name) {
                visit(field, rest, change);
            }
        }
        _ => {}
    }
}
