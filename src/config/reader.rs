//! Reads settings out of what was said, one key at a time, and collects every problem.
//!
//! A key is known because it is read: what nobody read is unknown, so a key cannot be
//! documented and forgotten. A value that is wrong is replaced by a harmless one and the
//! reading goes on; the whole is refused at the end.

use super::problem::Problem;
use super::said::{Origin, RawSettings, join, kind, said_by};
use super::values::{Bad, quoted};
use std::collections::BTreeMap;
use toml::Value;

/// What reading a key taught about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Smallest and largest value, of a number.
    pub(super) limits: Option<(i64, i64)>,
}

/// Reads keys and remembers them.
pub(super) struct Reader<'a> {
    said: &'a RawSettings,
    pub(super) problems: Vec<Problem>,
    /// By pattern: `sources[].name` stands for that key of every source.
    pub(super) known: BTreeMap<String, Known>,
    /// What was read, in order, with who said it, for people.
    pub(super) lines: Vec<(String, String, Origin)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(said: &'a RawSettings, problems: Vec<Problem>) -> Self {
        Self { said, problems, known: BTreeMap::new(), lines: Vec::new() }
    }

    /// Makes keys known that may not occur, such as those of a source when there is none.
    pub(super) fn know(&mut self, path: &str, limits: Option<(i64, i64)>) {
        self.known.entry(pattern(path)).or_insert(Known { limits });
    }

    /// Notes a problem of the value at a path, and who said it.
    pub(super) fn problem(&mut self, path: &str, bad: Bad) {
        let wrong = format!("{}{}", bad.wrong, said_by(self.said.origin(path)));
        self.problems.push(Problem::new(path, wrong, bad.right));
    }

    fn take(&mut self, path: &str, limits: Option<(i64, i64)>) -> Option<&'a Value> {
        self.know(path, limits);
        let value = self.said.get(path)?;
        Some(value)
    }

    fn show(&mut self, path: &str, value: String) {
        self.lines.push((path.to_owned(), value, self.said.origin(path).clone()));
    }

    fn wrong_kind(&mut self, path: &str, value: &Value, right: &str) {
        self.problem(path, Bad { wrong: format!("is {}", kind(value)), right: right.to_owned() });
    }

    /// A whole number within limits.
    pub(super) fn integer<T: TryFrom<i64>>(&mut self, path: &str, min: i64, max: i64) -> T {
        let right = format!("a whole number from {min} to {max}");
        let number = match self.take(path, Some((min, max))) {
            Some(Value::Integer(number)) if (min..=max).contains(number) => {
                self.show(path, number.to_string());
                *number
            }
            Some(Value::Integer(number)) => {
                self.problem(path, Bad { wrong: format!("is {number}"), right });
                min
            }
            Some(other) => {
                self.wrong_kind(path, other, &right);
                min
            }
            None => {
                self.problem(path, Bad { wrong: "is missing".to_owned(), right });
                min
            }
        };
        T::try_from(number).ok().expect("the limits of a key fit its type: a test reads them all")
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, path: &str) -> bool {
        let right = "true or false";
        let said = match self.take(path, None) {
            Some(Value::Boolean(said)) => *said,
            Some(other) => {
                self.wrong_kind(path, other, right);
                false
            }
            None => {
                self.problem(path, Bad { wrong: "is missing".to_owned(), right: right.to_owned() });
                false
            }
        };
        self.show(path, said.to_string());
        said
    }

    /// The text at a path, `None` when nothing was said.
    fn text(&mut self, path: &str) -> Option<String> {
        match self.take(path, None)? {
            Value::String(text) => Some(text.clone()),
            other => match self.said.text(path) {
                // A variable's text that looks like a number is still a text.
                Some(text) if !matches!(other, Value::Array(_) | Value::Table(_)) => Some(text.to_owned()),
                _ => {
                    self.wrong_kind(path, other, "a text in quotes");
                    None
                }
            },
        }
    }

    /// A text that may be left out.
    pub(super) fn optional<T>(&mut self, path: &str, parse: impl FnOnce(&str) -> Result<T, Bad>) -> Option<T> {
        let text = self.text(path)?;
        match parse(&text) {
            Ok(value) => {
                self.show(path, format!("{text:?}"));
                Some(value)
            }
            Err(bad) => {
                self.problem(path, bad);
                None
            }
        }
    }

    /// A text that must be there. `None` when it is not or is wrong: then there is a problem.
    pub(super) fn required<T>(
        &mut self,
        path: &str,
        right: &str,
        parse: impl FnOnce(&str) -> Result<T, Bad>,
    ) -> Option<T> {
        if self.said.get(path).is_none() {
            self.know(path, None);
            self.problem(path, Bad { wrong: "is missing".to_owned(), right: right.to_owned() });
            return None;
        }
        self.optional(path, parse)
    }

    /// A list of texts. Wrong entries are named and left out.
    pub(super) fn list<T>(
        &mut self,
        path: &str,
        max: usize,
        right: &str,
        parse: impl Fn(&str) -> Result<T, Bad>,
    ) -> Vec<T> {
        let right = format!("a list of at most {max}: {right}");
        let entries = match self.take(path, None) {
            Some(Value::Array(entries)) if entries.len() <= max => entries,
            Some(Value::Array(entries)) => {
                self.problem(path, Bad { wrong: format!("has {} entries", entries.len()), right });
                return Vec::new();
            }
            Some(other) => {
                self.wrong_kind(path, other, &right);
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut values = Vec::with_capacity(entries.len());
        let mut shown = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let at = format!("{path}[{index}]");
            match entry.as_str() {
                None => self.wrong_kind(&at, entry, "a text in quotes"),
                Some(text) => match parse(text) {
                    Ok(value) => {
                        values.push(value);
                        shown.push(format!("{text:?}"));
                    }
                    Err(bad) => self.problem(&at, bad),
                },
            }
        }
        self.show(path, format!("[{}]", shown.join(", ")));
        values
    }

    /// How many sections a list of sections has.
    pub(super) fn sections(&mut self, path: &str, max: usize) -> usize {
        let right = format!("at most {max} sections [[{path}]]");
        match self.said.get(path) {
            None => 0,
            Some(Value::Array(entries)) if entries.len() > max => {
                self.problem(path, Bad { wrong: format!("has {} sections", entries.len()), right });
                0
            }
            Some(Value::Array(entries)) => {
                for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_table()) {
                    self.wrong_kind(&format!("{path}[{index}]"), entry, &right);
                }
                entries.len()
            }
            Some(other) => {
                self.wrong_kind(path, other, &right);
                0
            }
        }
    }

    /// Whether anything was said at a path.
    pub(super) fn is_said(&self, path: &str) -> bool {
        self.said.get(path).is_some()
    }

    /// Names everything that was said and that nobody read.
    pub(super) fn refuse_unknown(&mut self, allowed_variables: &[&str]) {
        let mut unknown = Vec::new();
        for (key, value) in &self.said.tree {
            self.find_unknown(key, value, &mut unknown);
        }
        for path in unknown {
            let origin = self.said.origin(&path).clone();
            let problem = match &origin {
                Origin::Variable(name) if allowed_variables.contains(&name.as_str()) => continue,
                // The variable is what the operator must find; the path is our reading of it.
                Origin::Variable(name) if is_of_variable(name, &path) => {
                    let known: Vec<String> = self.known.keys().map(|key| variable(key)).collect();
                    let near = nearest(name, known.iter().map(String::as_str));
                    Problem::new(name, "is no setting", hint(near))
                }
                _ => {
                    let near = nearest(&pattern(&path), self.known.keys().map(String::as_str));
                    let wrong = format!("is no setting{}", said_by(&origin));
                    Problem::new(shown(&path), wrong, hint(near))
                }
            };
            self.problems.push(problem);
        }
    }

    fn find_unknown(&self, path: &str, value: &Value, unknown: &mut Vec<String>) {
        let shape = pattern(path);
        if self.known.contains_key(&shape) {
            return;
        }
        let leads_on = |mark: char| {
            self.known.keys().any(|key| key.strip_prefix(&shape).is_some_and(|rest| rest.starts_with(mark)))
        };
        match value {
            Value::Table(table) if leads_on('.') => {
                for (key, value) in table {
                    self.find_unknown(&join(path, key), value, unknown);
                }
            }
            Value::Array(entries) if leads_on('[') => {
                for (index, entry) in entries.iter().enumerate() {
                    self.find_unknown(&format!("{path}[{index}]"), entry, unknown);
                }
            }
            // Something else where a section belongs has been named when it was read.
            _ if leads_on('.') || leads_on('[') => {}
            _ => unknown.push(path.to_owned()),
        }
    }
}

