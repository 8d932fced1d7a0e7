//! Extensions that travel together, on real servers.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::sync::Arc;

use loquet::clock::SystemClock;
use loquet::error::ErrorKind;
use loquet::lease::{Holder, Owner, Ttl};
use loquet::store::redis::RedisStore;
use loquet::store::redis::settings::Settings;
use loquet::store::{Answer, Command, LockStore, Reply};

mod line;
mod redis_servers;
use line::{PATIENCE, key, owner, ttl};
use redis_servers::{Observer, cluster, standalone, standalone_alone};

fn save(number: u64) -> Command {
    let (key, owner, ttl) = (key(&format!("bulk {number}")), owner(number), ttl(60_000));
    Command::Save { key, owner, ttl, fenced: false, waits: false }
}

fn extend(number: u64, owner: Owner, ttl: Ttl) -> Command {
    Command::Extend { key: key(&format!("bulk {number}")), holder: Holder::Owner(owner), ttl }
}

fn is_extended(reply: &Reply) -> bool {
    match reply {
        Ok(Answer::Acquired(_)) => true,
        Ok(Answer::NotOwned) => false,
        other => panic!("{other:?}"),
    }
}

/// Each is answered for itself: those that are held, those of somebody else, those that are gone, among other commands.
async fn extends_each_for_itself(settings: Option<&Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let store = RedisStore::new(settings.clone(), Arc::new(SystemClock), "bulk".to_owned());
    store.execute((0..300).map(save).collect(), PATIENCE).await;
    let gone = (0..300).filter(|number| number % 7 == 0);
    store
        .execute(
            gone.map(|number| Command::ForceDelete { key: key(&format!("bulk {number}")) }).collect(),
            PATIENCE,
        )
        .await;

    let mut batch: Vec<Command> = (0..150)
        .map(|number| extend(number, owner(if number % 5 == 0 { 9_999 } else { number }), ttl(90_000)))
        .collect();
    batch.push(Command::Exists { key: key("bulk 1") });
    batch.extend((150..300).map(|number| extend(number, owner(number), Ttl::FOREVER)));
    let replies = store.execute(batch, PATIENCE).await;
    assert!(matches!(replies[150], Ok(Answer::Exists(true))));
    for number in 0..150_u64 {
        let expected = number % 7 != 0 && number % 5 != 0;
        assert_eq!(is_extended(&replies[usize::try_from(number).unwrap()]), expected, "{number}");
    }
    for number in 150..300_u64 {
        assert_eq!(is_extended(&replies[usize::try_from(number + 1).unwrap()]), number % 7 != 0, "{number}");
    }
    let deletions = (0..300).map(|number| Command::ForceDelete { key: key(&format!("bulk {number}")) });
    store.execute(deletions.collect(), PATIENCE).await;
}

/// A TTL that the server can't count to.
#[tokio::test]
async fn an_extension_that_the_server_refuses_fails_alone() {
    let Some(settings) = standalone().await else {
        return;
    };
    let store = RedisStore::new(settings.clone(), Arc::new(SystemClock), "bulk".to_owned());
    store.execute((400..403).map(save).collect(), PATIENCE).await;
    let spans = [(400, ttl(90_000)), (401, Ttl::from_millis(u64::MAX).unwrap()), (402, ttl(90_000))];
    let batch = spans.map(|(number, span)| extend(number, owner(number), span)).to_vec();
    let replies = store.execute(batch, PATIENCE).await;
    assert!(is_extended(&replies[0]) && is_extended(&replies[2]), "{replies:?}");
    assert!(replies[1].as_ref().is_err_and(|error| error.kind() == ErrorKind::Storage), "{replies:?}");
    let deletions = (400..403).map(|number| Command::ForceDelete { key: key(&format!("bulk {number}")) });
    store.execute(deletions.collect(), PATIENCE).await;
}

#[tokio::test]
async fn extensions_that_travel_together_are_answered_each_for_itself() {
    let server = standalone().await;
    extends_each_for_itself(server.as_deref()).await;
}

#[tokio::test]
async fn extensions_in_a_cluster_are_answered_each_for_itself() {
    extends_each_for_itself(cluster().as_ref()).await;
}

/// Hundreds of extensions are one call; a server that has forgotten the script is told it again; a key that holds something
/// else than a lock harms no other.
#[tokio::test]
async fn extensions_that_travel_together_are_one_call() {
    let Some(settings) = standalone_alone().await else {
        return;
    };
    let store = RedisStore::new(settings.clone(), Arc::new(SystemClock), "bulk".to_owned());
    let mut observer = Observer::new(&settings);
    store.execute((0..200).map(save).collect(), PATIENCE).await;
    observer.ask::<redis::Value>(&["DEL", "bulk 3"]);
    observer.ask::<redis::Value>(&["SADD", "bulk 3", "member"]);
    observer.ask::<redis::Value>(&["SCRIPT", "FLUSH"]);
    observer.ask::<redis::Value>(&["CONFIG", "RESETSTAT"]);
    for _ in 0..3 {
        let batch = (0..200).map(|number| extend(number, owner(number), ttl(90_000))).collect();
        for (number, reply) in store.execute(batch, PATIENCE).await.iter().enumerate() {
            assert_eq!(is_extended(reply), number != 3, "{number}");
        }
    }
    let stats = observer.ask::<String>(&["INFO", "commandstats"]);
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.and_then(|line| line.split(',').next()).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0)
    };
    assert_eq!((calls("evalsha"), calls("eval")), (3, 1), "{stats}");
    let deletions = (0..200).map(|number| Command::ForceDelete { key: key(&format!("bulk {number}")) });
    store.execute(deletions.collect(), PATIENCE).await;
}
