//! The tokio driver on a machine that is suspended: timers stand still meanwhile, leases go on ageing.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loquet::clock::{Clock, Moment};
use loquet::engine::Retry;
use loquet::engine::driver::Driver;
use loquet::store::Capability;
use loquet::store::served::{Served, TokioClock};
use tokio::time::{Instant, sleep};

mod line;
use line::{capability, key, millis, owner, ttl};

const HOUR: u64 = 3_600_000;

/// A clock that goes on while timers don't.
struct Suspendable(TokioClock, AtomicU64);

impl Suspendable {
    fn sleep_until(&self, hours: u64) {
        self.1.store(hours * HOUR, Ordering::Relaxed);
    }
}

impl Clock for Suspendable {
    fn now(&self) -> Moment {
        self.0.now() + millis(self.1.load(Ordering::Relaxed))
    }
}

#[tokio::test(start_paused = true)]
async fn c8_c9_nobody_is_late_for_long() {
    let clock = Arc::new(Suspendable(TokioClock::start(), AtomicU64::new(0)));
    let served = Served::new(Capability { watches: false, ..capability() }, clock.clone());
    let store = Arc::new(served.connect(clock.clone()));
    let handle = Driver::spawn(store, clock.clone(), &tokio::runtime::Handle::current());
    for (name, hours) in [("ends", 1), ("lasts", 9)] {
        handle.acquire(key(name), owner(1), ttl(hours * HOUR), Retry::ONCE).await.unwrap().unwrap();
    }
    let seldom = Retry { attempts: None, delay: millis(8 * HOUR), timeout: None };
    let within = move |span| Retry { timeout: Some(millis(span)), ..seldom };
    let waits = [("ends", seldom, true), ("lasts", within(HOUR), false)].map(|(name, retry, gets_it)| {
        let handle = handle.clone();
        tokio::spawn(async move {
            let lease = handle.acquire(key(name), owner(2), ttl(HOUR), retry).await.unwrap();
            assert_eq!(lease.is_some(), gets_it, "{name}");
        })
    });
    sleep(millis(100)).await;
    clock.sleep_until(2);
    let woken_at = Instant::now();
    for wait in waits {
        wait.await.unwrap();
    }
    assert!(woken_at.elapsed() <= millis(10_100), "{:?}", woken_at.elapsed());

    // What comes after it doesn't wait for a timer from before.
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.acquire(key("lasts"), owner(2), ttl(HOUR), within(5 * HOUR)).await }
    });
    sleep(millis(100)).await;
    clock.sleep_until(3);
    let begun_at = Instant::now();
    assert!(handle.acquire(key("lasts"), owner(3), ttl(HOUR), within(300)).await.unwrap().is_none());
    assert!(begun_at.elapsed() <= millis(400), "{:?}", begun_at.elapsed());
    waiting.abort();
}
