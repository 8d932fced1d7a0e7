//! What is counted about locks: how long they are waited for and held, and what that costs a server.
//!
//! Recording a span costs some nanoseconds and allocates nothing, but for the first one. A distribution of spans takes about
//! 230 KB, whatever goes in: microseconds up to [`LONGEST`], to three significant digits.

use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;

use crate::clock::Moment;
use crate::lease::Key;

/// Spans that are longer count as this long: 24 hours, in microseconds.
const LONGEST: u64 = 24 * 3600 * 1_000_000;

/// How many of the keys that are waited for are told.
pub const MOST_KEYS: usize = 10;

/// A distribution of spans of time.
#[derive(Debug, Default)]
pub struct Spans {
    /// Made with the first span that is recorded; most locks in memory are never waited for.
    recorded: Option<Box<Histogram<u64>>>,
    /// Spans of no length, which are the most: they cost an addition.
    empty: u64,
}

impl Spans {
    /// Records a span that took no time.
    pub fn record_empty(&mut self) {
        self.empty += 1;
    }

    /// Records a span in whole microseconds; one without length if `to` isn't after `from`.
    pub fn record(&mut self, from: Moment, to: Moment) {
        let micros = to.micros_since(from);
        // Below the resolution: most holds of a lock in memory.
        if micros == 0 {
            self.record_empty();
        } else if let Some(histogram) = &mut self.recorded {
            histogram.saturating_record(micros);
        } else {
            self.record_first(micros);
        }
    }

    #[cold]
    fn record_first(&mut self, micros: u64) {
        // The bounds are fit, so there always is one.
        if let Ok(mut histogram) = Histogram::new_with_max(LONGEST, 3) {
            histogram.saturating_record(micros);
            self.recorded = Some(Box::new(histogram));
        }
    }

    /// What has been recorded so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let Some(recorded) = &self.recorded else {
            return Summary { count: self.empty, ..Summary::default() };
        };
        let mut all;
        let all = if self.empty == 0 {
            recorded.as_ref()
        } else {
            all = recorded.as_ref().clone();
            all.saturating_record_n(0, self.empty);
            &all
        };
        let at = |quantile| millis(all.value_at_quantile(quantile));
        Summary {
            count: all.len(),
            min: millis(all.min()),
            max: millis(all.max()),
            mean: all.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
        }
    }
}

/// A distribution in a few numbers, which are milliseconds with fractions; all are zero if there is nothing in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many spans there are.
    pub count: u64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// Half of them are no longer.
    pub p50: f64,
    /// 90 of 100 are no longer.
    pub p90: f64,
    /// 99 of 100 are no longer.
    pub p99: f64,
    /// 999 of 1000 are no longer.
    pub p999: f64,
}

/// What it costs to speak to a store's server. Counted by the store, read by anybody.
#[derive(Debug, Default)]
pub struct Traffic {
    round_trips: AtomicU64,
    reconnects: AtomicU64,
}

impl Traffic {
    /// Something is sent to the server and will be answered.
    pub fn count_round_trip(&self) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that was lost has been replaced.
    pub fn count_reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something was sent.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// How many connections were replaced.
    #[must_use]
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }
}

/// The figures of one store, but for its traffic.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// From an acquire to its grant.
    pub wait: Summary,
    /// From a grant to the end of the lease.
    pub hold: Summary,
    /// The keys with the most waiters, and how many these are; at most [`MOST_KEYS`].
    pub contended: Vec<(Key, u32)>,
    /// How many wait for a lock that somebody holds.
    pub waiters: u64,
    /// How many leases are held.
    pub leases: u64,
}

impl Figures {
    /// Counts those who wait for a key.
    pub fn add_waiters(&mut self, key: &Key, count: u32) {
        if count == 0 {
            return;
        }
        self.waiters += u64::from(count);
        let place =
            self.contended.partition_point(|(other, more)| (*more, key.as_str()) > (count, other.as_str()));
        if place < MOST_KEYS {
            self.contended.truncate(MOST_KEYS - 1);
            self.contended.insert(place, (key.clone(), count));
        }
    }
}

#[allow(clippy::cast_precision_loss)] // at most a day in microseconds
fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn spans(micros: &[u64]) -> Spans {
        let mut spans = Spans::default();
        for span in micros {
            spans.record(Moment::START, Moment::START + Duration::from_micros(*span));
        }
        spans
    }

    /// Equal to three significant digits.
    fn about(actual: f64, expected: f64) -> bool {
        (actual - expected).abs() <= expected * 0.001
    }

    #[test]
    fn nothing_is_all_zeros_and_so_are_empty_spans() {
        assert_eq!(Spans::default().summary(), Summary::default());
        let mut spans = Spans::default();
        spans.record_empty();
        spans.record_empty();
        assert_eq!(spans.summary(), Summary { count: 2, ..Summary::default() });
    }

    #[test]
    fn a_distribution_is_told_in_milliseconds_to_three_digits() {
        let thousand: Vec<u64> = (1..=1000).map(|number| number * 1000).collect();
        let Summary { count, min, max, mean, p50, p90, p99, p999 } = spans(&thousand).summary();
        assert_eq!(count, 1000);
        let told = [min, max, mean, p50, p90, p99, p999];
        let expected = [1.0, 1000.0, 500.5, 500.0, 900.0, 990.0, 999.0];
        for (told, expected) in told.into_iter().zip(expected) {
            assert!(about(told, expected), "{told} for {expected}");
        }
        assert!(about(spans(&[7]).summary().p50, 0.007), "a microsecond counts");
    }

    #[test]
    fn empty_spans_count_among_the_others() {
        let mut spans = spans(&[5000]);
        for _ in 0..3 {
            spans.record_empty();
        }
        let summary = spans.summary();
        assert_eq!((summary.count, summary.min, summary.p50), (4, 0.0, 0.0));
        assert!(
            about(summary.p99, 5.0) && about(summary.max, 5.0) && about(summary.mean, 1.25),
            "{summary:?}"
        );
    }

    #[test]
    fn what_is_longer_than_a_day_counts_as_a_day_and_what_runs_backwards_as_nothing() {
        let day = 86_400_000.0;
        let mut spans = spans(&[u64::MAX / 1_000_000]);
        spans.record(Moment::START, Moment::NEVER);
        spans.record(Moment::NEVER, Moment::START);
        let summary = spans.summary();
        assert_eq!((summary.count, summary.min), (3, 0.0));
        assert!(summary.p50 >= day && summary.p50 < day * 1.6, "{summary:?}");
    }

    #[test]
    fn the_keys_with_the_most_waiters_are_told_in_a_certain_order() {
        let mut figures = Figures::default();
        for number in 0..30_u32 {
            figures.add_waiters(&Key::new(&format!("k{number:02}")).unwrap(), number / 2);
        }
        assert_eq!(figures.waiters, (0..30).map(|number| number / 2).sum::<u64>());
        let told: Vec<_> = figures.contended.iter().map(|(key, count)| (key.as_str(), *count)).collect();
        assert_eq!(told.len(), MOST_KEYS);
        assert_eq!(told[..4], [("k28", 14), ("k29", 14), ("k26", 13), ("k27", 13)]);
        assert_eq!(told[9], ("k21", 10));
    }
}
