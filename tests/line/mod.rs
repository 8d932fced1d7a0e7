//! Drivers on a served store, over a line that may be bad.
#![allow(dead_code)] // not every test needs all of it

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use loquet::engine::Retry;
use loquet::engine::driver::{Driver, Handle};
use loquet::lease::{Key, Owner, Ttl};
use loquet::store::faulty::{Faults, Faulty};
use loquet::store::served::{Served, TokioClock};
use loquet::store::{Capability, LockStore};

pub const PATIENCE: Duration = Duration::from_secs(5);

pub const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub fn owner(number: u64) -> Owner {
    Owner::named(&format!("owner-{number}"))
}

pub fn ttl(count: u64) -> Ttl {
    Ttl::from_millis(count).unwrap()
}

pub fn wait(delay: u64) -> Retry {
    Retry { attempts: None, delay: millis(delay), timeout: None }
}

pub fn capability() -> Capability {
    Capability { polls: true, tells_expiry: true, hand_over: NonZeroU32::new(4), watches: true }
}

pub fn server() -> (Served, Arc<TokioClock>) {
    let clock = Arc::new(TokioClock::start());
    (Served::new(capability(), clock.clone()), clock)
}

pub fn drive(store: Arc<dyn LockStore>, clock: Arc<TokioClock>) -> Handle {
    Driver::spawn(store, clock, &tokio::runtime::Handle::current())
}

pub fn drive_faulty(faults: Faults) -> (Served, Arc<Faulty>, Handle) {
    let (served, clock) = server();
    let line = Arc::new(Faulty::new(Arc::new(served.connect(clock.clone())), 1, faults));
    let handle = drive(line.clone(), clock);
    (served, line, handle)
}
