//! `ringfence keys` and `ringfence users`: who may call and who may come in, beside a running
//! service too.

use super::{ConfigArgs, Failure, random};
use crate::app;
use crate::authenticate::keys::users::{PasswordHash, UserName};
use crate::authenticate::keys::{KEY_RANDOM_BYTES, KeyId, KeyRing, NewKey, Role};
use crate::clock::Clock;
use crate::domain::MerchantId;
use std::io::Read as _;

/// Most bytes of a password's line.
const LINE_BYTES_MAX: u64 = 4_096;

/// Makes a key and shows its secret, this once.
///
/// # Errors
/// When the role and merchant do not fit, or the file refuses.
pub fn create(args: &ConfigArgs, role: Role, merchant: Option<String>, label: Option<String>) -> Result<(), Failure> {
    let ring = ring(args)?;
    let new = NewKey { role, merchant: merchant_of(merchant)?, label };
    let (record, secret) = ring.create(new, Clock::Machine.now(), &random::<KEY_RANDOM_BYTES>()?)?;
    println!("{}", secret.expose());
    eprintln!("key {} for role {}: keep the line above, it is not shown again", record.id.as_str(), role.name());
    if role.has_console() {
        eprintln!("a sign-in to the console, good once and for ten minutes: {}", invited(args, &ring, &record.id)?);
    }
    Ok(())
}

fn merchant_of(text: Option<String>) -> Result<Option<MerchantId>, Failure> {
    text.map(MerchantId::new).transpose().map_err(|error| format!("--merchant: {error}").into())
}

/// Makes a sign-in that is good once, as an address.
fn invited(args: &ConfigArgs, ring: &KeyRing, who: &KeyId) -> Result<String, Failure> {
    let server = args.settings()?.server;
    let base = server.public_url.unwrap_or_else(|| format!("http://{}", server.listen));
    let token = ring.invite(who, Clock::Machine.now(), &random()?)?;
    Ok(format!("{base}/console/sign-in?once={}", token.expose()))
}

/// Prints a sign-in to the console for the holder of a key that is valid.
///
/// # Errors
/// When there is no such key, its role has no console, or the file refuses.
pub fn link(args: &ConfigArgs, id: &str) -> Result<(), Failure> {
    let ring = ring(args)?;
    let caller = ring.caller(&id.parse()?).ok_or("there is no such key, or it is revoked")?;
    if !caller.role.has_console() {
        return Err(format!("the role {} has no console", caller.role).into());
    }
    println!("{}", invited(args, &ring, &caller.key_id)?);
    Ok(())
}

/// Enters a user and prints the link by which they choose their password.
///
/// # Errors
/// When the role and merchant do not fit, the name is taken, or the file refuses.
pub fn add_user(args: &ConfigArgs, name: &UserName, role: Role, merchant: Option<String>) -> Result<(), Failure> {
    let ring = ring(args)?;
    ring.create_user(name.clone(), role, merchant_of(merchant)?, Clock::Machine.now())?;
    println!("{}", invited(args, &ring, &KeyId::of_user(name))?);
    eprintln!("{name} is entered; by the line above, good once and for ten minutes, they choose their password");
    Ok(())
}

/// Lists users.
///
/// # Errors
/// When the file refuses.
pub fn list_users(args: &ConfigArgs) -> Result<(), Failure> {
    println!("{:<32} {:<9} {:<20} {:<25} password", "name", "role", "merchant", "created");
    for user in ring(args)?.users() {
        println!(
            "{:<32} {:<9} {:<20} {:<25} {}",
            user.name.as_str(),
            user.role.name(),
            user.merchant.as_ref().map_or("-", MerchantId::as_str),
            user.created_at.to_string(),
            if user.password.is_some() { "set" } else { "-" },
        );
    }
    Ok(())
}

/// Prints a link by which a user comes in once and may choose a new password.
///
/// # Errors
/// When there is no such user, or the file refuses.
pub fn link_user(args: &ConfigArgs, name: &UserName) -> Result<(), Failure> {
    let ring = ring(args)?;
    let user = ring.user(name).ok_or_else(|| format!("there is no user {name}"))?;
    println!("{}", invited(args, &ring, &KeyId::of_user(&user.name))?);
    Ok(())
}

/// Sets a user's password to the first line of stdin.
///
/// # Errors
/// When there is no such user, the password is too short or long, or the file refuses.
pub fn set_password(args: &ConfigArgs, name: &UserName) -> Result<(), Failure> {
    let mut text = String::new();
    std::io::stdin().take(LINE_BYTES_MAX).read_to_string(&mut text)?;
    let password = text.lines().next().unwrap_or_default();
    ring(args)?.set_password(name, &PasswordHash::of(password, &random()?)?)?;
    println!("the password of {name} is set");
    Ok(())
}

/// Takes a user away; a running service signs them out within a second.
///
/// # Errors
/// When there is no such user, or the file refuses.
pub fn remove_user(args: &ConfigArgs, name: &UserName) -> Result<(), Failure> {
    ring(args)?.remove_user(name)?;
    println!("removed {name}");
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
