//! How a source says who it is: formats, ways of authentication, which secret is for which,
//! the address that is signed.

use super::*;
use crate::authenticate::Scheme;
use crate::normalise::Format;

const MARQETA: &str = "R7mQ2xW9pL4vT8zNc5Hs8";
const PASSWORD: &str = "net:Zc5Hs8Kd1:Yf3Gt6Bq9x";

#[test]
fn a_source_is_checked() {
    for (from, to, expected) in [
        (
            "\"visa-eu\"",
            "\"Visa EU\"",
            "sources[0].name: `Visa EU` cannot stand in an address; 1 to 64 lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
        ),
        (
            "\"visa-eu\"",
            "\"..\"",
            "sources[0].name: `..` cannot stand in an address; 1 to 64 lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
        ),
        (
            "\"visa-eu\"",
            "\"referral\"",
            "sources[0].name: `referral` is a word of ours for what is no purchase; another name",
        ),
        (
            "[\"standard-webhooks\"]",
            "[\"standard-webhooks\", \"mtls\"]",
            "sources[0].auth[1]: `mtls` is not yet available; `standard-webhooks`, `stripe`, `fidel`, `kard`, `marqeta` or `basic`, in this version",
        ),
        (
            "[\"standard-webhooks\"]",
            "[\"Basic\"]",
            "sources[0].auth[0]: `Basic` is no way of authentication; `standard-webhooks`, `stripe`, `fidel`, `kard`, `marqeta` or `basic`",
        ),
        ("[\"standard-webhooks\"]", "[\"kard\", \"kard\"]", "sources[0].auth: names `kard` twice; each way once"),
        (
            "[\"standard-webhooks\"]",
            "[\"standard-webhooks\", \"stripe\"]",
            "sources[0].auth: names more than one signature of the body; the one its provider signs with",
        ),
        (
            "[\"standard-webhooks\"]",
            "[]",
            "sources[0].auth: names no way of authentication; at least one, such as [\"standard-webhooks\"]",
        ),
        (
            "name =",
            "default_scheme = \"VISA\"\nname =",
            "sources[0].default_scheme: is no card network; its name in lower case, such as \"visa\"",
        ),
        (
            "name =",
            "rate = {per_second = 5}\nname =",
            "sources[0].rate.burst: is missing; a whole number from 1 to 10000000",
        ),
        ("name =", "rate = 5\nname =", "sources[0].rate.burst: is missing; a whole number from 1 to 10000000"),
        ("name =", "formt = 5\nname =", "sources[0].formt: is no setting; did you mean `sources[].format`?"),
    ] {
        let problems = refused(&SOURCE.replace(from, to), &[]);
        assert!(problems.contains(&expected.to_owned()), "{to}: {problems:#?}");
    }
    check_refused(
        &format!("{SOURCE}{}", SOURCE.replace("_A", "_B")),
        &[],
        &["sources[1].name: `visa-eu` is the name of sources[0] too; a name of its own"],
    );
    check_refused(
        &format!("{SOURCE}{}", SOURCE.replace("visa-eu", "visa-us")),
        &[],
        &["sources[1].secrets[0]: is a secret of sources[0] too; a secret of its own for each source, each once"],
    );
    let many = SOURCE.repeat(SOURCES_MAX + 1);
    check_refused(&many, &[], &["sources: has 257 sections; at most 256 sections [[sources]]"]);
}

#[test]
fn every_format_that_is_understood_may_be_named_and_no_other() {
    for format in Format::ALL {
        let settings = load(&SOURCE.replace("\"ringfence\"", &format!("\"{format}\"")), &[]).unwrap();
        assert_eq!(settings.sources[0].format, format);
    }
    let problems = refused(&SOURCE.replace("\"ringfence\"", "\"swift\""), &[]);
    assert!(problems[0].starts_with("sources[0].format: `swift` is no format; `ringfence`"), "{problems:?}");
    assert!(Format::ALL.iter().all(|format| problems[0].contains(&format!("`{format}`"))), "{problems:?}");
}

