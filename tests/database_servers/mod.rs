//! Real databases, and processes that lock in them.
//!
//! `node scripts/with_databases.mjs cargo test …` starts the servers and tells where they are. Without it these tests
//! fail, and say so: a suite that leaves them out by itself would look as green as one that doesn't.
//! `LOQUET_TEST_POSTGRES=none` leaves them out on purpose; SQLite needs no server.
#![allow(dead_code)] // not every test needs all of it

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loquet::clock::SystemClock;
use loquet::engine::driver::{Driver, Handle};
use loquet::store::ServerStore;
use loquet::store::database::open;
use loquet::store::database::settings::{Place, Secret, Server, Settings, Tls};
use sqlx::{ConnectOptions, Connection, Executor};

/// How long anything may take that is no matter of retry delays, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a variable of `scripts/with_databases.mjs` says. Nothing: the test is to be left out.
fn variable(name: &str) -> Option<String> {
    if std::env::var("LOQUET_TEST_POSTGRES").is_ok_and(|url| url == "none") {
        eprintln!("left out: LOQUET_TEST_POSTGRES=none");
        return None;
    }
    Some(std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: this test needs private database servers. Run `node scripts/with_databases.mjs cargo \
             test …`, or leave such tests out with LOQUET_TEST_POSTGRES=none"
        )
    }))
}

/// Out of `kind://user:password@host:port/database`.
fn server(url: &str) -> Server {
    let (_, rest) = url.split_once("://").unwrap();
    let (login, rest) = rest.rsplit_once('@').unwrap();
    let (username, password) = login.split_once(':').unwrap_or((login, ""));
    let (address, database) = rest.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    Server {
        host: host.to_owned(),
        port: port.parse().unwrap(),
        socket: None,
        username: Some(decoded(username)),
        password: Some(Secret(decoded(password))),
        database: Some(decoded(database.split('?').next().unwrap())),
        tls: None,
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
        } else {
            byte
        });
    }
    String::from_utf8(bytes).unwrap()
}

pub fn at(place: Place, table: &str) -> Settings {
    Settings {
        place,
        table: table.to_owned(),
        schema: None,
        creates_table: true,
        connect_timeout: Duration::from_secs(5),
        command_timeout: Duration::from_secs(5),
        pool_size: 4,
    }
}

fn postgres_at(server: Server, table: &str, is_pooled: bool) -> Settings {
    at(Place::Postgres { server, search_path: Vec::new(), is_pooled, application_name: None }, table)
}

fn tls_of(authority: &str) -> Option<Tls> {
    let authority = std::fs::read_to_string(variable(authority)?).unwrap();
    Some(Tls {
        authorities: vec![authority],
        certificate: None,
        key: None,
        verifies: true,
        verifies_name: true,
        is_optional: false,
    })
}

pub fn postgres(table: &str) -> Option<Settings> {
    Some(postgres_at(server(&variable("LOQUET_TEST_POSTGRES")?), table, false))
}

pub fn postgres_socket(table: &str) -> Option<Settings> {
    let socket = Some(PathBuf::from(variable("LOQUET_TEST_POSTGRES_SOCKET")?));
    let server = Server { socket, ..server(&variable("LOQUET_TEST_POSTGRES")?) };
    Some(postgres_at(server, table, false))
}

pub fn postgres_tls(table: &str) -> Option<Settings> {
    let tls = tls_of("LOQUET_TEST_POSTGRES_TLS_CA")?;
    let server = Server { tls: Some(tls), ..server(&variable("LOQUET_TEST_POSTGRES_TLS")?) };
    Some(postgres_at(server, table, false))
}

pub fn pgbouncer(table: &str, is_told: bool) -> Option<Settings> {
    Some(postgres_at(server(&variable("LOQUET_TEST_PGBOUNCER")?), table, is_told))
}

pub fn mysql(table: &str) -> Option<Settings> {
    Some(at(Place::MySql { server: server(&variable("LOQUET_TEST_MYSQL")?) }, table))
}

pub fn mysql_socket(table: &str) -> Option<Settings> {
    let socket = Some(PathBuf::from(variable("LOQUET_TEST_MYSQL_SOCKET")?));
    let server = Server { socket, ..server(&variable("LOQUET_TEST_MYSQL")?) };
    Some(at(Place::MySql { server }, table))
}

pub fn mysql_tls(table: &str) -> Option<Settings> {
    let tls = tls_of("LOQUET_TEST_MYSQL_TLS_CA")?;
    let server = Server { tls: Some(tls), ..server(&variable("LOQUET_TEST_MYSQL_TLS")?) };
    Some(at(Place::MySql { server }, table))
}

/// A folder with a database file of the given journal mode; it goes with the value.
pub struct File(PathBuf);

impl File {
    pub async fn with_journal(mode: &str) -> Self {
        use std::hash::{BuildHasher, RandomState};
        let number = RandomState::new().hash_one(mode);
        let folder = std::env::temp_dir().join(format!("loquet-sqlite-{number:016x}"));
        std::fs::create_dir(&folder).unwrap();
        let file = Self(folder);
        let mut connection = file.connect().await;
        let sql = format!("PRAGMA journal_mode = {mode}");
        connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        connection.close().await.unwrap();
        file
    }

    pub fn path(&self) -> PathBuf {
        self.0.join("locks.sqlite")
    }

    pub async fn connect(&self) -> sqlx::SqliteConnection {
        sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.path())
            .create_if_missing(true)
            .connect()
            .await
            .unwrap()
    }

    pub fn settings(&self, table: &str) -> Settings {
        at(sqlite(&self.path()), table)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // it is a temporary folder
    }
}

fn sqlite(path: &Path) -> Place {
    Place::Sqlite { path: path.to_owned(), busy_timeout: Duration::from_secs(5), syncs_wal: false }
}

/// A process of its own, as far as a database can tell.
pub struct Process {
    pub store: Arc<dyn ServerStore>,
    pub handle: Handle,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub fn start(settings: &Settings) -> Self {
        let store = open(settings.clone(), Arc::new(SystemClock));
        let notices = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&notices);
        store.on_notice(Arc::new(move |text| told.lock().unwrap().push(text.to_owned())));
        let runtime = tokio::runtime::Handle::current();
        let handle = Driver::spawn(Arc::clone(&store) as _, Arc::new(SystemClock), &runtime);
        Self { store, handle, notices }
    }

    /// What it has told people so far.
    pub fn notices(&self) -> Vec<String> {
        self.notices.lock().unwrap().clone()
    }
}

/// Somebody else's connection to a MySQL server.
pub async fn mysql_connection(settings: &Settings) -> sqlx::MySqlConnection {
    let Place::MySql { server } = &settings.place else {
        panic!("{settings:?}");
    };
    sqlx::mysql::MySqlConnectOptions::new()
        .host(&server.host)
        .port(server.port)
        .username(server.username.as_deref().unwrap())
        .password(&server.password.as_ref().unwrap().0)
        .database(server.database.as_deref().unwrap())
        .connect()
        .await
        .unwrap()
}
