//! Database settings, from the plain objects that JavaScript has made of them.

use std::path::PathBuf;
use std::time::Duration;

use napi_derive::napi;

use super::environment::Environment;
use super::error::{CodedError, Result};
use super::hub::{self, Hub};
use super::sqlite_files;
use crate::error::Error;
use crate::store::database::settings::{Place, Secret, Server, Settings, Tls};

/// How to encrypt. Texts are PEM.
#[napi(object)]
pub struct DatabaseTls {
    /// The authorities to trust besides the usual ones.
    pub ca: Vec<String>,
    /// Our certificate.
    pub cert: Option<String>,
    /// Its key.
    pub key: Option<String>,
    /// Whether the server's certificate is checked.
    pub reject_unauthorized: bool,
    /// Whether that has to bear the host's name; it has to unless told.
    pub verify_identity: Option<bool>,
    /// Whether a server without TLS is good enough.
    pub is_optional: bool,
}

/// Everything that connections to a database need. Times are milliseconds.
#[napi(object)]
pub struct DatabaseSettings {
    /// Which kind of database.
    #[napi(ts_type = "'postgres' | 'mysql' | 'sqlite'")]
    pub kind: String,
    /// The server's name or number; `localhost` unless told.
    pub host: Option<String>,
    /// Its port; the usual one unless told.
    pub port: Option<u16>,
    /// SQLite: the file's absolute name. Postgres: the folder of its socket. MySQL: its socket.
    pub path: Option<String>,
    /// Who we are.
    pub username: Option<String>,
    /// Our password.
    pub password: Option<String>,
    /// Which database.
    pub database: Option<String>,
    /// Postgres: the schemas in which a table without schema is looked for.
    pub search_path: Option<Vec<String>>,
    /// What qualifies the table.
    pub schema: Option<String>,
    /// The table that holds the locks: any identifier.
    pub table: String,
    /// Whether the table is made where it is missing.
    pub auto_create_table: bool,
    /// TLS to the server.
    pub tls: Option<DatabaseTls>,
    /// Postgres: a pooler between gives each transaction another session.
    pub pgbouncer: Option<bool>,
    /// What the connection is called in `pg_stat_activity`.
    pub application_name: Option<String>,
    /// How long a connection may take.
    pub connect_timeout: f64,
    /// How long a command may take.
    pub command_timeout: f64,
    /// How many connections there may be for commands.
    pub pool_size: u32,
    /// SQLite: how long to wait for others who write.
    pub busy_timeout: Option<f64>,
    /// SQLite in WAL mode: whether each commit waits for the disk.
    pub syncs_wal: Option<bool>,
}

/// Opens a store in a database; nothing is connected before the first command. Stores with equal settings share their
/// connections. Returns a handle.
#[napi]
pub fn open_database(
    environment: u32,
    #[napi(ts_arg_type = "DatabaseSettings")] settings: Option<DatabaseSettings>,
) -> Result<u32> {
    let settings = settings.ok_or_else(|| invalid("there are no database settings"))?;
    let hub = Hub::with(hub::Settings::Database(understand(settings)?))?;
    Environment::with(environment, |owner| owner.add_server(environment, hub))
}

fn understand(settings: DatabaseSettings) -> Result<Settings> {
    let DatabaseSettings { kind, table, schema, .. } = &settings;
    if table.is_empty() || table.contains('\0') {
        return Err(invalid("the name of the table for locks must be a text without NUL"));
    }
    let (table, schema) = (table.clone(), schema.clone());
    let command_timeout = millis(settings.command_timeout)?;
    let connect_timeout = millis(settings.connect_timeout)?;
    let (creates_table, pool_size) = (settings.auto_create_table, settings.pool_size.clamp(1, 64) as usize);
    let place = match kind.as_str() {
        "postgres" => Place::Postgres {
            search_path: settings.search_path.clone().unwrap_or_default(),
            is_pooled: settings.pgbouncer.unwrap_or_default(),
            application_name: settings.application_name.clone(),
            server: server(settings, 5432),
        },
        "mysql" => Place::MySql { server: server(settings, 3306) },
        "sqlite" => {
            sqlite_files::keep_apart();
            let path = settings.path.ok_or_else(|| invalid("there is no SQLite file to open"))?;
            let busy_timeout = settings.busy_timeout.map_or(Ok(command_timeout), millis)?;
            let syncs_wal = settings.syncs_wal.unwrap_or_default();
            Place::Sqlite { path: PathBuf::from(path), busy_timeout, syncs_wal }
        }
        _ => return Err(invalid("the database is neither postgres nor mysql nor sqlite")),
    };
    Ok(Settings { place, table, schema, creates_table, connect_timeout, command_timeout, pool_size })
}

fn server(settings: DatabaseSettings, port: u16) -> Server {
    Server {
        host: settings.host.unwrap_or_else(|| "localhost".to_owned()),
        port: settings.port.unwrap_or(port),
        socket: settings.path.map(PathBuf::from),
        username: settings.username,
        password: settings.password.map(Secret),
        database: settings.database,
        tls: settings.tls.map(|tls| Tls {
            authorities: tls.ca,
            certificate: tls.cert,
            key: tls.key.map(Secret),
            verifies: tls.reject_unauthorized,
            verifies_name: tls.verify_identity.unwrap_or(true),
            is_optional: tls.is_optional,
        }),
    }
}

fn millis(value: f64) -> Result<Duration> {
    // From a day on it is as good as a day; so nothing can overflow.
    Duration::try_from_secs_f64(value.min(86_400_000.0) / 1000.0)
        .ok()
        .filter(|span| !span.is_zero())
        .ok_or_else(|| invalid("a timeout must be a positive number of milliseconds"))
}

fn invalid(message: &str) -> CodedError {
    CodedError::from(Error::invalid(message))
}