/// A source's `auth`, `secrets` and `public_url`, with a password and a key of Marqeta's at hand.
fn source(auth: &str, secrets: &str, more: &str) -> String {
    SOURCE
        .replace("[\"standard-webhooks\"]", auth)
        .replace("[\"env:RINGFENCE_SECRET_A\"]", secrets)
        .replace("name =", &format!("{more}\nname ="))
}

const VARIABLES: [(&str, &str); 4] = [
    ("RINGFENCE_SECRET_M", MARQETA),
    ("RINGFENCE_SECRET_M_OLD", "Bq9Yf3Gt6Kd1Zc5HsNzT8"),
    ("RINGFENCE_SECRET_P", PASSWORD),
    ("RINGFENCE_SECRET_P_OLD", "net:Kd1Zc5HsNzT8Bq9Yf3Gt6"),
];

#[test]
fn each_secret_is_for_one_way() {
    use Scheme::{Basic, Kard, Marqeta};
    let both = "[\"basic\", \"marqeta\"]";
    for (auth, secrets, want) in [
        // One way: nothing need be said, and may be.
        ("[\"kard\"]", "[\"env:RINGFENCE_SECRET_M\"]", vec![Kard]),
        ("[\"kard\"]", "[\"kard=env:RINGFENCE_SECRET_M\", \"kard=env:RINGFENCE_SECRET_M_OLD\"]", vec![Kard, Kard]),
        // Two: each named, or all but one.
        (both, "[\"marqeta=env:RINGFENCE_SECRET_M\", \"basic=env:RINGFENCE_SECRET_P\"]", vec![Marqeta, Basic]),
        (both, "[\"env:RINGFENCE_SECRET_M\", \"basic=env:RINGFENCE_SECRET_P\"]", vec![Marqeta, Basic]),
        (
            both,
            "[\"env:RINGFENCE_SECRET_M\", \"basic=env:RINGFENCE_SECRET_P\", \"env:RINGFENCE_SECRET_M_OLD\", \"basic=env:RINGFENCE_SECRET_P_OLD\"]",
            vec![Marqeta, Basic, Marqeta, Basic],
        ),
    ] {
        let settings = load(&source(auth, secrets, ""), &VARIABLES).unwrap_or_else(|e| panic!("{secrets}: {e}"));
        let found: Vec<Scheme> = settings.sources[0].secrets.iter().map(|secret| secret.scheme).collect();
        assert_eq!(found, want, "{secrets}");
        crate::app::source(0, &settings.sources[0], 300).unwrap();
    }
}

#[test]
fn secrets_that_do_not_say_their_way_are_named() {
    let both = "[\"basic\", \"marqeta\"]";
    for (auth, secrets, expected) in [
        (
            both,
            "[\"env:RINGFENCE_SECRET_M\"]",
            vec![
                "sources[0].secrets[0]: does not say which way it is for, and `auth` names several; the way before it, such as \"basic=env:RINGFENCE_SECRET_M\"",
            ],
        ),
        (
            both,
            "[\"basic=env:RINGFENCE_SECRET_P\"]",
            vec![
                "sources[0].secrets: names no secret for `marqeta`; at least one for each way in `auth`, such as \"marqeta=env:NAME\"",
            ],
        ),
        (
            both,
            "[\"marqeta=env:RINGFENCE_SECRET_M\", \"basic=env:RINGFENCE_SECRET_P\", \"env:RINGFENCE_SECRET_A\"]",
            vec![
                "sources[0].secrets[2]: does not say which way it is for, and each way in `auth` has its own; the way before it, such as \"basic=env:RINGFENCE_SECRET_A\"",
            ],
        ),
        (
            "[\"marqeta\"]",
            "[\"env:RINGFENCE_SECRET_M\", \"basic=env:RINGFENCE_SECRET_P\"]",
            vec!["sources[0].secrets[1]: is for `basic`, which `auth` does not name; a secret for a way in `auth`"],
        ),
        (
            "[\"marqeta\"]",
            "[\"marqeta=nowhere\"]",
            vec!["sources[0].secrets[0]: secrets come from environment or file only; \"env:NAME\" or \"file:PATH\""],
        ),
        (
            "[\"basic\"]",
            "[\"env:RINGFENCE_SECRET_M\"]",
            vec![
                "sources[0].secrets[0]: the secret at `env:RINGFENCE_SECRET_M` is not a user name and a password; `user:password`, with a colon between",
            ],
        ),
        (
            both,
            "[\"marqeta=env:RINGFENCE_SECRET_M\", \"basic=env:RINGFENCE_SECRET_P\", \"marqeta=env:RINGFENCE_SECRET_M\"]",
            vec!["sources[0].secrets[2]: is given twice; a secret of its own for each source, each once"],
        ),
    ] {
        check_refused(&source(auth, secrets, ""), &VARIABLES, &expected);
    }
}

