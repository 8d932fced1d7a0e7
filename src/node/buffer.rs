//! The numbers that a call returns besides its status, in memory that Rust and JavaScript both see.
//!
//! Returning an object would cost a microsecond and garbage for every lock; writing numbers into a `Float64Array` costs
//! nothing. Layout (`lib/native.ts` has the same names):
//!
//! | index | content |
//! |---|---|
//! | 0 | slot of the lease |
//! | 1 | serial of the lease; its fencing token if it has one |
//! | 2 | when it ends: milliseconds of [`now`](super::engine), `Infinity` for never |
//! | 3 | the space's next deadline, in the same time; `Infinity` if there is none |
//! | 4 | index of the waiter |
//! | 5 | serial of the waiter |
//! | 6 | how many settlements follow |
//! | 7 … | settlements, five numbers each: kind, subject (ticket, space or server), slot, serial, end |
//!
//! | kind | what has happened | numbers |
//! |---|---|---|
//! | 0 | the space's next deadline has come nearer | |
//! | 1 | acquired, or extended | slot, serial, end |
//! | 2 | refused: chances or time are used up | in place of the slot: 1 if the owner must not be used again |
//! | 3 | the lock space has been closed | |
//! | 4 | done | |
//! | 5 | not owned | |
//! | 6 | failed | in place of the slot: the error's number, for `takeError` |
//! | 7 | asked whether somebody holds the lock | in place of the slot: 1 if so |
//! | 8 | the server's store has something to tell a person, for `takeNotices` | |
//! | 9 | a lease that was extended by itself is over; the subject is its leash | in place of the slot: why, see [`Loss`] |

use napi::bindgen_prelude::Float64Array;

use super::error::{Result, internal};
use crate::clock::Moment;
use crate::engine::driver::Settlement;
use crate::engine::{Loss, Outcome, WaiterId};
use crate::error::{Error, ErrorKind};
use crate::lease::{Lease, Token};
use crate::store::Answer;

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
    /// An acquire of this environment on a lock space has ended.
    Settled { ticket: u32, outcome: Outcome, space: u32 },
    /// Something that was asked of a server has ended.
    Served { ticket: u32, settlement: Settlement, server: u32 },
    /// A connection has been closed as asked for.
    Gone { ticket: u32 },
    /// The server's store has something to tell a person.
    Notice { server: u32 },
    /// A lease that was extended by itself is over.
    Lost { leash: u32, loss: Loss },
    /// The space's next deadline has come nearer.
    Deadline { space: u32 },
}

/// What a letter says to JavaScript.
enum News {
    Deadline,
    Acquired(Lease),
    Refused { is_tainted: bool },
    Closed,
    Done,
    NotOwned,
    Failed(Error),
    Exists(bool),
    Notice,
    Lost(Loss),
}

impl News {
    fn of_outcome(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Acquired(lease) => Self::Acquired(lease),
            Outcome::Refused => Self::Refused { is_tainted: false },
            Outcome::Closed => Self::Closed,
            Outcome::Released => Self::Done,
            Outcome::NotOwned => Self::NotOwned,
            Outcome::Failed(error) => Self::of_error(error),
        }
    }

    fn of_error(error: Error) -> Self {
        match error.kind() {
            ErrorKind::NotOwned => Self::NotOwned,
            ErrorKind::Closed => Self::Closed,
            _ => Self::Failed(error),
        }
    }

    fn of_settlement(settlement: Settlement) -> Self {
        match settlement {
            Settlement::Acquire { outcome: Outcome::Refused, is_tainted, .. } => Self::Refused { is_tainted },
            Settlement::Acquire { outcome, .. } | Settlement::Release(outcome) => Self::of_outcome(outcome),
            Settlement::Reply(Ok(answer)) => match answer {
                Answer::Acquired(lease) => Self::Acquired(lease),
                Answer::Held { .. } => Self::Refused { is_tainted: false },
                Answer::NotOwned => Self::NotOwned,
                Answer::Done => Self::Done,
                Answer::Exists(exists) => Self::Exists(exists),
            },
            Settlement::Reply(Err(error)) => Self::of_error(error),
        }
    }
}

impl Letter {
    fn open(self) -> (u32, News) {
        match self {
            Self::Deadline { space } => (space, News::Deadline),
            Self::Notice { server } => (server, News::Notice),
            Self::Lost { leash, loss } => (leash, News::Lost(loss)),
            Self::Gone { ticket } => (ticket, News::Done),
            Self::Settled { ticket, outcome, .. } => (ticket, News::of_outcome(outcome)),
            Self::Served { ticket, settlement, .. } => (ticket, News::of_settlement(settlement)),
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

    /// Writes letters; returns how many. `letters` yields at most [`Buffer::capacity`]. `keep` keeps an error until
    /// JavaScript takes it, and tells its number.
    pub(super) fn put_letters(
        &mut self,
        letters: impl Iterator<Item = Letter>,
        mut keep: impl FnMut(Error) -> u32,
    ) -> u32 {
        let numbers = self.numbers();
        let mut count = 0_u32;
        for (letter, record) in letters.zip(numbers[RECORDS..].chunks_exact_mut(RECORD)) {
            let (subject, news) = letter.open();
            record[1] = f64::from(subject);
            record[0] = match news {
                News::Deadline => 0.0,
                News::Acquired(lease) => {
                    put_lease(&mut record[2..], lease);
                    1.0
                }
                News::Refused { is_tainted } => {
                    record[2] = f64::from(u8::from(is_tainted));
                    2.0
                }
                News::Closed => 3.0,
                News::Done => 4.0,
                News::NotOwned => 5.0,
                News::Failed(error) => {
                    record[2] = f64::from(keep(error));
                    6.0
                }
                News::Exists(exists) => {
                    record[2] = f64::from(u8::from(exists));
                    7.0
                }
                News::Notice => 8.0,
                News::Lost(loss) => {
                    record[2] = f64::from(loss as u8);
                    9.0
                }
            };
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

/// In memory a token is the serial as well, and on servers leases have no serials: one number does for both.
#[allow(clippy::cast_precision_loss)] // both stay below 2^53: a thousand million locks a second for a hundred days
fn put_lease(numbers: &mut [f64], lease: Lease) {
    numbers[0] = f64::from(lease.id.slot);
    numbers[1] = lease.token.map_or(lease.id.serial, Token::number) as f64;
    numbers[2] = lease.expires_at.unwrap_or(Moment::NEVER).as_millis_f64();
}
