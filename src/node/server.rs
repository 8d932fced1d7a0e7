//! The functions that JavaScript calls for stores on servers. All return at once; what they ask for ends with one
//! settlement for the ticket, through the completion port.

use std::collections::HashSet;
use std::sync::Arc;

use napi_derive::napi;

use super::environment::Environment;
use super::error::Result;
use super::hub::Hub;
use super::options;
use crate::clock::{Clock, SystemClock};
use crate::engine::Retry;
use crate::engine::driver::{Claim, Order};
use crate::lease::{Holder, Key, Owner, Ticket};
use crate::store::Command;

/// What went wrong below a lock.
#[napi(object)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// In words.
    pub message: String,
    /// What the driver said, if it said anything.
    pub cause: Option<String>,
}

/// An error that a settlement has told of, by its number.
#[napi]
pub fn take_error(environment: u32, number: u32) -> Result<Option<Failure>> {
    Environment::with(environment, |environment| {
        Ok(environment.take_error(number).map(|error| Failure {
            code: error.kind().code().to_owned(),
            message: error.to_string(),
            cause: std::error::Error::source(&error).map(ToString::to_string),
        }))
    })
}

/// What the store has to tell a person: everything so far, in order.
#[napi]
pub fn take_notices(server: u32) -> Result<Vec<String>> {
    Environment::with(server, |environment| Ok(environment.server(server)?.notices()))
}

/// What a lock is wanted for; `ttl` in milliseconds, 0 for no expiry.
pub(super) fn claim(key: &str, owner: &str, ttl: f64, fenced: bool) -> Result<Claim> {
    let (key, owner, ttl) = (Key::new(key)?, Owner::named(owner), options::ttl(ttl)?);
    Ok(Claim { key, owner, ttl, fenced, leash: None })
}

/// Wants a lock, for [`hot`](super::hot). Ends with acquired, refused, closed or failed.
pub(super) fn acquire(server: u32, claim: Claim, retry: Retry, ticket: u32) -> Result<u32> {
    submit(server, ticket, Order::Acquire { claim, retry })?;
    Ok(0)
}

/// Releases, for [`hot`](super::hot). `ends_at`: when the lease ends, in milliseconds of [`now`](super::engine::now).
/// Ends with done, not owned or failed.
pub(super) fn release(server: u32, key: &str, owner: &str, ends_at: f64, ticket: u32) -> Result<u32> {
    let was_live = ends_at > SystemClock.now().as_millis_f64();
    submit(server, ticket, Order::Release { key: Key::new(key)?, owner: Owner::named(owner), was_live })?;
    Ok(0)
}

/// Makes a lease end `ttl` from now. Ends with acquired (the new end), not owned or failed.
#[napi]
pub fn server_extend(server: u32, key: String, owner: String, ttl: f64, ticket: u32) -> Result<()> {
    let (key, ttl) = (Key::new(&key)?, options::ttl(ttl)?);
    let holder = Holder::Owner(Owner::named(&owner));
    submit(server, ticket, Order::Other(Command::Extend { key, holder, ttl }))
}

/// Frees the key whoever holds it. Ends with done or failed.
#[napi]
pub fn server_force_release(server: u32, key: String, ticket: u32) -> Result<()> {
    let key = Key::new(&key)?;
    submit(server, ticket, Order::Other(Command::ForceDelete { key }))
}

/// Asks whether anybody holds the key. Ends with the answer or failed.
#[napi]
pub fn server_exists(server: u32, key: String, ticket: u32) -> Result<()> {
    let key = Key::new(&key)?;
    submit(server, ticket, Order::Other(Command::Exists { key }))
}

/// Cancels an acquire. It ends with refused, or as it had ended before.
#[napi]
pub fn server_cancel(server: u32, ticket: u32) -> Result<()> {
    with(server, |hub, tenant| hub.handle.cancel(Ticket { tenant, number: ticket }))
}

/// Ends the waits that have the given tickets: with closed.
#[napi]
pub fn server_dismiss(server: u32, tickets: Vec<u32>) -> Result<()> {
    with(server, |hub, tenant| {
        let tickets: HashSet<Ticket> = tickets.into_iter().map(|number| Ticket { tenant, number }).collect();
        if !tickets.is_empty() {
            hub.handle.dismiss(tickets);
        }
    })
}

/// Ends with done as soon as what is being given back now, or was asked for by somebody who has left, is settled at the
/// store: freed, passed on, or not to be freed at the first try.
#[napi]
pub fn server_clean_up(server: u32, ticket: u32) -> Result<()> {
    submit(server, ticket, Order::CleanUp)
}

/// Gives the connection back; the handle can't be used any longer. Ends with done, when the connection has been closed or
/// others still use it.
#[napi]
pub fn close_server(server: u32, ticket: u32) -> Result<()> {
    Environment::with(server, |environment| {
        let port = Arc::clone(&environment.port);
        let Some(hub) = environment.remove_server(server) else {
            return Err(super::error::internal("the connection has been closed"));
        };
        Hub::close(hub, port, server, ticket)
    })
}

pub(super) fn submit(server: u32, ticket: u32, order: Order) -> Result<()> {
    with(server, |hub, tenant| hub.handle.submit(Ticket { tenant, number: ticket }, order))
}

fn with(server: u32, work: impl FnOnce(&Hub, u32)) -> Result<()> {
    Environment::with(server, |environment| {
        let tenant = environment.port.tenant();
        work(environment.server(server)?, tenant);
        Ok(())
    })
}
