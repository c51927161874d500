//! Who may do what: the caller of a request and the bounds of each role.

use super::Doors;
use super::reply::{self, Reply};
use crate::authenticate::keys::{Caller, Role};
use crate::domain::MerchantId;
use crate::telemetry::RateLimitKind;
use crate::wire::Request;

/// The caller of a request, if the key is good and not too fast.
///
/// # Errors
/// The reply to give instead.
pub(super) fn caller(doors: &Doors, request: &Request) -> Result<Caller, Reply> {
    let header = request.headers.get(hyper::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|text| {
        let (scheme, key) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let caller = bearer.and_then(|bearer| doors.keys.verify(bearer)).ok_or_else(reply::no_key)?;
    if let Some(limiter) = &doors.limits.keys
        && let Err(wait) = limiter.check(caller.key_id.as_str())
    {
        doors.engine.metrics.rate_limited(RateLimitKind::Key);
        return Err(reply::slow_down(wait.seconds, "too many requests with this key"));
    }
    Ok(caller)
}

/// The caller, when its role is one of these.
///
/// # Errors
/// The reply to give instead.
pub(super) fn one_of(doors: &Doors, request: &Request, roles: &[Role]) -> Result<Caller, Reply> {
    let caller = caller(doors, request)?;
    if roles.contains(&caller.role) {
        return Ok(caller);
    }
    let words: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    Err(reply::not_allowed(format!("this route is for the roles {}", words.join(", "))))
}

/// Whether a caller may see a merchant: a merchant's key sees its own alone.
///
/// # Errors
/// The reply to give instead; the same as for a merchant that is not there.
pub(crate) fn own_merchant(caller: &Caller, merchant: &MerchantId) -> Result<(), Reply> {
    match (&caller.role, &caller.merchant) {
        (Role::Merchant, Some(own)) if own == merchant => Ok(()),
        (Role::Merchant, _) => Err(reply::not_found("there is no such merchant")),
        _ => Ok(()),
    }
}

/// What only an operator may say: that something counts from the past.
///
/// # Errors
/// The reply to give instead.
pub(super) fn operator_word(caller: &Caller, path: &str) -> Result<(), Reply> {
    if caller.role == Role::Operator {
        return Ok(());
    }
    Err(reply::not_allowed(format!("`{path}` lies in the past, which only an operator may say; leave it out for now")))
}
