//! The ends of leases in databases: whose clock decides, who learns of them, what becomes of the rows. See
//! `database_servers` for how to run it.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::sync::Arc;
use std::time::Duration;

use loquet::clock::SystemClock;
use loquet::lease::{Holder, Ttl};
use loquet::store::database::settings::Settings;
use loquet::store::database::{open, prune};
use loquet::store::{Answer, Command, LockStore};
use tokio::time::timeout;

mod database_servers;
mod line;
use database_servers::{File, PATIENCE, Process, mysql, pgbouncer, postgres};
use line::{key, owner, ttl, wait};

/// A retry delay that is never waited for: only a wake-up can come earlier.
const NO_POLL: u64 = 120_000;

/// A lease that ends is never taken for one without end, however close to its end it is met: nobody would look again.
async fn tells_every_end(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let store = open(settings, Arc::new(SystemClock));
    let save = |name: &str, number| Command::Save {
        key: key(name),
        owner: owner(number),
        ttl: ttl(2),
        fenced: false,
        waits: false,
    };
    // By somebody else each time, as soon as the one before is over; alone and in a list.
    for number in 0..60 {
        for names in [&["alone"] as &[&str], &["one", "two"]] {
            let mut open = names.to_vec();
            while !open.is_empty() {
                let batch = open.iter().map(|name| save(name, number)).collect();
                let mut replies = store.execute(batch, PATIENCE).await.into_iter();
                open.retain(|name| match replies.next().unwrap().unwrap() {
                    Answer::Held { until: None } => panic!("{name} has no end for number {number}"),
                    reply => !matches!(reply, Answer::Acquired(_)),
                });
            }
        }
    }
}

#[tokio::test]
async fn a_lease_that_is_about_to_end_is_not_taken_for_one_without_end() {
    tells_every_end(postgres("ends")).await;
    tells_every_end(mysql("ends")).await;
    for mode in ["wal", "delete"] {
        tells_every_end(Some(File::with_journal(mode).await.settings("ends"))).await;
    }
}

