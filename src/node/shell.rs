//! The engine for stores that are written in JavaScript.
//!
//! The machine runs here, its effects are performed there: each call returns what is to be done as plain objects, and
//! JavaScript answers every command with [`shell_saved`] or [`shell_deleted`]. The store's errors never come here; they
//! stay with the JavaScript that called the store, which only reports that there was one.

use std::collections::HashMap;

use napi_derive::napi;

use super::environment::Environment;
use super::error::Result;
use super::options;
use crate::clock::{Clock, Moment, SystemClock};
use crate::engine::{Effect, Effects, Ledger, Leftovers, Machine, Outcome, Request, WaiterId};
use crate::error::{Error, ErrorKind};
use crate::figures::Figures;
use crate::lease::{Holder, Key, Lease, LeaseId, Owner, Ticket};
use crate::store::{Capability, Save};

/// What is known of a store that is written in JavaScript: nothing. So it is polled, and it can't hand over.
const UNKNOWN: Capability = Capability { polls: true, tells_expiry: false, hand_over: None, watches: false };

/// The machine of one store, the leases that are being asked for, and what is known of those that were granted.
pub(super) struct Shell {
    machine: Machine,
    /// By command.
    asked: HashMap<u32, Asked>,
    /// The one that has just been saved.
    saved: Option<Asked>,
    ledger: Ledger,
    /// Tickets of those who wait until something is settled.
    cleaners: Vec<(Leftovers, u32)>,
}

/// A lease that is being asked for.
struct Asked {
    key: Key,
    owner: Owner,
    ends_at: Option<Moment>,
}

/// Something for JavaScript to do.
#[napi(object)]
pub struct ShellEffect {
    /// `save`, `delete` (both to be answered with their `id`) or `settle` (then `id` is the ticket).
    #[napi(ts_type = "'save' | 'delete' | 'settle'")]
    pub kind: String,
    /// The command's number, or the ticket.
    pub id: u32,
    /// The key of a save or delete.
    pub key: Option<String>,
    /// The owner of a save or delete.
    pub owner: Option<String>,
    /// Milliseconds for which to save; `0` for no expiry.
    pub ttl: Option<f64>,
    /// How a ticket ended.
    #[napi(ts_type = "'acquired' | 'refused' | 'released' | 'not_owned' | 'failed' | 'closed'")]
    pub outcome: Option<String>,
    /// When the lease ends, in milliseconds of `now()`; `Infinity` for never.
    pub ends_at: Option<f64>,
}

/// What a call led to.
#[napi(object)]
pub struct ShellStep {
    /// To be performed in this order.
    pub effects: Vec<ShellEffect>,
    /// When `shellTick` is wanted next, in milliseconds of `now()`; `Infinity` for never.
    pub deadline: f64,
    /// Names the waiter, for `shellCancel`: `[index, serial]`.
    pub waiter: Option<Vec<u32>>,
}

/// Makes an engine for one store. Returns its handle.
#[napi]
pub fn create_shell(environment: u32) -> Result<u32> {
    let shell = Shell {
        machine: Machine::new(UNKNOWN),
        asked: HashMap::new(),
        saved: None,
        ledger: Ledger::default(),
        cleaners: Vec::new(),
    };
    Environment::with(environment, |owner| owner.add_shell(environment, shell))
}

/// Forgets an engine.
#[napi]
pub fn drop_shell(shell: u32) -> Result<()> {
    Environment::with(shell, |environment| {
        environment.drop_shell(shell);
        Ok(())
    })
}

/// Somebody wants a lock. Numbers as in `wait`.
#[napi]
#[allow(clippy::too_many_arguments)] // plain values, as in `wait`
pub fn shell_acquire(
    shell: u32,
    key: String,
    owner: String,
    ttl: f64,
    attempts: f64,
    delay: f64,
    timeout: f64,
    ticket: u32,
) -> Result<ShellStep> {
    let (key, ttl, retry) = (Key::new(&key)?, options::ttl(ttl)?, options::retry(attempts, delay, timeout)?);
    let request =
        Request { ticket: own(ticket), key, owner: Owner::named(&owner), ttl, fenced: false, retry };
    let mut waiter = None;
    let mut step = run(shell, |machine, now, effects| {
        waiter = Some(machine.acquire(now, request, effects));
    })?;
    step.waiter = waiter.map(|waiter| vec![waiter.index, waiter.serial]);
    Ok(step)
}

