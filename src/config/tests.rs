//! Bad configurations and the exact words they are answered with.

mod sources;

use super::*;
use crate::config::reader::Known;
use std::collections::BTreeSet;

/// Two good secrets, and a place to keep them.
const SECRET_A: &str = "whsec_9pPcVkS0YQmT4nTfLx2bDk1JwzqUuRzH8e0oXv6Bi3E=";
const SECRET_B: &str = "whsec_Yx0s3Lq8GmN2dPbK7vRtW5hZc1JfUaEo9iQzTn4Xk6M=";
const SOURCE: &str = r#"
[[sources]]
name = "visa-eu"
format = "ringfence"
auth = ["standard-webhooks"]
secrets = ["env:RINGFENCE_SECRET_A"]
"#;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("RINGFENCE_SECRET_A".to_owned(), SECRET_A.to_owned()),
        ("RINGFENCE_SECRET_B".to_owned(), SECRET_B.to_owned()),
        ("PATH".to_owned(), "/bin".to_owned()),
    ]);
    env.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    env
}

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Settings, ConfigProblems> {
    let read = |path: &Path| match path.to_str() {
        Some("ringfence.toml") => Ok(file.to_owned()),
        Some("/secrets/b") => Ok(format!("{SECRET_B}\n")),
        Some("/secrets/b-crlf") => Ok(format!("{SECRET_B}\r\n")),
        Some("/secrets/empty") => Ok("\n".to_owned()),
        Some("/model/own") => Ok(model("l_mu_leaf", 1)),
        Some("/model/other") => Ok(model("warmth", 1)),
        Some("/model/newer") => Ok(model("l_mu_leaf", 2)),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    Settings::load(Some(Path::new("ringfence.toml")), &env(variables), &read)
}

/// A model of one feature, as `ringfence fit` writes it.
fn model(feature: &str, version: u32) -> String {
    format!(
        r#"{{"version": {version}, "fitted_on": {{"members": 40, "bad": 20, "reviewed": 0, "communities": 9, "folds": 5,
        "seed": 1, "held_out": null}}, "intercept": 0.0, "features": [{{"name": "{feature}", "family": "x",
        "direction": "less", "edges": [1.0], "steps": [0.0, 1.0, -1.0]}}],
        "calibration": {{"scores": [0.0], "chances": [0.5]}}}}"#
    )
}

#[test]
fn a_model_is_read_with_the_settings_and_told_when_it_is_live() {
    let settings = load("screening.model = \"/model/own\"", &[]).unwrap();
    let model = settings.screening.model.as_ref().unwrap();
    assert_eq!((&*model.named.name, model.state), ("own", ModelState::Shadow), "shadow is the default");
    assert_eq!(model.named.version, u32::from_str_radix(&model.named.hash[..8], 16).unwrap());
    let live = format!("screening = {{model = \"/model/own\", model_state = \"live\"}}\n{SOURCE}");
    let warned: Vec<String> = load(&live, &[]).unwrap().warnings().into_iter().map(|warning| warning.path).collect();
    assert_eq!(warned, ["screening.model_state"]);
}

#[track_caller]
fn refused(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let problems = load(file, variables).expect_err(file);
    problems.0.iter().map(Problem::to_string).collect()
}

#[track_caller]
fn check_refused(file: &str, variables: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(refused(file, variables), expected, "{file} {variables:?}");
}

fn known() -> BTreeMap<String, Known> {
    let said = RawSettings::gather(DEFAULT_TOML, None, &BTreeMap::new(), &mut Vec::new());
    let mut reader = Reader::new(&said, Vec::new());
    read(&mut reader, &BTreeMap::new(), &|_| Err(io::ErrorKind::NotFound.into())).unwrap();
    reader.known
}

/// The keys of the compiled-in file, those of examples included, each with the comment before it.
fn documented() -> BTreeMap<String, String> {
    let (mut keys, mut section, mut comment) = (BTreeMap::new(), String::new(), String::new());
    for line in DEFAULT_TOML.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let key = bare.split_once(" = ").filter(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        if let Some(name) = bare.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]")) {
            (section, comment) = (format!("{name}[]"), String::new());
        } else if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            // A section of a source, in the source's example.
            let name = name.strip_prefix("sources.").map_or(name.to_owned(), |part| format!("sources[].{part}"));
            (section, comment) = (name, String::new());
        } else if let Some((key, _)) = key {
            keys.insert(format!("{section}.{key}"), std::mem::take(&mut comment));
        } else if line.starts_with("# ") {
            comment = format!("{comment} {bare}");
        }
    }
    keys
}

