//! Whoever has asked for something hears how it ended, also when the driver ends first; under paused time.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use loquet::engine::driver::{Claim, Driver, Options, Order, Outlet, Settlement};
use loquet::engine::{Outcome, Retry};
use loquet::lease::{Holder, Ticket};
use loquet::store::Command;
use loquet::store::faulty::{Faults, Faulty};
use tokio::time::{Instant, sleep};

mod line;
use line::{PATIENCE, key, millis, owner, server, ttl, wait};

/// What a tenant was told, by its tickets.
#[derive(Default)]
struct Told(Mutex<HashMap<u32, Vec<Settlement>>>);

impl Outlet for Told {
    fn settle(&self, ticket: Ticket, settlement: Settlement) -> Result<(), Settlement> {
        self.0.lock().unwrap().entry(ticket.number).or_default().push(settlement);
        Ok(())
    }
}

impl Told {
    /// The one settlement of a ticket.
    fn only(&self, number: u32) -> Settlement {
        let mut told = self.0.lock().unwrap().remove(&number).unwrap_or_default();
        assert_eq!(told.len(), 1, "ticket {number}: {told:?}");
        told.remove(0)
    }
}

/// Everything that can be asked for, of a store that is as bad as `faults`; then the driver is closed after `pause`
/// milliseconds and ends. Returns how many releases ended without an answer.
async fn asks_for_everything(seed: u64, pause: u64, faults: Faults) -> u32 {
    let (served, clock) = server();
    let line = Arc::new(Faulty::new(Arc::new(served.connect(clock.clone())), seed, Faults::NONE));
    let told = Arc::new(Told::default());
    let runtime = tokio::runtime::Handle::current();
    let (store, outlet) = (Arc::clone(&line), Arc::clone(&told));
    let options = Options { command_timeout: PATIENCE, ..Options::default() };
    let handle = Driver::spawn_for(store, clock, &runtime, options, outlet);
    let submit = |number: u32, order| handle.submit(Ticket { tenant: 1, number }, order);
    let claim = |name: u64| Claim {
        key: key(&format!("k{name}")),
        owner: owner(name),
        ttl: ttl(3_600_000),
        fenced: false,
        leash: None,
    };
    let held = |name| (claim(name).key, claim(name).owner);

    let retry = wait(50);
    for number in 0..4 {
        submit(number, Order::Acquire { claim: claim(u64::from(number)), retry });
    }
    sleep(millis(10)).await;
    for number in 0..4 {
        let Settlement::Acquire { outcome: Outcome::Acquired(_), .. } = told.only(number) else {
            panic!("it is free");
        };
    }

    line.set_faults(faults);
    for (name, number) in [(0, 10), (1, 11)] {
        let (key, owner) = held(name);
        submit(number, Order::Release { key, owner, was_live: true });
    }
    let (key, owner) = held(2);
    submit(12, Order::Other(Command::Extend { key, holder: Holder::Owner(owner), ttl: ttl(60_000) }));
    submit(13, Order::Other(Command::Exists { key: held(2).0 }));
    submit(14, Order::Other(Command::ForceDelete { key: held(3).0 }));
    submit(15, Order::Acquire { claim: claim(4), retry });
    submit(16, Order::Acquire { claim: claim(5), retry: Retry::ONCE });
    submit(17, Order::Acquire { claim: Claim { owner: line::owner(6), ..claim(2) }, retry });
    submit(18, Order::CleanUp);
    sleep(millis(pause)).await;
    let start = Instant::now();
    handle.close().await;
    assert!(start.elapsed() <= PATIENCE + millis(10), "{:?}", start.elapsed());
    // What is asked for now is under way, or not even sent, when the driver ends.
    for (name, number) in [(2, 20), (3, 21)] {
        let (key, owner) = held(name);
        submit(number, Order::Release { key, owner, was_live: true });
    }
    submit(22, Order::Other(Command::Exists { key: held(2).0 }));
    submit(23, Order::CleanUp);
    drop(handle);
    sleep(millis(1)).await;

    assert_eq!(Arc::strong_count(&line), 1, "the driver has ended");
    for number in [12, 13, 14, 18, 22, 23] {
        assert!(matches!(told.only(number), Settlement::Reply(_)), "{number}");
    }
    for number in [15, 16, 17] {
        assert!(matches!(told.only(number), Settlement::Acquire { .. }), "{number}");
    }
    let mut unanswered = 0;
    for number in [10, 11, 20, 21] {
        match told.only(number) {
            Settlement::Release(Outcome::Failed(error)) => {
                assert_eq!(error.kind().code(), "E_LOCK_STORAGE_ERROR");
                unanswered += u32::from(error.to_string().contains("connection was closed"));
            }
            Settlement::Release(_) => {}
            other => panic!("{number}: {other:?}"),
        }
    }
    assert!(told.0.lock().unwrap().is_empty());
    unanswered
}

#[tokio::test(start_paused = true)]
async fn c13_everybody_is_told_when_the_store_hangs() {
    let hangs = Faults { stalled: 1000, stall: 100 * PATIENCE, ..Faults::NONE };
    for pause in [0, 1, 10, 4_999, 5_001, 30_000] {
        assert!(asks_for_everything(1, pause, hangs).await >= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn c13_everybody_is_told_while_commands_are_repeated() {
    let loses = Faults { delayed: 1000, delay: millis(4_999), lost_reply: 700, ..Faults::NONE };
    let mut unanswered = 0;
    for seed in 0..300 {
        unanswered += asks_for_everything(seed, seed % 7, loses).await;
    }
    assert!(unanswered > 600, "two of each that come too late, and some that were repeated: {unanswered}");
}

#[tokio::test(start_paused = true)]
async fn everybody_is_answered_by_a_store_that_works() {
    for pause in 0..5 {
        // Those that came when everything else was over may have been performed or not.
        assert!(asks_for_everything(1, pause, Faults::NONE).await <= 2);
    }
}
