//! What other threads leave for one thread, with at most one wake-up under way.
//!
//! The flag is cleared *before* the letters are taken. A letter that comes after the clearing finds the flag down and
//! rings again: perhaps once too often, never too seldom. The other order would lose a wake-up: taken, then a letter
//! arrives and sees the flag still up, then cleared, and nobody comes for it.

#[cfg(loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};

/// Letters for one thread.
#[derive(Debug)]
pub struct Mailbox<T> {
    letters: Mutex<Letters<T>>,
    ringing: AtomicBool,
}

#[derive(Debug)]
struct Letters<T> {
    waiting: Vec<T>,
    closed: bool,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self {
            letters: Mutex::new(Letters {
                waiting: Vec::new(),
                closed: false,
            }),
            ringing: AtomicBool::new(false),
        }
    }
}

impl<T> Mailbox<T> {
    /// Leaves a letter. `Ok(true)`: the caller has to ring; `Ok(false)`: somebody already has.
    ///
    /// # Errors
    /// Gives the letter back if the mailbox is closed.
    pub fn post(&self, letter: T) -> Result<bool, T> {
        let mut letters = self.lock();
        if letters.closed {
            return Err(letter);
        }
        letters.waiting.push(letter);
        drop(letters);
        Ok(!self.ringing.swap(true, Ordering::AcqRel))
    }

    /// Takes all letters. To be called by the one thread that the mailbox belongs to, once per ring.
    pub fn take(&self) -> Vec<T> {
        self.ringing.store(false, Ordering::Release);
        std::mem::take(&mut self.lock().waiting)
    }

    /// Refuses letters from now on and gives back those that nobody will take.
    pub fn close(&self) -> Vec<T> {
        let mut letters = self.lock();
        letters.closed = true;
        std::mem::take(&mut letters.waiting)
    }

    /// A thread that panicked while it held the lock left the vector whole, so its content is still good.
    fn lock(&self) -> MutexGuard<'_, Letters<T>> {
        self.letters
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_letter_rings_and_the_next_do_not_until_taken() {
        let mailbox = Mailbox::default();
        assert_eq!(mailbox.post(1), Ok(true));
        assert_eq!(mailbox.post(2), Ok(false));
        assert_eq!(mailbox.take(), [1, 2]);
        assert_eq!(mailbox.post(3), Ok(true));
        assert_eq!(mailbox.close(), [3]);
        assert_eq!(mailbox.post(4), Err(4));
    }
}