#[test]
fn the_compiled_in_file_is_right() {
    let settings = Settings::compiled_in();
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.server.worker_threads, None);
    assert_eq!(settings.store.url, StoreUrl::Embedded("data".into()));
    assert_eq!(settings.store.partitions, 256);
    assert_eq!(settings.journal.dir, Path::new("data/journal"));
    assert_eq!(settings.journal.segment_bytes, 256 << 20);
    assert_eq!(settings.webhooks.age_seconds_max, 300);
    assert_eq!(settings.purchases.retention_days, 578);
    assert!(settings.sources.is_empty());
}

#[test]
fn every_key_is_explained_with_its_limits_and_read() {
    let documented = documented();
    for (key, known) in known() {
        // A rate's two keys are explained together.
        let key = key.strip_prefix("sources[].rate.").map_or(key.clone(), |_| "sources[].rate".to_owned());
        let comment = documented.get(&key).unwrap_or_else(|| panic!("{key} is not in config/ringfence.toml"));
        assert!(comment.len() > 20, "{key} is not explained");
        if let Some((min, max)) = known.limits {
            assert!(comment.contains(&format!("{min}..{max})")) || key.ends_with("rate"), "{key}: ({min}..{max})");
        }
    }
    let read: BTreeSet<String> = known().into_keys().collect();
    for key in documented.keys().filter(|key| *key != "sources[].rate") {
        assert!(read.contains(key), "{key} is explained and not read");
    }
}

#[test]
fn the_example_of_a_source_is_right() {
    let at = DEFAULT_TOML.find("# [[sources]]").unwrap();
    let example: String = DEFAULT_TOML[at..]
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.contains(" = ") || line.starts_with('['))
        .map(|line| format!("{line}\n"))
        .collect();
    let example = example.replace("/run/secrets/visa-eu-old", "/secrets/b");
    let secrets = [("RINGFENCE_SECRET_VISA_EU", SECRET_A), ("RINGFENCE_SECRET_VISA_EU_PULL", SECRET_B)];
    // One example explains every key; the address goes with a way that signs it.
    let (address, plain): (Vec<&str>, Vec<&str>) = example.lines().partition(|line| line.starts_with("public_url"));
    let settings = load(&plain.join("\n"), &secrets).unwrap();
    let pull = settings.sources[0].pull.as_ref().expect("the example pulls");
    let usual = load(&format!("{SOURCE}\npull = {{ url = \"{}\" }}", pull.url), &[]).unwrap();
    let usual = usual.sources[0].pull.as_ref().expect("an address is enough");
    assert_eq!((&usual.cursor_query, &usual.cursor_field), (&pull.cursor_query, &pull.cursor_field));
    assert_eq!(
        (usual.every, usual.page_bytes_max, usual.page_time_max),
        (pull.every, pull.page_bytes_max, pull.page_time_max)
    );
    assert_eq!(pull.secret.as_ref().map(SecretText::expose), Some(SECRET_B));
    assert_eq!(settings.sources[0].default_scheme.as_deref(), Some("visa"));
    assert_eq!(settings.sources[0].secrets.len(), 2);
    assert!(matches!(settings.sources[0].rate, Some(SourceRate::Limited(rate)) if rate.burst.get() == 2000));
    assert_eq!(address.len(), 1);
    let signing = load(&example.replace("\"standard-webhooks\"", "\"fidel\""), &secrets).unwrap();
    assert!(signing.sources[0].public_url.as_ref().is_some_and(|url| address[0].ends_with(&format!("{url}\""))));
}

