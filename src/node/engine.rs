//! The functions that JavaScript calls for environments and lock spaces. All are synchronous.
//!
//! Most return a *status*: bit 0 tells whether the call did what was asked (acquired, released, …), bit 1 whether an
//! acquire now waits, and the bits above how many settlements were written into the shared [`buffer`](super::buffer).

use napi::Env;
use napi::bindgen_prelude::{Float64Array, Function};
use napi_derive::napi;

use super::environment::Environment;
use super::error::Result;
use super::options;
use super::space::Space;
use crate::clock::{Clock, Moment, SystemClock};
use crate::engine::inline::{Entered, Inline};
use crate::engine::{Request, WaiterId};
use crate::lease::{Holder, Key, Lease, LeaseId, Owner, Ticket};
use crate::store::memory::MemoryStore;
use crate::store::{Bid, ImmediateStore};

/// How many expired leases one sweep frees at most, so that it never holds the thread for long.
const SWEEP: usize = 10_000;

pub(super) const DONE: u32 = 1;
const WAITING: u32 = 2;
/// How an attempt is made, for [`hot`](super::hot): refused while others wait; with a fencing token.
const IN_TURN: u32 = 1;
const FENCED: u32 = 2;
const SETTLED_SHIFT: u32 = 2;

/// Opens an environment: `buffer` is written by later calls, `onMail` is called when other threads have settled
/// something. Returns the environment's handle.
#[napi]
pub fn open(env: Env, buffer: Float64Array, on_mail: Function<'_, (), ()>) -> Result<u32> {
    Environment::open(env, buffer, &on_mail)
}

/// Keeps the event loop alive while something waits, or lets it end.
#[napi]
pub fn set_referenced(env: Env, environment: u32, referenced: bool) -> Result<()> {
    Environment::with(environment, |environment| environment.port.set_referenced(&env, referenced))
}

/// Writes what has been settled into the buffer; returns a status.
#[napi]
pub fn collect(environment: u32) -> Result<u32> {
    Environment::with(environment, |environment| {
        environment.fetch_mail();
        Ok(environment.post_letters() << SETTLED_SHIFT)
    })
}

/// Monotonic time in milliseconds.
#[napi]
pub fn now() -> f64 {
    SystemClock.now().as_millis_f64()
}

/// Makes a lock space, private or shared by name between the threads of the process. Returns its handle.
#[napi]
pub fn create_space(environment: u32, shared: Option<String>) -> Result<u32> {
    Environment::with(environment, |owner| {
        let space = shared.as_deref().map_or_else(Space::private, Space::shared);
        owner.add_space(environment, space)
    })
}

/// Forgets a lock space.
#[napi]
pub fn drop_space(space: u32) -> Result<()> {
    Environment::with(space, |environment| {
        environment.drop_space(space);
        Ok(())
    })
}

/// Acquires or begins to wait. `ttl` 0 means no expiry, `attempts` may be infinite, a negative `timeout` means none;
/// `delay` and `timeout` are milliseconds. The serial of what is acquired is its fencing token if it is `fenced`. Status:
/// acquired, or waiting under `ticket`.
#[napi]
#[allow(clippy::too_many_arguments)] // one object per call would cost more than the lock
pub fn wait(
    space: u32,
    key: String,
    owner: Option<String>,
    ttl: f64,
    attempts: f64,
    delay: f64,
    timeout: f64,
    ticket: u32,
    fenced: bool,
) -> Result<u32> {
    let (key, ttl, retry) = (Key::new(&key)?, options::ttl(ttl)?, options::retry(attempts, delay, timeout)?);
    let owner = options::owner(owner.as_deref());
    Environment::with(space, |environment| {
        let entered = environment.operate(space, |engine, tenant, now| {
            let ticket = Ticket { tenant, number: ticket };
            engine.acquire(now, Request { ticket, key, owner, ttl, fenced, retry })
        })?;
        let status = match entered {
            Entered::Acquired(lease) => {
                environment.buffer.put_lease(lease);
                DONE
            }
            Entered::Waiting(waiter) => {
                environment.buffer.put_waiter(waiter);
                WAITING
            }
            Entered::Refused => 0,
        };
        finish(environment, space, status)
    })
}

/// A waiter goes. Status: whether it was still waiting.
#[napi]
pub fn cancel(space: u32, index: u32, serial: u32) -> Result<u32> {
    change(space, |engine, now| engine.cancel(now, WaiterId { index, serial }))
}

/// Time has passed. Status: nothing but settlements.
#[napi]
pub fn tick(space: u32) -> Result<u32> {
    change(space, |engine, now| {
        engine.tick(now);
        false
    })
}

/// Ends the waits of this environment that have the given tickets. Status: nothing but settlements.
#[napi]
pub fn dismiss(space: u32, tickets: Vec<u32>) -> Result<u32> {
    Environment::with(space, |environment| {
        environment.operate(space, |engine, tenant, now| {
            let tickets = tickets.into_iter().map(|number| Ticket { tenant, number }).collect();
            engine.dismiss(now, &tickets);
        })?;
        finish(environment, space, 0)
    })
}

/// Frees expired leases; returns when the next one expires, in milliseconds of [`now`], infinite for never.
#[napi]
pub fn sweep(space: u32) -> Result<f64> {
    Environment::with(space, |environment| {
        let next = environment.operate(space, |engine, _, now| engine.store.sweep(now, SWEEP))?;
        Ok(next.unwrap_or(Moment::NEVER).as_millis_f64())
    })
}

/// Releases by the owner's name. Status: whether it held the lock.
#[napi]
pub fn release_owner(space: u32, key: String, owner: String) -> Result<u32> {
    let key = Key::new(&key)?;
    change(space, move |engine, now| engine.release(now, &key, &Holder::Owner(Owner::named(&owner))))
}

