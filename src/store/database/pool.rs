//! The connections of one store: made when they are needed, few, and never handed back in doubt.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::dialect::{Dialect, Trouble};
use crate::figures::Traffic;

/// Connections that are not in use, and how many more there may be.
pub(super) struct Pool<D: Dialect> {
    pub(super) dialect: D,
    connect_timeout: Duration,
    permits: Semaphore,
    state: Mutex<State<D>>,
    pub(super) traffic: Traffic,
}

struct State<D: Dialect> {
    idle: Vec<D::Connection>,
    /// Sessions that were left in the middle of something; the next connection ends them, before anybody asks what
    /// they have done.
    suspects: Vec<D::Session>,
    /// Grows whenever connections turn out to be dead, so that those of before don't come back.
    epoch: u64,
    /// How many connections were lost that none has replaced yet.
    lost: usize,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Refusal {
    /// All are in use.
    Exhausted,
    /// It takes too long.
    TooLate,
    /// It can't be made.
    Sql(sqlx::Error, Trouble),
}

impl<D: Dialect> Pool<D> {
    pub(super) fn new(dialect: D, size: usize, connect_timeout: Duration) -> Self {
        Self {
            dialect,
            connect_timeout,
            permits: Semaphore::new(size.max(1)),
            state: Mutex::new(State { idle: Vec::new(), suspects: Vec::new(), epoch: 0, lost: 0 }),
            traffic: Traffic::default(),
        }
    }

    /// A connection, by the deadline.
    pub(super) async fn lend(&self, deadline: Instant) -> Result<Lent<'_, D>, Refusal> {
        let Ok(Ok(permit)) = timeout_at(deadline, self.permits.acquire()).await else {
            return Err(Refusal::Exhausted);
        };
        let (idle, suspects, epoch) = {
            let mut state = self.lock();
            // Dropped if it may not be used, so that there are no more connections than there may be.
            let idle = state.idle.pop();
            (idle, state.suspects.clone(), state.epoch)
        };
        let connection = match idle {
            Some(connection) if suspects.is_empty() => connection,
            _ => self.connect(&suspects, deadline).await?,
        };
        Ok(Lent { pool: self, connection: Some(connection), epoch, _permit: permit })
    }

    /// Ends the sessions that may still be performing something, as far as that is possible by the deadline: what has been
    /// lost with them is not performed after this.
    pub(super) async fn end_suspects(&self, deadline: Instant) {
        if self.lock().suspects.is_empty() {
            return;
        }
        // If there is none, the next one will do it.
        if let Ok(lent) = self.lend(deadline).await {
            lent.give_back();
        }
    }

    /// A new connection, which has ended the suspects. What isn't ended stays to be ended, and whoever comes meanwhile ends
    /// it, too, instead of asking over another connection.
    async fn connect(&self, suspects: &[D::Session], deadline: Instant) -> Result<D::Connection, Refusal> {
        let deadline = deadline.min(Instant::now() + self.connect_timeout);
        match timeout_at(deadline, self.dialect.connect(suspects)).await {
            Ok(Ok(connection)) => {
                let mut state = self.lock();
                state.suspects.retain(|session| !suspects.contains(session));
                if let Some(lost) = state.lost.checked_sub(1) {
                    state.lost = lost;
                    self.traffic.count_reconnect();
                }
                Ok(connection)
            }
            Ok(Err(error)) => {
                let trouble = match error {
                    sqlx::Error::Tls(_) => Trouble::Final,
                    _ => self.dialect.trouble(&error),
                };
                Err(Refusal::Sql(error, trouble))
            }
            Err(_) => Err(Refusal::TooLate),
        }
    }

    /// The connections that are not in use are dead, too, and those that are in use will not come back.
    pub(super) fn forget(&self) {
        let mut state = self.lock();
        state.epoch += 1;
        let idle = std::mem::take(&mut state.idle);
        state.lost += idle.len();
        drop(state);
        drop(idle);
    }

    /// As [`forget`](Self::forget), but nothing has been lost.
    pub(super) fn close(&self) {
        self.forget();
        self.lock().lost = 0;
    }

    fn lock(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that somebody uses. Unless it is given back it is taken to be in the middle of something.
pub(super) struct Lent<'a, D: Dialect> {
    pool: &'a Pool<D>,
    connection: Option<D::Connection>,
    epoch: u64,
    _permit: SemaphorePermit<'a>,
}

impl<D: Dialect> Lent<'_, D> {
    /// The connection; `None` after it was given back, which ends this.
    pub(super) fn connection(&mut self) -> Option<&mut D::Connection> {
        self.connection.as_mut()
    }

    /// Nothing is under way on it.
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            let mut state = self.pool.lock();
            if state.epoch == self.epoch {
                state.idle.push(connection);
            }
        }
    }
}

impl<D: Dialect> Drop for Lent<'_, D> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let mut state = self.pool.lock();
        state.lost += 1;
        state.suspects.extend(D::session(&connection));
    }
}