/// A process that waits goes by the end that it was told. It learns of an earlier one, without the safety net of
/// `retry.delay`.
async fn learns_of_an_earlier_end(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let (here, there) = (Process::start(&settings), Process::start(&settings));
    let name = key("earlier");
    here.handle.acquire(name.clone(), owner(1), ttl(60_000), wait(NO_POLL)).await.unwrap().unwrap();
    let waiting = tokio::spawn(there.handle.acquire(name.clone(), owner(2), ttl(60_000), wait(NO_POLL)));
    // It has asked, and has looked at the lock, by then.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let extend = Command::Extend { key: name, holder: Holder::Owner(owner(1)), ttl: ttl(1_000) };
    let replies = here.store.execute(vec![extend], PATIENCE).await;
    assert!(matches!(replies[0], Ok(Answer::Acquired(_))), "{replies:?}");
    timeout(PATIENCE, waiting).await.expect("the lease has ended long since").unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_lease_that_ends_earlier_than_it_was_to_is_noticed_by_other_processes() {
    learns_of_an_earlier_end(postgres("earlier")).await;
    learns_of_an_earlier_end(pgbouncer("earlier_pooled", false)).await;
    learns_of_an_earlier_end(mysql("earlier")).await;
    for mode in ["wal", "delete"] {
        learns_of_an_earlier_end(Some(File::with_journal(mode).await.settings("earlier"))).await;
    }
}

/// Who waits for many locks learns of the release of each. The processes have nothing else to do meanwhile.
async fn learns_of_each_release(settings: Option<Settings>) {
    const KEYS: u64 = 24;
    let Some(settings) = settings else {
        return;
    };
    let (here, there) = (Process::start(&settings), Process::start(&settings));
    let name = |number: u64| key(&format!("each {number}"));
    let mut waiting = Vec::new();
    for number in 0..KEYS {
        here.handle.acquire(name(number), owner(1), ttl(60_000), wait(NO_POLL)).await.unwrap().unwrap();
        let acquire = there.handle.acquire(name(number), owner(2), ttl(60_000), wait(NO_POLL));
        waiting.push(tokio::spawn(acquire));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut late = 0;
    for (waiting, number) in waiting.into_iter().zip(0..) {
        here.handle.release(name(number), owner(1)).await.unwrap();
        let released = tokio::time::Instant::now();
        timeout(PATIENCE, waiting).await.expect("it is free").unwrap().unwrap().unwrap();
        late += u64::from(released.elapsed() > Duration::from_millis(400));
    }
    // The machine may have been busy.
    assert!(late < KEYS / 4, "{late} of {KEYS}");
}

#[tokio::test]
async fn who_waits_for_many_locks_learns_of_each_release() {
    learns_of_each_release(postgres("each")).await;
    learns_of_each_release(mysql("each")).await;
    for mode in ["wal", "delete"] {
        learns_of_each_release(Some(File::with_journal(mode).await.settings("each"))).await;
    }
}

/// A clock that is an hour ahead.
struct Ahead;

impl loquet::clock::Clock for Ahead {
    fn now(&self) -> loquet::clock::Moment {
        SystemClock.now() + Duration::from_secs(3600)
    }
}

/// Expiry is the database's affair: it doesn't matter what time it is for the processes.
async fn excludes_whatever_the_clocks_say(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let runtime = tokio::runtime::Handle::current();
    let process = |clock: Arc<dyn loquet::clock::Clock>| {
        let store = open(settings.clone(), Arc::clone(&clock));
        loquet::engine::driver::Driver::spawn(store as _, clock, &runtime)
    };
    let (here, there) = (process(Arc::new(SystemClock)), process(Arc::new(Ahead)));
    let once = loquet::engine::Retry { attempts: std::num::NonZeroU32::new(1), ..wait(0) };
    for (first, second, number) in [(&here, &there, 0), (&there, &here, 10)] {
        let name = key(&format!("clocks {number}"));
        first.acquire(name.clone(), owner(number), ttl(2_000), once).await.unwrap().unwrap();
        let refused = second.acquire(name.clone(), owner(number + 1), ttl(60_000), once).await.unwrap();
        assert!(refused.is_none(), "two processes hold one lock");
        // Once it has expired it is the other's.
        let taking = second.acquire(name.clone(), owner(number + 2), ttl(60_000), wait(NO_POLL));
        timeout(PATIENCE, taking).await.expect("an expired lock").unwrap().unwrap();
        let refused = first.acquire(name, owner(number + 3), ttl(60_000), once).await.unwrap();
        assert!(refused.is_none(), "two processes hold one lock");
    }
}

#[tokio::test]
async fn processes_whose_clocks_are_an_hour_apart_exclude_each_other() {
    excludes_whatever_the_clocks_say(postgres("clocks")).await;
    excludes_whatever_the_clocks_say(mysql("clocks")).await;
}

/// Rows that have expired go, some at a time; leases that last stay, and so do those without end.
async fn prunes_what_has_expired(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let store = open(settings.clone(), Arc::new(SystemClock));
    let save = |number: u64, ttl| Command::Save {
        key: key(&format!("prune {number}")),
        owner: owner(number),
        ttl,
        fenced: false,
        waits: false,
    };
    let mut saves: Vec<Command> = (0..5).map(|number| save(number, ttl(2_000))).collect();
    saves.push(save(5, ttl(60_000)));
    saves.push(save(6, Ttl::FOREVER));
    for reply in store.execute(saves, PATIENCE).await {
        assert!(matches!(reply, Ok(Answer::Acquired(_))), "{reply:?}");
    }
    // Far longer than the answer takes: a lease that is over by then has not been acquired.
    tokio::time::sleep(Duration::from_millis(2_050)).await;
    assert_eq!(prune(&settings, Duration::from_secs(60), 100).await.unwrap(), 0, "they ended a moment ago");
    let now = Duration::ZERO;
    assert_eq!(prune(&settings, now, 3).await.unwrap(), 3);
    assert_eq!(prune(&settings, now, 3).await.unwrap(), 2);
    assert_eq!(prune(&settings, now, 3).await.unwrap(), 0);
    for number in [5, 6] {
        let asked =
            store.execute(vec![Command::Exists { key: key(&format!("prune {number}")) }], PATIENCE).await;
        assert_eq!(asked[0].as_ref().unwrap(), &Answer::Exists(true), "{number}");
    }
}

#[tokio::test]
async fn expired_rows_are_deleted_in_bounded_steps() {
    let file = File::with_journal("wal").await;
    tokio::join!(
        prunes_what_has_expired(postgres("pruned")),
        prunes_what_has_expired(pgbouncer("pruned_pooled", true)),
        prunes_what_has_expired(mysql("pruned")),
        prunes_what_has_expired(Some(file.settings("pruned"))),
    );
}
