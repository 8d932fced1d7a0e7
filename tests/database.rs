//! The database store on real databases: the conformance suite on each kind, and processes that wait for each other. See
//! `database_servers` for how to run it.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::sync::Arc;
use std::time::Duration;

use loquet::clock::SystemClock;
use loquet::store::conformance::{Later, check};
use loquet::store::database::open;
use loquet::store::database::settings::Settings;
use loquet::store::{Answer, Command, LockStore};
use tokio::time::timeout;

mod database_servers;
mod line;
use database_servers::{
    File, PATIENCE, Process, mysql, mysql_socket, mysql_tls, pgbouncer, postgres, postgres_socket,
    postgres_tls,
};
use line::{key, owner, ttl, wait};

/// A retry delay that is never waited for: only a wake-up can come earlier.
const NO_POLL: u64 = 120_000;

async fn conforms(settings: Option<Settings>) {
    if let Some(settings) = settings {
        let store = open(settings, Arc::new(SystemClock));
        check(&mut Later::new(store), "conformance:").await;
    }
}

#[tokio::test]
async fn postgres_conforms() {
    conforms(postgres("conformance")).await;
    conforms(postgres_socket("conf\"orm; --ance")).await;
    conforms(postgres_tls("conformance")).await;
}

#[tokio::test]
async fn postgres_behind_a_pooler_conforms() {
    conforms(pgbouncer("conformance_told", true)).await;
    conforms(pgbouncer("conformance_not_told", false)).await;
}

#[tokio::test]
async fn mysql_conforms() {
    conforms(mysql("conformance")).await;
    conforms(mysql_socket("conf`orm; --ance")).await;
    conforms(mysql_tls("conformance")).await;
}

#[tokio::test]
async fn sqlite_conforms() {
    for mode in ["wal", "delete"] {
        let file = File::with_journal(mode).await;
        conforms(Some(file.settings("conf\"orm; --ance"))).await;
    }
}

/// The lock goes to and fro between two processes, without the safety net of `retry.delay`.
async fn passes_between_processes(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let (here, there) = (Process::start(&settings), Process::start(&settings));
    for text in ["turns", "Turns", "turns ", "turns'; --"] {
        let name = key(text);
        timeout(PATIENCE, here.handle.acquire(name.clone(), owner(0), ttl(60_000), wait(NO_POLL)))
            .await
            .expect("a lock that nobody holds")
            .unwrap()
            .unwrap();
        for round in 0..6 {
            let (from, to) = if round % 2 == 0 { (&here, &there) } else { (&there, &here) };
            let waiting = to.handle.acquire(name.clone(), owner(round + 1), ttl(60_000), wait(NO_POLL));
            let releasing = async {
                tokio::time::sleep(Duration::from_millis(80)).await;
                from.handle.release(name.clone(), owner(round)).await.unwrap();
            };
            let (lease, ()) = timeout(PATIENCE, async { tokio::join!(waiting, releasing) })
                .await
                .unwrap_or_else(|_| panic!("nobody was woken for {text:?} in round {round}"));
            lease.unwrap().unwrap();
        }
        here.handle.release(name.clone(), owner(6)).await.unwrap();
    }
}

#[tokio::test]
async fn a_lock_passes_between_processes() {
    passes_between_processes(postgres("passing")).await;
    passes_between_processes(pgbouncer("passing_pooled", false)).await;
    passes_between_processes(mysql("passing")).await;
    for mode in ["wal", "delete"] {
        let file = File::with_journal(mode).await;
        passes_between_processes(Some(file.settings("passing"))).await;
    }
}

/// Commands of all kinds in one batch, some of them for one key, some of them in vain.
async fn tells_a_batch_apart(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let store = open(settings, Arc::new(SystemClock));
    let save = |name: &str, number| Command::Save {
        key: key(name),
        owner: owner(number),
        ttl: ttl(60_000),
        fenced: false,
        waits: false,
    };
    let delete = |name: &str, number| Command::Delete {
        key: key(name),
        holder: loquet::lease::Holder::Owner(owner(number)),
    };
    let extend = |name: &str, number| Command::Extend {
        key: key(name),
        holder: loquet::lease::Holder::Owner(owner(number)),
        ttl: ttl(90_000),
    };
    let replies = store
        .execute(
            vec![
                save("b", 1),
                save("a", 2),
                save("b", 3),
                extend("b", 1),
                extend("a", 9),
                delete("b", 1),
                delete("c", 1),
                save("b", 3),
                Command::Exists { key: key("b") },
                Command::ForceDelete { key: key("a") },
                Command::Exists { key: key("a") },
            ],
            PATIENCE,
        )
        .await;
    let told: Vec<&str> = replies
        .iter()
        .map(|reply| match reply.as_ref().unwrap() {
            Answer::Acquired(_) => "acquired",
            Answer::Held { until: Some(_) } => "held",
            Answer::Held { until: None } => "held for ever",
            Answer::NotOwned => "not owned",
            Answer::Done => "done",
            Answer::Exists(true) => "exists",
            Answer::Exists(false) => "free",
        })
        .collect();
    assert_eq!(
        told,
        [
            "acquired",
            "acquired",
            "held",
            "acquired",
            "not owned",
            "done",
            "not owned",
            "acquired",
            "exists",
            "done",
            "free"
        ]
    );
}

