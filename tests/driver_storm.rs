//! Three processes on the tokio driver, while everything goes wrong between them and the store.
//!
//! `LOQUET_SEED=n` runs one seed alone, `LOQUET_SEEDS=n` runs so many.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use loquet::clock::{Clock, Moment};
use loquet::engine::Retry;
use loquet::engine::driver::{Driver, Options};
use loquet::lease::{Key, Lease, Token, Ttl};
use loquet::store::faulty::{Dice, Faults, Faulty};
use tokio::time::{sleep, timeout};

mod line;
mod shell;
use line::{PATIENCE, drive, key, millis, owner, server, ttl, wait};
use shell::seeds;

/// Who is inside, as the holders themselves believe.
#[derive(Default)]
struct Inside(Mutex<HashMap<Key, (u64, Option<Moment>)>>, Mutex<HashMap<Key, Token>>);

impl Inside {
    fn enter(&self, now: Moment, key: &Key, number: u64, until: Option<Moment>) {
        let before = self.0.lock().unwrap().insert(key.clone(), (number, until));
        if let Some((other, end)) = before {
            assert!(end.is_some_and(|end| end <= now), "{number} and {other} both hold {key:?} at {now:?}");
        }
    }

    /// Nobody forces a lock here, so whoever enters with a token has the greatest.
    fn fence(&self, key: &Key, number: u64, lease: &Lease) {
        assert_eq!(lease.token.is_some(), is_fenced(number), "{number}: {lease:?}");
        if let Some(token) = lease.token {
            let before = self.1.lock().unwrap().insert(key.clone(), token);
            assert!(before < Some(token), "{number}: {token:?} of {key:?} comes after {before:?}");
        }
    }

    fn leave(&self, key: &Key, number: u64) {
        let mut inside = self.0.lock().unwrap();
        if inside.get(key).is_some_and(|(holder, _)| *holder == number) {
            inside.remove(key);
        }
    }
}

/// Every other acquisition has a fencing token.
fn is_fenced(number: u64) -> bool {
    number.is_multiple_of(2)
}

/// Tasks in three processes that lock, overrun, cancel and release on a few keys while everything goes wrong.
async fn storm(seed: u64, faults: Faults) {
    let (served, clock) = server();
    let inside = Arc::new(Inside::default());
    let options = Options { command_timeout: millis(500), ..Options::default() };
    let mut lines = Vec::new();
    let mut tasks = Vec::new();
    for process in 0..3 {
        let line = Arc::new(Faulty::new(Arc::new(served.connect(clock.clone())), seed * 3 + process, faults));
        let handle =
            Driver::spawn_with(line.clone(), clock.clone(), &tokio::runtime::Handle::current(), options);
        lines.push(line);
        for task in 0..20 {
            let mut dice = Dice::new(seed * 1000 + process * 100 + task);
            let (handle, inside, clock) = (handle.clone(), Arc::clone(&inside), clock.clone());
            tasks.push(tokio::spawn(async move {
                for round in 0..12 {
                    let number = process * 1_000_000 + task * 1000 + round;
                    let key = key(["a", "b", "c"][usize::try_from(dice.below(3)).unwrap()]);
                    let span = 100 + dice.below(400);
                    let retry = match dice.below(4) {
                        0 => Retry::ONCE,
                        1 => Retry { attempts: NonZeroU32::new(3), ..wait(20) },
                        2 => Retry { timeout: Some(millis(dice.below(1000))), ..wait(20) },
                        _ => wait(20),
                    };
                    let acquire = if is_fenced(number) {
                        handle.acquire_fenced(key.clone(), owner(number), ttl(span), retry)
                    } else {
                        handle.acquire(key.clone(), owner(number), ttl(span), retry)
                    };
                    let patience =
                        if dice.happens(200) { millis(dice.below(10_000)) } else { millis(600_000) };
                    let Ok(outcome) = timeout(patience, acquire).await else {
                        assert!(
                            patience < millis(600_000),
                            "seed {seed}: {number} waits for ever for {key:?}"
                        );
                        continue;
                    };
                    let Ok(Some(lease)) = outcome else { continue };
                    inside.enter(clock.now(), &key, number, lease.expires_at);
                    inside.fence(&key, number, &lease);
                    sleep(millis(dice.below(span * 5 / 4))).await;
                    inside.leave(&key, number);
                    let _ = handle.release(key, owner(number)).await;
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    for line in &lines {
        line.set_faults(Faults::NONE);
    }
    assert!(faults.lost_reply == 0 || lines.iter().all(|line| line.injected() > 0));
    sleep(PATIENCE).await;
    assert_eq!((served.live_leases(), served.watched_keys()), (0, 0), "seed {seed}: left behind");
}

#[tokio::test(start_paused = true)]
async fn c1_exclusion_holds_and_everybody_is_answered_under_thousands_of_faults() {
    let bad = Faults {
        lost_request: 30,
        lost_reply: 60,
        lost_silently: 30,
        refused: 20,
        delayed: 500,
        delay: millis(15),
        stalled: 20,
        stall: millis(2000),
        late: 0,
    };
    for seed in seeds(6) {
        println!("seed {seed} (rerun with LOQUET_SEED={seed})");
        storm(seed, Faults::NONE).await;
        storm(seed, bad).await;
        storm(seed, Faults { late: 20, ..bad }).await;
    }
}

/// On real threads, so that a cancellation may come between a grant and its settlement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c11_no_cancelled_acquire_leaves_a_lease_on_real_threads() {
    let (served, clock) = server();
    let handle = drive(Arc::new(served.connect(clock.clone())), clock);
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let handle = handle.clone();
            tokio::spawn(async move {
                let mut dice = Dice::new(task);
                for round in 0..3000 {
                    let owner = owner(task * 1_000_000 + round);
                    let acquire = handle.acquire(key("k"), owner.clone(), Ttl::FOREVER, wait(1));
                    if dice.happens(700) {
                        for _ in 0..dice.below(10_000) {
                            std::hint::spin_loop();
                        }
                        if dice.happens(500) {
                            tokio::task::yield_now().await;
                        }
                        drop(acquire);
                    } else {
                        acquire.await.unwrap().unwrap();
                        handle.release(key("k"), owner).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        timeout(12 * PATIENCE, task).await.expect("a lease was left behind").unwrap();
    }
    handle.close().await;
    assert_eq!((served.live_leases(), served.watched_keys()), (0, 0));
}