/// `sources[3].name` is one case of `sources[].name`.
fn pattern(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => continue,
            _ => {}
        }
        pattern.push(c);
    }
    pattern
}

/// The variable that sets a key.
fn variable(pattern: &str) -> String {
    format!("RINGFENCE_{}", pattern.replace("[]", "__0").replace('.', "__").to_ascii_uppercase())
}

/// Whether a variable names this path or something in it (and not a whole of which this is a part).
fn is_of_variable(name: &str, path: &str) -> bool {
    let path = format!("ringfence_{}", path.replace('[', "__").replace(']', "").replace('.', "__"));
    name.to_ascii_lowercase().strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with("__"))
}

/// A path that came from outside, fit to be printed.
fn shown(path: &str) -> String {
    quoted(path).trim_matches('`').to_owned()
}

fn hint(near: Option<&str>) -> String {
    near.map_or_else(
        || "one of the keys explained in config/ringfence.toml".to_owned(),
        |near| format!("did you mean `{near}`?"),
    )
}

/// The known word nearest to what was written, when it is near enough to be meant.
fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let near_enough = 2 + word.len() / 5;
    known
        .map(|known| (distance(word, known), known))
        .filter(|(far, _)| *far <= near_enough)
        .min_by_key(|(far, known)| (*far, *known))
        .map(|(_, known)| known)
}

/// How many letters to insert, drop or change to get from one word to the other. Words
/// beyond 128 bytes are nobody's typing error.
fn distance(a: &str, b: &str) -> usize {
    const WORD_BYTES_MAX: usize = 128;
    if a.len() > WORD_BYTES_MAX || b.len() > WORD_BYTES_MAX {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