#[test]
fn limits_hold_at_both_ends() {
    for (key, known) in known().into_iter().filter(|(key, _)| !key.starts_with("sources")) {
        let Some((min, max)) = known.limits else { continue };
        let variable = format!("RINGFENCE_{}", key.replace('.', "__").to_ascii_uppercase());
        let said = |value: i64| match load("", &[(variable.as_str(), value.to_string().as_str())]) {
            Ok(_) => None,
            // Contradictions with other defaults are not this test's.
            Err(problems) => problems.0.into_iter().find(|problem| problem.right.starts_with("a whole number")),
        };
        assert_eq!((said(min), said(max)), (None, None), "{key}");
        for beyond in [min - 1, max + 1] {
            let right = format!("a whole number from {min} to {max}");
            let problem = Problem::new(&key, format!("is {beyond} (from {variable})"), right);
            assert_eq!(said(beyond), Some(problem));
        }
    }
}

#[test]
fn problems_name_the_key_what_is_wrong_and_what_is_right() {
    for (file, expected) in [
        (
            "[server]\nlisten = \"localhost:80\"",
            "server.listen: `localhost:80` is no address and port; such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080 (an address, not a name)",
        ),
        ("server.listen = 8080", "server.listen: is a whole number; a text in quotes"),
        ("server.lisen = \"127.0.0.1:1\"", "server.lisen: is no setting; did you mean `server.listen`?"),
        (
            "[sever]\nlisten = \"127.0.0.1:1\"",
            "sever: is no setting; one of the keys explained in config/ringfence.toml",
        ),
        ("[server.tls]\ncert = \"x\"", "server.tls: is no setting; one of the keys explained in config/ringfence.toml"),
        ("server = 5", "server: is a whole number; a section with keys, such as [server]"),
        (
            "screening.model = \"/gone.json\"",
            "screening.model: cannot be read: entity not found; a file that `ringfence fit` of this program wrote",
        ),
        (
            "screening.model = \"/model/other\"",
            "screening.model: `features`: `warmth` is no feature of this program; fit the model again; a file that `ringfence fit` of this program wrote",
        ),
        (
            "screening.model = \"/model/newer\"",
            "screening.model: `version` is 2, this program reads 1; fit it again; a file that `ringfence fit` of this program wrote",
        ),
        ("screening.model_state = \"loud\"", "screening.model_state: is no such state; \"shadow\" or \"live\""),
        ("server.connections_max = 0", "server.connections_max: is 0; a whole number from 1 to 1000000"),
        (
            "server.connections_max = 1.5",
            "server.connections_max: is a number with a fraction; a whole number from 1 to 1000000",
        ),
        ("server.connections_max = {a = 1}", "server.connections_max: is a section; a whole number from 1 to 1000000"),
        (
            "server.trusted_proxies = [\"10.0.0.1/8\"]",
            "server.trusted_proxies[0]: `10.0.0.1/8` has bits set beyond its prefix; 10.0.0.0/8",
        ),
        (
            "server.trusted_proxies = [\"10.0.0.0/33\"]",
            "server.trusted_proxies[0]: `10.0.0.0/33` has no prefix of 0 to 32 bits; a network such as 10.0.0.0/8 or fd00::/8, or one address",
        ),
        (
            "server.trusted_proxies = [\"::/0\"]",
            "server.trusted_proxies[0]: trusts everybody, who could then claim any address; the networks of your proxies alone",
        ),
        (
            "server.trusted_proxies = \"10.0.0.0/8\"",
            "server.trusted_proxies: is a text; a list of at most 64: networks",
        ),
        ("server.trusted_proxies = [1]", "server.trusted_proxies[0]: is a whole number; a text in quotes"),
        (
            "server.public_url = \"ftp://a\"",
            "server.public_url: is no http or https URL; such as https://offers.example.org, with or without a path",
        ),
        (
            "server.public_url = \"https://a:b@c\"",
            "server.public_url: holds a user name or password; such as https://offers.example.org, with or without a path",
        ),
        (
            "server.public_url = \"https://c/?x\"",
            "server.public_url: has a query or a fragment; such as https://offers.example.org, with or without a path",
        ),
        (
            "server.bodies_awaited_max = 2000",
            "server.bodies_awaited_max: 2000 is not less than requests_in_flight_max; fewer, so that slow senders cannot take every place",
        ),
        ("limits.per_key.burst = 0", "limits.per_key.burst: is 0; a whole number from 1 to 10000000"),
        (
            "store.url = \"redis://:hunter2@\"",
            "store.url: is no address of a Redis; \"embedded:PATH\", \"redis://HOST:PORT\" or \"redis-cluster://HOST:PORT,HOST:PORT\" (rediss for TLS)",
        ),
        (
            "store.url = \"redis-cluster://a:1,b:x\"",
            "store.url: is no address of a Redis; \"embedded:PATH\", \"redis://HOST:PORT\" or \"redis-cluster://HOST:PORT,HOST:PORT\" (rediss for TLS)",
        ),
        (
            "store.url = \"embedded:\"",
            "store.url: names no folder; \"embedded:PATH\", \"redis://HOST:PORT\" or \"redis-cluster://HOST:PORT,HOST:PORT\" (rediss for TLS)",
        ),
        (
            "store.url = \"data\"",
            "store.url: names no kind of store we know; \"embedded:PATH\", \"redis://HOST:PORT\" or \"redis-cluster://HOST:PORT,HOST:PORT\" (rediss for TLS)",
        ),
        ("store.partitions = 4097", "store.partitions: is 4097; a whole number from 1 to 4096"),
        ("journal.dir = \"\"", "journal.dir: names no folder; a path such as \"data/journal\""),
        (
            "journal.dir = \"./data/\"",
            "journal.dir: holds the store's folder, `data`; a folder of its own: the state may be thrown away and rebuilt, the journal never",
        ),
        (
            "store.url = \"embedded:x/y/z\"\njournal.dir = \"x/y\"",
            "journal.dir: holds the store's folder, `x/y/z`; a folder of its own: the state may be thrown away and rebuilt, the journal never",
        ),
        (
            "[journal]\nsegment_bytes = 1_048_576",
            "journal.frame_bytes_max: 4194304 is more than segment_bytes, 1048576; a record must fit into one file of the journal",
        ),
        (
            "[journal]\nframe_bytes_max = 65536",
            "webhooks.dead_letter_bytes_max: 65536 is more than half of journal.frame_bytes_max; a dead letter must fit into one record of the journal",
        ),
        (
            "purchases.lapse_days = 40",
            "purchases.lapse_days: 40 is more than lapse_days_long, 31; no more than lapse_days_long",
        ),
        (
            "purchases.cash_like_mcc = [\"601\"]",
            "purchases.cash_like_mcc[0]: `601` is no merchant category code; four digits such as \"4411\", or a range such as \"3351-3999\"",
        ),
        (
            "purchases.cash_like_mcc = [\"6012-6010\"]",
            "purchases.cash_like_mcc[0]: `6012-6010` runs backwards; four digits such as \"4411\", or a range such as \"3351-3999\"",
        ),
        ("webhooks.events_per_batch_max = 501", "webhooks.events_per_batch_max: is 501; a whole number from 1 to 500"),
        (
            "log.level = \"verbose\"",
            "log.level: `verbose` is no log level; `error`, `warn`, `info`, `debug` or `trace`",
        ),
        ("log.format = \"xml\"", "log.format: `xml` is no log format; `json` or `text`"),
        ("sources = 1", "sources: is a whole number; at most 256 sections [[sources]]"),
        (
            "[server]\nlisten = ",
            "ringfence.toml: line 2, column 10: string values must be quoted, expected literal string; a file of TOML",
        ),
        ("[log]\n[log]", "ringfence.toml: line 2, column 2: duplicate key; a file of TOML"),
    ] {
        check_refused(file, &[], &[expected]);
    }
}

