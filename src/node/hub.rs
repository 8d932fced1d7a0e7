//! A store on a server, its driver, and the environments that share it.
//!
//! Stores with the same settings share one hub, in whichever thread they are: they have one connection and one queue for
//! each key. The hub goes with the last of them, and its connection with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::buffer::Letter;
use super::completion::Port;
use super::error::Result;
use super::figures::{StoreFigures, number};
use super::runtime;
use crate::clock::{Clock, Moment, SystemClock};
use crate::engine::driver::{Driver, Handle, Options, Outlet, Settlement};
use crate::engine::{Leash, Outcome};
use crate::lease::Ticket;
use crate::store::redis::RedisStore;
use crate::store::{ServerStore, database, random_name, redis};

/// See the [module documentation](self).
pub(super) struct Hub {
    pub(super) handle: Handle,
    store: Arc<dyn ServerStore>,
    members: Arc<Members>,
}

/// Where a store is, and how to speak to it.
#[derive(Clone, PartialEq)]
pub(super) enum Settings {
    Redis(redis::settings::Settings),
    Database(database::settings::Settings),
}

impl Settings {
    fn command_timeout(&self) -> Duration {
        match self {
            Self::Redis(settings) => settings.command_timeout,
            Self::Database(settings) => settings.command_timeout,
        }
    }

    /// How many batches are under way at most. One that waits for a connection would leave without those that come while
    /// it waits.
    fn flight_limit(&self) -> usize {
        match self {
            Self::Redis(_) => Options::default().flight_limit,
            Self::Database(settings) => settings.connections(),
        }
    }

    /// How many batches may be expected back any moment. A pipeline costs a server hardly more than its commands, and to let
    /// it rest costs time; a transaction costs more than its statements.
    fn fresh_limit(&self) -> usize {
        match self {
            Self::Redis(_) => self.flight_limit(),
            Self::Database(_) => Options::default().fresh_limit,
        }
    }

    fn open(&self) -> Arc<dyn ServerStore> {
        let clock = Arc::new(SystemClock);
        match self {
            Self::Redis(settings) => Arc::new(RedisStore::new(settings.clone(), clock, random_name())),
            Self::Database(settings) => database::open(settings.clone(), clock),
        }
    }
}

/// The hubs in use, by their settings.
static HUBS: Mutex<Vec<(Settings, Weak<Hub>)>> = Mutex::new(Vec::new());

/// The environments that use a hub.
#[derive(Default)]
struct Members {
    ports: Mutex<Vec<(Arc<Port>, u32)>>,
    notices: Mutex<Vec<String>>,
}

impl Hub {
    /// The hub with these settings, made if there is none.
    pub(super) fn with(settings: Settings) -> Result<Arc<Self>> {
        let mut hubs = lock(&HUBS);
        hubs.retain(|(_, hub)| hub.strong_count() > 0);
        let known = hubs.iter().find(|(known, _)| *known == settings).and_then(|(_, hub)| hub.upgrade());
        if let Some(hub) = known {
            return Ok(hub);
        }
        let runtime = runtime::handle()?;
        let options = Options {
            command_timeout: settings.command_timeout(),
            flight_limit: settings.flight_limit(),
            fresh_limit: settings.fresh_limit(),
            spin: runtime::spin(),
            ..Options::default()
        };
        let store = settings.open();
        let members = Arc::new(Members::default());
        let told = Arc::downgrade(&members);
        store.on_notice(Arc::new(move |text| {
            if let Some(members) = told.upgrade() {
                members.announce(text);
            }
        }));
        let outlet = Arc::clone(&members) as Arc<dyn Outlet>;
        let driver =
            Driver::spawn_for(Arc::clone(&store) as _, Arc::new(SystemClock), runtime, options, outlet);
        let hub = Arc::new(Self { handle: driver, store, members });
        hubs.push((settings, Arc::downgrade(&hub)));
        Ok(hub)
    }

