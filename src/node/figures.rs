//! What is counted, as JavaScript reads it.

use napi_derive::napi;

use super::environment::Environment;
use super::error::Result;
use crate::figures::{Figures, Summary};

/// A distribution of spans of time, in milliseconds; all zeros if nothing has been recorded.
#[napi(object)]
pub struct SpanSummary {
    /// How many there are.
    pub count: f64,
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

/// A key that is waited for.
#[napi(object)]
pub struct ContendedKey {
    /// The key, encoded if it was.
    pub key: String,
    /// How many wait for it.
    pub waiters: u32,
}

/// The figures of one store.
#[napi(object)]
pub struct StoreFigures {
    /// From an acquire to its grant.
    pub wait: SpanSummary,
    /// From a grant to the end of the lease.
    pub hold: SpanSummary,
    /// The keys with the most waiters, most first.
    pub contended: Vec<ContendedKey>,
    /// How many wait for a lock that somebody holds.
    pub waiters: f64,
    /// How many leases are held.
    pub leases: f64,
    /// How often something was sent to the store's server.
    pub round_trips: f64,
    /// How often a lost connection was replaced.
    pub reconnects: f64,
}

/// The figures of a lock space.
#[napi]
pub fn space_figures(space: u32) -> Result<StoreFigures> {
    Environment::with(space, |environment| {
        environment.operate(space, |engine, _, now| {
            engine.store.sweep(now, usize::MAX);
            let (hold, leases) = (engine.store.holds().summary(), wide(engine.store.len()));
            StoreFigures::new(Figures { hold, leases, ..engine.figures() })
        })
    })
}

/// The figures of a store in JavaScript, but for its calls.
#[napi]
pub fn shell_figures(shell: u32) -> Result<StoreFigures> {
    Environment::with(shell, |environment| Ok(StoreFigures::new(environment.shell(shell)?.figures())))
}

/// The figures of a store on a server. Waiters are counted for keys that begin with `prefix`.
#[napi]
pub fn server_figures(server: u32, prefix: String) -> Result<StoreFigures> {
    Environment::with(server, |environment| Ok(environment.server(server)?.figures(&prefix)))
}

impl StoreFigures {
    pub(super) fn new(figures: Figures) -> Self {
        let Figures { wait, hold, contended, waiters, leases } = figures;
        let contended = contended
            .into_iter()
            .map(|(key, waiters)| ContendedKey { key: key.as_str().to_owned(), waiters })
            .collect();
        Self {
            wait: wait.into(),
            hold: hold.into(),
            contended,
            waiters: number(waiters),
            leases: number(leases),
            round_trips: 0.0,
            reconnects: 0.0,
        }
    }
}

impl From<Summary> for SpanSummary {
    fn from(summary: Summary) -> Self {
        let Summary { count, min, max, mean, p50, p90, p99, p999 } = summary;
        Self { count: number(count), min, max, mean, p50, p90, p99, p999 }
    }
}

#[allow(clippy::cast_precision_loss)] // JavaScript counts no further than 2^53
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