#[test]
fn all_problems_are_named_at_once() {
    let file =
        "serve = 1\n[server]\nlisten = 1\nheaders_max = 1\n[store]\nurl = \"x\"\n[log]\nlevel = \"x\"\n[[sources]]";
    check_refused(
        file,
        &[("RINGFENCE_LOG__FORMAT", "x")],
        &[
            "log.format: `x` is no log format (from RINGFENCE_LOG__FORMAT); `json` or `text`",
            "log.level: `x` is no log level; `error`, `warn`, `info`, `debug` or `trace`",
            "serve: is no setting; one of the keys explained in config/ringfence.toml",
            "server.headers_max: is 1; a whole number from 8 to 1024",
            "server.listen: is a whole number; a text in quotes",
            "sources[0].auth: names no way of authentication; at least one, such as [\"standard-webhooks\"]",
            "sources[0].format: is missing; such as \"ringfence\"",
            "sources[0].name: is missing; a name such as \"visa-eu\"",
            "sources[0].secrets: names no secret; at least one, such as [\"env:RINGFENCE_SECRET_VISA_EU\"]",
            "store.url: names no kind of store we know; \"embedded:PATH\", \"redis://HOST:PORT\" or \"redis-cluster://HOST:PORT,HOST:PORT\" (rediss for TLS)",
        ],
    );
    let text = load(file, &[]).unwrap_err().to_string();
    assert!(text.starts_with("the configuration has 9 problems\n  log.level: "), "{text}");
}

