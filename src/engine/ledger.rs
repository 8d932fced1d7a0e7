//! What is known here of the leases in a store that others use too: who has been granted what, for how long by now, and
//! how long it took.
//!
//! A grant, an extension and a release cost a look into one table each. Leases that end without anybody releasing them are
//! found when the table has doubled, or when somebody asks.

use crate::clock::Moment;
use crate::figures::{Figures, Spans};
use crate::lease::{Key, KeyMap, Owner};

/// A table with fewer entries isn't searched for leases that are over.
const SWEEP_ABOVE: usize = 64;

/// A lease that was granted here.
#[derive(Debug)]
struct Held {
    owner: Owner,
    since: Moment,
    ends_at: Moment,
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Ledger {
    waits: Spans,
    holds: Spans,
    held: KeyMap<Held>,
    sweep_above: usize,
}

impl Default for Ledger {
    fn default() -> Self {
        let (waits, holds) = (Spans::default(), Spans::default());
        Self { waits, holds, held: KeyMap::default(), sweep_above: SWEEP_ABOVE }
    }
}

impl Ledger {
    /// Somebody here who wanted the lock at `asked_at` has got it.
    pub fn granted(
        &mut self,
        now: Moment,
        key: &Key,
        owner: &Owner,
        ends_at: Option<Moment>,
        asked_at: Moment,
    ) {
        self.waits.record(asked_at, now);
        if self.held.len() >= self.sweep_above {
            self.sweep(now);
            self.sweep_above = (self.held.len() * 2).max(SWEEP_ABOVE);
        }
        let held = Held { owner: owner.clone(), since: now, ends_at: ends_at.unwrap_or(Moment::NEVER) };
        // Nobody can have a lock that somebody else has: the lease before is over, whatever became of it.
        if let Some(before) = self.held.insert(key.clone(), held) {
            self.over(now, &before);
        }
    }

    /// A lease ends at another time than before.
    pub fn extended(&mut self, key: &Key, owner: &Owner, ends_at: Option<Moment>) {
        if let Some(held) = self.held.get_mut(key).filter(|held| held.owner == *owner) {
            held.ends_at = ends_at.unwrap_or(Moment::NEVER);
        }
    }

    /// An owner doesn't want its lease any longer, or has lost it.
    pub fn released(&mut self, now: Moment, key: &Key, owner: &Owner) {
        match self.held.remove(key) {
            Some(held) if held.owner == *owner => self.over(now, &held),
            // Somebody else's, which is rare: put back, so that the usual case is one look.
            Some(other) => drop(self.held.insert(key.clone(), other)),
            None => {}
        }
    }

    /// The key has been freed, whoever held it.
    pub fn freed(&mut self, now: Moment, key: &Key) {
        if let Some(held) = self.held.remove(key) {
            self.over(now, &held);
        }
    }

    /// What is known by now; of those who wait, nothing.
    pub fn figures(&mut self, now: Moment) -> Figures {
        self.sweep(now);
        let leases = u64::try_from(self.held.len()).unwrap_or(u64::MAX);
        Figures { wait: self.waits.summary(), hold: self.holds.summary(), leases, ..Figures::default() }
    }

    fn sweep(&mut self, now: Moment) {
        let holds = &mut self.holds;
        self.held.retain(|_, held| {
            let is_live = held.ends_at > now;
            if !is_live {
                holds.record(held.since, held.ends_at);
            }
            is_live
        });
    }

    fn over(&mut self, now: Moment, held: &Held) {
        self.holds.record(held.since, held.ends_at.min(now));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::START + Duration::from_millis(millis)
    }

    fn key(name: &str) -> Key {
        Key::new(name).unwrap()
    }

    fn rounded(spans: [f64; 2]) -> [u64; 2] {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        spans.map(|span| span.round() as u64)
    }

    #[test]
    fn waits_and_holds_are_told_from_one_another() {
        let mut ledger = Ledger::default();
        let owner = Owner::named("a");
        ledger.granted(at(30), &key("k"), &owner, Some(at(100)), at(10));
        assert_eq!(ledger.figures(at(30)).leases, 1);
        ledger.extended(&key("k"), &owner, Some(at(900)));
        ledger.released(at(530), &key("k"), &owner);
        let Figures { wait, hold, leases, .. } = ledger.figures(at(530));
        assert_eq!((wait.count, hold.count, leases), (1, 1, 0));
        assert_eq!(rounded([wait.p50, hold.p50]), [20, 500]);
    }

    #[test]
    fn a_lease_that_nobody_releases_is_held_until_its_end() {
        let mut ledger = Ledger::default();
        ledger.granted(at(0), &key("k"), &Owner::named("a"), Some(at(100)), at(0));
        ledger.granted(at(0), &key("l"), &Owner::named("b"), None, at(0));
        let Figures { hold, leases, .. } = ledger.figures(at(100));
        assert_eq!((hold.count, leases), (1, 1));
        assert_eq!(rounded([hold.min, hold.max]), [100, 100]);
        // Released too late, and granted again.
        ledger.granted(at(200), &key("k"), &Owner::named("c"), Some(at(250)), at(200));
        ledger.released(at(300), &key("k"), &Owner::named("c"));
        let hold = ledger.figures(at(300)).hold;
        assert_eq!((hold.count, rounded([hold.min, hold.max])), (2, [50, 100]));
    }

    #[test]
    fn only_its_own_owner_releases_or_extends_a_lease() {
        let mut ledger = Ledger::default();
        ledger.granted(at(0), &key("k"), &Owner::named("new"), Some(at(100)), at(0));
        ledger.extended(&key("k"), &Owner::named("old"), Some(at(10)));
        ledger.released(at(20), &key("k"), &Owner::named("old"));
        assert_eq!(ledger.figures(at(50)).leases, 1);
        ledger.freed(at(60), &key("k"));
        let Figures { hold, leases, .. } = ledger.figures(at(70));
        assert_eq!((leases, rounded([hold.min, hold.max])), (0, [60, 60]));
    }

    #[test]
    fn leases_that_nobody_releases_do_not_pile_up() {
        let mut ledger = Ledger::default();
        for number in 0..10_000 {
            let now = at(number);
            ledger.granted(now, &key(&format!("k{number}")), &Owner::named("a"), Some(at(number + 10)), now);
        }
        assert!(ledger.held.len() <= SWEEP_ABOVE, "{}", ledger.held.len());
        assert_eq!(ledger.figures(at(20_000)).hold.count, 10_000);
    }
}
