//! House rules: which module may lean on which, a test for each invariant that is built,
//! no sleeping, documented settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, with its text.
fn sources(below: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("a folder of ours").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(below), &mut found);
    found.sort();
    let name = |path: &Path| path.strip_prefix(root()).expect("below the root").display().to_string();
    found.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("text"))).collect()
}

/// The pure modules and what each may import of ours.
fn may_import() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("domain", &[][..]),
        ("ledger", &["domain"][..]),
        ("decide", &["domain", "ledger", "record"][..]),
        ("normalise", &["domain"][..]),
        ("descriptor", &["domain"][..]),
        ("graph", &["domain"][..]),
        ("cases", &["domain", "graph"][..]),
        ("record", &["domain", "ledger", "decide", "cases"][..]),
        ("wire", &[][..]),
        ("audit", &["domain", "decide", "record", "ledger", "cases"][..]),
    ])
}

#[test]
fn imports_follow_the_direction_of_the_data() {
    let allowed = may_import();
    for (file, text) in sources("src") {
        let module = file.trim_start_matches("src/").split(['/', '.']).next().expect("a name").to_owned();
        let Some(allowed) = allowed.get(module.as_str()) else { continue };
        let code = text.split("#[cfg(test)]").next().expect("a first part");
        if file.contains("tests") {
            continue;
        }
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for piece in code.split("crate::").skip(1) {
            let used: String = piece.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let ours =
                root().join("src").join(&used).is_dir() || root().join("src").join(format!("{used}.rs")).is_file();
            assert!(
                !ours || used == module || allowed.contains(&used.as_str()),
                "{file} leans on `{used}`; `{module}` may lean on {allowed:?}"
            );
        }
    }
}

#[test]
fn every_invariant_that_is_built_has_a_test_with_its_number() {
    let tests: String = sources("src").into_iter().chain(sources("tests")).map(|(_, text)| text).collect();
    for number in 1..=10 {
        assert!(tests.contains(&format!("fn inv_{number:02}_")), "no test carries inv_{number:02}_ in its name");
    }
}

#[test]
fn nobody_sleeps_and_nothing_is_left_for_later() {
    for (file, text) in sources("src").into_iter().chain(sources("tests")) {
        assert!(text.starts_with("//!"), "{file} does not say what it is for");
        if file.ends_with("tidy.rs") {
            continue;
        }
        for word in ["thread::sleep(", "todo!(", "unimplemented!(", "#[ignore]"] {
            assert!(!text.contains(word), "{file} has {word}");
        }
        // The service pauses and backs off; a test waits for a condition or moves the clock.
        let waits = file.starts_with("tests") && text.contains("time::sleep(");
        assert!(!waits, "{file} sleeps");
    }
}