/// Makes a lease end `ttl` from now. Status: whether it was held; the new end is in the buffer.
#[napi]
pub fn extend_lease(space: u32, slot: u32, serial: f64, ttl: f64) -> Result<u32> {
    let ttl = options::ttl(ttl)?;
    renew(space, move |store, now| store.extend_lease(now, lease_id(slot, serial), ttl))
}

/// As [`extend_lease`], for a lease that is extended for as long as it is held: it is freed when the environment goes.
#[napi]
pub fn keep_lease(space: u32, slot: u32, serial: f64, ttl: f64) -> Result<u32> {
    let ttl = options::ttl(ttl)?;
    renew(space, move |store, now| store.keep_lease(now, lease_id(slot, serial), ttl))
}

/// As [`extend_lease`], by the owner's name.
#[napi]
pub fn extend_owner(space: u32, key: String, owner: String, ttl: f64) -> Result<u32> {
    let ttl = options::ttl(ttl)?;
    renew(space, move |store, now| store.extend(now, &key, &Holder::Owner(Owner::named(&owner)), ttl))
}

/// Frees the key whoever holds it. Status: whether anybody did.
#[napi]
pub fn force_delete(space: u32, key: String) -> Result<u32> {
    change(space, move |engine, now| {
        let was_held = engine.store.force_delete(now, &key);
        engine.woken(now, &key);
        was_held
    })
}

/// Whether anybody holds a live lease of the key.
#[napi]
pub fn exists(space: u32, key: String) -> Result<bool> {
    Environment::with(space, |environment| {
        environment.operate(space, |engine, _, now| engine.store.exists(now, &key))
    })
}

/// Names the owner of a lease. Tells whether the lease was live.
#[napi]
pub fn name_owner(space: u32, slot: u32, serial: f64, owner: String) -> Result<bool> {
    Environment::with(space, |environment| {
        environment.operate(space, |engine, _, now| {
            engine.store.name_owner(now, lease_id(slot, serial), Owner::named(&owner))
        })
    })
}

/// How many leases and waiters are stored: `[leases, waiters]`.
#[napi]
pub fn census(space: u32) -> Result<Vec<u32>> {
    Environment::with(space, |environment| {
        environment.operate(space, |engine, _, _| {
            [engine.store.len(), engine.waiter_count()]
                .into_iter()
                .map(|count| u32::try_from(count).unwrap_or(u32::MAX))
                .collect()
        })
    })
}

/// One uncontended attempt, for [`hot`](super::hot). Status: whether it was acquired.
pub(super) fn attempt(space: u32, key: &str, ttl: f64, manner: u32, owner: Option<&str>) -> Result<u32> {
    let (key, ttl, owner) = (Key::new(key)?, options::ttl(ttl)?, options::owner(owner));
    let (in_turn, fenced) = (manner & IN_TURN != 0, manner & FENCED != 0);
    Environment::with(space, |environment| {
        let entered = environment.operate(space, |engine, tenant, now| {
            let bid = Bid { owner: &owner, ttl, ticket: Ticket { tenant, number: 0 }, fenced };
            engine.attempt(now, &key, bid, in_turn)
        })?;
        let status = if let Entered::Acquired(lease) = entered {
            environment.buffer.put_lease(lease);
            DONE
        } else {
            0
        };
        Ok(status | environment.post_letters() << SETTLED_SHIFT)
    })
}

/// A release by the lease's identity, for [`hot`](super::hot). Status: whether it was held. If it went to a waiter, of
/// whichever environment, bit 1 tells that the next deadline is in the buffer.
pub(super) fn release(space: u32, slot: u32, serial: f64) -> Result<u32> {
    Environment::with(space, |environment| {
        let id = lease_id(slot, serial);
        let (was_held, has_passed_on) = environment.operate(space, |engine, _, now| {
            let was_held = engine.release_lease(now, id);
            (was_held, engine.has_settled())
        })?;
        if has_passed_on {
            finish(environment, space, u32::from(was_held) | WAITING)
        } else {
            Ok(u32::from(was_held))
        }
    })
}

fn renew(space: u32, operation: impl FnOnce(&mut MemoryStore, Moment) -> Option<Lease>) -> Result<u32> {
    Environment::with(space, |environment| {
        let renewed = environment.operate(space, |engine, _, now| {
            let renewed = operation(&mut engine.store, now)?;
            // It may end earlier than those who wait were told: let them ask.
            if let Some(key) = engine.store.key_of(now, renewed.id).cloned() {
                engine.woken(now, key.as_str());
            }
            Some(renewed)
        })?;
        if let Some(lease) = renewed {
            environment.buffer.put_lease(lease);
        }
        finish(environment, space, u32::from(renewed.is_some()))
    })
}

fn change(space: u32, operation: impl FnOnce(&mut Inline<MemoryStore>, Moment) -> bool) -> Result<u32> {
    Environment::with(space, |environment| {
        let done = environment.operate(space, |engine, _, now| operation(engine, now))?;
        finish(environment, space, u32::from(done))
    })
}

/// Writes the space's next deadline and the settlements, and completes the status.
fn finish(environment: &mut Environment, space: u32, status: u32) -> Result<u32> {
    environment.set_alarm(space)?;
    Ok(status | environment.post_letters() << SETTLED_SHIFT)
}

/// Serials come from this side and return unchanged, so the conversion is exact; anything else names no lease.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn lease_id(slot: u32, serial: f64) -> LeaseId {
    LeaseId { slot, serial: serial as u64 }
}
