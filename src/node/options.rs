//! Plain numbers from JavaScript to validated values.

use std::time::Duration;

use super::error::Result;
use crate::engine::Retry;
use crate::error::Error;
use crate::lease::{Owner, Ttl};

/// A TTL in milliseconds; zero stands for "no expiry" (JavaScript has refused a real zero before).
pub(super) fn ttl(millis: f64) -> Result<Ttl> {
    if millis == 0.0 {
        return Ok(Ttl::FOREVER);
    }
    if !(millis.is_finite() && millis >= 0.0) {
        let message = format!("the lock's TTL must be a positive number of milliseconds, got {millis}");
        return Err(Error::invalid(message).into());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // finite and not negative; the cast saturates
    let whole = millis.ceil() as u64;
    Ok(Ttl::from_millis(whole)?)
}

/// A span in milliseconds; infinite for no limit.
pub(super) fn span(millis: f64) -> Result<Option<Duration>> {
    if millis == f64::INFINITY {
        return Ok(None);
    }
    match Duration::try_from_secs_f64(millis / 1000.0) {
        Ok(span) if !span.is_zero() => Ok(Some(span)),
        _ => {
            Err(Error::invalid(format!("a span must be a positive number of milliseconds, got {millis}"))
                .into())
        }
    }
}

/// A retry policy; a negative timeout stands for none.
pub(super) fn retry(attempts: f64, delay: f64, timeout: f64) -> Result<Retry> {
    Ok(Retry::from_numbers(attempts, delay, (timeout >= 0.0).then_some(timeout))?)
}

/// An owner; unnamed if JavaScript hasn't made a name for it yet.
pub(super) fn owner(name: Option<&str>) -> Owner {
    name.map_or_else(Owner::unnamed, Owner::named)
}
