//! Where a database is, which table holds the locks, and how to speak to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::column::token_table;

/// Everything that the connections need. Two stores whose settings are equal may share them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Which kind of database, and where it is.
    pub place: Place,
    /// The table that holds the locks: any identifier.
    pub table: String,
    /// What qualifies the table: a schema in Postgres, a database in MySQL.
    pub schema: Option<String>,
    /// Whether the table is made where it is missing.
    pub creates_table: bool,
    /// How long a connection may take to be made, set-up included.
    pub connect_timeout: Duration,
    /// How long a command may take.
    pub command_timeout: Duration,
    /// How many connections there may be for commands, at least one. Waiting may take one more.
    pub pool_size: usize,
}

impl Settings {
    /// How many connections there are for commands. A file has one writer.
    #[must_use]
    pub fn connections(&self) -> usize {
        if matches!(self.place, Place::Sqlite { .. }) { 1 } else { self.pool_size.max(1) }
    }

    /// The table that holds the last fencing token of each key, next to the locks: the name of theirs and `_fencing`. Where
    /// that would be longer than the 63 bytes that Postgres keeps of a name, the first 46 bytes of theirs (or fewer, not to
    /// cut a character), `_`, 8 hexadecimal digits of its SHA-256, and `_fencing`.
    #[must_use]
    pub fn token_table(&self) -> String {
        token_table(&self.table)
    }
}

/// Which kind of database, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// PostgreSQL.
    Postgres {
        /// Where and who.
        server: Server,
        /// The schemas in which a table without schema is looked for; the server's own setting if there are none.
        search_path: Vec<String>,
        /// A pooler may give each transaction another session, so nothing is kept in one.
        is_pooled: bool,
        /// What the connection is called in `pg_stat_activity`.
        application_name: Option<String>,
    },
    /// MySQL or MariaDB.
    MySql {
        /// Where and who.
        server: Server,
    },
    /// A file.
    Sqlite {
        /// Its absolute name.
        path: PathBuf,
        /// How long to wait for others who write.
        busy_timeout: Duration,
        /// In WAL mode, whether each commit waits for the disk. Other journals always do.
        syncs_wal: bool,
    },
}

/// A server, and who we are to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// A host's name or number.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// In place of host and port: a socket in the file system. For Postgres the folder it lies in.
    pub socket: Option<PathBuf>,
    /// Who we are.
    pub username: Option<String>,
    /// Never printed.
    pub password: Option<Secret>,
    /// Which database.
    pub database: Option<String>,
    /// TLS.
    pub tls: Option<Tls>,
}

/// TLS to a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tls {
    /// The authorities to trust besides Mozilla's, as PEM.
    pub authorities: Vec<String>,
    /// Our certificate, as PEM.
    pub certificate: Option<String>,
    /// Its key, as PEM.
    pub key: Option<Secret>,
    /// Whether the server's certificate is checked.
    pub verifies: bool,
    /// Whether that has to bear the host's name.
    pub verifies_name: bool,
    /// Whether a server without TLS is good enough.
    pub is_optional: bool,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}
