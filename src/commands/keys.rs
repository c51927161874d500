//! `ringfence keys`: API keys, beside a running service too.

use super::{ConfigArgs, Failure};
use crate::app;
use crate::authenticate::keys::{KEY_RANDOM_BYTES, KeyId, KeyRing, NewKey, Role};
use crate::clock::Clock;
use crate::domain::MerchantId;

/// Makes a key and shows its secret, this once.
///
/// # Errors
/// When the role and merchant do not fit, or the file refuses.
pub fn create(args: &ConfigArgs, role: Role, merchant: Option<String>, label: Option<String>) -> Result<(), Failure> {
    let ring = ring(args)?;
    let merchant = merchant.map(MerchantId::new).transpose().map_err(|error| format!("--merchant: {error}"))?;
    let mut random = [0; KEY_RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("the system gave no random number: {error}"))?;
    let (record, secret) = ring.create(NewKey { role, merchant, label }, Clock::Machine.now(), &random)?;
    println!("{}", secret.expose());
    eprintln!("key {} for role {}: keep the line above, it is not shown again", record.id.as_str(), role.name());
    Ok(())
}

/// Lists keys, without secrets.
///
/// # Errors
/// When the file refuses.
pub fn list(args: &ConfigArgs) -> Result<(), Failure> {
    println!("{:<14} {:<9} {:<20} {:<25} {:<25} label", "id", "role", "merchant", "created", "revoked");
    for key in ring(args)?.list() {
        println!(
            "{:<14} {:<9} {:<20} {:<25} {:<25} {}",
            key.id.as_str(),
            key.role.name(),
            key.merchant.as_ref().map_or("-", MerchantId::as_str),
            key.created_at.to_string(),
            key.revoked_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            key.label.as_deref().unwrap_or("-"),
        );
    }
    Ok(())
}

/// Revokes a key; a running service refuses it within a second.
///
/// # Errors
/// When there is no such key, or the file refuses.
pub fn revoke(args: &ConfigArgs, id: &str) -> Result<(), Failure> {
    let id: KeyId = id.parse()?;
    let record = ring(args)?.revoke(&id, Clock::Machine.now())?;
    println!("revoked {}", record.id.as_str());
    Ok(())
}

fn ring(args: &ConfigArgs) -> Result<KeyRing, Failure> {
    let dir = app::keys_dir(&args.settings()?);
    std::fs::create_dir_all(&dir)?;
    Ok(KeyRing::load(dir, None)?)
}
