//! The tokio driver, under paused time: batching, cancellation, timeouts, closing, and a store that fails.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loquet::clock::{Clock, Moment};
use loquet::engine::Retry;
use loquet::error::ErrorKind;
use loquet::lease::{Owner, Ttl};
use loquet::store::faulty::Faults;
use loquet::store::{BoxFuture, Capability, Command, LockStore, Reply, WakeUp};
use tokio::time::{Instant, sleep, timeout};

mod line;
use line::{PATIENCE, drive, drive_faulty, key, millis, owner, server, ttl, wait};

/// Lets everything happen that happens without time passing.
async fn settle_down() {
    sleep(Duration::from_nanos(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lone_acquire_is_not_delayed_and_is_one_command() {
    let (served, clock) = server();
    let handle = drive(Arc::new(served.connect(clock.clone())), clock);
    let start = Instant::now();
    let lease = handle.acquire(key("k"), owner(1), ttl(1000), wait(100)).await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(served.batches(), [1]);
    assert_eq!(lease.expires_at.unwrap().since(Moment::START), millis(1000));
    assert!(handle.exists(key("k")).await.unwrap());
    handle.release(key("k"), owner(1)).await.unwrap();
    assert!(!handle.exists(key("k")).await.unwrap());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_leaves_in_one_batch() {
    let (served, clock) = server();
    let handle = drive(Arc::new(served.connect(clock.clone())), clock);
    let acquires: Vec<_> = (0..100)
        .map(|number| handle.acquire(key(&format!("k{number}")), owner(number), Ttl::FOREVER, wait(100)))
        .collect();
    for acquire in acquires {
        assert!(acquire.await.unwrap().is_some());
    }
    assert_eq!(served.batches(), [100]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_store_gets_larger_batches_and_waiters_of_one_key_are_one_contender() {
    let (served, _, handle) = drive_faulty(Faults { delayed: 1000, delay: millis(20), ..Faults::NONE });
    let mut tasks = Vec::new();
    for number in 0..200 {
        let handle = handle.clone();
        tasks.push(tokio::spawn(async move {
            sleep(Duration::from_micros(number * 10)).await;
            handle.acquire(key("one"), owner(number), Ttl::FOREVER, wait(10_000)).await.unwrap().unwrap();
            handle.release(key("one"), owner(number)).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let commands: usize = served.batches().iter().sum();
    assert!(commands < 200 * 3, "{commands} commands for 200 pairs");
    assert_eq!(served.live_leases(), 0);

    let before = served.batches().len();
    let mut acquires = Vec::new();
    for number in 0..300 {
        acquires.push(handle.acquire(
            key(&format!("k{number}")),
            owner(1000 + number),
            Ttl::FOREVER,
            wait(100),
        ));
        tokio::task::yield_now().await;
    }
    for acquire in acquires {
        assert!(acquire.await.unwrap().is_some());
    }
    let batches = served.batches().len() - before;
    assert!(batches < 60, "300 saves in {batches} batches though the store was busy");
}

#[tokio::test(start_paused = true)]
async fn c8_waiters_are_granted_in_order_and_by_hand_over() {
    let (served, clock) = server();
    let handle = drive(Arc::new(served.connect(clock.clone())), clock);
    let order = Arc::new(Mutex::new(Vec::new()));
    handle.acquire(key("k"), owner(0), Ttl::FOREVER, wait(100)).await.unwrap().unwrap();
    let mut tasks = Vec::new();
    for number in 1..=10 {
        let acquire = handle.acquire(key("k"), owner(number), Ttl::FOREVER, wait(10_000));
        let (handle, order) = (handle.clone(), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            acquire.await.unwrap().unwrap();
            order.lock().unwrap().push(number);
            handle.release(key("k"), owner(number)).await.unwrap();
        }));
    }
    settle_down().await;
    let start = Instant::now();
    handle.release(key("k"), owner(0)).await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (1..=10).collect::<Vec<_>>());
    assert!(start.elapsed() < millis(50), "{:?}", start.elapsed());
    assert_eq!((served.live_leases(), served.watched_keys()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn c8_a_waiter_in_another_process_is_woken_and_at_expiry_without_a_poll() {
    let (served, clock) = server();
    let here = drive(Arc::new(served.connect(clock.clone())), clock.clone());
    let there = drive(Arc::new(served.connect(clock.clone())), clock);
    here.acquire(key("k"), owner(1), Ttl::FOREVER, wait(100)).await.unwrap().unwrap();
    let waiting = tokio::spawn(there.acquire(key("k"), owner(2), ttl(500), wait(60_000)));
    sleep(millis(10)).await;
    let start = Instant::now();
    here.release(key("k"), owner(1)).await.unwrap();
    waiting.await.unwrap().unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    here.acquire(key("k"), owner(3), ttl(500), wait(60_000)).await.unwrap().unwrap();
    let waited = start.elapsed();
    assert!((millis(500)..millis(510)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn c11_a_dropped_acquire_leaves_no_lease_whenever_it_is_dropped() {
    for moment in 0..60 {
        let (served, _, handle) = drive_faulty(Faults { delayed: 1000, delay: millis(20), ..Faults::NONE });
        let first = handle.acquire(key("k"), owner(1), Ttl::FOREVER, wait(5));
        let second = handle.acquire(key("k"), owner(2), Ttl::FOREVER, wait(5));
        if moment > 0 {
            sleep(millis(moment)).await;
        }
        drop(first);
        timeout(millis(1000), second)
            .await
            .unwrap_or_else(|_| panic!("dropped after {moment} ms"))
            .unwrap()
            .unwrap();
        handle.release(key("k"), owner(2)).await.unwrap();
        settle_down().await;
        assert_eq!(served.live_leases(), 0, "dropped after {moment} ms");
        handle.close().await;
        assert_eq!(served.watched_keys(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn c11_a_grant_that_nobody_looked_at_is_given_back() {
    let (served, clock) = server();
    let handle = drive(Arc::new(served.connect(clock.clone())), clock);
    let acquire = handle.acquire(key("k"), owner(1), Ttl::FOREVER, wait(5));
    settle_down().await;
    assert_eq!(served.live_leases(), 1);
    drop(acquire);
    settle_down().await;
    assert_eq!(served.live_leases(), 0);
}

#[tokio::test(start_paused = true)]
async fn c9_a_timeout_is_kept_while_the_store_hangs() {
    let (_, _, handle) = drive_faulty(Faults { stalled: 1000, stall: 10 * PATIENCE, ..Faults::NONE });
    for retry in [wait(50), Retry::ONCE] {
        let start = Instant::now();
        let retry = Retry { timeout: Some(millis(300)), ..retry };
        let outcome = handle.acquire(key("k"), owner(1), Ttl::FOREVER, retry).await;
        assert_eq!(outcome.unwrap(), None);
        assert!((millis(300)..=millis(310)).contains(&start.elapsed()), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn c22_a_store_that_hangs_fails_every_call_after_the_command_timeout_and_is_used_again_when_it_is_back()
{
    let (served, faulty, handle) = drive_faulty(Faults::NONE);
    handle.acquire(key("held"), owner(0), Ttl::FOREVER, wait(50)).await.unwrap().unwrap();
    faulty.set_faults(Faults { stalled: 1000, stall: 10 * PATIENCE, ..Faults::NONE });
    let start = Instant::now();
    let calls: Vec<_> = (1..=40)
        .map(|number| {
            let handle = handle.clone();
            tokio::spawn(async move {
                sleep(millis(number)).await; // so that more batches are wanted than may be under way
                let result =
                    handle.acquire(key(&format!("k{number}")), owner(number), Ttl::FOREVER, wait(50)).await;
                (Instant::now(), result)
            })
        })
        .collect();
    let release = tokio::spawn(handle.release(key("held"), owner(0)));
    for (number, call) in calls.into_iter().enumerate() {
        let (end, result) = call.await.unwrap();
        assert_eq!(result.unwrap_err().kind().code(), "E_LOCK_STORAGE_ERROR");
        let waited = end - start;
        let began = millis(number as u64 + 1);
        assert!(waited <= began + PATIENCE + millis(10), "the call at {began:?} ended at {waited:?}");
    }
    assert!(release.await.unwrap().is_err());
    assert!(start.elapsed() < PATIENCE + millis(60));

    faulty.set_faults(Faults::NONE);
    let lease = timeout(2 * PATIENCE, handle.acquire(key("k1"), owner(99), Ttl::FOREVER, wait(50))).await;
    lease.expect("no restart needed").unwrap().unwrap();
    handle.release(key("k1"), owner(99)).await.unwrap();
    sleep(3 * PATIENCE).await;
    assert!(served.live_leases() <= 1, "only the lock whose release failed may be left");
}

#[tokio::test(start_paused = true)]
async fn c6_a_lost_reply_is_not_a_lost_lock() {
    let (served, faulty, handle) = drive_faulty(Faults { lost_reply: 1000, ..Faults::NONE });
    let start = Instant::now();
    let acquire = handle.acquire(key("k"), owner(1), Ttl::FOREVER, wait(1000));
    let failed = acquire.await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Uncertain, "neither the save nor the question was answered");
    faulty.set_faults(Faults::NONE);
    handle.acquire(key("k"), owner(2), Ttl::FOREVER, wait(1000)).await.unwrap().unwrap();
    assert!(start.elapsed() < millis(2000), "{:?}", start.elapsed());
    handle.release(key("k"), owner(2)).await.unwrap();
    assert_eq!(served.live_leases(), 0);
}

#[tokio::test(start_paused = true)]
async fn closing_settles_everybody_and_refuses_newcomers_but_releases_still_work() {
    let (served, clock) = server();
    let store: Arc<dyn LockStore> = Arc::new(served.connect(clock.clone()));
    let handle = drive(Arc::clone(&store), clock);
    handle.acquire(key("k"), owner(0), Ttl::FOREVER, wait(100)).await.unwrap().unwrap();
    let waiting: Vec<_> =
        (1..50).map(|number| handle.acquire(key("k"), owner(number), Ttl::FOREVER, wait(100))).collect();
    settle_down().await;
    timeout(millis(100), handle.close()).await.expect("closing takes no time");
    for acquire in waiting {
        assert_eq!(acquire.await.unwrap_err().kind(), ErrorKind::Closed);
    }
    let late = handle.acquire(key("k"), owner(100), Ttl::FOREVER, wait(100)).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Closed);
    handle.release(key("k"), owner(0)).await.unwrap();
    assert_eq!((served.live_leases(), served.watched_keys()), (0, 0));
    drop(handle);
    settle_down().await;
    assert_eq!(Arc::strong_count(&store), 1, "the driver has ended");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_the_driver_but_not_a_pending_acquire() {
    let (served, clock) = server();
    let store: Arc<dyn LockStore> = Arc::new(served.connect(clock.clone()));
    let handle = drive(Arc::clone(&store), clock);
    handle.acquire(key("k"), owner(0), ttl(200), wait(100)).await.unwrap().unwrap();
    let pending = handle.acquire(key("k"), owner(1), ttl(200), wait(100));
    drop(handle);
    assert!(pending.await.unwrap().is_some());
    settle_down().await;
    assert_eq!(Arc::strong_count(&store), 1, "the driver has ended");
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_longer_than_the_command_timeout() {
    let (_, _, handle) = drive_faulty(Faults { stalled: 1000, stall: 100 * PATIENCE, ..Faults::NONE });
    let acquire = handle.acquire(key("k"), owner(0), Ttl::FOREVER, wait(100));
    settle_down().await;
    let start = Instant::now();
    handle.close().await;
    assert!(start.elapsed() <= PATIENCE + millis(10), "{:?}", start.elapsed());
    assert_eq!(acquire.await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn extending_and_forcing() {
    let (served, clock) = server();
    let handle = drive(Arc::new(served.connect(clock.clone())), clock);
    handle.acquire(key("k"), owner(1), ttl(100), wait(100)).await.unwrap().unwrap();
    sleep(millis(50)).await;
    let lease = handle.extend(key("k"), owner(1), ttl(100)).await.unwrap();
    assert_eq!(lease.expires_at.unwrap().since(Moment::START), millis(150));
    assert_eq!(handle.extend(key("k"), owner(2), ttl(100)).await.unwrap_err().kind(), ErrorKind::NotOwned);
    let waiting = tokio::spawn(handle.acquire(key("k"), owner(3), Ttl::FOREVER, wait(60_000)));
    settle_down().await;
    handle.force_release(key("k")).await.unwrap();
    waiting.await.unwrap().unwrap().unwrap();
    assert_eq!(handle.release(key("k"), owner(1)).await.unwrap_err().kind(), ErrorKind::NotOwned);
    assert_eq!(handle.extend(key("k"), owner(1), ttl(100)).await.unwrap_err().kind(), ErrorKind::NotOwned);
    handle.release(key("k"), owner(3)).await.unwrap();
    let unnamed = handle.acquire(key("k"), Owner::unnamed(), Ttl::FOREVER, wait(1)).await;
    assert_eq!(unnamed.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(served.live_leases(), 0);
}

/// A store that panics, then answers too little, then does what it should.
struct Broken {
    inner: Arc<dyn LockStore>,
    calls: AtomicU32,
}

impl LockStore for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }
    fn capability(&self) -> Capability {
        self.inner.capability()
    }
    fn execute(&self, batch: Vec<Command>, patience: Duration) -> BoxFuture<'_, Vec<Reply>> {
        match self.calls.fetch_add(1, Ordering::SeqCst) + 1 {
            1 => panic!("a fault in the store"),
            2 => Box::pin(std::future::ready(Vec::new())),
            _ => self.inner.execute(batch, patience),
        }
    }
    fn on_wake_up(&self, listener: WakeUp) {
        self.inner.on_wake_up(listener);
    }
}

#[tokio::test(start_paused = true)]
async fn c23_a_store_that_panics_or_answers_too_little_fails_its_callers_only() {
    let (served, clock) = server();
    let inner = Arc::new(served.connect(clock.clone()));
    let handle = drive(Arc::new(Broken { inner, calls: AtomicU32::new(0) }), clock);
    let failed = handle.acquire(key("k"), owner(1), Ttl::FOREVER, wait(100)).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Uncertain);
    assert!(handle.acquire(key("k"), owner(2), Ttl::FOREVER, wait(100)).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn figures_tell_of_waits_and_holds_and_of_those_who_wait() {
    let (served, clock) = server();
    let handle = drive(Arc::new(served.connect(clock.clone())), clock.clone());
    let figures = |prefix: &str| handle.figures(clock.now(), prefix);
    let waiters = |prefix: &str| figures(prefix).waiters;
    for name in ["a.k", "b.k"] {
        handle.acquire(key(name), owner(0), Ttl::FOREVER, wait(100)).await.unwrap().unwrap();
    }
    let waiting = handle.acquire(key("a.k"), owner(1), ttl(500), wait(100));
    let dropped = handle.acquire(key("a.k"), owner(2), ttl(500), wait(100));
    let _other = handle.acquire(key("b.k"), owner(3), ttl(500), wait(100));
    sleep(millis(200)).await;
    assert_eq!((waiters(""), waiters("a."), waiters("c.")), (3, 2, 0));
    assert_eq!(figures("").contended, [(key("a.k"), 2), (key("b.k"), 1)]);
    drop(dropped);
    settle_down().await;
    assert_eq!(waiters("a."), 1);

    handle.release(key("a.k"), owner(0)).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!((waiters("a."), figures("").leases), (0, 2));
    assert_eq!(figures("").contended, [(key("b.k"), 1)]);
    // Nobody releases it: it is held for 500 ms, however late that is noticed.
    sleep(millis(900)).await;
    let told = figures("");
    assert_eq!((told.wait.count, told.hold.count, told.leases), (3, 2, 1));
    let about = |told: f64, millis: f64| (told - millis).abs() < 5.0;
    assert!(about(told.wait.max, 200.0) && told.wait.min < 1.0, "{:?}", told.wait);
    assert!(about(told.hold.min, 200.0) && about(told.hold.max, 500.0), "{:?}", told.hold);
}