#[test]
fn inv_10_secrets_come_from_environment_or_file_and_are_never_repeated() {
    const RANDOM: &str = "at least 24 random bytes, such as from `openssl rand -base64 32`";
    let inline = SOURCE.replace("env:RINGFENCE_SECRET_A", SECRET_B);
    check_refused(
        &inline,
        &[],
        &["sources[0].secrets[0]: secrets come from environment or file only; \"env:NAME\" or \"file:PATH\""],
    );
    for (place, expected) in [
        ("env:RINGFENCE_SECRET_C", "is missing; the variable RINGFENCE_SECRET_C, set".to_owned()),
        ("file:/nowhere", "cannot be read: entity not found; a readable file with the secret alone".to_owned()),
        ("file:/secrets/empty", format!("is empty; {RANDOM}")),
    ] {
        let file = SOURCE.replace("env:RINGFENCE_SECRET_A", place);
        check_refused(&file, &[], &[&format!("sources[0].secrets[0]: the secret at `{place}` {expected}")]);
    }
    for (auth, secret, expected) in [
        ("standard-webhooks", "", format!("is empty; {RANDOM}")),
        ("standard-webhooks", "whsec_test", format!("is a well-known default; {RANDOM}")),
        ("standard-webhooks", "changeme", format!("is a well-known default; {RANDOM}")),
        ("standard-webhooks", "secret", format!("is a well-known default; {RANDOM}")),
        ("stripe", "ReplaceThisByYourSigningKey0123", format!("is a well-known default; {RANDOM}")),
        // "changeme-changeme-changeme" in base64.
        (
            "standard-webhooks",
            "whsec_Y2hhbmdlbWUtY2hhbmdlbWUtY2hhbmdlbWU=",
            format!("is a well-known default; {RANDOM}"),
        ),
        (
            "standard-webhooks",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            format!("is an example out of public documentation; {RANDOM}"),
        ),
        (
            "standard-webhooks",
            "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            format!("repeats itself; {RANDOM}"),
        ),
        // Bytes 0 to 31.
        (
            "standard-webhooks",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            format!("repeats itself; {RANDOM}"),
        ),
        ("stripe", "whsec_0123456789012345678901234567", format!("repeats itself; {RANDOM}")),
        ("standard-webhooks", "whsec_9pPcVkS0YQmT4nTfLx2bDk1Jwzo", format!("decodes to 20 bytes; {RANDOM}")),
        (
            "standard-webhooks",
            "not-base64-at-all-but-long-enough-to-be",
            "is no base64; `whsec_` and the key in base64, as Standard Webhooks has it".to_owned(),
        ),
        (
            "stripe",
            "whsec_9pPcVkS0YQmT4nTfLx2bDk1",
            "has 23 bytes; Stripe's signing secret, `whsec_` and what follows".to_owned(),
        ),
        (
            "stripe",
            "whsec_9pPcVkS0YQmT4nTfLx2bDk1 wzo",
            "has white space or control characters in it; the secret alone, on one line".to_owned(),
        ),
        (
            "stripe",
            "whsec_9pPcVkS0YQmT4nTfLx2bDk1Jwzo\n\n",
            "has white space or control characters in it; the secret alone, on one line".to_owned(),
        ),
    ] {
        let problems = refused(&SOURCE.replace("standard-webhooks", auth), &[("RINGFENCE_SECRET_A", secret)]);
        let expected = format!("sources[0].secrets[0]: the secret at `env:RINGFENCE_SECRET_A` {expected}");
        assert_eq!(problems, [expected], "{secret}");
    }
    // Wherever an operator puts a secret by mistake, no message repeats it.
    for file in [
        inline.clone(),
        inline
            .replace("secrets = [", "secrets = ")
            .replace("\"]\n", "\"\n")
            .replace("[\"standard-webhooks\"\n", "[\"standard-webhooks\"]\n"),
        format!("{inline}\nsecret = \"{SECRET_B}\""),
        format!("secret = {SECRET_B}"),
        format!("secret = \"{SECRET_B}"),
        format!("store.url = \"{SECRET_B}\""),
    ] {
        let text = load(&file, &[("RINGFENCE_SECRT_X", SECRET_B)]).unwrap_err().to_string();
        assert!(!text.contains(&SECRET_B[6..20]), "{text}");
        assert!(text.contains("RINGFENCE_SECRT_X: is no setting"), "{text}");
    }
}

