//! The Redis store on real servers: the conformance suite on each kind of deployment, and processes that wait for each
//! other. See `redis_servers` for how to run it.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::sync::{Arc, Mutex};

use loquet::clock::SystemClock;
use loquet::engine::Retry;
use loquet::lease::Ttl;
use loquet::store::conformance::{Later, check};
use loquet::store::redis::RedisStore;
use loquet::store::redis::settings::Settings;
use tokio::time::{Instant, timeout};

mod line;
mod redis_servers;
use line::{key, millis, owner, ttl, wait};
use redis_servers::{
    NO_POLL, Observer, PATIENCE, Process, cluster, sentinels, standalone, standalone_alone, tls, until,
};

async fn conforms(settings: Option<&Settings>, prefix: &str) {
    if let Some(settings) = settings {
        let store = RedisStore::new(settings.clone(), Arc::new(SystemClock), format!("{prefix}process"));
        check(&mut Later::new(store), prefix).await;
    }
}

#[tokio::test]
async fn a_standalone_server_conforms() {
    let server = standalone().await;
    conforms(server.as_deref(), "conformance:").await;
}

#[tokio::test]
async fn a_server_behind_tls_conforms() {
    conforms(tls().as_ref(), "conformance:").await;
}

#[tokio::test]
async fn a_primary_that_sentinels_know_conforms() {
    conforms(sentinels().as_ref(), "conformance:").await;
}

#[tokio::test]
async fn a_cluster_conforms() {
    conforms(cluster().as_ref(), "conformance:").await;
}

/// The lock goes to and fro between two processes, by wake-ups alone. Among the keys are some whose braces matter in a
/// cluster.
async fn passes_between_processes(settings: Option<&Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let (here, there) = (Process::start(settings, "here"), Process::start(settings, "there"));
    for text in ["turns", "{turns}:1", "turns:{2}", "turns{", "{}turns"] {
        let name = key(text);
        here.take(name.clone(), owner(0), ttl(60_000)).await;
        for round in 0..6 {
            let (from, to) = if round % 2 == 0 { (&here, &there) } else { (&there, &here) };
            let waiting =
                tokio::spawn(to.handle.acquire(name.clone(), owner(round + 1), Ttl::FOREVER, wait(NO_POLL)));
            // Released while the other one stands in line, on its way there, or hasn't begun to wait.
            tokio::time::sleep(millis([50, 2, 0][usize::try_from(round % 3).unwrap()])).await;
            from.handle.release(name.clone(), owner(round)).await.unwrap();
            let lease = timeout(PATIENCE, waiting).await.expect("a wake-up was lost");
            lease.unwrap().unwrap().unwrap();
        }
        here.handle.release(name.clone(), owner(6)).await.unwrap();
        assert!(!there.handle.exists(name).await.unwrap());
    }
    assert!(here.notices().is_empty() && there.notices().is_empty(), "{:?}", here.notices());
}

#[tokio::test]
async fn c8_a_release_wakes_a_waiter_in_another_process() {
    let server = standalone().await;
    passes_between_processes(server.as_deref()).await;
}

#[tokio::test]
async fn c8_a_release_wakes_a_waiter_in_another_process_behind_tls() {
    passes_between_processes(tls().as_ref()).await;
}

#[tokio::test]
async fn c8_a_release_wakes_a_waiter_in_another_process_with_sentinels() {
    passes_between_processes(sentinels().as_ref()).await;
}

#[tokio::test]
async fn c8_a_release_wakes_a_waiter_in_another_process_in_a_cluster() {
    passes_between_processes(cluster().as_ref()).await;
}

#[tokio::test]
async fn c8_a_lease_that_ends_is_noticed_without_a_poll() {
    let Some(settings) = standalone().await else {
        return;
    };
    let (here, there) = (Process::start(&settings, "ends-1"), Process::start(&settings, "ends-2"));
    let start = Instant::now();
    here.take(key("ends"), owner(1), ttl(400)).await;
    let acquire = there.handle.acquire(key("ends"), owner(2), ttl(60_000), wait(NO_POLL));
    timeout(PATIENCE, acquire).await.expect("the end was not noticed").unwrap().unwrap();
    assert!(start.elapsed() > millis(390), "granted while it was held: {:?}", start.elapsed());
    there.handle.release(key("ends"), owner(2)).await.unwrap();
}

