//! What other threads leave for one thread, with at most one wake-up under way.
//!
//! The flag is cleared *before* the letters are taken. A letter that comes after the clearing finds the flag down and
//! rings again: perhaps once too often, never too seldom. The other order would lose a wake-up: taken, then a letter
//! arrives and sees the flag still up, then cleared, and nobody comes for it.

#[cfg(loquet_loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};
#[cfg(not(loquet_loom))]
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
            letters: Mutex::new(Letters { waiting: Vec::new(), closed: false }),
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
        self.letters.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(all(test, not(loquet_loom)))]
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

/// Every interleaving of a poster and the owner, by model checking:
/// `RUSTFLAGS="--cfg loquet_loom" cargo test --no-default-features --lib loom`.
#[cfg(all(test, loquet_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// The owner's bell: it counts the rings that have not been answered by a take.
    #[derive(Default)]
    struct Bell(Mutex<usize>);

    impl Bell {
        fn ring(&self) {
            *self.0.lock().unwrap() += 1;
        }

        fn answer(&self) -> bool {
            let mut rings = self.0.lock().unwrap();
            let was_rung = *rings > 0;
            *rings = rings.saturating_sub(1);
            was_rung
        }
    }

    fn post(mailbox: &Mailbox<u32>, bell: &Bell, letter: u32) -> bool {
        match mailbox.post(letter) {
            Ok(must_ring) => {
                if must_ring {
                    bell.ring();
                }
                true
            }
            Err(returned) => {
                assert_eq!(returned, letter);
                false
            }
        }
    }

    #[test]
    fn loom_every_letter_is_taken_by_an_owner_who_comes_only_when_rung_for() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::default());
            let bell = Arc::new(Bell::default());
            let posters: Vec<_> = [1, 2]
                .map(|letter| {
                    let (mailbox, bell) = (Arc::clone(&mailbox), Arc::clone(&bell));
                    thread::spawn(move || post(&mailbox, &bell, letter))
                })
                .into();
            let mut taken = Vec::new();
            if bell.answer() {
                taken.extend(mailbox.take());
            }
            for poster in posters {
                assert!(poster.join().unwrap());
            }
            while bell.answer() {
                taken.extend(mailbox.take());
            }
            taken.sort_unstable();
            assert_eq!(taken, [1, 2], "a letter lies there and nobody rings");
        });
    }

    #[test]
    fn loom_a_letter_is_taken_or_given_back_by_close_or_refused() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::default());
            let bell = Arc::new(Bell::default());
            let poster = {
                let (mailbox, bell) = (Arc::clone(&mailbox), Arc::clone(&bell));
                thread::spawn(move || [1, 2].map(|letter| post(&mailbox, &bell, letter)))
            };
            let mut seen = Vec::new();
            if bell.answer() {
                seen.extend(mailbox.take());
            }
            seen.extend(mailbox.close());
            let accepted = poster.join().unwrap().into_iter().filter(|accepted| *accepted).count();
            assert_eq!(seen, (1..=2).take(accepted).collect::<Vec<_>>());
            assert!(mailbox.close().is_empty(), "accepted after the end");
        });
    }
}
