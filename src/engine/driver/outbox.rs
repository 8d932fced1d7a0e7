//! What goes to the store: commands that wait for their turn, batches under way, and what came of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::super::keeper::KeptId;
use super::super::machine::OpId;
use super::{Asker, Options};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::lease::{Key, Owner, Ttl};
use crate::store::{Command, LockStore, Reply};

/// For how long a batch is expected back any moment.
const FRESH: Duration = Duration::from_millis(1);

/// Whom the answer to a command is for.
#[derive(Debug)]
pub(super) enum Sender {
    Save(OpId),
    Confirm(OpId),
    HandOver(OpId),
    Delete(OpId),
    Extend {
        key: Key,
        owner: Owner,
        ttl: Ttl,
        issued: Moment,
        /// Its number among those that cross.
        number: u64,
        asker: Asker<Reply>,
    },
    /// An extension that the keeper wants.
    Keep {
        id: KeptId,
        key: Key,
        owner: Owner,
        ttl: Ttl,
        issued: Moment,
        number: u64,
    },
    ForceDelete {
        key: Key,
        asker: Asker<Reply>,
    },
    Exists {
        asker: Asker<Reply>,
    },
}

impl Sender {
    /// The word that stands for the command in errors.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::Save(_) => "acquire",
            Self::Confirm(_) => "confirm",
            Self::HandOver(_) => "hand over",
            Self::Delete(_) => "release",
            Self::Extend { .. } | Self::Keep { .. } => "extend",
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

/// Commands that may travel together; see [`LockStore::lane`].
struct Lane {
    number: u32,
    waiting: VecDeque<Outgoing>,
}

/// A batch under way.
struct Flight {
    lane: u32,
    senders: Vec<Sender>,
    /// Until when it may be expected back any moment.
    fresh_until: Moment,
    /// When nobody waits for it any longer.
    deadline: Moment,
    handle: AbortHandle,
    is_late: bool,
}

/// Commands on their way.
pub(super) struct Outbox {
    store: Arc<dyn LockStore>,
    options: Options,
    lanes: Vec<Lane>,
    flights: JoinSet<Vec<Reply>>,
    aboard: HashMap<Id, Flight, foldhash::fast::RandomState>,
}

impl Outbox {
    pub(super) fn new(store: Arc<dyn LockStore>, options: Options) -> Self {
        Self { store, options, lanes: Vec::new(), flights: JoinSet::new(), aboard: HashMap::default() }
    }

    /// Puts a command with the others that leave next.
    pub(super) fn put(&mut self, since: Moment, sender: Sender, command: Command) {
        let number = self.store.lane(command.key());
        let outgoing = Outgoing { since, sender, command };
        match self.lanes.iter_mut().find(|lane| lane.number == number) {
            Some(lane) => lane.waiting.push_back(outgoing),
            None => self.lanes.push(Lane { number, waiting: VecDeque::from([outgoing]) }),
        }
    }

    /// Sends what waits, as far as there is room. To be called within the runtime.
    pub(super) fn depart(&mut self, now: Moment) {
        for index in 0..self.lanes.len() {
            self.depart_from(now, index);
        }
    }

    fn depart_from(&mut self, now: Moment, index: usize) {
        while let Some(lane) = self.lanes.get(index)
            && !lane.waiting.is_empty()
            && self.has_room(now, lane.number)
        {
            let Some(lane) = self.lanes.get_mut(index) else { return };
            let number = lane.number;
            let count = lane.waiting.len().min(self.options.batch_limit.max(1));
            let mut oldest = now;
            let mut senders = Vec::with_capacity(count);
            let mut batch = Vec::with_capacity(count);
            for Outgoing { since, sender, command } in lane.waiting.drain(..count) {
                oldest = oldest.min(since);
                senders.push(sender);
                batch.push(command);
            }
            let patience = self.options.command_timeout.saturating_sub(now.since(oldest));
            let store = Arc::clone(&self.store);
            // Its time is kept by the driver's one timer: a timer for each batch would have to be set for each command.
            let handle = self.flights.spawn(async move { store.execute(batch, patience).await });
            let flight = Flight {
                lane: number,
                senders,
                fresh_until: now + FRESH,
                deadline: now + patience,
                handle,
                is_late: false,
            };
            self.aboard.insert(flight.handle.id(), flight);
        }
    }

    /// Whether another batch may leave. Those that are expected back any moment are waited for if there are enough of them:
    /// what gathers meanwhile is hardly later.
    fn has_room(&self, now: Moment, lane: u32) -> bool {
        let aboard = self.aboard.values().filter(|flight| flight.lane == lane);
        let (all, fresh) = aboard
            .fold((0, 0), |(all, fresh), flight| (all + 1, fresh + usize::from(now < flight.fresh_until)));
        all < self.options.flight_limit.max(1) && fresh < self.options.fresh_limit.max(1)
    }

    /// When the oldest command that could not be sent yet, or that has not been answered, has waited too long.
    pub(super) fn next_deadline(&self, now: Moment) -> Option<Moment> {
        let busy = || self.lanes.iter().filter(|lane| !lane.waiting.is_empty());
        let unsent = busy().filter_map(|lane| lane.waiting.front());
        let unsent = unsent.map(|oldest| oldest.since + self.options.command_timeout).min();
        let unanswered =
            self.aboard.values().filter(|flight| !flight.is_late).map(|flight| flight.deadline).min();
        // Where the limit is reached, a landing makes room, not time.
        let fresh = self.aboard.values().filter(|flight| now < flight.fresh_until);
        let fresh = fresh.filter(|flight| busy().any(|lane| lane.number == flight.lane));
        let room = fresh.map(|flight| flight.fresh_until).min();
        unsent.into_iter().chain(unanswered).chain(room).min()
    }

    /// Takes out what could not be sent in time; nothing was done for it. What was sent and has not been answered in time
    /// is given up, and lands soon.
    pub(super) fn overdue(&mut self, now: Moment) -> Vec<(Sender, Landed)> {
        for flight in self.aboard.values_mut().filter(|flight| flight.deadline <= now) {
            flight.is_late = true;
            flight.handle.abort();
        }
        let timeout = self.options.command_timeout;
        let store = self.store.name();
        let mut overdue = Vec::new();
        for Lane { waiting, .. } in &mut self.lanes {
            let count = waiting.iter().take_while(|outgoing| outgoing.since + timeout <= now).count();
            overdue.extend(waiting.drain(..count).map(|Outgoing { sender, .. }| {
                let message = "the store is busy with earlier commands";
                let error = late(ErrorKind::Storage, store, &sender, message);
                (sender, Landed::Answered(Err(error)))
            }));
        }
        overdue
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

    /// Whose commands have not been answered. Nobody waits for the answers any longer.
    pub(super) fn give_up(&mut self) -> Vec<Sender> {
        self.flights.abort_all();
        let unsent =
            self.lanes.iter_mut().flat_map(|lane| lane.waiting.drain(..)).map(|outgoing| outgoing.sender);
        let unanswered = self.aboard.drain().flat_map(|(_, flight)| flight.senders);
        unsent.chain(unanswered).collect()
    }

    pub(super) fn has_flights(&self) -> bool {
        !self.flights.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.waiting.is_empty()) && self.flights.is_empty()
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
