//! What goes to the store: commands that wait for their turn, batches under way, and what came of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::super::machine::OpId;
use super::{Asker, Options};
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
    Extend { key: Key, ttl: Ttl, issued: Moment, asker: Asker<Reply> },
    ForceDelete { key: Key, asker: Asker<Reply> },
    Exists { asker: Asker<Reply> },
}

impl Sender {
    /// The word that stands for the command in errors.
    fn operation(&self) -> &'static str {
        match self {
            Self::Save(_) => "acquire",
            Self::Confirm(_) => "confirm",
            Self::HandOver(_) => "hand over",
            Self::Delete(_) => "release",
            Self::Extend { .. } => "extend",
            Self::ForceDelete { .. } => "force release",
            Self::Exists { .. } => "exists",
        }
    }
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

/// A batch under way.
struct Flight {
    senders: Vec<Sender>,
    /// When nobody waits for it any longer.
    deadline: Moment,
    handle: AbortHandle,
    is_late: bool,
}

/// Commands on their way.
pub(super) struct Outbox {
    store: Arc<dyn LockStore>,
    options: Options,
    waiting: VecDeque<Outgoing>,
    flights: JoinSet<Vec<Reply>>,
    aboard: HashMap<Id, Flight, foldhash::fast::RandomState>,
}

impl Outbox {
    pub(super) fn new(store: Arc<dyn LockStore>, options: Options) -> Self {
        Self { store, options, waiting: VecDeque::new(), flights: JoinSet::new(), aboard: HashMap::default() }
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
            let store = Arc::clone(&self.store);
            // Its time is kept by the driver's one timer: a timer for each batch would have to be set for each command.
            let handle = self.flights.spawn(async move { store.execute(batch, patience).await });
            let flight = Flight { senders, deadline: now + patience, handle, is_late: false };
            self.aboard.insert(flight.handle.id(), flight);
        }
    }

    /// When the oldest command that could not be sent yet, or that has not been answered, has waited too long.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let unsent = self.waiting.front().map(|oldest| oldest.since + self.options.command_timeout);
        let unanswered =
            self.aboard.values().filter(|flight| !flight.is_late).map(|flight| flight.deadline).min();
        unsent.into_iter().chain(unanswered).min()
    }

    /// Takes out what could not be sent in time; nothing was done for it. What was sent and has not been answered in time
    /// is given up, and lands soon.
    pub(super) fn overdue(&mut self, now: Moment) -> Vec<(Sender, Landed)> {
        for flight in self.aboard.values_mut().filter(|flight| flight.deadline <= now) {
            flight.is_late = true;
            flight.handle.abort();
        }
        let timeout = self.options.command_timeout;
        let count = self.waiting.iter().take_while(|outgoing| outgoing.since + timeout <= now).count();
        let store = self.store.name();
        let overdue = self.waiting.drain(..count).map(|Outgoing { sender, .. }| {
            let error = late(ErrorKind::Storage, store, &sender, "the store is busy with earlier commands");
            (sender, Landed::Answered(Err(error)))
        });
        overdue.collect()
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

    fn unload(&mut self, flight: Result<(Id, Vec<Reply>), JoinError>) -> Vec<(Sender, Landed)> {
        let (id, replies) = match flight {
            Ok((id, replies)) => (id, Some(replies)),
            Err(error) if error.is_cancelled() => (error.id(), None),
            // The store panicked. That must not take the waiters down; what it had done is not known.
            Err(error) => (error.id(), Some(Vec::new())),
        };
        let senders = self.aboard.remove(&id).map(|flight| flight.senders).unwrap_or_default();
        let Some(replies) = replies else {
            let store = self.store.name();
            let time_out = |sender| {
                let error = late(ErrorKind::Uncertain, store, &sender, "the store didn't answer in time");
                (sender, Landed::TimedOut(error))
            };
            return senders.into_iter().map(time_out).collect();
        };
        let mut replies = replies.into_iter();
        senders
            .into_iter()
            .map(|sender| {
                let reply = replies.next().unwrap_or_else(|| {
                    let message = "the store gave no answer to a command";
                    Err(Error::new(ErrorKind::Uncertain, self.store.name(), sender.operation(), message))
                });
                (sender, Landed::Answered(reply))
            })
            .collect()
    }
}

/// The error of a command whose time is over.
fn late(kind: ErrorKind, store: &'static str, sender: &Sender, message: &str) -> Error {
    let cause = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within the command timeout");
    Error::new(kind, store, sender.operation(), message).with_source(cause).out_of_time()
}
