//! `ringfence sign`: a correct `curl` for a body, so that a first webhook needs no code.

use super::{ConfigArgs, Failure};
use crate::app;
use crate::authenticate::{CurlBody, Secret, curl, sign as sign_with};
use crate::clock::Clock;
use std::io::Read;
use std::path::Path;

/// Prints the command.
///
/// # Errors
/// When the source is not configured or the body cannot be read.
pub fn sign(args: &ConfigArgs, source: &str, file: Option<&Path>) -> Result<(), Failure> {
    let settings = args.settings()?;
    let known: Vec<&str> = settings.sources.iter().map(|source| source.name.as_str()).collect();
    let said = settings.sources.iter().find(|said| said.name.as_str() == source).ok_or_else(|| {
        format!(
            "--source: no source is called `{source}`; configured: {}",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )
    })?;
    let mut body = Vec::new();
    match file {
        Some(path) => body = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => drop(std::io::stdin().read_to_end(&mut body)?),
    }
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|error| format!("the system gave no random number: {error}"))?;
    let id = format!("msg_{:016x}", u64::from_le_bytes(id));
    let secret = Secret::new(said.secrets.first().ok_or("the source has no secret")?.expose().to_owned());
    let mut headers = Vec::new();
    for scheme in app::schemes(said) {
        headers.extend(sign_with(scheme, &secret, &id, Clock::Machine.now(), &body)?);
    }
    let base = settings.server.public_url.clone().unwrap_or_else(|| format!("http://{}", settings.server.listen));
    let url = format!("{base}/v1/webhooks/{source}");
    let shown = file.and_then(Path::to_str).filter(|path| !path.is_empty());
    println!("{}", curl(&url, &headers, shown.map_or(CurlBody::Inline(&body), CurlBody::File)));
    Ok(())
}
