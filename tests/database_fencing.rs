//! Fencing tokens in real databases: the table that they are in, and that they grow. See `database_servers` for how to run
//! it.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use loquet::engine::Retry;
use loquet::engine::driver::Handle;
use loquet::store::database::settings::{Place, Settings};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tokio::time::timeout;

mod database_servers;
mod line;
mod rounds;
use database_servers::{File, PATIENCE, Process, mysql, mysql_connection, pgbouncer, postgres};
use line::{key, owner, ttl, wait};
use rounds::{grow_in_turn, turns};

/// Performs something in the database beside the store.
async fn perform(settings: &Settings, sql: &str) -> sqlx::Result<()> {
    let sql = AssertSqlSafe(sql.to_owned());
    match &settings.place {
        Place::MySql { .. } => mysql_connection(settings).await.execute(sql).await.map(drop),
        Place::Postgres { server, .. } => {
            let options = sqlx::postgres::PgConnectOptions::new()
                .extra_float_digits(None)
                .host(&server.host)
                .port(server.port)
                .username(server.username.as_deref().unwrap())
                .password(&server.password.as_ref().unwrap().0)
                .database(server.database.as_deref().unwrap());
            options.connect().await.unwrap().execute(sql).await.map(drop)
        }
        Place::Sqlite { path, .. } => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            options.connect().await.unwrap().execute(sql).await.map(drop)
        }
    }
}

/// Without a fenced lock there is no second table; with the first one, whoever wants it, there is.
async fn makes_its_table_when_it_is_wanted(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let look = format!("SELECT token FROM {}", settings.token_table());
    let processes = [(); 4].map(|()| Process::start(&settings));
    let handles = processes.each_ref().map(|process| &process.handle);
    for handle in handles {
        let acquire = handle.acquire(key("plain"), owner(1), ttl(60_000), wait(20));
        let lease = timeout(PATIENCE, acquire).await.expect("a lock that nobody holds").unwrap().unwrap();
        assert_eq!(lease.token, None);
        handle.release(key("plain"), owner(1)).await.unwrap();
    }
    assert!(perform(&settings, &look).await.is_err(), "a table that nobody wants");
    // All at once.
    let names = [1, 2, 3, 4].map(|number| key(&format!("fenced {number}")));
    let first = handles.iter().zip(&names).map(|(handle, name)| async move {
        turns(&[handle], name, None).await;
    });
    futures_util::future::join_all(first).await;
    perform(&settings, &look).await.unwrap();
    // Whoever has seen the table already finds it missing.
    perform(&settings, &format!("DROP TABLE {}", settings.token_table())).await.unwrap();
    turns(&handles, &names[0], None).await;
}

#[tokio::test]
async fn the_table_of_tokens_is_made_with_the_first_fenced_lock() {
    makes_its_table_when_it_is_wanted(postgres("fence_made")).await;
    makes_its_table_when_it_is_wanted(mysql("fence_made")).await;
    makes_its_table_when_it_is_wanted(Some(File::with_journal("wal").await.settings("fence_made"))).await;
}