/// Those in line know when the lease ends that they found. A later one may end before, and its holder may die.
#[tokio::test]
async fn c8_the_end_of_a_lease_that_began_during_the_wait_is_noticed_without_a_poll() {
    let Some(settings) = standalone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let [here, dies, leaves, waits] =
        ["late-1", "late-2", "late-3", "late-4"].map(|name| Process::start(&settings, name));
    for (round, found) in [Ttl::FOREVER, ttl(60_000)].into_iter().enumerate() {
        // Whoever is first when the lease begins may leave before it ends.
        let leaving = Retry { timeout: Some(millis(800)), ..wait(NO_POLL) };
        here.take(key("late"), owner(1), found).await;
        let dying = tokio::spawn(dies.handle.acquire(key("late"), owner(2), ttl(1_500), wait(NO_POLL)));
        observer.wait_for_line("late", 1).await;
        let mut count = 1;
        let mut left = None;
        if round == 1 {
            left = Some(tokio::spawn(leaves.handle.acquire(key("late"), owner(3), ttl(60_000), leaving)));
            count += 1;
            observer.wait_for_line("late", count).await;
        }
        let waiting = tokio::spawn(waits.handle.acquire(key("late"), owner(4), ttl(60_000), wait(NO_POLL)));
        observer.wait_for_line("late", count + 1).await;
        here.handle.release(key("late"), owner(1)).await.unwrap();
        timeout(PATIENCE, dying).await.expect("a wake-up was lost").unwrap().unwrap().unwrap();
        // It is never released.
        timeout(PATIENCE, waiting).await.expect("the end was not noticed").unwrap().unwrap().unwrap();
        if let Some(left) = left {
            assert_eq!(left.await.unwrap().unwrap(), None, "it has given up");
        }
        waits.handle.release(key("late"), owner(4)).await.unwrap();
    }
    observer.wait_for_nothing("late").await;
}

#[tokio::test]
async fn processes_get_their_turn_in_the_order_of_their_arrival() {
    let Some(settings) = standalone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let processes: Vec<_> =
        (0..8).map(|number| Arc::new(Process::start(&settings, &format!("order-{number}")))).collect();
    let first = &processes[0];
    first.take(key("order"), owner(0), Ttl::FOREVER).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in [3, 1, 7, 5, 2, 6, 4] {
        let (process, order) = (Arc::clone(&processes[number]), Arc::clone(&order));
        let name = owner(u64::try_from(number).unwrap());
        tasks.push(tokio::spawn(async move {
            let acquire = process.handle.acquire(key("order"), name.clone(), Ttl::FOREVER, wait(NO_POLL));
            acquire.await.unwrap().unwrap();
            order.lock().unwrap().push(number);
            process.handle.release(key("order"), name).await.unwrap();
        }));
        observer.wait_for_line("order", u32::try_from(tasks.len()).unwrap()).await;
    }
    first.handle.release(key("order"), owner(0)).await.unwrap();
    for task in tasks {
        timeout(PATIENCE, task).await.expect("somebody was forgotten").unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [3, 1, 7, 5, 2, 6, 4]);
    observer.wait_for_nothing("order").await;
}

#[tokio::test]
async fn c13_a_waiter_that_goes_leaves_no_place_in_line_behind_and_no_subscription() {
    let Some(settings) = standalone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let [holder, goes, stays] = ["goes-0", "goes-1", "goes-2"].map(|name| Process::start(&settings, name));
    holder.take(key("goes"), owner(0), Ttl::FOREVER).await;
    let gone = goes.handle.acquire(key("goes"), owner(1), Ttl::FOREVER, wait(NO_POLL));
    observer.wait_for_line("goes", 1).await;
    let waiting = tokio::spawn(stays.handle.acquire(key("goes"), owner(2), Ttl::FOREVER, wait(NO_POLL)));
    observer.wait_for_line("goes", 2).await;
    drop(gone);
    observer.wait_for_line("goes", 1).await;
    holder.handle.release(key("goes"), owner(0)).await.unwrap();
    timeout(PATIENCE, waiting)
        .await
        .expect("whoever has gone is still waited for")
        .unwrap()
        .unwrap()
        .unwrap();
    stays.handle.release(key("goes"), owner(2)).await.unwrap();
    observer.wait_for_nothing("goes").await;
}

