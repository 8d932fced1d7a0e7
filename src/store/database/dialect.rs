//! What the kinds of databases do each in their own way.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::listen::Ears;
use super::pool::Pool;
use super::wave::{Seen, Wave};

/// What an error means for what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection is of no more use, and nobody knows whether the change was made.
    Lost,
    /// Nothing was done, and it may work in a moment: a deadlock, a database that starts up.
    Passing,
    /// Nothing was done; another server may be the right one by now: a primary that has become read-only.
    Elsewhere,
    /// The table is missing.
    NoTable,
    /// The session that a prepared statement was made in is not the one that was to use it: there is a pooler between.
    Pooled,
    /// Nothing was done, and it won't work any better later.
    Final,
}

/// One of a store's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// The one that holds the locks.
    Locks,
    /// The one that holds the last fencing tokens, where any are wanted.
    Tokens,
}

/// Why a wave came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database says so.
    Sql(sqlx::Error),
    /// Nothing was done: of some commands it can't be told how they ended unless they are performed one by one.
    Apart,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// What is seen of each command, by its place.
pub(super) type Sights = Vec<(usize, Seen)>;

/// A lock that somebody holds: key and owner, as they are in the table.
pub(super) type Holding = (String, String);

/// One kind of database.
pub(super) trait Dialect: Send + Sync + Sized + 'static {
    /// One session with the database.
    type Connection: Send + 'static;
    /// What other sessions can end a session by.
    type Session: Clone + PartialEq + Send + Sync + 'static;

    /// Whether the end of a text is ignored if it is blank.
    const IGNORES_TRAILING_BLANKS: bool = false;

    /// Whether releases by other processes can be heard of.
    const LISTENS: bool = false;

    /// Whether a statement never takes long, whatever others do.
    const ENDS_BY_ITSELF: bool = false;

    /// How often one looks for releases where they can't be heard of: at first, and when a lock doesn't change hands.
    const GLANCES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

    /// Whether commands of different kinds are better performed in transactions of their own, one after another.
    const SEPARATES_KINDS: bool = false;

    /// Makes a connection. Sessions that may still be performing what nobody waits for any longer are ended first.
    fn connect(
        &self,
        suspects: &[Self::Session],
    ) -> impl Future<Output = sqlx::Result<Self::Connection>> + Send;

    /// The connection's session.
    fn session(connection: &Self::Connection) -> Option<Self::Session>;

    /// Performs a wave, all of it or nothing.
    fn perform(
        &self,
        connection: &mut Self::Connection,
        wave: &Wave,
    ) -> impl Future<Output = Result<Sights, Failure>> + Send;

    /// Makes a table unless it is there.
    fn create_table(
        &self,
        connection: &mut Self::Connection,
        table: Table,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Whether a table is known to be missing: asked once, where finding out by using it would leave an error in the
    /// server's log.
    fn lacks_table(
        &self,
        _connection: &mut Self::Connection,
        _table: Table,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send {
        async { Ok(false) }
    }

    /// Which of the keys are locked, and by whom.
    fn holdings(
        &self,
        connection: &mut Self::Connection,
        keys: &[String],
    ) -> impl Future<Output = sqlx::Result<Vec<Holding>>> + Send;

    /// Deletes some locks, at most `most`, that ended more than `age` ago. Tells how many.
    fn prune(
        &self,
        connection: &mut Self::Connection,
        age: Duration,
        most: u32,
    ) -> impl Future<Output = sqlx::Result<u64>> + Send;

    /// What an error means.
    fn trouble(&self, error: &sqlx::Error) -> Trouble;

    /// Makes a connection usable after a statement has failed.
    fn recover(&self, _connection: &mut Self::Connection) -> impl Future<Output = sqlx::Result<()>> + Send {
        async { Ok(()) }
    }

    /// From now on nothing is kept in a session, since there is a pooler between. `false` if that was known or changes
    /// nothing.
    fn become_pooled(&self) -> bool {
        false
    }

    /// Whether a release can't tell if somebody waits.
    fn is_blind(&self) -> bool {
        true
    }

    /// Whether something may have changed since the same was asked last, as far as that can be told cheaply.
    fn may_have_changed(
        &self,
        _connection: &mut Self::Connection,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send {
        async { Ok(true) }
    }

    /// Hears of releases by other processes, for as long as the connection lasts. `ears` says which keys and hears of
    /// them. `Ok(false)`: that is not possible here.
    fn listen(
        &self,
        _ears: &mut Ears,
        _pool: &Pool<Self>,
    ) -> impl Future<Output = sqlx::Result<bool>> + Send {
        async { Ok(false) }
    }

    /// Something that a person should know of the table, asked once.
    fn remark(
        &self,
        _connection: &mut Self::Connection,
    ) -> impl Future<Output = sqlx::Result<Option<String>>> + Send {
        async { Ok(None) }
    }
}

/// What errors that don't come from the database mean.
pub(super) fn trouble_below(error: &sqlx::Error) -> Option<Trouble> {
    match error {
        sqlx::Error::Database(_) => None,
        sqlx::Error::Configuration(_) | sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
            Some(Trouble::Final)
        }
        _ => Some(Trouble::Lost),
    }
}

/// Why something went wrong, for several commands at once.
#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// What the database or the way to it has said.
    Sql(Arc<sqlx::Error>),
    /// Nobody has said anything.
    Words(&'static str),
}

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(Arc::new(error))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(error) => error.fmt(formatter),
            Self::Words(words) => formatter.write_str(words),
        }
    }
}

impl std::error::Error for Cause {}
