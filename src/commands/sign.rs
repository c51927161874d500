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
