//! How long and how often an acquire tries.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::Moment;
use crate::error::{Error, Result};

/// A timeout is over when *more* than its span has passed by a clock that counts whole milliseconds, whichever fraction
/// the wait began at.
const GRANULARITY: Duration = Duration::from_millis(1);

/// The retry policy of one acquire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many chances; `None` for as many as it takes.
    pub attempts: Option<NonZeroU32>,
    /// The time between two chances.
    pub delay: Duration,
    /// The longest wait, time inside store calls included.
    pub timeout: Option<Duration>,
}

impl Retry {
    /// One chance, no wait.
    pub const ONCE: Self = Self { attempts: Some(NonZeroU32::MIN), delay: Duration::ZERO, timeout: None };

    /// A policy from plain numbers: `attempts` may be infinite, `delay` and `timeout` are milliseconds.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the parameter and the value, for attempts that are neither a positive integer nor
    /// infinite, and for a delay or timeout that is not finite or is negative.
    pub fn from_numbers(attempts: f64, delay: f64, timeout: Option<f64>) -> Result<Self> {
        Ok(Self {
            attempts: parse_attempts(attempts)?,
            delay: parse_millis("retry.delay", delay)?,
            timeout: timeout.map(|millis| parse_millis("retry.timeout", millis)).transpose()?,
        })
    }

    /// When a wait that begins at `start` has timed out.
    #[must_use]
    pub fn timeout_at(&self, start: Moment) -> Moment {
        self.timeout.map_or(Moment::NEVER, |timeout| start + timeout + GRANULARITY)
    }

    /// When the last chance of a wait that begins at `start` comes.
    #[must_use]
    pub fn last_chance_at(&self, start: Moment) -> Moment {
        self.attempts.map_or(Moment::NEVER, |attempts| {
            start + self.delay.checked_mul(attempts.get() - 1).unwrap_or(Duration::MAX)
        })
    }

    /// Whether there is one chance only.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.attempts == Some(NonZeroU32::MIN)
    }
}

fn parse_attempts(attempts: f64) -> Result<Option<NonZeroU32>> {
    if attempts == f64::INFINITY || (attempts > f64::from(u32::MAX) && attempts.fract() == 0.0) {
        return Ok(None);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // saturates; compared with the original below
    let whole = attempts as u32;
    #[allow(clippy::float_cmp)] // exactness is the question
    let is_exact = f64::from(whole) == attempts;
    NonZeroU32::new(whole).filter(|_| is_exact).map(Some).ok_or_else(|| {
        Error::invalid(format!("retry.attempts must be a positive integer or Infinity, got {attempts}"))
    })
}

fn parse_millis(parameter: &str, millis: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(millis / 1e3).map_err(|_| {
        Error::invalid(format!(
            "{parameter} must be a finite number of milliseconds, not negative, got {millis}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c9_a_timeout_ends_after_more_than_its_span() {
        let retry = Retry { timeout: Some(Duration::from_millis(300)), ..Retry::ONCE };
        assert_eq!(retry.timeout_at(Moment::START).since(Moment::START), Duration::from_millis(301));
        assert_eq!(Retry::ONCE.timeout_at(Moment::START), Moment::NEVER);
    }

    #[test]
    fn c10_n_attempts_are_spaced_by_n_minus_one_delays() {
        let retry = Retry::from_numbers(3.0, 100.0, None).unwrap();
        assert_eq!(retry.last_chance_at(Moment::START).since(Moment::START), Duration::from_millis(200));
        assert!(Retry::from_numbers(1.0, 0.0, None).unwrap().is_single());
        assert_eq!(Retry::from_numbers(f64::INFINITY, 0.0, None).unwrap().attempts, None);
    }

    #[test]
    fn c18_bad_numbers_are_named() {
        for attempts in [0.0, -1.0, 1.5, f64::NAN, f64::NEG_INFINITY] {
            let error = Retry::from_numbers(attempts, 1.0, None).unwrap_err().to_string();
            assert!(error.contains("retry.attempts") && error.contains(&attempts.to_string()), "{error}");
        }
        for delay in [-1.0, f64::NAN, f64::INFINITY] {
            let error = Retry::from_numbers(1.0, delay, None).unwrap_err().to_string();
            assert!(error.contains("retry.delay") && error.contains(&delay.to_string()), "{error}");
            let error = Retry::from_numbers(1.0, 1.0, Some(delay)).unwrap_err().to_string();
            assert!(error.contains("retry.timeout"), "{error}");
        }
    }
}