    pub(super) fn join(&self, port: Arc<Port>, server: u32) {
        let mut ports = lock(&self.members.ports);
        // An entry that stayed when the environment's last store had gone is of no more use.
        ports.retain(|(known, handle)| known.tenant() != port.tenant() || *handle != server);
        ports.push((port, server));
    }

    /// An environment has ended.
    pub(super) fn leave(&self, tenant: u32) {
        lock(&self.members.ports).retain(|(port, _)| port.tenant() != tenant);
        self.handle.evict(tenant);
    }

    /// What was settled for an environment that has ended.
    pub(super) fn give_back(&self, settlement: Settlement) {
        if let Settlement::Acquire { outcome: Outcome::Acquired(_), claim, .. } = settlement {
            self.handle.give_back(claim);
        }
    }

    /// One store gives the hub back. If it was the last, the connection is closed once nothing is under way; `port` hears
    /// of it.
    pub(super) fn close(hub: Arc<Self>, port: Arc<Port>, server: u32, ticket: u32) -> Result<()> {
        let runtime = runtime::handle()?;
        let is_last = {
            // Nobody gets hold of it while it is counted.
            let mut hubs = lock(&HUBS);
            let is_last = Arc::strong_count(&hub) == 1;
            if is_last {
                hubs.retain(|(_, known)| !std::ptr::eq(known.as_ptr(), Arc::as_ptr(&hub)));
            }
            is_last
        };
        // What is still under way for the environment is to reach it: its last entry stays as long as the hub.
        let mut ports = lock(&hub.members.ports);
        if ports.iter().filter(|(member, _)| member.tenant() == port.tenant()).count() > 1 {
            ports.retain(|(member, known)| member.tenant() != port.tenant() || *known != server);
        }
        drop(ports);
        runtime.spawn(async move {
            if is_last {
                hub.handle.close().await;
                hub.store.close();
            }
            drop(hub);
            let _ = port.post(Letter::Gone { ticket }); // an environment that has ended needs no telling
        });
        Ok(())
    }

    /// What has been counted so far; contended keys and waiters of keys that begin with `prefix`.
    pub(super) fn figures(&self, prefix: &str) -> StoreFigures {
        let traffic = self.store.traffic();
        StoreFigures {
            round_trips: number(traffic.round_trips()),
            reconnects: number(traffic.reconnects()),
            ..StoreFigures::new(self.handle.figures(SystemClock.now(), prefix))
        }
    }

    /// What there is to tell a person.
    pub(super) fn notices(&self) -> Vec<String> {
        lock(&self.members.notices).clone()
    }
}

impl Members {
    fn announce(&self, text: &str) {
        lock(&self.notices).push(text.to_owned());
        for (port, server) in lock(&self.ports).iter() {
            let _ = port.post(Letter::Notice { server: *server }); // one that has ended needs no telling
        }
    }
}

impl Outlet for Members {
    fn settle(&self, ticket: Ticket, settlement: Settlement) -> std::result::Result<(), Settlement> {
        let ports = lock(&self.ports);
        let Some((port, server)) = ports.iter().find(|(port, _)| port.tenant() == ticket.tenant) else {
            return Err(settlement);
        };
        let letter = Letter::Served { ticket: ticket.number, settlement, server: *server };
        match port.post(letter) {
            Err(Letter::Served { settlement, .. }) => Err(settlement),
            _ => Ok(()),
        }
    }

    fn lost(&self, leash: &Leash) {
        let Some(loss) = leash.loss() else { return };
        let Ticket { tenant, number } = leash.ticket;
        if let Some((port, _)) = lock(&self.ports).iter().find(|(port, _)| port.tenant() == tenant) {
            let _ = port.post(Letter::Lost { leash: number, loss }); // one that has ended needs no telling
        }
    }

    fn last_turn(&self, tenant: u32) -> Option<Moment> {
        let ports = lock(&self.ports);
        ports.iter().find(|(port, _)| port.tenant() == tenant).map(|(port, _)| port.turned_at())
    }
}

/// What these locks protect is never left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