#[test]
fn inv_10_settings_print_without_secrets() {
    let settings = load(&SOURCE.replace("_A\"", "_A\", \"file:/secrets/b\""), &[]).unwrap();
    assert_eq!(settings.sources[0].secrets[0].text.expose(), SECRET_A);
    assert_eq!(settings.sources[0].secrets[1].text.expose(), SECRET_B, "without the line feed at the file's end");
    let report = check(None, &BTreeMap::new(), &|_| Err(io::ErrorKind::NotFound.into()));
    let texts = [format!("{settings:?}"), format!("{settings:#?}"), settings.describe(), format!("{report:?}")];
    for text in texts {
        for secret in [SECRET_A, SECRET_B] {
            assert!(!text.contains(&secret[6..20]), "{text}");
        }
    }
    assert!(settings.describe().contains("env:RINGFENCE_SECRET_A"));
    let crlf = load(&SOURCE.replace("env:RINGFENCE_SECRET_A", "file:/secrets/b-crlf"), &[]).unwrap();
    assert_eq!(crlf.sources[0].secrets[0].text.expose(), SECRET_B);
}

#[test]
fn variables_go_over_the_file_and_the_file_over_the_default() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\nheaders_max = 32\n[log]\nlevel = \"warn\"";
    let settings = load(
        file,
        &[
            ("RINGFENCE_SERVER__LISTEN", "[::1]:2"),
            ("RINGFENCE_SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\", \"192.0.2.7\"]"),
            ("RINGFENCE_LIMITS__PER_KEY__BURST", "7_000"),
            ("RINGFENCE_JOURNAL__DIR", "2026"),
            ("RINGFENCE_STORE__URL", "\"embedded:here\""),
            ("RINGFENCE_BOOTSTRAP_KEY", "0123456789abcdef0123456789abcdef"),
            ("RINGFENCE_SECRET_UNUSED", "x"),
            ("RINGFENCE_SERVICE_HOST", "10.0.0.1"),
            ("RINGFENCE_PORT", "tcp://10.0.0.1:8080"),
            ("RINGFENCE_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ],
    )
    .unwrap();
    assert_eq!(settings.server.listen.to_string(), "[::1]:2");
    assert_eq!(settings.server.headers_max, 32);
    assert_eq!(settings.server.body_bytes_max, 1 << 20);
    assert_eq!(format!("{:?}", settings.server.trusted_proxies), "[10.0.0.0/8, 192.0.2.7/32]");
    assert_eq!(settings.limits.per_key.unwrap().burst.get(), 7000);
    assert_eq!(settings.journal.dir, Path::new("2026"));
    assert_eq!(settings.store.url.to_string(), "embedded:here");
    assert_eq!(settings.log.level, LogLevel::Warn);
    let told = settings.describe();
    for line in ["server.headers_max = 32 ", "# file", "# RINGFENCE_SERVER__LISTEN", "log.format = \"json\"\n"] {
        assert!(told.contains(line), "{line} in\n{told}");
    }
}

#[test]
fn variables_that_map_to_no_key_are_named() {
    for (name, expected) in [
        ("RINGFENCE_SERVER__LISTN", "RINGFENCE_SERVER__LISTN: is no setting; did you mean `RINGFENCE_SERVER__LISTEN`?"),
        ("RINGFENCE_SERVER_LISTEN", "RINGFENCE_SERVER_LISTEN: is no setting; did you mean `RINGFENCE_SERVER__LISTEN`?"),
        ("RINGFENCE_SERVER_PORT", "RINGFENCE_SERVER_PORT: is no setting; did you mean `RINGFENCE_SERVER__LISTEN`?"),
        ("RINGFENCE_", "RINGFENCE_: is no setting; one of the keys explained in config/ringfence.toml"),
        ("RINGFENCE_X__Y__Z", "RINGFENCE_X__Y__Z: is no setting; one of the keys explained in config/ringfence.toml"),
        (
            "RINGFENCE_SERVER",
            "server: is a whole number (from RINGFENCE_SERVER); a section with keys, such as [server]",
        ),
        (
            "RINGFENCE_SOURCES__1__NAME",
            "RINGFENCE_SOURCES__1__NAME: sets source 1, which does not follow; an index of at most 0, the next free one",
        ),
        (
            "RINGFENCE_SERVER__LISTEN__PORT",
            "server.listen: is a section (from RINGFENCE_SERVER__LISTEN__PORT); a text in quotes",
        ),
    ] {
        check_refused("", &[(name, "1")], &[expected]);
    }
}

#[test]
fn a_variable_sets_one_key_and_no_other() {
    let problems = refused("", &[("RINGFENCE_LOG__LEVEL", "\"info\"\nserver.headers_max = 9")]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("log.level: "), "{problems:?}");
}

#[test]
fn sources_may_stand_in_variables() {
    let settings = load(
        SOURCE,
        &[
            ("RINGFENCE_SOURCES__0__DEFAULT_SCHEME", "visa"),
            ("RINGFENCE_SOURCES__0__RATE__PER_SECOND", "0"),
            ("RINGFENCE_SOURCES__0__RATE__BURST", "1"),
            ("RINGFENCE_SOURCES__1__NAME", "second"),
            ("RINGFENCE_SOURCES__1__FORMAT", "stripe-issuing"),
            ("RINGFENCE_SOURCES__1__AUTH", "[\"stripe\"]"),
            ("RINGFENCE_SOURCES__1__SECRETS", "[\"env:RINGFENCE_OTHER\"]"),
            ("RINGFENCE_OTHER", SECRET_B),
        ],
    )
    .unwrap();
    assert_eq!(settings.sources[0].default_scheme.as_deref(), Some("visa"));
    assert_eq!(settings.sources[0].rate, Some(SourceRate::Unlimited));
    assert_eq!(settings.sources[1].format, crate::normalise::Format::StripeIssuing);
    let whole =
        r#"[{name = "a", format = "ringfence", auth = ["standard-webhooks"], secrets = ["env:RINGFENCE_SECRET_B"]}]"#;
    let settings = load(SOURCE, &[("RINGFENCE_SOURCES", whole), ("RINGFENCE_SOURCES__0__NAME", "b")]).unwrap();
    assert_eq!(settings.sources.len(), 1);
    assert_eq!(settings.sources[0].name.as_str(), "b");
}

#[test]
fn a_missing_file_is_named_with_everything_else() {
    let problems = Settings::load(Some(Path::new("/nowhere.toml")), &env(&[("RINGFENCE_LOG__LEVEL", "x")]), &|_| {
        Err(io::ErrorKind::NotFound.into())
    })
    .unwrap_err();
    let said: Vec<String> = problems.0.iter().map(Problem::to_string).collect();
    assert_eq!(said[0], "/nowhere.toml: cannot be read: entity not found; a readable file of TOML");
    assert!(said[1].starts_with("log.level: "));
}

#[test]
fn check_warns_of_what_is_perhaps_not_meant() {
    let warned = |file: &str| -> Vec<String> {
        load(file, &[]).unwrap().warnings().into_iter().map(|warning| warning.path).collect()
    };
    assert_eq!(warned(""), ["sources"]);
    assert!(warned(SOURCE).is_empty());
    for (line, paths) in [
        ("server.listen = \"0.0.0.0:80\"", vec!["server.trusted_proxies", "server.public_url"]),
        ("server = {listen = \"[::]:80\", trusted_proxies = [\"fd00::/8\"], public_url = \"https://a.b\"}", vec![]),
        (
            "server = {listen = \"[::]:80\", trusted_proxies = [\"fd00::/8\"], public_url = \"http://a.b\"}",
            vec!["server.public_url"],
        ),
        ("limits.per_address.per_second = 0", vec!["limits.per_address.per_second"]),
        ("server.drain_seconds_max = 5", vec!["server.drain_seconds_max"]),
        ("webhooks.dead_letters_max = 0", vec!["webhooks.dead_letters_max"]),
        ("purchases.retention_days = 540", vec!["purchases.retention_days"]),
    ] {
        assert_eq!(warned(&format!("{line}\n{SOURCE}")), paths, "{line}");
    }
    let report = check(None, &BTreeMap::new(), &|_| Err(io::ErrorKind::NotFound.into()));
    assert!(report.is_ok());
    assert!(report.text().starts_with("server.listen = \"127.0.0.1:8080\"\n"), "{}", report.text());
    assert!(report.text().ends_with("ok: 0 problems, 1 warning\n"), "{}", report.text());
    let report = check(None, &env(&[("RINGFENCE_LOG__LEVEL", "x")]), &|_| Err(io::ErrorKind::NotFound.into()));
    assert!(!report.is_ok());
    assert!(report.text().ends_with("not ok: 1 problem, 0 warnings\n"), "{}", report.text());
}

#[test]
fn everything_that_is_read_is_told() {
    let told = load(SOURCE, &[]).unwrap().describe();
    for key in known()
        .into_keys()
        .filter(|key| !key.starts_with("sources") && !["server.public_url", "screening.model"].contains(&&**key))
    {
        assert!(told.contains(&format!("{key} = ")), "{key}");
    }
}

#[test]
fn networks_and_codes_contain_what_they_should() {
    let contains = |network: &str, address: &str| Cidr::parse(network).unwrap().contains(address.parse().unwrap());
    for (network, address, inside) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7/32", "192.0.2.6", false),
        ("fd00::/8", "fdff::1", true),
        ("fd00::/8", "10.0.0.1", false),
        ("::1", "::1", true),
    ] {
        assert_eq!(contains(network, address), inside, "{address} in {network}");
    }
    let cash = Settings::compiled_in().purchases.cash_like_mcc;
    for (code, inside) in [
        (4829, true),
        (4830, false),
        (6009, false),
        (6010, true),
        (6012, true),
        (6013, false),
        (7995, true),
        (0, false),
        (9999, false),
    ] {
        assert_eq!(cash.contains(code), inside, "{code}");
    }
    assert_eq!(MccSet::from_ranges(vec![(5, 9), (1, 3), (4, 6)]).ranges(), [(1, 9)]);
    assert!(!MccSet::default().contains(0));
}

