//! What the task counts, and whoever holds a handle can read.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::ledger::Ledger;
use super::Handle;
use crate::clock::Moment;
use crate::figures::Figures;
use crate::lease::{Key, KeyMap, Owner};

/// Cloning shares it. Each lock is held for the length of one entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    ledger: Arc<Mutex<Ledger>>,
    /// How many wait for each of the keys that were found held; the machine counts.
    crowds: Arc<Mutex<KeyMap<Arc<AtomicU32>>>>,
}

impl Board {
    pub(super) fn granted(
        &self,
        now: Moment,
        key: &Key,
        owner: &Owner,
        ends_at: Option<Moment>,
        asked_at: Moment,
    ) {
        lock(&self.ledger).granted(now, key, owner, ends_at, asked_at);
    }

    pub(super) fn extended(&self, key: &Key, owner: &Owner, ends_at: Option<Moment>) {
        lock(&self.ledger).extended(key, owner, ends_at);
    }

    pub(super) fn released(&self, now: Moment, key: &Key, owner: &Owner) {
        lock(&self.ledger).released(now, key, owner);
    }

    pub(super) fn freed(&self, now: Moment, key: &Key) {
        lock(&self.ledger).freed(now, key);
    }

    /// Somebody waits for a key that was found held; `None`: nobody does any longer.
    pub(super) fn contended(&self, key: Key, crowd: Option<Arc<AtomicU32>>) {
        let mut crowds = lock(&self.crowds);
        match crowd {
            Some(crowd) => drop(crowds.insert(key, crowd)),
            None => drop(crowds.remove(&key)),
        }
    }
}

impl Handle {
    /// What the driver has counted so far. Contended keys are told, and waiters counted, for stores that watch and for keys
    /// that begin with `prefix`.
    #[must_use]
    pub fn figures(&self, now: Moment, prefix: &str) -> Figures {
        let mut figures = lock(&self.board.ledger).figures(now);
        let crowds = lock(&self.board.crowds);
        for (key, crowd) in crowds.iter().filter(|(key, _)| key.as_str().starts_with(prefix)) {
            figures.add_waiters(key, crowd.load(Ordering::Relaxed));
        }
        figures
    }
}

/// What these locks protect is never left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