/// The store has answered a save: `true` for acquired, `false` for held, nothing if it threw. `hopeless`: those who wait for
/// the key fail as well.
#[napi]
pub fn shell_saved(shell: u32, id: u32, acquired: Option<bool>, hopeless: Option<bool>) -> Result<ShellStep> {
    Environment::with(shell, |environment| {
        let shell = environment.shell(shell)?;
        shell.saved = shell.asked.remove(&id);
        let expires_at = shell.saved.as_ref().and_then(|asked| asked.ends_at);
        let reply = match acquired {
            Some(true) => Ok(Save::Acquired(Lease { id: LeaseId::default(), expires_at, token: None })),
            Some(false) => Ok(Save::Held { until: None }),
            None if hopeless == Some(true) => Err(thrown("save").out_of_time()),
            None => Err(thrown("save")),
        };
        Ok(shell.step(|machine, now, effects| machine.saved(now, id, reply, effects)))
    })
}

/// A local holder releases; `ticket` is settled with `released`, `not_owned` or `failed`.
#[napi]
pub fn shell_release(shell: u32, key: String, owner: String, ticket: u32) -> Result<ShellStep> {
    let key = Key::new(&key)?;
    let owner = Owner::named(&owner);
    Environment::with(shell, |environment| {
        let shell = environment.shell(shell)?;
        shell.ledger.released(SystemClock.now(), &key, &owner);
        Ok(shell.step(|machine, now, effects| {
            machine.release(now, own(ticket), &key, Holder::Owner(owner), effects);
        }))
    })
}

/// The store has answered a delete: whether it went well (it throws if the owner didn't hold the lock).
#[napi]
pub fn shell_deleted(shell: u32, id: u32, done: bool) -> Result<ShellStep> {
    let reply = if done { Ok(true) } else { Err(thrown("delete")) };
    run(shell, |machine, now, effects| {
        machine.deleted(now, id, reply, effects);
    })
}

/// The key has been freed by force.
#[napi]
pub fn shell_woken(shell: u32, key: String) -> Result<ShellStep> {
    let key = Key::new(&key)?;
    Environment::with(shell, |environment| {
        let shell = environment.shell(shell)?;
        shell.ledger.freed(SystemClock.now(), &key);
        Ok(shell.step(|machine, now, effects| machine.woken(now, key.as_str(), effects)))
    })
}

/// A lease of this process has been extended; `ends_at` as in `ShellEffect`.
#[napi]
pub fn shell_extended(shell: u32, key: String, owner: String, ends_at: f64) -> Result<ShellStep> {
    let (key, owner) = (Key::new(&key)?, Owner::named(&owner));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
    let expires_at = ends_at.is_finite().then(|| Moment::from_nanos((ends_at * 1e6) as u64));
    Environment::with(shell, |environment| {
        let shell = environment.shell(shell)?;
        shell.ledger.extended(&key, &owner, expires_at);
        Ok(shell.step(|machine, _, _| machine.extended(key.as_str(), expires_at)))
    })
}

/// A waiter goes; it isn't settled. `effects` is empty if its settlement is under way already.
#[napi]
pub fn shell_cancel(shell: u32, index: u32, serial: u32) -> Result<ShellStep> {
    run(shell, |machine, now, effects| {
        machine.cancel(now, WaiterId { index, serial }, effects);
    })
}

/// Time has passed.
#[napi]
pub fn shell_tick(shell: u32) -> Result<ShellStep> {
    run(shell, Machine::tick)
}

/// Those who have the given tickets stop waiting.
#[napi]
pub fn shell_dismiss(shell: u32, tickets: Vec<u32>) -> Result<ShellStep> {
    let tickets = tickets.into_iter().map(own).collect();
    run(shell, |machine, now, effects| {
        machine.dismiss(now, &tickets, effects);
    })
}

/// `ticket` is settled with `released` as soon as what is being given back now, or was asked for by somebody who has left, is
/// settled at the store: freed, passed on, or not to be freed at the first try.
#[napi]
pub fn shell_clean_up(shell: u32, ticket: u32) -> Result<ShellStep> {
    Environment::with(shell, |environment| {
        let shell = environment.shell(shell)?;
        shell.cleaners.push((shell.machine.leftovers(), ticket));
        Ok(shell.step(|_, _, _| ()))
    })
}

