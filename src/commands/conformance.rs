//! `ringfence conformance`: what samples of a network's messages come to, and whether that
//! is what was expected. For the engineer on the other side; needs no configuration.

use super::Failure;
use crate::normalise::{Format, conformance};
use std::fs;
use std::path::{Path, PathBuf};

/// End of a file that says what the sample beside it must come to.
const EXPECTED: &str = ".expected.json";

/// Reads `DIR/FORMAT/NAME.json` with `NAME.expected.json` beside it and prints one line per
/// sample; files named by themselves are read in `format` and what they come to is printed.
///
/// # Errors
/// When a file cannot be read, a sample has no expectation, or one differs.
pub fn conformance(format: Option<Format>, paths: &[PathBuf]) -> Result<(), Failure> {
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for path in paths {
        if path.is_dir() {
            let (good, bad) = folder(path, format)?;
            passed += good;
            failed += bad;
        } else {
            let format = format.ok_or("--format: say whose words a single file speaks, such as --format lithic")?;
            let found = conformance::plain(&conformance::outcome(format, &read(path)?));
            println!("{}", serde_json::to_string_pretty(&found)?);
        }
    }
    if passed + failed > 0 {
        println!("{passed} samples conform, {failed} do not");
    }
    if failed == 0 { Ok(()) } else { Err("some samples do not come to what was expected".into()) }
}

fn folder(path: &Path, only: Option<Format>) -> Result<(usize, usize), Failure> {
    let (mut passed, mut failed) = (0, 0);
    for (name, within) in entries(path)? {
        let Ok(format) = name.parse::<Format>() else { continue };
        if !within.is_dir() || only.is_some_and(|only| only != format) {
            continue;
        }
        for (name, sample) in entries(&within)? {
            if name.ends_with(EXPECTED) || !name.ends_with(".json") {
                continue;
            }
            let differences = differences(format, &sample)?;
            if differences.is_empty() {
                passed += 1;
                println!("ok    {format} {name}");
            } else {
                failed += 1;
                println!("FAIL  {format} {name}");
                differences.iter().for_each(|line| println!("        {line}"));
            }
        }
    }
    if passed + failed == 0 {
        return Err(format!("{}: holds no FORMAT/NAME.json", path.display()).into());
    }
    Ok((passed, failed))
}

/// How a sample differs from the expectation beside it.
fn differences(format: Format, sample: &Path) -> Result<Vec<String>, Failure> {
    let beside = beside(sample);
    if !beside.is_file() {
        return Ok(vec![format!("{} is missing: say what the sample must come to", beside.display())]);
    }
    let expected = serde_json::from_slice(&read(&beside)?).map_err(|e| format!("{}: {e}", beside.display()))?;
    Ok(conformance::differences(&expected, &conformance::outcome(format, &read(sample)?)))
}

/// `NAME.json` to `NAME.expected.json`, dots within the name left alone.
fn beside(sample: &Path) -> PathBuf {
    let name = sample.file_stem().unwrap_or_default().to_string_lossy();
    sample.with_file_name(format!("{name}{EXPECTED}"))
}

fn entries(path: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let listed = fs::read_dir(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut entries = Vec::new();
    for entry in listed {
        let entry = entry?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    entries.sort();
    Ok(entries)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()).into())
}
