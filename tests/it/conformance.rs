//! Every published sample comes to what its network's contract says.

use ringfence::commands::conformance::conformance;
use ringfence::normalise::Format;
use std::path::Path;

fn samples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/normalise")
}

#[test]
fn every_published_sample_comes_to_what_was_expected() {
    conformance(None, &[samples()]).unwrap();
}

#[test]
fn every_format_has_samples() {
    for format in Format::ALL {
        let folder = samples().join(format.as_str());
        assert!(folder.join("SOURCES.md").is_file(), "{}", folder.display());
        conformance(Some(format), &[samples()]).unwrap();
    }
}

#[test]
fn a_sample_that_differs_or_has_no_expectation_fails() {
    let folder = tempfile();
    let within = folder.join("ringfence");
    std::fs::create_dir_all(&within).unwrap();
    std::fs::write(within.join("a.json"), b"{").unwrap();
    assert!(conformance(None, std::slice::from_ref(&folder)).is_err());
    std::fs::write(within.join("a.expected.json"), br#"{"unreadable":"not_json"}"#).unwrap();
    conformance(None, std::slice::from_ref(&folder)).unwrap();
    std::fs::write(within.join("a.expected.json"), br#"{"unreadable":"not_utf8"}"#).unwrap();
    assert!(conformance(None, std::slice::from_ref(&folder)).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}

fn tempfile() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("ringfence-conformance-{}", std::process::id()))
}
