//! `ringfence screen` and `ringfence fit` on files: the sample network, and files that are wrong.

use ringfence::commands::fit::{FitArgs, fit};
use ringfence::commands::network_files::NetworkArgs;
use ringfence::commands::screen::{ScreenArgs, screen};
use std::path::{Path, PathBuf};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/graph").join(name)
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ringfence-screen-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn network(links: PathBuf, members: Option<PathBuf>) -> NetworkArgs {
    NetworkArgs { links, members, infrastructure: None }
}

fn screening(links: PathBuf, members: Option<PathBuf>, out: PathBuf) -> ScreenArgs {
    ScreenArgs { network: network(links, members), seeds: None, model: None, labels: None, findings: None, out }
}

/// Rows of a scores file: member, score, standing, reasons.
fn rows(path: &Path) -> Vec<(String, f64, String, String)> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("member,score,standing,reasons"));
    let row = |line: &str| {
        let mut fields = line.splitn(4, ',').map(str::to_owned);
        let mut next = || fields.next().unwrap();
        (next(), next().parse().unwrap(), next(), next())
    };
    lines.map(row).collect()
}

/// Mean score of members whose label is this.
#[expect(clippy::float_arithmetic, reason = "scores are no money")]
fn mean(rows: &[(String, f64, String, String)], label: &str) -> f64 {
    let labels = std::fs::read_to_string(sample("labels.csv")).unwrap();
    let is = |name: &str| labels.lines().any(|line| line.starts_with(&format!("{name},{label},")));
    let scores: Vec<f64> = rows.iter().filter(|row| is(&row.0)).map(|row| row.1).collect();
    scores.iter().sum::<f64>() / scores.len() as f64
}

