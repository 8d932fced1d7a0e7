//! A lock space in memory: the engine, its store and the environments that use it.
//!
//! A private space has one member, a shared one (`memoryStore({ shared: 'name' })`) as many as there are threads using
//! it. All of it stands behind one mutex that is held for the length of one operation and never while JavaScript runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::buffer::Letter;
use super::completion::Port;
use crate::clock::{Clock, Moment, SystemClock};
use crate::engine::Outcome;
use crate::engine::inline::Inline;
use crate::lease::Ticket;
use crate::store::memory::MemoryStore;

/// A lock space. Cloning shares it.
#[derive(Clone)]
pub(super) struct Space(Arc<Mutex<Inner>>);

pub(super) struct Inner {
    pub(super) engine: Inline<MemoryStore>,
    members: Vec<Member>,
}

/// An environment that uses the space, and the handle under which it knows it.
struct Member {
    port: Arc<Port>,
    handle: u32,
    /// When it will tick at the latest, unless it is told of an earlier deadline. Never later than the next deadline.
    alarm: Moment,
}

/// The shared spaces by name. One that nobody uses stays as long as it holds a lease: a lock with a TTL outlives the
/// thread that acquired it.
static SHARED: Mutex<Option<HashMap<String, Space>>> = Mutex::new(None);

impl Space {
    /// A space of its own.
    pub(super) fn private() -> Self {
        Self(Arc::new(Mutex::new(Inner { engine: Inline::new(MemoryStore::default()), members: Vec::new() })))
    }

    /// The space with that name, made if nobody uses it yet.
    pub(super) fn shared(name: &str) -> Self {
        let mut registry = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let spaces = registry.get_or_insert_default();
        spaces.retain(|_, space| space.is_needed());
        spaces.entry(name.to_owned()).or_insert_with(Self::private).clone()
    }

    /// Whether anybody uses the space or may want to find a lease in it.
    fn is_needed(&self) -> bool {
        if Arc::strong_count(&self.0) > 1 {
            return true;
        }
        let store = &mut self.lock().engine.store;
        store.sweep(SystemClock.now(), usize::MAX);
        !store.is_empty()
    }

    pub(super) fn join(&self, port: Arc<Port>, handle: u32) {
        let alarm = Moment::NEVER;
        self.lock().members.push(Member { port, handle, alarm });
    }

    /// Runs an operation for `tenant`. Settlements of its own tickets go to `mine`, those of other environments to their
    /// ports.
    pub(super) fn operate<T>(
        &self,
        tenant: u32,
        mine: &mut impl FnMut(Letter),
        operation: impl FnOnce(&mut Inline<MemoryStore>, Moment) -> T,
    ) -> T {
        let mut inner = self.lock();
        let now = SystemClock.now();
        let result = operation(&mut inner.engine, now);
        if inner.engine.has_settled() {
            inner.deliver(now, tenant, mine);
        }
        if inner.members.len() > 1 {
            inner.announce(tenant);
        }
        result
    }

    /// The next deadline, told to a member that is going to tick then.
    pub(super) fn set_alarm(&self, tenant: u32, handle: u32) -> Option<Moment> {
        let mut inner = self.lock();
        let next = inner.engine.next_deadline();
        let is_meant = |member: &&mut Member| member.port.tenant() == tenant && member.handle == handle;
        if let Some(member) = inner.members.iter_mut().find(is_meant) {
            member.alarm = next.unwrap_or(Moment::NEVER);
        }
        next
    }

    /// The environment behind `port` goes: its waiters leave, its leases without end and those that are kept are
    /// freed, and what it had been granted without learning of it goes to the next.
    pub(super) fn leave(&self, port: &Port, untaken: &[Letter]) {
        let tenant = port.tenant();
        let mut inner = self.lock();
        let now = SystemClock.now();
        let handles: Vec<u32> = inner
            .members
            .iter()
            .filter(|member| member.port.tenant() == tenant)
            .map(|member| member.handle)
            .collect();
        inner.members.retain(|member| member.port.tenant() != tenant);
        inner.engine.evict(now, tenant);
        for letter in untaken {
            if let Letter::Settled { outcome, space, .. } = letter
                && handles.contains(space)
            {
                inner.free(now, outcome);
            }
        }
        for id in inner.engine.store.leases_bound_to(tenant) {
            inner.engine.release_lease(now, id);
        }
        inner.deliver(now, tenant, &mut |_| {});
        inner.announce(tenant);
    }

    /// One of the environment's handles to the space goes, and with it its waiters there.
    pub(super) fn drop_handle(&self, tenant: u32, handle: u32) {
        self.lock().members.retain(|member| member.port.tenant() != tenant || member.handle != handle);
    }

    /// An operation that panicked is a defect, but not one that may take other threads' locks down with it: the engine
    /// keeps its tables consistent by itself, so a poisoned mutex is used on.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Tells everybody what has been settled. A lease granted to an environment that is gone goes to the next.
    fn deliver(&mut self, now: Moment, tenant: u32, mine: &mut impl FnMut(Letter)) {
        while self.engine.has_settled() {
            let settled: Vec<(Ticket, Outcome)> = self.engine.drain_settled().collect();
            for (ticket, outcome) in settled {
                let member = self.members.iter().find(|member| member.port.tenant() == ticket.tenant);
                let Some(member) = member else {
                    self.free(now, &outcome);
                    continue;
                };
                let letter = Letter::Settled { ticket: ticket.number, outcome, space: member.handle };
                if ticket.tenant == tenant {
                    mine(letter);
                } else if let Err(Letter::Settled { outcome, .. }) = member.port.post(letter) {
                    self.free(now, &outcome);
                }
            }
        }
    }

    fn free(&mut self, now: Moment, outcome: &Outcome) {
        if let Outcome::Acquired(lease) = outcome {
            self.engine.release_lease(now, lease.id);
        }
    }

    /// Tells the other members of a deadline that comes before their alarms. Each of them has an alarm of its own: a
    /// thread may be busy or gone when the time comes.
    fn announce(&mut self, tenant: u32) {
        let next = self.engine.next_deadline().unwrap_or(Moment::NEVER);
        for member in &mut self.members {
            if member.port.tenant() != tenant && next < member.alarm {
                member.alarm = next;
                // A member that is gone needs no telling.
                let _ = member.port.post(Letter::Deadline { space: member.handle });
            }
        }
    }
}