/// The wake-up of one who goes in that moment isn't lost: the next in line gets it.
#[tokio::test]
async fn c11_a_turn_that_comes_to_somebody_who_goes_is_passed_on() {
    let Some(settings) = standalone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let [holder, goes, stays] = ["turn-0", "turn-1", "turn-2"].map(|name| Process::start(&settings, name));
    for round in 0..20 {
        holder.take(key("turn"), owner(0), Ttl::FOREVER).await;
        let gone = goes.handle.acquire(key("turn"), owner(1), Ttl::FOREVER, wait(NO_POLL));
        observer.wait_for_line("turn", 1).await;
        let waiting = tokio::spawn(stays.handle.acquire(key("turn"), owner(2), Ttl::FOREVER, wait(NO_POLL)));
        observer.wait_for_line("turn", 2).await;
        let release = holder.handle.release(key("turn"), owner(0));
        if round % 2 == 0 {
            release.await.unwrap();
        }
        drop(gone);
        timeout(PATIENCE, waiting).await.expect("the turn was lost").unwrap().unwrap().unwrap();
        stays.handle.release(key("turn"), owner(2)).await.unwrap();
    }
    observer.wait_for_nothing("turn").await;
}

#[tokio::test]
async fn a_hand_over_is_little_more_than_one_command() {
    let Some(settings) = standalone_alone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let processes: Vec<_> =
        (0..4).map(|number| Arc::new(Process::start(&settings, &format!("count-{number}")))).collect();
    let holder = Process::start(&settings, "count-holder");
    holder.take(key("count"), owner(0), Ttl::FOREVER).await;
    let mut tasks = Vec::new();
    for number in 0..400 {
        let process = Arc::clone(&processes[usize::try_from(number % 4).unwrap()]);
        tasks.push(tokio::spawn(async move {
            let name = owner(1 + number);
            let acquire = process.handle.acquire(key("count"), name.clone(), Ttl::FOREVER, wait(NO_POLL));
            acquire.await.unwrap().unwrap();
            process.handle.release(key("count"), name).await.unwrap();
        }));
    }
    observer.wait_for_line("count", 4).await;
    let mut scripts = || -> u64 {
        let text: String = observer.ask(&["INFO", "commandstats"]);
        let calls = |line: &str| line.split(['=', ',']).nth(1).unwrap().parse::<u64>().unwrap();
        text.lines().filter(|line| line.starts_with("cmdstat_eval")).map(calls).sum()
    };
    let before = scripts();
    holder.handle.release(key("count"), owner(0)).await.unwrap();
    for task in tasks {
        timeout(PATIENCE, task).await.expect("somebody was forgotten").unwrap();
    }
    let calls = scripts() - before;
    assert!(calls <= 640, "{calls} commands for 400 hand-overs");
    observer.wait_for_nothing("count").await;
}

/// Waits end by their own time; others in line are none the worse for it.
#[tokio::test]
async fn c9_a_wait_in_line_ends_by_its_timeout() {
    let Some(settings) = standalone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let (holder, waiter) = (Process::start(&settings, "time-0"), Process::start(&settings, "time-1"));
    holder.take(key("time"), owner(0), Ttl::FOREVER).await;
    let retry = loquet::engine::Retry { timeout: Some(millis(200)), ..wait(NO_POLL) };
    let start = Instant::now();
    let outcome = waiter.handle.acquire(key("time"), owner(1), Ttl::FOREVER, retry).await.unwrap();
    assert_eq!(outcome, None);
    assert!(start.elapsed() >= millis(200), "{:?}", start.elapsed());
    until("nobody in line", || observer.in_line("time") == 0).await;
    holder.handle.release(key("time"), owner(0)).await.unwrap();
    observer.wait_for_nothing("time").await;
}