#[test]
fn the_sample_is_screened_without_labels_then_with_a_fitted_model() {
    let folder = folder("sample");
    let mut args = screening(sample("links.csv"), Some(sample("members.csv")), folder.join("scores.csv"));
    args.labels = Some(sample("labels.csv"));
    args.findings = Some(folder.join("findings.jsonl"));
    screen(&args).unwrap();
    let plain = rows(&args.out);
    let members = std::fs::read_to_string(sample("members.csv")).unwrap().lines().count() - 1;
    assert_eq!(plain.len(), members, "every member, once");
    assert!(plain.windows(2).all(|pair| pair[0].1 >= pair[1].1), "highest first");
    assert!(plain.iter().all(|row| (0.0..=1000.0).contains(&row.1) && ["watched", "clear"].contains(&&*row.2)));
    assert!(mean(&plain, "1") > 1.3 * mean(&plain, "0"));
    assert!(plain[0].3.contains("members came within a day"), "{}", plain[0].3);
    assert!(plain.iter().any(|row| row.3.contains("1 member in")));
    let findings = std::fs::read_to_string(folder.join("findings.jsonl")).unwrap();
    let rings = findings.lines().filter(|line| line.contains("\"referral-ring\"")).count();
    assert_eq!(rings, 24, "one for each ring, none for a family");
    for line in findings.lines() {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(!finding["members"].as_array().unwrap().is_empty() && finding["clears"].is_string());
    }

    let model = folder.join("model.json");
    let files = network(sample("links.csv"), Some(sample("members.csv")));
    fit(&FitArgs::of_files(files, sample("labels.csv"), model.clone())).unwrap();
    args.model = Some(model);
    args.seeds = Some(sample("labels.csv"));
    screen(&args).unwrap();
    let fitted = rows(&args.out);
    assert!(mean(&fitted, "1") > 500.0 && mean(&fitted, "0") < 200.0);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let folder = folder("same");
    let out = |name: &str| {
        let args = screening(sample("links.csv"), Some(sample("members.csv")), folder.join(name));
        screen(&args).unwrap();
        std::fs::read(&args.out).unwrap()
    };
    assert_eq!(out("one.csv"), out("two.csv"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn times_are_read_in_either_form_and_columns_may_be_missing() {
    let folder = folder("forms");
    let links = folder.join("links.csv");
    std::fs::write(
        &links,
        "\u{feff}to,kind,from,at\nb,referral,a,2026-01-31T12:00:00Z\nc,referral,b,1769860800\nd,ip,c,\n",
    )
    .unwrap();
    let args = screening(links, None, folder.join("scores.csv"));
    screen(&args).unwrap();
    let mut names: Vec<String> = rows(&args.out).into_iter().map(|row| row.0).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "c"], "an identifier is no member");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Says what is wrong with files of these texts.
fn fault(name: &str, links: &str, members: Option<&str>) -> String {
    let folder = folder(name);
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let members = members.map(|text| write("members.csv", text));
    let args = screening(write("links.csv", links), members, folder.join("scores.csv"));
    let fault = screen(&args).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    fault
}

#[test]
fn a_wrong_field_is_named_with_its_file_line_and_what_to_write() {
    let says = |text: String, words: &[&str]| {
        for word in words {
            assert!(text.contains(word), "`{text}` does not say `{word}`");
        }
    };
    let good = "from,to,kind\na,b,referral\n";
    says(fault("header", "from,kind\na,b\n", None), &["links.csv", "line 1", "`to`"]);
    says(
        fault("time", "from,to,kind,at\na,b,ip,\na,b,ip,yesterday\n", None),
        &["line 3", "`at`", "yesterday", "RFC 3339"],
    );
    says(fault("early", "from,to,kind,at\na,b,ip,-5\n", None), &["line 2", "`at`", "1970"]);
    says(fault("weight", "from,to,kind,weight\na,b,ip,heavy\n", None), &["line 2", "`weight`", "heavy", "digits"]);
    says(fault("infinite", "from,to,kind,weight\na,b,ip,inf\n", None), &["line 2", "`weight`"]);
    says(fault("empty", "from,to,kind\n,b,ip\n", None), &["line 2", "`from`", "empty"]);
    says(fault("short", "from,to,kind\na,b\n", None), &["links.csv"]);
    says(
        fault("number", good, Some("member,spend_minor\na,12\nb,much\n")),
        &["members.csv", "line 3", "`spend_minor`"],
    );
    says(fault("twice", good, Some("member\na\na\n")), &["members.csv", "line 3", "twice"]);
    let mut missing = screening(PathBuf::from("no-such-links.csv"), None, PathBuf::from("scores.csv"));
    says(screen(&missing).unwrap_err().to_string(), &["no-such-links.csv", "opened"]);
    missing.network.links = sample("links.csv");
    missing.model = Some(sample("labels.csv"));
    says(screen(&missing).unwrap_err().to_string(), &["labels.csv", "ringfence fit"]);
}

#[test]
fn labels_that_are_none_or_too_few_are_refused() {
    let folder = folder("labels");
    let labels = folder.join("labels.csv");
    let fitting = || {
        let network = network(sample("links.csv"), Some(sample("members.csv")));
        let args = FitArgs::of_files(network, labels.clone(), folder.join("model.json"));
        fit(&args).unwrap_err().to_string()
    };
    std::fs::write(&labels, "member,label\np0000,maybe\n").unwrap();
    assert!(fitting().contains("line 2") && fitting().contains("1 for bad"));
    std::fs::write(&labels, "member,label\np0000,1\np0000,0\n").unwrap();
    assert!(fitting().contains("line 3") && fitting().contains("keep one"));
    std::fs::write(&labels, "member,label\np0000,1\np0001,0\n").unwrap();
    assert!(fitting().contains("1 bad and 1 good"));
    let mut args = screening(sample("links.csv"), None, folder.join("scores.csv"));
    std::fs::write(&labels, "member,label\nnobody,1\n").unwrap();
    args.seeds = Some(labels.clone());
    assert!(screen(&args).unwrap_err().to_string().contains("no member of the network"));
    std::fs::remove_dir_all(&folder).unwrap();
}