#[tokio::test]
async fn every_command_of_a_batch_gets_its_own_answer() {
    tells_a_batch_apart(postgres("batches")).await;
    tells_a_batch_apart(pgbouncer("batches_pooled", false)).await;
    tells_a_batch_apart(mysql("batches")).await;
    tells_a_batch_apart(Some(File::with_journal("wal").await.settings("batches"))).await;
}

/// Several hundred locks in few batches, some of which somebody else has.
async fn takes_long_lists(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let store = open(settings, Arc::new(SystemClock));
    let save = |number: u64, by: u64| Command::Save {
        key: key(&format!("list {number}")),
        owner: owner(by * 1000 + number),
        ttl: ttl(60_000),
        fenced: false,
        waits: false,
    };
    let replies = store.execute((0..150).map(|number| save(number * 2, 1)).collect(), PATIENCE).await;
    assert!(replies.iter().all(|reply| matches!(reply, Ok(Answer::Acquired(_)))));
    let replies = store.execute((0..300).map(|number| save(number, 2)).collect(), PATIENCE).await;
    for (number, reply) in replies.iter().enumerate() {
        let is_taken = matches!(reply.as_ref().unwrap(), Answer::Acquired(_));
        assert_eq!(is_taken, number % 2 == 1, "{number}: {reply:?}");
    }
    // Half of them in vain.
    let releases = (0..300).map(|number| Command::Delete {
        key: key(&format!("list {number}")),
        holder: loquet::lease::Holder::Owner(owner(2000 + number)),
    });
    let replies = store.execute(releases.collect(), PATIENCE).await;
    for (number, reply) in replies.iter().enumerate() {
        let expected = if number % 2 == 1 { Answer::Done } else { Answer::NotOwned };
        assert_eq!(reply.as_ref().unwrap(), &expected, "{number}");
    }
}

#[tokio::test]
async fn long_lists_are_performed_as_they_should_be() {
    takes_long_lists(postgres("lists")).await;
    takes_long_lists(mysql("lists")).await;
    takes_long_lists(Some(File::with_journal("wal").await.settings("lists"))).await;
}

/// Many processes make the table at once.
async fn makes_one_table(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let stores: Vec<_> = (0..8).map(|_| open(settings.clone(), Arc::new(SystemClock))).collect();
    let saves = stores.iter().zip(0..).map(|(store, number)| {
        let save = Command::Save {
            key: key(&format!("k{number}")),
            owner: owner(number),
            ttl: ttl(60_000),
            fenced: false,
            waits: false,
        };
        store.execute(vec![save], PATIENCE)
    });
    for replies in futures_util::future::join_all(saves).await {
        assert!(matches!(replies[0], Ok(Answer::Acquired(_))), "{replies:?}");
    }
}

#[tokio::test]
async fn processes_that_make_the_table_at_once_all_get_their_locks() {
    // Postgres has several ways to say that somebody else was faster, some of them rare.
    for round in 0..30 {
        makes_one_table(postgres(&format!("made at once {round}"))).await;
    }
    makes_one_table(mysql("made at once")).await;
    makes_one_table(Some(File::with_journal("wal").await.settings("made at once"))).await;
}

async fn names_the_missing_table(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let store = open(Settings { creates_table: false, ..settings }, Arc::new(SystemClock));
    let replies = store.execute(vec![Command::Exists { key: key("k") }], PATIENCE).await;
    let words = replies[0].as_ref().unwrap_err().to_string();
    assert!(words.contains("\"never made\"") && words.contains("run the migration"), "{words}");
}

#[tokio::test]
async fn a_missing_table_is_named() {
    names_the_missing_table(postgres("never made")).await;
    names_the_missing_table(mysql("never made")).await;
    names_the_missing_table(Some(File::with_journal("delete").await.settings("never made"))).await;
}

/// A table that somebody has made with MySQL's usual collation.
#[tokio::test]
async fn a_table_that_ignores_case_has_one_lock_for_foo_and_for_capital_foo() {
    let Some(settings) = mysql("ignores_case") else {
        return;
    };
    let mut connection = database_servers::mysql_connection(&settings).await;
    sqlx::query(
        "CREATE TABLE ignores_case (`key` varchar(255) COLLATE utf8mb4_general_ci PRIMARY KEY, owner varchar(255) NOT \
         NULL, expiration bigint unsigned) CHARACTER SET utf8mb4",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let process = Process::start(&settings);
    let save = |name: &str, number| Command::Save {
        key: key(name),
        owner: owner(number),
        ttl: ttl(60_000),
        fenced: false,
        waits: false,
    };
    let replies = process.store.execute(vec![save("Foo", 1), save("foo", 2), save("bar", 3)], PATIENCE).await;
    let taken = replies.iter().filter(|reply| matches!(reply, Ok(Answer::Acquired(_)))).count();
    assert_eq!(taken, 2, "{replies:?}");
    let until = tokio::time::Instant::now() + PATIENCE;
    while process.notices().is_empty() && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let notices = process.notices();
    assert!(notices.len() == 1 && notices[0].contains("`Foo` and `foo` are one lock"), "{notices:?}");
}
