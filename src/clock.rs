//! Monotonic time.
//!
//! Everything in the crate that decides about time takes a [`Moment`] as an argument or asks a [`Clock`], so that
//! tests and simulation can drive it by hand. Wall-clock time never decides: it may jump.

use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// A point in monotonic time: nanoseconds since the clock's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The clock's origin.
    pub const START: Self = Self(0);
    /// Later than every moment a clock returns (the clock would have to run for 584 years).
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Milliseconds since the origin, with fractions; infinite for [`Moment::NEVER`].
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // 2^53 ns are 104 days to the nanosecond; beyond that, still microseconds
    pub fn as_millis_f64(self) -> f64 {
        if self == Self::NEVER { f64::INFINITY } else { self.0 as f64 / 1e6 }
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Whole microseconds from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Saturates at [`Moment::NEVER`].
    fn add(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// A source of monotonic time.
pub trait Clock: Send + Sync {
    /// The present moment. Never goes back.
    fn now(&self) -> Moment;
}

/// The operating system's monotonic clock. It goes on while the machine is suspended, as leases on servers do. All instances
/// in a process share one origin.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        static ORIGIN: OnceLock<u64> = OnceLock::new();
        let running = running_nanos();
        Moment(running.saturating_sub(*ORIGIN.get_or_init(|| running)))
    }
}

/// Nanoseconds since some origin, suspended or not: Linux has a clock of its own for that, elsewhere the monotonic one counts it.
#[cfg(unix)]
fn running_nanos() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(CLOCK);
    // Neither is ever negative.
    let (seconds, nanos) =
        (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// The standard library's clock is the performance counter, which counts the time in which the machine is suspended.
#[cfg(not(unix))]
fn running_nanos() -> u64 {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    u64::try_from(ORIGIN.get_or_init(std::time::Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Microseconds since the Unix epoch by the machine's wall clock, which may jump: for fencing tokens, which must grow over
/// restarts too, and for nothing else.
#[must_use]
pub fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A clock that stands still until it is told to move. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        let twin = clock.clone();
        assert_eq!(clock.now(), Moment::START);
        clock.advance(Duration::from_millis(5));
        assert_eq!(twin.now().since(Moment::START), Duration::from_millis(5));
    }

    #[test]
    fn moments_saturate_instead_of_wrapping() {
        assert_eq!(Moment::NEVER + Duration::from_secs(1), Moment::NEVER);
        assert_eq!(Moment::START.since(Moment::NEVER), Duration::ZERO);
        assert!(Moment::NEVER.as_millis_f64().is_infinite());
    }

    #[test]
    fn the_system_clock_never_goes_back() {
        let clock = SystemClock;
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
