//! `ringfence sign`: a correct `curl` for a body, so that a first webhook needs no code.

use super::{ConfigArgs, Failure};
use crate::authenticate::{CurlBody, CurlUser, Scheme, Secret, Signer, curl};
use crate::clock::Clock;
use crate::config::{SecretPlace, Settings, SourceSettings};
use crate::domain::Timestamp;
use std::io::Read;
use std::path::Path;

/// Prints the command.
///
/// # Errors
/// When the source is not configured or the body cannot be read.
pub fn sign(args: &ConfigArgs, source: &str, file: Option<&Path>) -> Result<(), Failure> {
    let settings = args.settings()?;
    let said = find(&settings, source)?;
    let mut body = Vec::new();
    match file {
        Some(path) => body = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => drop(std::io::stdin().read_to_end(&mut body)?),
    }
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|error| format!("the system gave no random number: {error}"))?;
    let id = format!("msg_{:016x}", u64::from_le_bytes(id));
    let shown = file.and_then(Path::to_str).filter(|path| !path.is_empty());
    println!("{}", command(&settings, said, &id, Clock::Machine.now(), &body, shown)?);
    Ok(())
}

fn find<'s>(settings: &'s Settings, source: &str) -> Result<&'s SourceSettings, Failure> {
    let known: Vec<&str> = settings.sources.iter().map(|source| source.name.as_str()).collect();
    let found = settings.sources.iter().find(|said| said.name.as_str() == source);
    Ok(found.ok_or_else(|| {
        format!(
            "--source: no source is called `{source}`; configured: {}",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )
    })?)
}

/// The command for a body, which stands in it unless it can be read from a file.
///
/// It posts to where we are reached, and signs the address that the provider would post to,
/// since that is what we verify. A password is named by its place and not printed: unlike a
/// signature it is good for every other body.
fn command(
    settings: &Settings,
    said: &SourceSettings,
    id: &str,
    now: Timestamp,
    body: &[u8],
    file: Option<&str>,
) -> Result<String, Failure> {
    let mut headers = Vec::new();
    let mut user = None;
    for scheme in &said.auth {
        let current = said.secrets.iter().find(|secret| secret.scheme == *scheme);
        let current = current.ok_or_else(|| format!("the source has no secret for `{scheme}`"))?;
        if *scheme == Scheme::Basic {
            user = Some(match &current.place {
                SecretPlace::Env(name) => CurlUser::Variable(name),
                SecretPlace::File(path) => CurlUser::File(path.to_str().ok_or_else(|| {
                    format!("{}: a shell command cannot name a file whose name is not text", path.display())
                })?),
            });
            continue;
        }
        let mut signer = Signer::new(*scheme, &Secret::new(current.text.expose()))?;
        if let Some(public_url) = &said.public_url {
            signer = signer.posting_to(public_url);
        }
        headers.extend(signer.sign(id, now, body)?);
    }
    let base = settings.server.public_url.clone().unwrap_or_else(|| format!("http://{}", settings.server.listen));
    let url = format!("{base}/v1/webhooks/{}", said.name);
    Ok(curl(&url, &headers, user, file.map_or(CurlBody::Inline(body), CurlBody::File)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app;
    use bytes::Bytes;
    use hyper::HeaderMap;
    use std::collections::BTreeMap;

    const BODY: &[u8] = br#"{"id":"it's"}"#;
    const PASSWORD: &str = "net:Zc5Hs8Kd1:Yf3Gt6Bq9x";

    fn settings(auth: &str, secrets: &str, more: &str) -> Settings {
        let file = format!(
            "[[sources]]\nname = \"net\"\nformat = \"ringfence\"\nauth = {auth}\nsecrets = {secrets}\n{more}\n"
        );
        let variables = BTreeMap::from([
            ("RINGFENCE_SECRET_K".to_owned(), "whsec_9pPcVkS0YQmT4nTfLx2bDk1JwzqUuRzH8e0oXv6Bi3E=".to_owned()),
            ("RINGFENCE_SECRET_P".to_owned(), PASSWORD.to_owned()),
        ]);
        let read = |path: &Path| match path.to_str() {
            Some("c") => Ok(file.clone()),
            Some("/run/pass word") => Ok(format!("{PASSWORD}\n")),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        Settings::load(Some(Path::new("c")), &variables, &read).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Every printed command carries what the source's own verifier takes, and no password.
    #[test]
    fn what_is_printed_is_taken() {
        let now = Timestamp::from_ms(1_700_000_000_123);
        let key = r#"["env:RINGFENCE_SECRET_K"]"#;
        let url = "public_url = \"https://offers.example.org/hooks/net\"";
        for (auth, secrets, more, user) in [
            (r#"["standard-webhooks"]"#, key, "", None),
            (r#"["stripe"]"#, key, "", None),
            (r#"["fidel"]"#, key, url, None),
            (r#"["kard"]"#, key, "", None),
            (r#"["marqeta"]"#, key, "", None),
            (r#"["basic"]"#, r#"["env:RINGFENCE_SECRET_P"]"#, "", Some(r#"--user "${RINGFENCE_SECRET_P}""#)),
            (
                r#"["marqeta", "basic"]"#,
                r#"["env:RINGFENCE_SECRET_K", "basic=file:/run/pass word"]"#,
                "",
                Some(r#"--user "$(tr -d '\r\n' < '/run/pass word')""#),
            ),
        ] {
            let settings = settings(auth, secrets, more);
            let said = find(&settings, "net").unwrap();
            let printed = command(&settings, said, "msg_1", now, BODY, None).unwrap();
            assert!(printed.contains("--url 'http://127.0.0.1:8080/v1/webhooks/net'"), "{printed}");
            assert!(!printed.contains("Zc5Hs8") && !printed.contains("9pPcVkS0"), "{printed}");
            let mut headers = HeaderMap::new();
            for line in printed.lines().filter_map(|line| line.trim().strip_prefix("--header '")) {
                let (name, value) = line.split_once("': ").or_else(|| line.split_once(": ")).unwrap();
                let value = value.trim_end_matches(['\\', ' ', '\'']);
                headers.insert(name.parse::<hyper::header::HeaderName>().unwrap(), value.parse().unwrap());
            }
            assert_eq!(
                printed.lines().map(|line| line.trim().trim_end_matches(" \\")).find(|line| line.starts_with("--user")),
                user
            );
            if user.is_some() {
                // As curl makes it of a user and password.
                let basic = Signer::new(Scheme::Basic, &Secret::new(PASSWORD)).unwrap();
                let header = basic.sign("", now, BODY).unwrap().remove(0);
                headers.insert(header.0, header.1.parse().unwrap());
            }
            let source = app::source(0, said, 300).unwrap();
            assert!(source.verifier.verify(&headers, Bytes::from_static(BODY), now).is_ok(), "{auth} {printed}");
        }
    }

    #[test]
    fn an_unknown_source_is_told_which_there_are() {
        let settings = settings(r#"["stripe"]"#, r#"["env:RINGFENCE_SECRET_K"]"#, "");
        let told = find(&settings, "visa").unwrap_err().to_string();
        assert_eq!(told, "--source: no source is called `visa`; configured: net");
    }
}
