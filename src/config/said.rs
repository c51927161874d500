//! What was said: the compiled-in file, the operator's file and the variables, laid over one
//! another, each key remembering who said it.
//!
//! A tree and not a derived struct: deserializing stops at the first value of the wrong type,
//! and we owe the operator all of them at once. What it means is decided in `reader`.

use super::problem::Problem;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use toml::{Table, Value};

/// Our variables begin so.
const PREFIX: &str = "RINGFENCE_";
/// Variables that begin so but are no settings.
const NOT_SETTINGS: [&str; 3] = ["RINGFENCE_SECRET_", "RINGFENCE_BOOTSTRAP_KEY", "RINGFENCE_OPERATOR_KEY"];

/// Who said a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody: it is the default.
    Default,
    /// The operator's file.
    File,
    /// The variable of this name.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File => f.write_str("file"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// Everything that was said. Nothing here is checked yet, and nothing here is printed: an
/// operator may have put a secret where none belongs.
pub struct RawSettings {
    pub(super) tree: Table,
    origins: BTreeMap<String, Origin>,
    /// The exact text of what variables said, for keys whose value is a text that
    /// happens to look like a number or a date.
    texts: BTreeMap<String, String>,
}

impl RawSettings {
    /// Lays file and variables over the compiled-in default, which must be valid TOML.
    pub(super) fn gather(
        default: &str,
        file: Option<(&Path, Result<String, std::io::Error>)>,
        env: &BTreeMap<String, String>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut said = Self {
            tree: default.parse().expect("the compiled-in configuration is TOML: a test reads it"),
            origins: BTreeMap::new(),
            texts: BTreeMap::new(),
        };
        if let Some((path, text)) = file {
            said.lay_file(path, text, problems);
        }
        said.lay_variables(env, problems);
        said
    }

    fn lay_file(&mut self, path: &Path, text: Result<String, std::io::Error>, problems: &mut Vec<Problem>) {
        let shown = path.display().to_string();
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                problems.push(Problem::new(shown, format!("cannot be read: {error}"), "a readable file of TOML"));
                return;
            }
        };
        match text.parse::<Table>() {
            Ok(over) => lay(&mut self.tree, over, "", &Origin::File, &mut self.origins, problems),
            // Only the parser's own words and the position: its full report quotes the line,
            // and the line may hold a secret.
            Err(error) => {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                let what = error.message().lines().next().unwrap_or("it cannot be read").to_owned();
                problems.push(Problem::new(shown, format!("line {line}, column {column}: {what}"), "a file of TOML"));
            }
        }
    }

    fn lay_variables(&mut self, env: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
        let mut ours: Vec<(Vec<String>, &String, &String)> = env
            .iter()
            .filter(|(name, value)| is_setting(name, value))
            .map(|(name, value)| (name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect(), name, value))
            .collect();
        // A whole before its parts (`…SOURCES` before `…SOURCES__0__NAME`), and 2 before 10.
        ours.sort_by_key(|(path, ..)| {
            path.iter().map(|part| (part.parse::<usize>().unwrap_or(usize::MAX), part.clone())).collect::<Vec<_>>()
        });
        for (path, name, text) in ours {
            // Read as a value alone: a text cannot break out and set other keys.
            let value = match text.parse::<Value>() {
                Ok(Value::Datetime(_)) | Err(_) => Value::String(text.clone()),
                Ok(value) => value,
            };
            self.lay_variable(&path, name, text, value, problems);
        }
    }

    fn lay_variable(&mut self, path: &[String], name: &str, text: &str, value: Value, problems: &mut Vec<Problem>) {
        let origin = Origin::Variable(name.to_owned());
        let mut nested = value;
        if let [list, index, rest @ ..] = path
            && list == "sources"
            && let Ok(index) = index.parse::<usize>()
        {
            let sources = self.tree.entry(list).or_insert_with(|| Value::Array(Vec::new()));
            let Some(sources) = sources.as_array_mut() else { return };
            if index > sources.len() || (index == sources.len() && index >= super::SOURCES_MAX) {
                let right = format!("an index of at most {}, the next free one", sources.len());
                problems.push(Problem::new(name, format!("sets source {index}, which does not follow"), right));
                return;
            }
            if index == sources.len() {
                sources.push(Value::Table(Table::new()));
            }
            let at = format!("sources[{index}]");
            let Some(source) = sources[index].as_table_mut() else { return };
            for part in rest.iter().rev() {
                nested = Value::Table(Table::from_iter([(part.clone(), nested)]));
            }
            match nested {
                Value::Table(over) => lay(source, over, &at, &origin, &mut self.origins, problems),
                _ => problems.push(Problem::new(name, "is no table", "one source, as an inline table")),
            }
            self.texts.insert(rest.iter().fold(at, |path, part| join(&path, part)), text.to_owned());
            return;
        }
        for part in path.iter().rev() {
            nested = Value::Table(Table::from_iter([(part.clone(), nested)]));
        }
        if let Value::Table(over) = nested {
            lay(&mut self.tree, over, "", &origin, &mut self.origins, problems);
        }
        self.texts.insert(path.join("."), text.to_owned());
    }

    /// Who said the value at a path, or the nearest thing around it.
    pub(super) fn origin(&self, path: &str) -> &Origin {
        let mut path = path;
        loop {
            if let Some(origin) = self.origins.get(path) {
                return origin;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return &Origin::Default,
            }
        }
    }

    /// The exact text a variable gave for this very path.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// The value at a path such as `server.listen` or `sources[0].rate.burst`.
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let mut value = step(&self.tree, parts.next()?)?;
        for part in parts {
            value = step(value.as_table()?, part)?;
        }
        Some(value)
    }
}