impl Shell {
    pub(super) fn figures(&mut self) -> Figures {
        let mut figures = self.ledger.figures(SystemClock.now());
        for (key, count) in self.machine.contended() {
            figures.add_waiters(key, count);
        }
        figures
    }

    fn step(&mut self, event: impl FnOnce(&mut Machine, Moment, &mut Effects)) -> ShellStep {
        let now = SystemClock.now();
        let mut effects = Effects::new();
        event(&mut self.machine, now, &mut effects);
        let mut translated = Vec::new();
        while let Some(effect) = effects.pop_front() {
            if let Effect::Confirm { op, .. } = effect {
                // Asked for an owner whose lease was over when the store granted it. The store can't tell who holds a key,
                // and a lease that is over is nobody's.
                self.machine.confirmed(now, op, Ok(None), &mut effects);
            } else {
                translated.extend(self.translate(now, effect));
            }
        }
        let machine = &self.machine;
        let settled = self.cleaners.extract_if(.., |(left, _)| machine.are_settled(left));
        translated.extend(settled.map(|(_, ticket)| settlement(own(ticket), &Outcome::Released)));
        let deadline = self.machine.next_deadline().unwrap_or(Moment::NEVER).as_millis_f64();
        ShellStep { effects: translated, deadline, waiter: None }
    }

    fn translate(&mut self, now: Moment, effect: Effect) -> Option<ShellEffect> {
        match effect {
            Effect::Save { op, key, owner, ttl, .. } => {
                let ends_at = ttl.expiry_from(now);
                self.asked.insert(op, Asked { key: key.clone(), owner: owner.clone(), ends_at });
                // Whole milliseconds are exact below 2^53; through seconds they wouldn't be.
                #[allow(clippy::cast_precision_loss)]
                let millis = ttl.span().map_or(0.0, |span| span.as_millis() as f64);
                Some(ShellEffect { ttl: Some(millis), ..command("save", op, &key, &owner) })
            }
            Effect::Delete { op, key, holder } => {
                let owner = match holder {
                    Holder::Owner(owner) => owner,
                    Holder::Lease(_) => Owner::unnamed(),
                };
                Some(command("delete", op, &key, &owner))
            }
            Effect::Settle { ticket, outcome, since } => {
                if let (Outcome::Acquired(lease), Some(asked)) = (&outcome, self.saved.take()) {
                    self.ledger.granted(now, &asked.key, &asked.owner, lease.expires_at, since);
                }
                Some(settlement(ticket, &outcome))
            }
            // This store can't hand over, confirm or watch.
            Effect::HandOver { .. } | Effect::Confirm { .. } | Effect::Watch { .. } => None,
        }
    }
}

fn run(shell: u32, event: impl FnOnce(&mut Machine, Moment, &mut Effects)) -> Result<ShellStep> {
    Environment::with(shell, |environment| Ok(environment.shell(shell)?.step(event)))
}

fn command(kind: &str, id: u32, key: &Key, owner: &Owner) -> ShellEffect {
    ShellEffect {
        kind: kind.to_owned(),
        id,
        key: Some(key.as_str().to_owned()),
        owner: owner.name().map(str::to_owned),
        ttl: None,
        outcome: None,
        ends_at: None,
    }
}

fn settlement(ticket: Ticket, outcome: &Outcome) -> ShellEffect {
    let (word, ends_at) = match outcome {
        Outcome::Acquired(lease) => {
            ("acquired", Some(lease.expires_at.unwrap_or(Moment::NEVER).as_millis_f64()))
        }
        Outcome::Refused => ("refused", None),
        Outcome::Released => ("released", None),
        Outcome::NotOwned => ("not_owned", None),
        Outcome::Failed(_) => ("failed", None),
        Outcome::Closed => ("closed", None),
    };
    ShellEffect {
        kind: "settle".to_owned(),
        id: ticket.number,
        key: None,
        owner: None,
        ttl: None,
        outcome: Some(word.to_owned()),
        ends_at,
    }
}

/// Tickets of a shell need no tenant: a shell belongs to one environment.
fn own(ticket: u32) -> Ticket {
    Ticket { tenant: 0, number: ticket }
}

/// Stands for the error that JavaScript keeps.
fn thrown(operation: &'static str) -> Error {
    Error::new(ErrorKind::Storage, "custom", operation, "the store threw an error")
}
