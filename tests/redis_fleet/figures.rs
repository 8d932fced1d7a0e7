//! What is measured.

use std::collections::BTreeMap;
use std::time::Duration;

use loquet::clock::Moment;

/// Counts from the beginning, or from the moment on when processes were lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    pub grants: u64,
    /// What clients have sent, by kind.
    pub sent: BTreeMap<&'static str, u64>,
    /// What acquires in turn came to.
    pub acquired: u64,
    pub held: u64,
    pub yielded: u64,
    /// Asks that were answered without asking the server.
    pub left_out: u64,
    /// Grants to somebody else than the first in line, though that one lived.
    pub overtakings: u64,
    /// Wake-ups that the server has sent.
    pub woken: u64,
    pub killed_holders: u64,
    pub longest_wait: Duration,
    /// The longest time without a grant.
    pub longest_gap: Duration,
    /// How long the server was busy.
    pub busy: Duration,
    begun: Moment,
    ended: Moment,
    first: Option<Moment>,
    last: Moment,
    /// Tasks that live.
    contenders: usize,
}

impl Figures {
    /// Counts of what happens from now on among so many tasks.
    pub fn since(now: Moment, contenders: usize) -> Self {
        Self {
            grants: 0,
            sent: BTreeMap::new(),
            acquired: 0,
            held: 0,
            yielded: 0,
            left_out: 0,
            overtakings: 0,
            woken: 0,
            killed_holders: 0,
            longest_wait: Duration::ZERO,
            longest_gap: Duration::ZERO,
            busy: Duration::ZERO,
            begun: now,
            ended: now,
            first: None,
            last: now,
            contenders,
        }
    }

    pub fn count(&mut self, kind: &'static str) {
        *self.sent.entry(kind).or_insert(0) += 1;
    }

    pub fn grant(&mut self, now: Moment, since: Moment) {
        self.grants += 1;
        self.longest_wait = self.longest_wait.max(now.since(since.max(self.begun)));
        match self.first {
            None => self.first = Some(now),
            Some(_) => self.longest_gap = self.longest_gap.max(now.since(self.last)),
        }
        self.last = now;
    }

    /// `oldest`: since when somebody still waits.
    pub fn close(&mut self, now: Moment, oldest: Option<Moment>) {
        self.ended = now;
        if let Some(oldest) = oldest {
            self.longest_wait = self.longest_wait.max(now.since(oldest.max(self.begun)));
        }
    }

    pub fn commands(&self) -> u64 {
        self.sent.values().sum()
    }

    pub fn commands_a_grant(&self) -> f64 {
        ratio(self.commands(), self.grants)
    }

    pub fn a_grant(&self, kind: &str) -> f64 {
        ratio(self.sent.get(kind).copied().unwrap_or(0), self.grants)
    }

    /// From one grant to the next.
    pub fn turn(&self) -> Duration {
        let span = self.last.since(self.first.unwrap_or(self.last));
        span / u32::try_from(self.grants.saturating_sub(1).max(1)).unwrap()
    }

    /// In the time that all others need for one turn each.
    pub fn longest_in_fair_shares(&self) -> f64 {
        let share = self.turn().as_secs_f64() * ratio(self.contenders as u64 - 1, 1).max(1.0);
        self.longest_wait.as_secs_f64() / share
    }

    pub fn span(&self) -> Duration {
        self.ended.since(self.begun)
    }

    /// From the end of a body to the beginning of the next.
    pub fn between(&self, body: Duration) -> Duration {
        self.turn().saturating_sub(body)
    }

    /// A row of a table.
    pub fn cells(&self, body: Duration) -> String {
        let over = self.between(body).as_secs_f64() * 1e3;
        let gap = self.longest_gap.saturating_sub(body).as_secs_f64() * 1e3;
        format!(
            "{:.2} | {over:.2} ms | {:.2} | {gap:.1} ms | {:.1} % |",
            self.commands_a_grant(),
            self.longest_in_fair_shares(),
            self.load() * 100.0
        )
    }

    /// Of the server's time.
    pub fn load(&self) -> f64 {
        self.busy.as_secs_f64() / self.span().as_secs_f64()
    }
}

#[allow(clippy::cast_precision_loss)] // they are counts
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
