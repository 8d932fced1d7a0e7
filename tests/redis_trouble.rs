//! The Redis store when something is wrong with the server: scripts forgotten, connections killed, no memory left, a user
//! who may do little. See `redis_servers` for how to run it.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::error::Error as _;
use std::sync::Arc;

use loquet::error::Error;
use loquet::lease::Ttl;
use loquet::store::redis::settings::{Login, Settings};
use tokio::time::timeout;

mod line;
mod redis_servers;
use line::{key, millis, owner, ttl, wait};
use redis_servers::{NO_POLL, Observer, PATIENCE, Process, standalone, standalone_alone, until};

/// Acquires and releases.
fn take_turn(process: &Process, text: &str, number: u64, delay: u64) -> tokio::task::JoinHandle<()> {
    let (handle, name, owner) = (process.handle.clone(), key(text), owner(number));
    tokio::spawn(async move {
        let acquire = handle.acquire(name.clone(), owner.clone(), ttl(60_000), wait(delay));
        acquire.await.unwrap().unwrap();
        handle.release(name, owner).await.unwrap();
    })
}

#[tokio::test]
async fn scripts_that_the_server_has_forgotten_are_sent_again() {
    let Some(settings) = standalone_alone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let (here, there) = (Process::start(&settings, "flush-1"), Process::start(&settings, "flush-2"));
    let mut flush = || observer.ask::<()>(&["SCRIPT", "FLUSH", "SYNC"]);
    for round in 0..5 {
        flush();
        here.take(key("flush"), owner(1), ttl(60_000)).await;
        // Whoever of the two is first.
        let turns =
            [(&here, 2), (&there, 3)].map(|(process, number)| take_turn(process, "flush", number, NO_POLL));
        if round % 2 == 0 {
            tokio::time::sleep(millis(20)).await;
        }
        flush();
        here.handle.extend(key("flush"), owner(1), Ttl::FOREVER).await.unwrap();
        flush();
        here.handle.release(key("flush"), owner(1)).await.unwrap();
        flush();
        for turn in turns {
            timeout(PATIENCE, turn).await.expect("somebody was forgotten").unwrap();
            flush();
        }
    }
    observer.wait_for_nothing("flush").await;
}

#[tokio::test]
async fn c6_killed_connections_cost_no_waiter_its_turn() {
    let Some(settings) = standalone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let [holds, waits] = ["kill-holder", "kill-waiter"].map(|name| {
        let settings = Settings { connection_name: Some(name.to_owned()), ..settings.clone() };
        Process::start(&settings, name)
    });
    for round in 0..12 {
        let first = owner(2 * round);
        let second = owner(2 * round + 1);
        holds.take(key("kill"), first.clone(), Ttl::FOREVER).await;
        let waiting =
            tokio::spawn(waits.handle.acquire(key("kill"), second.clone(), Ttl::FOREVER, wait(NO_POLL)));
        observer.wait_for_line("kill", 1).await;
        let (victim, subscribed) =
            [("kill-waiter", true), ("kill-waiter", false), ("kill-holder", false)][(round % 3) as usize];
        let clients = observer.connections(victim);
        let victims: Vec<_> = clients.iter().filter(|client| client.is_subscribed() == subscribed).collect();
        assert!(!victims.is_empty(), "{clients:?}");
        for client in victims {
            observer.ask::<u32>(&["CLIENT", "KILL", "ID", client.id()]);
        }
        // At once, or when the waiter has noticed.
        if round % 2 == 0 {
            until("a subscription", || {
                observer.connections("kill-waiter").iter().any(redis_servers::Client::is_subscribed)
            })
            .await;
        }
        holds.handle.release(key("kill"), first).await.unwrap();
        let lease = timeout(PATIENCE, waiting).await.expect("the waiter was forgotten");
        lease.unwrap().unwrap().unwrap();
        waits.handle.release(key("kill"), second).await.unwrap();
    }
    observer.wait_for_nothing("kill").await;
}

/// Gives the server its memory back, however the test ends.
struct Full(Observer);

impl Full {
    fn new(settings: &Settings) -> Self {
        let mut full = Self(Observer::new(settings));
        full.0.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        full.0.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
        full
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        self.0.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    }
}

