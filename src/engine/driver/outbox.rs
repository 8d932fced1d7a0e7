//! What goes to the store: commands that wait for their turn, batches under way, and what came of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::super::machine::OpId;
use super::Options;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::lease::{Key, Ttl};
use crate::store::{Command, LockStore, Reply};

/// Whom the answer to a command is for.
#[derive(Debug)]
pub(super) enum Sender {
    Save(OpId),
    Confirm(OpId),
    HandOver(OpId),
    Delete(OpId),
    Extend { key: Key, ttl: Ttl, issued: Moment, answer: oneshot::Sender<Reply> },
    ForceDelete { key: Key, answer: oneshot::Sender<Reply> },
    Exists { answer: oneshot::Sender<Reply> },
}

/// What came of a command.
#[derive(Debug)]
pub(super) enum Landed {
    Answered(Reply),
    /// The command's time is over, and nobody knows whether it was performed.
    TimedOut(Error),
}

struct Outgoing {
    since: Moment,
    sender: Sender,
    command: Command,
}

/// Commands on their way.
pub(super) struct Outbox {
    store: Arc<dyn LockStore>,
    options: Options,
    waiting: VecDeque<Outgoing>,
    flights: JoinSet<Option<Vec<Reply>>>,
    aboard: HashMap<Id, Vec<Sender>>,
}

impl Outbox {
    pub(super) fn new(store: Arc<dyn LockStore>, options: Options) -> Self {
        Self { store, options, waiting: VecDeque::new(), flights: JoinSet::new(), aboard: HashMap::new() }
    }

    /// Puts a command with the others that leave next.
    pub(super) fn put(&mut self, since: Moment, sender: Sender, command: Command) {
        self.waiting.push_back(Outgoing { since, sender, command });
    }

    /// Sends what waits, as far as there is room. To be called within the runtime.
    pub(super) fn depart(&mut self, now: Moment) {
        while !self.waiting.is_empty() && self.flights.len() < self.options.flight_limit.max(1) {
            let count = self.waiting.len().min(self.options.batch_limit.max(1));
            let mut oldest = now;
            let mut senders = Vec::with_capacity(count);
            let mut batch = Vec::with_capacity(count);
            for Outgoing { since, sender, command } in self.waiting.drain(..count) {
                oldest = oldest.min(since);
                senders.push(sender);
                batch.push(command);
            }
            let patience = self.options.command_timeout.saturating_sub(now.since(oldest));
            let deadline = Instant::now().checked_add(patience);
            let store = Arc::clone(&self.store);
            let flight = self.flights.spawn(async move {
                match deadline {
                    Some(deadline) => tokio::time::timeout_at(deadline, store.execute(batch)).await.ok(),
                    None => Some(store.execute(batch).await),
                }
            });
            self.aboard.insert(flight.id(), senders);
        }
    }

    /// When the oldest command that could not be sent yet has waited too long.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.waiting.front().map(|oldest| oldest.since + self.options.command_timeout)
    }

    /// Takes out what could not be sent in time. Nothing was done for it.
    pub(super) fn overdue(&mut self, now: Moment) -> Vec<(Sender, Landed)> {
        let timeout = self.options.command_timeout;
        let count = self.waiting.iter().take_while(|outgoing| outgoing.since + timeout <= now).count();
        let error = self.error(ErrorKind::Storage, "the store is busy with earlier commands");
        let overdue = self.waiting.drain(..count);
        overdue.map(|outgoing| (outgoing.sender, Landed::Answered(Err(error.clone())))).collect()
    }

    /// Waits for a batch to come back. Safe to drop half-way.
    pub(super) async fn landing(&mut self) -> Vec<(Sender, Landed)> {
        match self.flights.join_next_with_id().await {
            Some(flight) => self.unload(flight),
            None => Vec::new(),
        }
    }

    /// A batch that has come back meanwhile, if any.
    pub(super) fn landed(&mut self) -> Option<Vec<(Sender, Landed)>> {
        self.flights.try_join_next_with_id().map(|flight| self.unload(flight))
    }

    pub(super) fn has_flights(&self) -> bool {
        !self.flights.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.flights.is_empty()
    }

    pub(super) fn patience(&self) -> Duration {
        self.options.command_timeout
    }

    fn unload(&mut self, flight: Result<(Id, Option<Vec<Reply>>), JoinError>) -> Vec<(Sender, Landed)> {
        let (id, replies) = match flight {
            Ok((id, replies)) => (id, replies),
            // The store panicked. That must not take the waiters down; what it had done is not known.
            Err(error) => (error.id(), Some(Vec::new())),
        };
        let senders = self.aboard.remove(&id).unwrap_or_default();
        let Some(replies) = replies else {
            let error = self.error(ErrorKind::Uncertain, "the store didn't answer in time");
            return senders.into_iter().map(|sender| (sender, Landed::TimedOut(error.clone()))).collect();
        };
        let mut replies = replies.into_iter();
        senders
            .into_iter()
            .map(|sender| {
                let reply = replies.next().unwrap_or_else(|| {
                    Err(self.error(ErrorKind::Uncertain, "the store gave no answer to a command"))
                });
                (sender, Landed::Answered(reply))
            })
            .collect()
    }

    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        Error::new(kind, self.store.name(), "execute", message)
    }
}
