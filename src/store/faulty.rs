//! A store between whose client and server things go wrong, as often and in the same order for the same seed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::{BoxFuture, Capability, Command, LockStore, Reply, WakeUp};
use crate::error::{Error, ErrorKind};
use crate::lease::Key;

/// Seeded dice (`SplitMix64`): the same seed gives the same throws on every machine.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number from 0 to `end` - 1; 0 if `end` is 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    /// True `rate` times in a thousand.
    pub const fn happens(&mut self, rate: u16) -> bool {
        self.below(1000) < rate as u64
    }

    /// A span up to `longest`, in whole microseconds.
    pub fn span(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros.saturating_add(1)))
    }
}

/// What goes wrong, how often in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Per command: it never reaches the store, and the client knows (`Storage`).
    pub lost_request: u16,
    /// Per command: it is performed, and the client doesn't learn of it (`Uncertain`).
    pub lost_reply: u16,
    /// Per command: it is not performed, and the client doesn't learn that (`Uncertain`).
    pub lost_silently: u16,
    /// Per batch: the connection is refused; nothing is performed, and the client knows.
    pub refused: u16,
    /// Per batch: request and reply are each late by up to [`delay`](Self::delay).
    pub delayed: u16,
    /// The longest delay.
    pub delay: Duration,
    /// Per batch: no answer for [`stall`](Self::stall); as often before the batch is performed as after.
    pub stalled: u16,
    /// How long a stall lasts; longer than the client's patience, if it is to be noticed.
    pub stall: Duration,
    /// Per batch: performed only after a [`stall`](Self::stall), whether or not anybody still waits for the answer.
    pub late: u16,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        lost_request: 0,
        lost_reply: 0,
        lost_silently: 0,
        refused: 0,
        delayed: 0,
        delay: Duration::ZERO,
        stalled: 0,
        stall: Duration::ZERO,
        late: 0,
    };
}

/// A store behind a bad line.
pub struct Faulty {
    inner: Arc<dyn LockStore>,
    plan: Mutex<Plan>,
}

struct Plan {
    dice: Dice,
    faults: Faults,
    injected: u64,
}

/// What becomes of one command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    LostRequest,
    LostReply,
    LostSilently,
}

/// What becomes of a batch.
struct Course {
    refused: bool,
    late: bool,
    before: Duration,
    after: Duration,
    fates: Vec<Fate>,
}

impl Faulty {
    /// `inner` with `faults`, drawn from `seed`.
    #[must_use]
    pub fn new(inner: Arc<dyn LockStore>, seed: u64, faults: Faults) -> Self {
        Self { inner, plan: Mutex::new(Plan { dice: Dice::new(seed), faults, injected: 0 }) }
    }

    /// From now on, other faults; [`Faults::NONE`] heals the line.
    pub fn set_faults(&self, faults: Faults) {
        self.plan().faults = faults;
    }

    /// How many faults there have been.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.plan().injected
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn course(&mut self, commands: usize) -> Course {
        let Self { dice, faults, injected } = self;
        let mut count = |happens: bool| {
            *injected += u64::from(happens);
            happens
        };
        let fates = (0..commands)
            .map(|_| {
                if count(dice.happens(faults.lost_request)) {
                    Fate::LostRequest
                } else if count(dice.happens(faults.lost_reply)) {
                    Fate::LostReply
                } else if count(dice.happens(faults.lost_silently)) {
                    Fate::LostSilently
                } else {
                    Fate::Fine
                }
            })
            .collect();
        let refused = count(dice.happens(faults.refused));
        let late = count(dice.happens(faults.late));
        let (mut before, mut after) = (Duration::ZERO, Duration::ZERO);
        if count(dice.happens(faults.delayed)) {
            before = dice.span(faults.delay);
            after = dice.span(faults.delay);
        }
        if late {
            before = faults.stall;
        } else if count(dice.happens(faults.stalled)) {
            if dice.happens(500) {
                before = faults.stall;
            } else {
                after = faults.stall;
            }
        }
        Course { refused, late, before, after, fates }
    }
}

impl LockStore for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn execute(&self, batch: Vec<Command>, patience: Duration) -> BoxFuture<'_, Vec<Reply>> {
        let Course { refused, late, before, after, fates } = self.plan().course(batch.len());
        let store = self.inner.name();
        let error = move |kind, message| Err(Error::new(kind, store, "execute", message));
        Box::pin(async move {
            if refused {
                return batch.iter().map(|_| error(ErrorKind::Storage, "connection refused")).collect();
            }
            let sent: Vec<_> = batch
                .into_iter()
                .zip(&fates)
                .filter(|(_, fate)| matches!(fate, Fate::Fine | Fate::LostReply))
                .map(|(command, _)| command)
                .collect();
            let mut replies = if late {
                let inner = Arc::clone(&self.inner);
                let performed = tokio::spawn(async move {
                    sleep(before).await;
                    inner.execute(sent, patience).await
                });
                performed.await.unwrap_or_default()
            } else {
                pause(before).await;
                self.inner.execute(sent, patience).await
            }
            .into_iter();
            pause(after).await;
            fates
                .iter()
                .map(|fate| match fate {
                    Fate::LostRequest => error(ErrorKind::Storage, "request lost"),
                    Fate::LostSilently => error(ErrorKind::Uncertain, "no reply"),
                    Fate::LostReply => {
                        replies.next();
                        error(ErrorKind::Uncertain, "reply lost")
                    }
                    Fate::Fine => replies
                        .next()
                        .unwrap_or_else(|| error(ErrorKind::Uncertain, "the store gave no reply")),
                })
                .collect()
        })
    }

    fn lane(&self, key: &Key) -> u32 {
        self.inner.lane(key)
    }

    fn on_wake_up(&self, listener: WakeUp) {
        self.inner.on_wake_up(listener);
    }

    fn watch(&self, key: &Key, waiting: bool) {
        self.inner.watch(key, waiting);
    }
}

/// A pause of nothing must not even yield: without faults the decorator changes nothing.
async fn pause(span: Duration) {
    if span > Duration::ZERO {
        sleep(span).await;
    }
}