#[tokio::test]
async fn a_server_without_memory_refuses_new_locks_but_lets_go_and_hands_over() {
    let Some(settings) = standalone_alone().await else {
        return;
    };
    let mut observer = Observer::new(&settings);
    let (here, there) = (Process::start(&settings, "full-1"), Process::start(&settings, "full-2"));
    here.take(key("full"), owner(1), ttl(60_000)).await;
    here.take(key("full-too"), owner(5), ttl(60_000)).await;
    let next = here.handle.acquire(key("full"), owner(2), ttl(60_000), wait(NO_POLL));
    let waiting = tokio::spawn(there.handle.acquire(key("full-too"), owner(6), Ttl::FOREVER, wait(500)));
    observer.wait_for_line("full", 1).await;
    observer.wait_for_line("full-too", 1).await;
    let full = Full::new(&settings);

    let refused = here.handle.acquire(key("full-new"), owner(3), Ttl::FOREVER, wait(NO_POLL)).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind().code(), "E_LOCK_STORAGE_ERROR");
    assert!(error.to_string().contains("maxmemory"), "{error}");
    here.handle.extend(key("full"), owner(1), ttl(30_000)).await.unwrap();
    here.handle.release(key("full"), owner(1)).await.unwrap();
    timeout(PATIENCE, next).await.expect("no hand-over").unwrap().unwrap();
    here.handle.release(key("full"), owner(2)).await.unwrap();
    assert!(!here.handle.exists(key("full")).await.unwrap());
    // Whoever waits elsewhere hears of it too, and that it can't have the lock.
    here.handle.release(key("full-too"), owner(5)).await.unwrap();
    let told = timeout(PATIENCE, waiting).await.expect("nobody told the waiter").unwrap();
    assert_eq!(told.unwrap_err().kind().code(), "E_LOCK_STORAGE_ERROR");

    drop(full);
    here.take(key("full-new"), owner(4), Ttl::FOREVER).await;
    here.handle.release(key("full-new"), owner(4)).await.unwrap();
    for name in ["full", "full-too", "full-new"] {
        observer.wait_for_nothing(name).await;
    }
}

/// A user of the standalone server, who goes with the test.
struct User {
    observer: Observer,
    name: String,
}

const PASSWORD: &str = "hunter2-and-a-half";

impl User {
    fn new(settings: &Settings, name: &str, rules: &[&str]) -> Self {
        let mut observer = Observer::new(settings);
        let password = format!(">{PASSWORD}");
        let words = [&["ACL", "SETUSER", name, "reset", "on", &password], rules].concat();
        observer.ask::<()>(&words);
        Self { observer, name: name.to_owned() }
    }

    fn settings(&self, settings: &Settings) -> Settings {
        let login = Login { username: Some(self.name.clone()), password: Some(PASSWORD.to_owned()) };
        Settings { login, ..settings.clone() }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.observer.ask::<u32>(&["ACL", "DELUSER", &self.name]);
    }
}

/// Everything that locks do works for a user who can't hear of turns; who waits asks from time to time.
async fn works_by_polling(user: &User, settings: &Settings, text: &str) {
    let limited = user.settings(settings);
    let (here, there) =
        (Process::start(&limited, &format!("{text}-1")), Process::start(&limited, &format!("{text}-2")));
    let name = key(text);
    for _ in 0..3 {
        here.take(name.clone(), owner(1), ttl(60_000)).await;
        let turns = [(&there, 2), (&here, 3)].map(|(process, number)| take_turn(process, text, number, 20));
        tokio::time::sleep(millis(30)).await;
        assert!(there.handle.exists(name.clone()).await.unwrap());
        here.handle.extend(name.clone(), owner(1), ttl(60_000)).await.unwrap();
        here.handle.release(name.clone(), owner(1)).await.unwrap();
        for turn in turns {
            timeout(PATIENCE, turn).await.expect("somebody was forgotten").unwrap();
        }
        here.take(name.clone(), owner(4), Ttl::FOREVER).await;
        there.handle.force_release(name.clone()).await.unwrap();
        assert!(!here.handle.exists(name.clone()).await.unwrap());
    }
    for process in [&here, &there] {
        let notices = process.notices();
        // One for the channels, perhaps one for the line; never again.
        assert!(matches!(notices.len(), 1 | 2), "{notices:?}");
        for notice in &notices {
            assert!(notice.contains("wake-ups") && !notice.contains(PASSWORD), "{notices:?}");
        }
    }
}