#[test]
fn inv_10_short_keys_and_passwords_are_refused_without_being_repeated() {
    const RANDOM: &str = "at least 24 random bytes, such as from `openssl rand -base64 32`";
    let provider = "the key as the provider shows it, whole";
    for (auth, secret, expected) in [
        ("fidel", "R7mQ2xW9pL4vT8z", format!("has 15 bytes; {provider}")),
        ("kard", "R7mQ2xW9pL4vT8z", format!("has 15 bytes; {provider}")),
        (
            "kard",
            "R7mQ2xW9pL4v T8zN",
            "has white space or control characters in it; the secret alone, on one line".into(),
        ),
        ("marqeta", "R7mQ2xW9pL4vT8zNc5H", "has 19 bytes; 20 random characters or more".into()),
        ("marqeta", "01234567890123456789", format!("repeats itself; {RANDOM}")),
        ("basic", "network:R7mQ2xW9pL4vT8zNc5H", "has 19 bytes; a password of 20 random characters or more".into()),
        ("basic", "network:changeme-R7mQ2xW9pL4v", format!("is a well-known default; {RANDOM}")),
        (
            "basic",
            ":R7mQ2xW9pL4vT8zNc5Hs8",
            "is not a user name and a password; `user:password`, with a colon between".into(),
        ),
        ("basic", "", format!("is empty; {RANDOM}")),
    ] {
        let more = if auth == "fidel" { "public_url = \"https://a.b/c\"" } else { "" };
        let file = source(&format!("[\"{auth}\"]"), "[\"env:RINGFENCE_SECRET_A\"]", more);
        let expected = format!("sources[0].secrets[0]: the secret at `env:RINGFENCE_SECRET_A` {expected}");
        let problems = refused(&file, &[("RINGFENCE_SECRET_A", secret)]);
        assert_eq!(problems, [expected], "{auth} {secret}");
    }
    // A user may be called what a password may not.
    let file = source("[\"basic\"]", "[\"env:RINGFENCE_SECRET_A\"]", "");
    load(&file, &[("RINGFENCE_SECRET_A", "default-secret:R7mQ2xW9pL4vT8zNc5Hs8")]).unwrap();
    let shown = format!("{:?}", load(&file, &[("RINGFENCE_SECRET_A", PASSWORD)]).unwrap());
    assert!(!shown.contains("Kd1"), "{shown}");
}