async fn names_the_table_that_is_missing(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let (first, second) = (Process::start(&settings), {
        let settings = Settings { creates_table: false, ..settings.clone() };
        Process::start(&settings)
    });
    let acquire = first.handle.acquire(key("plain"), owner(1), ttl(60_000), wait(20));
    timeout(PATIENCE, acquire).await.expect("a lock that nobody holds").unwrap().unwrap();
    let refused = second.handle.acquire_fenced(key("fenced"), owner(2), ttl(60_000), Retry::ONCE).await;
    let words = refused.unwrap_err().to_string();
    let expected = format!("the table \"{}\" for fencing tokens is missing", settings.token_table());
    assert!(words.contains(&expected) && words.contains("autoCreateTable"), "{words}");
    assert!(!first.handle.exists(key("fenced")).await.unwrap(), "locked without a token");
    // Everything else goes on.
    let acquire = second.handle.acquire(key("fenced"), owner(2), ttl(60_000), Retry::ONCE);
    acquire.await.unwrap().unwrap();
    // Also what travels with it: all of these leave together.
    let handle = &second.handle;
    let others = (0..20).map(|number| async move {
        let name = key(&format!("beside {number}"));
        handle.acquire(name.clone(), owner(3), ttl(60_000), Retry::ONCE).await.unwrap().unwrap();
        handle.release(name, owner(3)).await.unwrap();
    });
    let in_vain = (0..20).map(|number| async move {
        let name = key(&format!("in vain {number}"));
        handle.acquire_fenced(name, owner(4), ttl(60_000), Retry::ONCE).await.unwrap_err();
    });
    futures_util::future::join(
        futures_util::future::join_all(others),
        futures_util::future::join_all(in_vain),
    )
    .await;
    // And the release that the next in line, who wants a token, would be handed the lock by.
    let next = tokio::spawn({
        let handle = handle.clone();
        async move { handle.acquire_fenced(key("fenced"), owner(5), ttl(60_000), wait(20)).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    handle.release(key("fenced"), owner(2)).await.unwrap();
    timeout(PATIENCE, next).await.expect("an answer").unwrap().unwrap_err();
    assert!(!handle.exists(key("fenced")).await.unwrap());
}

#[tokio::test]
async fn a_missing_table_of_tokens_is_named_where_it_may_not_be_made() {
    names_the_table_that_is_missing(postgres("fence_missing")).await;
    names_the_table_that_is_missing(mysql("fence_missing")).await;
    names_the_table_that_is_missing(Some(File::with_journal("delete").await.settings("fence_missing"))).await;
}

async fn grows(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let processes = [(); 3].map(|()| Process::start(&settings));
    let handles = processes.each_ref().map(|process| &process.handle);
    let name = key("rounds");
    let first = turns(&handles, &name, None).await;
    grow_in_turn(&handles, &name).await;
    let last = turns(&handles, &name, first).await;
    // Old rows may be deleted.
    perform(&settings, &format!("DELETE FROM {}", settings.token_table())).await.unwrap();
    let last = turns(&handles, &name, last).await.unwrap();
    // As if the clock had been an hour ahead before.
    let ahead = last.number() + 3_600_000_000;
    let sql = format!("UPDATE {} SET token = {ahead}", settings.token_table());
    perform(&settings, &sql).await.unwrap();
    let next = turns(&handles[..1], &name, Some(last)).await.unwrap();
    assert_eq!(next.number(), ahead + 1);
}

#[tokio::test]
async fn what_has_the_name_of_the_table_on_postgres_is_told() {
    let Some(settings) = postgres("fence_type") else {
        return;
    };
    let tokens = settings.token_table();
    perform(&settings, &format!("CREATE DOMAIN {tokens} AS bigint")).await.unwrap();
    let process = Process::start(&settings);
    let refused = process.handle.acquire_fenced(key("fenced"), owner(1), ttl(60_000), Retry::ONCE).await;
    let words = refused.unwrap_err().to_string();
    assert!(words.contains(&format!("type \"{tokens}\" already exists")), "{words}");
    perform(&settings, &format!("DROP DOMAIN {tokens}")).await.unwrap();
    turns(&[&process.handle], &key("fenced"), None).await;
}

#[tokio::test]
async fn tokens_grow_in_the_order_of_the_holders() {
    grows(postgres("fence_rounds")).await;
    grows(pgbouncer("fence_rounds_pooled", false)).await;
    grows(mysql("fence_rounds")).await;
    for mode in ["wal", "delete"] {
        let file = File::with_journal(mode).await;
        grows(Some(file.settings("fence_rounds"))).await;
    }
}

/// As long as a name may be, and longer than what `_fencing` leaves.
#[tokio::test]
async fn the_table_of_tokens_is_another_one_however_long_the_name_is() {
    let long = "t".repeat(63);
    for settings in [postgres(&long), mysql(&long)].into_iter().flatten() {
        let process = Process::start(&settings);
        turns(&[&process.handle, &process.handle], &key("long"), None).await;
        perform(&settings, &format!("SELECT token FROM {}", settings.token_table())).await.unwrap();
    }
}

/// A lock is acquired, refused, extended, handed over and released; a fenced one as well.
async fn locks_in(settings: Option<Settings>) {
    let Some(settings) = settings else {
        return;
    };
    let Process { handle, .. } = &Process::start(&settings);
    let name = key("k");
    for fenced in [false, true] {
        let acquire = |number, retry| {
            let acquire = if fenced { Handle::acquire_fenced } else { Handle::acquire };
            timeout(PATIENCE, acquire(handle, name.clone(), owner(number), ttl(60_000), retry))
        };
        let told = || format!("a table called {}, fenced: {fenced}", settings.table);
        let lease =
            acquire(1, Retry::ONCE).await.unwrap().unwrap_or_else(|error| panic!("{}: {error}", told()));
        assert_eq!(lease.expect("a lock that nobody holds").token.is_some(), fenced, "{}", told());
        assert!(acquire(2, Retry::ONCE).await.unwrap().unwrap().is_none(), "{}", told());
        handle.extend(name.clone(), owner(1), ttl(50_000)).await.unwrap();
        let waiting = acquire(3, wait(20));
        let releasing = handle.release(name.clone(), owner(1));
        let (lease, released) = tokio::join!(waiting, releasing);
        released.unwrap();
        let lease = lease.expect("somebody was forgotten").unwrap().unwrap();
        assert_eq!(lease.token.is_some(), fenced, "{}", told());
        handle.release(name.clone(), owner(3)).await.unwrap();
        assert!(!handle.exists(name.clone()).await.unwrap(), "{}", told());
    }
}

/// Words that statements are full of.
#[tokio::test]
async fn a_table_may_be_called_anything() {
    for name in ["excluded", "fenced", "gone", "held", "last", "moved", "taken", "w", "wanted"] {
        locks_in(postgres(name)).await;
        locks_in(mysql(name)).await;
        locks_in(Some(File::with_journal("wal").await.settings(name))).await;
    }
}