#[test]
fn an_address_to_pull_from_is_sealed_or_near() {
    let refused_pull = |pull: &str| refused(&format!("{SOURCE}\npull = {pull}"), &[("RINGFENCE_SECRET_B", "no-colon")]);
    for (pull, path, wrong) in [
        ("{ url = \"http://api.example.org/x\" }", "sources[0].pull.url", "is http to another machine"),
        ("{ url = \"https://me:secret@api.example.org/x\" }", "sources[0].pull.url", "holds a user name or password"),
        ("{ every_seconds = 5 }", "sources[0].pull.url", "is missing"),
        ("{ url = \"https://a.b\", every_seconds = 0 }", "sources[0].pull.every_seconds", "is 0"),
        ("{ url = \"https://a.b\", cursor_query = \"a&b\" }", "sources[0].pull.cursor_query", "is no name"),
        ("{ url = \"https://a.b\", secret = \"env:RINGFENCE_SECRET_NONE\" }", "sources[0].pull.secret", "is missing"),
        (
            "{ url = \"https://a.b\", secret = \"env:RINGFENCE_SECRET_B\", secret_kind = \"basic\" }",
            "sources[0].pull.secret",
            "has no colon",
        ),
        ("{ url = \"https://a.b\", secret_kind = \"magic\" }", "sources[0].pull.secret_kind", "no way to send"),
        ("{ url = \"https://a.b\", cursor = \"after\" }", "sources[0].pull.cursor", "is no setting"),
    ] {
        let problems = refused_pull(pull);
        assert_eq!(problems.len(), 1, "{pull}: {problems:?}");
        assert!(problems[0].starts_with(&format!("{path}: ")) && problems[0].contains(wrong), "{pull}: {problems:?}");
        assert!(!problems[0].contains("secret@"), "inv_10: {problems:?}");
    }
}
