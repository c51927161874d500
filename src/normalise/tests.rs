//! What holds for every dialect: no body makes us panic, and none comes out with another
//! meaning than it went in with.

use super::*;
use std::path::{Path, PathBuf};

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
    let fault = "fax".parse::<Format>().unwrap_err();
    assert_eq!(
        fault.to_string(),
        "`fax` is not a format this build understands (it understands: ringfence, stripe-issuing)"
    );
}

#[test]
fn every_file_of_jsontestsuite() {
    let mut seen = 0;
    for entry in std::fs::read_dir(data("jsontestsuite/test_parsing")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let body = std::fs::read(&path).unwrap();
        seen += 1;
        for format in Format::ALL {
            let outcome = normalise(format, &body);
            match &name[..2] {
                "n_" => {
                    let code = outcome.as_ref().unwrap_err().problem.code;
                    assert!(matches!(code, "not_json" | "not_utf8"), "{format} {name}: {outcome:?}");
                }
                // No value of the suite is a card event, so where it is read it is refused.
                "y_" => match outcome {
                    Err(fault) => assert_eq!(fault.problem.code, "wrong_shape", "{format} {name}: {fault:?}"),
                    Ok(read) => assert!(matches!(read.messages[..], [Message::Impossible { .. }]), "{format} {name}"),
                },
                "i_" => {
                    assert!(!matches!(outcome.map(|read| read.messages), Ok(m) if matches!(m[..], [Message::Event(_)])))
                }
                other => panic!("what is {other}?"),
            }
            assert!(masked(format, &body).len() >= body.len());
        }
    }
    assert_eq!(seen, 318);
}