#[test]
fn the_signed_address_is_said_where_it_is_signed_and_nowhere_else() {
    const RIGHT: &str = "the whole address as the provider has it, such as https://offers.example.org/v1/webhooks/shop";
    let secrets = "[\"env:RINGFENCE_SECRET_A\"]";
    for url in [
        "https://offers.example.org/v1/webhooks/fidel",
        "https://offers.example.org/v1/webhooks/fidel/",
        "http://h:8080?a=b&c=%20",
    ] {
        let settings = load(&source("[\"fidel\"]", secrets, &format!("public_url = \"{url}\"")), &[]).unwrap();
        assert_eq!(settings.sources[0].public_url.as_deref(), Some(url), "letter for letter");
    }
    let long = format!("https://h/{}", "x".repeat(2048));
    for (url, expected) in [
        ("/v1/webhooks/fidel", "is no http or https URL"),
        ("offers.example.org", "is no http or https URL"),
        ("ftp://offers.example.org/", "is no http or https URL"),
        ("https:// offers.example.org/", "is no URL"),
        ("https://a:b@offers.example.org/", "holds a user name or password"),
        ("https://offers.example.org/#x", "has a fragment, which is never sent"),
        ("", "is no URL"),
        (&long, "has more than 2048 bytes"),
    ] {
        let file = source("[\"fidel\"]", secrets, &format!("public_url = \"{url}\""));
        check_refused(&file, &[], &[&format!("sources[0].public_url: {expected}; {RIGHT}")]);
    }
    check_refused(
        &source("[\"fidel\"]", secrets, ""),
        &[],
        &[
            "sources[0].public_url: is missing, and `fidel` signs the address it posts to; that address as the provider has it, letter for letter",
        ],
    );
    check_refused(
        &source("[\"kard\"]", secrets, "public_url = \"https://offers.example.org/\""),
        &[],
        &[
            "sources[0].public_url: is not used: no way in `auth` signs the address; only where one does, such as `fidel`; `server.public_url` says how we are reached",
        ],
    );
}

#[test]
fn check_notes_what_an_operator_should_know() {
    let found = |file: &str| {
        let settings = load(file, &VARIABLES).unwrap();
        let paths = |of: Vec<Warning>| of.into_iter().map(|one| one.path).collect::<Vec<_>>();
        (paths(settings.warnings()), paths(settings.notes()))
    };
    let auth = || vec!["sources[0].auth".to_owned()];
    let fidel = source("[\"fidel\"]", "[\"env:RINGFENCE_SECRET_A\"]", "public_url = \"http://a.b/\"");
    let secrets = "[\"marqeta=env:RINGFENCE_SECRET_M\", \"basic=env:RINGFENCE_SECRET_P\"]";
    assert_eq!(found(SOURCE), (vec![], vec![]));
    assert_eq!(found(&fidel), (vec!["sources[0].public_url".to_owned()], vec![]));
    assert_eq!(found(&source("[\"kard\"]", "[\"env:RINGFENCE_SECRET_M\"]", "")), (vec![], auth()));
    assert_eq!(found(&source("[\"basic\", \"marqeta\"]", secrets, "")), (vec![], auth()));
    assert_eq!(found(&source("[\"basic\"]", "[\"env:RINGFENCE_SECRET_P\"]", "")), (auth(), auth()));
    let read = |path: &Path| match path.to_str() {
        Some("c") => Ok(source("[\"basic\", \"marqeta\"]", secrets, "")),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let text = check(Some(Path::new("c")), &env(&VARIABLES), &read).text();
    let note = "note     sources[0].auth: the proof of `visa-eu`, `basic` and `marqeta`, carries no time: an old delivery can be \
                posted again, and only the event's identity, kept for 578 days, stops it from counting twice\n";
    assert!(text.contains(note), "{text}");
    assert!(text.ends_with("ok: 0 problems, 0 warnings\n"), "{text}");
    // Known to be experimental by its name, once it is understood.
    let experimental = Format::ALL.into_iter().find(|format| format.as_str() == "visa-vop");
    let noted = experimental.map(|format| found(&SOURCE.replace("\"ringfence\"", &format!("\"{format}\""))).1);
    assert_eq!(noted, experimental.map(|_| vec!["sources[0].format".to_owned()]));
}
