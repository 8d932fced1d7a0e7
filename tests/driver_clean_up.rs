//! What whoever has left leaves behind, and how to wait until it is gone, under paused time.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::sync::Arc;

use loquet::engine::driver::Handle;
use loquet::lease::Ttl;
use loquet::store::faulty::Faults;
use tokio::time::{Instant, sleep, timeout};

mod line;
use line::{PATIENCE, drive, drive_faulty, key, millis, owner, server, wait};

const SLOW: Faults = Faults { delayed: 1000, delay: millis(20), ..Faults::NONE };

/// Acquires and releases as fast as it can, for ever.
fn make_traffic(handle: &Handle) -> tokio::task::JoinHandle<()> {
    let handle = handle.clone();
    tokio::spawn(async move {
        for number in 1000.. {
            handle.acquire(key("busy"), owner(number), Ttl::FOREVER, wait(5)).await.unwrap().unwrap();
            handle.release(key("busy"), owner(number)).await.unwrap();
        }
    })
}

#[tokio::test(start_paused = true)]
async fn c11_what_the_store_grants_to_nobody_is_gone_afterwards() {
    let mut took_a_while = 0;
    for moment in 0..60 {
        let (served, _, handle) = drive_faulty(SLOW);
        let acquire = handle.acquire(key("k"), owner(1), Ttl::FOREVER, wait(5));
        sleep(millis(moment)).await;
        drop(acquire);
        let start = Instant::now();
        timeout(millis(1000), handle.clean_up()).await.expect("in time").unwrap();
        assert_eq!(served.live_leases(), 0, "dropped after {moment} ms");
        took_a_while += u32::from(start.elapsed() > millis(0));
    }
    assert!(took_a_while > 10, "{took_a_while}");
}

#[tokio::test(start_paused = true)]
async fn a_release_that_nobody_waits_for_is_waited_for() {
    for is_wanted in [false, true] {
        let (served, _, handle) = drive_faulty(SLOW);
        handle.acquire(key("k"), owner(1), Ttl::FOREVER, wait(5)).await.unwrap().unwrap();
        let next = is_wanted.then(|| handle.acquire(key("k"), owner(2), Ttl::FOREVER, wait(5)));
        sleep(millis(100)).await;
        drop(handle.release(key("k"), owner(1)));
        handle.clean_up().await.unwrap();
        match next {
            Some(next) => assert!(timeout(millis(100), next).await.expect("in time").unwrap().is_some()),
            None => assert_eq!(served.live_leases(), 0),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_still_wait_and_work_are_not_waited_for() {
    let (served, _, handle) = drive_faulty(SLOW);
    let traffic = make_traffic(&handle);
    handle.acquire(key("held"), owner(1), Ttl::FOREVER, wait(5)).await.unwrap().unwrap();
    let parked = handle.acquire(key("held"), owner(2), Ttl::FOREVER, wait(5));
    for number in 3..100 {
        let (left, next) = (number * 2, number * 2 + 1);
        let leaving = handle.acquire(key("k"), owner(left), Ttl::FOREVER, wait(5));
        let staying = handle.acquire(key("k"), owner(next), Ttl::FOREVER, wait(5));
        sleep(millis(number % 40)).await;
        drop(leaving);
        timeout(millis(200), handle.clean_up()).await.expect("in time").unwrap();
        staying.await.unwrap().unwrap();
        handle.release(key("k"), owner(next)).await.unwrap();
    }
    traffic.abort();
    let _ = traffic.await; // what it had asked for is dropped with it
    drop(parked);
    handle.clean_up().await.unwrap();
    assert!(served.live_leases() <= 2, "what is held, and perhaps the lock of the traffic");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_for_the_first_try() {
    let (_, _, handle) = drive_faulty(Faults { stalled: 1000, stall: 100 * PATIENCE, ..Faults::NONE });
    drop(handle.acquire(key("k"), owner(1), Ttl::FOREVER, wait(5)));
    let start = Instant::now();
    handle.clean_up().await.unwrap();
    // The save, and then what was to delete what it may have left.
    assert!(start.elapsed() <= 2 * PATIENCE + millis(20), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_closed_answers_at_once() {
    let (_, _, slow) = drive_faulty(Faults { stalled: 1000, stall: 100 * PATIENCE, ..Faults::NONE });
    drop(slow.acquire(key("k"), owner(1), Ttl::FOREVER, wait(5)));
    let start = Instant::now();
    let (cleaned, ()) = tokio::join!(slow.clean_up(), slow.close());
    cleaned.unwrap();
    assert!(start.elapsed() <= PATIENCE + millis(10), "{:?}", start.elapsed());

    let (served, clock) = server();
    let handle = drive(Arc::new(served.connect(clock.clone())), clock);
    handle.close().await;
    timeout(millis(1), handle.clean_up()).await.expect("at once").unwrap();
}
