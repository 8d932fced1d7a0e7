//! Leases that are extended by themselves, as JavaScript sees them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use napi_derive::napi;

use super::environment::Environment;
use super::error::{Result, internal};
use super::{options, server};
use crate::clock::{Clock, SystemClock};
use crate::engine::Leash;
use crate::engine::driver::{Claim, Order};
use crate::lease::Ticket;

/// The leashes of an environment, by number. A number isn't used again while anybody may still hear of it: there are four
/// thousand million.
#[derive(Default)]
pub(super) struct Leashes {
    by_number: HashMap<u32, Arc<Leash>, foldhash::fast::RandomState>,
    next: u32,
}

impl Leashes {
    fn add(&mut self, tenant: u32, max: Option<Duration>, stall: Option<Duration>) -> u32 {
        while self.by_number.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        let leash = Leash::new(Ticket { tenant, number }, max, stall);
        self.by_number.insert(number, Arc::new(leash));
        number
    }

    fn get(&self, number: u32) -> Result<&Arc<Leash>> {
        self.by_number.get(&number).ok_or_else(|| internal("the lease isn't kept any longer"))
    }
}

/// Makes a leash for a lease that is to be acquired: how long it may be extended in all, and how long the event loop may be
/// busy with one thing; in milliseconds, `Infinity` for no limit.
#[napi]
pub fn new_leash(environment: u32, max: f64, stall: f64) -> Result<u32> {
    let (max, stall) = (options::span(max)?, options::span(stall)?);
    Environment::with(environment, |environment| {
        environment.port.turn(SystemClock.now());
        let tenant = environment.port.tenant();
        Ok(environment.leashes.add(tenant, max, stall))
    })
}

/// As `serverAcquire`, for a lease that is extended by itself until it is released.
#[napi]
#[allow(clippy::too_many_arguments)] // those of `serverAcquire`
pub fn server_acquire_kept(
    server: u32,
    key: String,
    owner: String,
    ttl: f64,
    attempts: f64,
    delay: f64,
    timeout: f64,
    ticket: u32,
    fenced: bool,
    leash: u32,
) -> Result<()> {
    let retry = options::retry(attempts, delay, timeout)?;
    let leash = Environment::with(server, |environment| environment.leashes.get(leash).map(Arc::clone))?;
    let claim = Claim { leash: Some(leash), ..server::claim(&key, &owner, ttl, fenced)? };
    server::submit(server, ticket, Order::Acquire { claim, retry })
}

/// When a lease ends that is extended by itself: milliseconds of `now`, 0 once it is lost.
#[napi]
pub fn leash_end(environment: u32, leash: u32) -> Result<f64> {
    Environment::with(environment, |environment| {
        Ok(environment.leashes.get(leash)?.ends_at().as_millis_f64())
    })
}

/// Nobody asks for it any longer.
#[napi]
pub fn drop_leash(environment: u32, leash: u32) -> Result<()> {
    Environment::with(environment, |environment| {
        environment.leashes.by_number.remove(&leash);
        Ok(())
    })
}

/// The event loop turns. To be called from a timer, several times within the shortest `stall`.
#[napi]
pub fn turn(environment: u32) -> Result<()> {
    Environment::with(environment, |environment| {
        environment.port.turn(SystemClock.now());
        Ok(())
    })
}