#[tokio::test]
async fn a_user_who_may_use_no_channel_locks_by_polling_and_is_told_so() {
    let Some(settings) = standalone().await else {
        return;
    };
    let user = User::new(&settings, "deaf", &["~app:*", "+@all"]);
    works_by_polling(&user, &settings, "app:deaf").await;
    Observer::new(&settings).wait_for_nothing("app:deaf").await;
}

#[tokio::test]
async fn a_user_who_may_touch_the_lock_only_locks_by_polling_and_is_told_so() {
    let Some(settings) = standalone().await else {
        return;
    };
    let user = User::new(&settings, "narrow", &["~narrow", "+@all"]);
    works_by_polling(&user, &settings, "narrow").await;
    let user = User::new(&settings, "narrower", &["~narrower", "&*", "+@all"]);
    works_by_polling(&user, &settings, "narrower").await;
}

/// Whoever may not publish takes out of the line whoever stands there; they still get the lock when they ask.
#[tokio::test]
async fn users_with_and_without_channels_share_a_lock() {
    let Some(settings) = standalone().await else {
        return;
    };
    let user = User::new(&settings, "mixed", &["~app:*", "+@all"]);
    let deaf = Process::start(&user.settings(&settings), "mixed-1");
    let hears = Process::start(&settings, "mixed-2");
    let name = key("app:mixed");
    for _ in 0..3 {
        deaf.take(name.clone(), owner(1), ttl(60_000)).await;
        let waiting = tokio::spawn(hears.handle.acquire(name.clone(), owner(2), ttl(60_000), wait(200)));
        tokio::time::sleep(millis(30)).await;
        deaf.handle.release(name.clone(), owner(1)).await.unwrap();
        timeout(PATIENCE, waiting).await.expect("no poll").unwrap().unwrap().unwrap();
        let waiting = tokio::spawn(deaf.handle.acquire(name.clone(), owner(3), ttl(60_000), wait(20)));
        tokio::time::sleep(millis(30)).await;
        hears.handle.release(name.clone(), owner(2)).await.unwrap();
        timeout(PATIENCE, waiting).await.expect("no poll").unwrap().unwrap().unwrap();
        deaf.handle.release(name.clone(), owner(3)).await.unwrap();
    }
    assert!(hears.notices().is_empty(), "{:?}", hears.notices());
}

/// Everything that an error says, its causes included.
fn words(error: &Error) -> String {
    let mut words = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words} | {cause} {cause:?}");
        source = cause.source();
    }
    words
}

#[tokio::test]
async fn c21_no_password_is_told_to_anybody() {
    let Some(settings) = standalone().await else {
        return;
    };
    let user = User::new(&settings, "secret", &["~other", "&*", "+@all"]);
    let wrong = format!("wrong-{PASSWORD}");
    let login = |username: Option<&str>, password: &str| Login {
        username: username.map(str::to_owned),
        password: Some(password.to_owned()),
    };
    let logins =
        [login(Some("secret"), PASSWORD), login(Some("secret"), &wrong), login(Some("nobody"), &wrong)];
    for login in logins {
        let settings = Settings { login, ..settings.clone() };
        let process = Process::start(&settings, "secret");
        let outcome = process.handle.acquire(key("secret"), owner(1), Ttl::FOREVER, wait(NO_POLL)).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.kind().code(), "E_LOCK_STORAGE_ERROR");
        assert!(error.source().is_some(), "{error:?}");
        let told = format!(
            "{} {settings:?} {settings:#?} {:?} {:?}",
            words(&error),
            process.handle,
            process.notices()
        );
        assert!(!told.contains(PASSWORD), "{told}");
    }
    drop(user);

    // A password that nobody has asked for is no mistake, but worth a word.
    let settings = Settings { login: login(None, PASSWORD), ..settings.clone() };
    let process = Arc::new(Process::start(&settings, "needless"));
    process.take(key("needless"), owner(1), Ttl::FOREVER).await;
    process.handle.release(key("needless"), owner(1)).await.unwrap();
    let notices = process.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("password") && !notices[0].contains(PASSWORD), "{notices:?}");
}
