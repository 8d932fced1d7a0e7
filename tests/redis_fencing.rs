//! Fencing tokens on real Redis servers: what is left on the server, and what becomes of them when it forgets, when it is
//! full, when the user may do little. See `redis_servers` for how to run it.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use loquet::engine::Retry;
use loquet::engine::driver::Handle;
use loquet::lease::{Token, Ttl};
use loquet::store::redis::settings::{Login, Settings};
use tokio::time::timeout;

mod line;
mod redis_servers;
mod rounds;
use line::{key, owner, ttl, wait};
use redis_servers::{NO_POLL, Observer, PATIENCE, Process, cluster, standalone, standalone_alone};
use rounds::{grow_in_turn, turns};

async fn fence(handle: &Handle, text: &str, number: u64) -> Token {
    let acquire = handle.acquire_fenced(key(text), owner(number), ttl(60_000), wait(20));
    let lease = timeout(PATIENCE, acquire).await.expect("a lock that nobody holds").unwrap().unwrap();
    lease.token.expect("a token")
}

fn counter(text: &str) -> Vec<u8> {
    [text.as_bytes(), b":loquet:fence\xFF"].concat()
}

#[tokio::test]
async fn only_a_fenced_acquisition_leaves_a_counter_which_ends_by_itself() {
    let Some(settings) = standalone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let process = Process::start(&settings, "counter");
    process.take(key("counter"), owner(1), ttl(60_000)).await;
    let lease = process.handle.acquire(key("counter"), owner(2), ttl(60_000), wait(NO_POLL));
    process.handle.release(key("counter"), owner(1)).await.unwrap();
    assert_eq!(lease.await.unwrap().unwrap().token, None);
    process.handle.release(key("counter"), owner(2)).await.unwrap();
    assert_eq!(observer.tell::<i64>("PTTL", &counter("counter")), -2, "a counter that nobody asked for");

    let token = turns(&[&process.handle], &key("counter"), None).await.unwrap();
    assert_eq!(observer.tell::<u64>("GET", &counter("counter")), token.number());
    let week = 7 * 24 * 3600 * 1000;
    let left = observer.tell::<i64>("PTTL", &counter("counter"));
    assert!((week - 60_000..=week).contains(&left), "{left}");
    process.take(key("counter"), owner(4), ttl(60_000)).await;
    process.handle.release(key("counter"), owner(4)).await.unwrap();
    assert_eq!(observer.tell::<u64>("GET", &counter("counter")), token.number());
    observer.tell::<()>("DEL", &counter("counter"));
}

#[tokio::test]
async fn tokens_grow_on_when_the_server_has_forgotten_them_or_its_clock_was_set_back() {
    let Some(settings) = standalone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let process = Process::start(&settings, "forgets");
    let name = key("forgets");
    let mut last = None;
    for _ in 0..20 {
        last = turns(&[&process.handle, &process.handle], &name, last).await;
        observer.tell::<()>("DEL", &counter("forgets"));
    }
    // As if the clock had been an hour ahead before.
    let ahead = last.unwrap().number() + 3_600_000_000;
    observer.write(&counter("forgets"), &ahead.to_string());
    let last = turns(&[&process.handle], &name, last).await;
    assert_eq!(last.map(Token::number), Some(ahead + 1));
    observer.tell::<()>("DEL", &counter("forgets"));
}

async fn grows_in_turn(settings: Option<&Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let processes = ["round-1", "round-2", "round-3"].map(|name| Process::start(settings, name));
    for text in ["rounds", "{rounds}:1", "rounds{", "{}rounds"] {
        grow_in_turn(&processes.each_ref().map(|process| &process.handle), &key(text)).await;
    }
}

#[tokio::test]
async fn tokens_grow_in_the_order_of_the_holders() {
    let server = standalone().await;
    grows_in_turn(server.as_deref()).await;
}

#[tokio::test]
async fn tokens_grow_in_the_order_of_the_holders_in_a_cluster() {
    grows_in_turn(cluster().as_ref()).await;
}

#[tokio::test]
async fn a_user_who_may_not_ask_for_the_time_has_tokens_too() {
    let Some(settings) = standalone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let rules = ["~timeless*", "&*", "+@all", "-time"];
    observer.ask::<()>(&[&["ACL", "SETUSER", "timeless", "reset", "on", ">secret"], &rules[..]].concat());
    let login = Login { username: Some("timeless".into()), password: Some("secret".into()) };
    let limited = Process::start(&Settings { login, ..settings.clone() }, "timeless-1");
    let usual = Process::start(&settings, "timeless-2");
    let name = key("timeless");
    let last = turns(&[&limited.handle], &name, None).await;
    assert!(last.is_some_and(|token| token.number() > 1_700_000_000_000_000), "{last:?} isn't by any clock");
    turns(&[&usual.handle, &limited.handle, &limited.handle, &usual.handle], &name, last).await;
    observer.ask::<u32>(&["ACL", "DELUSER", "timeless"]);
    observer.tell::<()>("DEL", &counter("timeless"));
}

#[tokio::test]
async fn a_server_without_memory_refuses_fenced_locks_whole_but_hands_them_over() {
    let Some(settings) = standalone_alone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let process = Process::start(&settings, "fenced-full");
    let first = fence(&process.handle, "fenced-full", 1).await;
    let next = process.handle.acquire_fenced(key("fenced-full"), owner(2), ttl(60_000), wait(NO_POLL));
    observer.wait_for_line("fenced-full", 1).await;
    observer.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    observer.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = process.handle.acquire_fenced(key("fenced-new"), owner(3), Ttl::FOREVER, Retry::ONCE).await;
    let released = process.handle.release(key("fenced-full"), owner(1)).await;
    let second = timeout(PATIENCE, next).await;
    observer.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(refused.unwrap_err().to_string().contains("maxmemory"));
    assert_eq!(observer.tell::<i64>("PTTL", &counter("fenced-new")), -2, "half of it was done");
    assert!(!process.handle.exists(key("fenced-new")).await.unwrap());
    released.unwrap();
    let second = second.expect("no hand-over").unwrap().unwrap().token;
    assert!(second > Some(first), "{second:?} after {first:?}");
    process.handle.release(key("fenced-full"), owner(2)).await.unwrap();
    observer.tell::<()>("DEL", &counter("fenced-full"));
}