fn step<'t>(table: &'t Table, part: &str) -> Option<&'t Value> {
    match part.split_once('[') {
        None => table.get(part),
        Some((name, index)) => table.get(name)?.as_array()?.get(index.trim_end_matches(']').parse::<usize>().ok()?),
    }
}

pub(super) fn join(path: &str, part: &str) -> String {
    if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") }
}

/// Whether a variable means to be a setting of ours.
fn is_setting(name: &str, value: &str) -> bool {
    if !name.starts_with(PREFIX) || NOT_SETTINGS.iter().any(|not| name.starts_with(not)) {
        return false;
    }
    // Kubernetes tells every pod about a Service called `ringfence` in such variables; they
    // must not stop the start.
    let service = !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
            || (name.contains("_PORT") && (value.contains("://") || name.contains("_TCP") || name.contains("_UDP"))));
    !service
}

/// Lays one tree over another: tables are merged, everything else is replaced.
fn lay(
    under: &mut Table,
    over: Table,
    at: &str,
    origin: &Origin,
    origins: &mut BTreeMap<String, Origin>,
    problems: &mut Vec<Problem>,
) {
    for (key, value) in over {
        let path = join(at, &key);
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay(under, over, &path, origin, origins, problems),
            (Some(Value::Table(_)), other) => {
                let wrong = format!("is {}{}", kind(&other), said_by(origin));
                problems.push(Problem::new(&path, wrong, format!("a section with keys, such as [{path}]")));
            }
            (_, value) => {
                // What somebody said about parts of the old value no longer counts.
                origins.retain(|known, _| !known.starts_with(&path) || !known[path.len()..].starts_with(['.', '[']));
                origins.insert(path, origin.clone());
                under.insert(key, value);
            }
        }
    }
}

/// " (from RINGFENCE_…)" when a variable said it: in a file, the path alone is found.
pub(super) fn said_by(origin: &Origin) -> String {
    match origin {
        Origin::Variable(name) => format!(" (from {name})"),
        Origin::Default | Origin::File => String::new(),
    }
}

/// What a value is, for messages: never the value itself.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}
