//! The numbers that a call returns besides its status, in memory that Rust and JavaScript both see.
//!
//! Returning an object would cost a microsecond and garbage for every lock; writing numbers into a `Float64Array` costs
//! nothing. Layout (`lib/native.ts` has the same names):
//!
//! | index | content |
//! |---|---|
//! | 0 | slot of the lease |
//! | 1 | serial of the lease |
//! | 2 | when it ends: milliseconds of [`now`](super::engine), `Infinity` for never |
//! | 3 | the space's next deadline, in the same time; `Infinity` if there is none |
//! | 4 | index of the waiter |
//! | 5 | serial of the waiter |
//! | 6 | how many settlements follow |
//! | 7 … | settlements, five numbers each: kind, ticket (or space), slot, serial, end |

use napi::bindgen_prelude::Float64Array;

use super::error::{Result, internal};
use crate::clock::Moment;
use crate::engine::{Outcome, WaiterId};
use crate::lease::Lease;

const SLOT: usize = 0;
const ENDS_AT: usize = 2;
const DEADLINE: usize = 3;
const WAITER_INDEX: usize = 4;
const WAITER_SERIAL: usize = 5;
const SETTLED: usize = 6;
const RECORDS: usize = 7;
const RECORD: usize = 5;

/// One thing that JavaScript is told.
#[derive(Debug)]
pub(super) enum Letter {
    /// An acquire of this environment has ended.
    Settled { ticket: u32, outcome: Outcome, space: u32 },
    /// The space's next deadline has come nearer.
    Deadline { space: u32 },
}

impl Letter {
    /// The numbers by which JavaScript knows the kinds.
    fn kind(&self) -> f64 {
        match self {
            Self::Deadline { .. } => 0.0,
            Self::Settled { outcome, .. } => match outcome {
                Outcome::Acquired(_) => 1.0,
                Outcome::Refused => 2.0,
                Outcome::Closed => 3.0,
                Outcome::Released | Outcome::NotOwned | Outcome::Failed(_) => 4.0,
            },
        }
    }
}

/// The shared numbers.
pub(super) struct Buffer {
    /// Kept as the napi handle, which holds a reference: the array lives as long as this does.
    array: Float64Array,
    capacity: usize,
}

impl Buffer {
    pub(super) fn new(array: Float64Array) -> Result<Self> {
        let capacity = array.len().saturating_sub(RECORDS) / RECORD;
        if capacity == 0 {
            return Err(internal("the shared buffer is too small"));
        }
        Ok(Self { array, capacity })
    }

    /// How many settlements fit.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn put_lease(&mut self, lease: Lease) {
        let numbers = self.numbers();
        put_lease(&mut numbers[SLOT..=ENDS_AT], lease);
    }

    pub(super) fn put_deadline(&mut self, deadline: Option<Moment>) {
        self.numbers()[DEADLINE] = deadline.unwrap_or(Moment::NEVER).as_millis_f64();
    }

    pub(super) fn put_waiter(&mut self, waiter: WaiterId) {
        let numbers = self.numbers();
        numbers[WAITER_INDEX] = f64::from(waiter.index);
        numbers[WAITER_SERIAL] = f64::from(waiter.serial);
    }

    /// Writes letters; returns how many. `letters` yields at most [`Buffer::capacity`].
    pub(super) fn put_letters(&mut self, letters: impl Iterator<Item = Letter>) -> u32 {
        let numbers = self.numbers();
        let mut count = 0_u32;
        for (letter, record) in letters.zip(numbers[RECORDS..].chunks_exact_mut(RECORD)) {
            record[0] = letter.kind();
            match letter {
                Letter::Deadline { space } => record[1] = f64::from(space),
                Letter::Settled { ticket, outcome, .. } => {
                    record[1] = f64::from(ticket);
                    if let Outcome::Acquired(lease) = outcome {
                        put_lease(&mut record[2..], lease);
                    }
                }
            }
            count += 1;
        }
        numbers[SETTLED] = f64::from(count);
        count
    }

    fn numbers(&mut self) -> &mut [f64] {
        // SAFETY: the array was made by lib/native.ts for this purpose and never leaves it, so nobody detaches,
        // transfers or resizes it. JavaScript and this code touch it on the same thread only, one after the other: the
        // exclusive borrow ends before the native call returns. The handle keeps the backing store alive.
        unsafe { self.array.as_mut() }
    }
}

#[allow(clippy::cast_precision_loss)] // serials stay below 2^53: a thousand million locks a second for a hundred days
fn put_lease(numbers: &mut [f64], lease: Lease) {
    numbers[0] = f64::from(lease.id.slot);
    numbers[1] = lease.id.serial as f64;
    numbers[2] = lease.expires_at.unwrap_or(Moment::NEVER).as_millis_f64();
}
