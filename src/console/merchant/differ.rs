//! What differs between two versions of an offer, by the paths of their documents.

use serde_json::Value;
use std::collections::BTreeSet;

/// A place where two documents differ: what it was and what it is, empty where there was nothing.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::console) struct Difference {
    /// Where.
    pub path: String,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
}

/// Every difference, by path.
pub(in crate::console) fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk("", Some(before), Some(after), &mut found);
    found
}

fn walk(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for place in 0..old.len().max(new.len()) {
                walk(&format!("{path}[{place}]"), old.get(place), new.get(place), found);
            }
        }
        _ => found.push(Difference { path: path.to_owned(), before: text(before), after: text(after) }),
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_told() {
        let before = json!({"title": "5% back", "when": {"all": [1, 2]}, "budget_minor": 100});
        let after = json!({"title": "6% back", "when": {"all": [1, 3, 4]}, "ends": "2026-12-01"});
        let told: Vec<_> = differences(&before, &after).into_iter().map(|d| (d.path, d.before, d.after)).collect();
        let row = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            told,
            [
                row("budget_minor", "100", ""),
                row("ends", "", "2026-12-01"),
                row("title", "5% back", "6% back"),
                row("when.all[1]", "2", "3"),
                row("when.all[2]", "", "4"),
            ]
        );
        assert_eq!(differences(&after, &after), []);
    }
}
