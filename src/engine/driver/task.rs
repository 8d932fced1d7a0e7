//! The task that owns the machine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::super::machine::{Effect, Effects, Machine, Outcome};
use super::super::op::dated;
use super::super::queue::WaiterId;
use super::outbox::{Landed, Outbox, Sender};
use super::{Claim, Event, Options};
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind, Result};
use crate::lease::{Holder, Lease, Ticket};
use crate::store::{Answer, Command, LockStore, Reply, Save};

/// A timer further off than this is set again when it fires: a deadline may lie centuries ahead.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 3600);

/// Somebody whose answer is still to come.
enum Parked {
    Waiter { waiter: WaiterId, claim: Claim, answer: oneshot::Sender<Outcome> },
    Releaser(oneshot::Sender<Outcome>),
}

pub(super) struct Task {
    store: Arc<dyn LockStore>,
    clock: Arc<dyn Clock>,
    inbox: mpsc::UnboundedReceiver<Event>,
    machine: Machine,
    effects: Effects,
    parked: HashMap<Ticket, Parked>,
    outbox: Outbox,
    /// Until when what is under way may finish, once the driver has been closed.
    closing: Option<Moment>,
    closers: Vec<oneshot::Sender<()>>,
}

impl Task {
    pub(super) fn new(
        store: Arc<dyn LockStore>,
        clock: Arc<dyn Clock>,
        inbox: mpsc::UnboundedReceiver<Event>,
        options: Options,
    ) -> Self {
        Self {
            machine: Machine::new(store.capability()),
            outbox: Outbox::new(Arc::clone(&store), options),
            store,
            clock,
            inbox,
            effects: Effects::new(),
            parked: HashMap::new(),
            closing: None,
            closers: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        let mut has_handles = true;
        loop {
            let now = self.clock.now();
            self.machine.tick(now, &mut self.effects);
            for (sender, landed) in self.outbox.overdue(now) {
                self.land(now, sender, landed);
            }
            self.perform(now);
            self.outbox.depart(now);
            if self.is_over(now) {
                for closer in self.closers.drain(..) {
                    let _ = closer.send(());
                }
                if !has_handles {
                    return;
                }
            }
            let due = self.next_deadline();
            if let Some(due) = due {
                let span = due.since(self.clock.now()).min(LONGEST_SLEEP);
                timer.as_mut().reset(Instant::now() + span);
            }
            tokio::select! {
                biased; // no branch can starve another: all are emptied below
                event = self.inbox.recv(), if has_handles => {
                    if let Some(event) = event {
                        self.take_in(event);
                    } else {
                        has_handles = false;
                        self.close();
                    }
                }
                landed = self.outbox.landing(), if self.outbox.has_flights() => self.land_all(landed),
                () = timer.as_mut(), if due.is_some() => {}
            }
            // Whatever else has come meanwhile leaves in the same batch.
            for _ in 0..self.inbox.len() {
                let Ok(event) = self.inbox.try_recv() else { break };
                self.take_in(event);
            }
            while let Some(landed) = self.outbox.landed() {
                self.land_all(landed);
            }
        }
    }

    fn take_in(&mut self, event: Event) {
        let now = self.clock.now();
        let effects = &mut self.effects;
        match event {
            Event::Acquire { answer, .. } if self.closing.is_some() => {
                let _ = answer.send(Outcome::Closed);
            }
            Event::Acquire { answer, .. } if answer.is_closed() => {} // cancelled before it began
            Event::Acquire { request, answer } => {
                let ticket = request.ticket;
                let claim =
                    Claim { key: request.key.clone(), owner: request.owner.clone(), ttl: request.ttl };
                let waiter = self.machine.acquire(now, request, effects);
                self.parked.insert(ticket, Parked::Waiter { waiter, claim, answer });
            }
            Event::Cancel(ticket) => {
                // If it has been granted meanwhile, its settlement is among the effects, and will find nobody there.
                if let Some(Parked::Waiter { waiter, .. }) = self.parked.get(&ticket)
                    && self.machine.cancel(now, *waiter, effects)
                {
                    self.parked.remove(&ticket);
                }
            }
            Event::Return(claim) => self.give_back(now, claim),
            Event::Release { ticket, key, owner, answer } => {
                self.parked.insert(ticket, Parked::Releaser(answer));
                self.machine.release(now, ticket, &key, Holder::Owner(owner), effects);
            }
            Event::Direct { command, answer } => self.send_direct(now, command, answer),
            Event::Woken(key) => self.machine.woken(now, key.as_str(), effects),
            Event::Close(done) => {
                self.closers.push(done);
                self.close();
            }
        }
    }

    /// Performs effects until there are none. What is for the store joins the next batch.
    fn perform(&mut self, now: Moment) {
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Save { op, key, owner, ttl, .. } => {
                    self.outbox.put(now, Sender::Save(op), Command::Save { key, owner, ttl });
                }
                Effect::Confirm { op, key, owner } => {
                    self.outbox.put(now, Sender::Confirm(op), Command::Confirm { key, owner });
                }
                Effect::HandOver { op, key, from, to, ttl, .. } => {
                    self.outbox.put(now, Sender::HandOver(op), Command::HandOver { key, from, to, ttl });
                }
                Effect::Delete { op, key, holder } => {
                    self.outbox.put(now, Sender::Delete(op), Command::Delete { key, holder });
                }
                Effect::Settle { ticket, outcome } => self.settle(now, ticket, outcome),
                Effect::Watch { key, waiting } => self.store.watch(&key, waiting),
            }
        }
    }

    fn settle(&mut self, now: Moment, ticket: Ticket, outcome: Outcome) {
        match self.parked.remove(&ticket) {
            Some(Parked::Releaser(answer)) => {
                let _ = answer.send(outcome); // a release nobody waits for is a release all the same
            }
            Some(Parked::Waiter { claim, answer, .. }) => {
                if let Err(Outcome::Acquired(_)) = answer.send(outcome) {
                    self.give_back(now, claim);
                }
            }
            None => {}
        }
    }

    /// A lease whose owner has gone.
    fn give_back(&mut self, now: Moment, Claim { key, owner, ttl }: Claim) {
        self.machine.returned(now, &key, Holder::Owner(owner), ttl, &mut self.effects);
    }

    fn send_direct(&mut self, now: Moment, command: Command, answer: oneshot::Sender<Reply>) {
        let sender = match &command {
            Command::Extend { key, ttl, .. } => {
                Sender::Extend { key: key.clone(), ttl: *ttl, issued: now, answer }
            }
            Command::ForceDelete { key } => Sender::ForceDelete { key: key.clone(), answer },
            _ => Sender::Exists { answer },
        };
        self.outbox.put(now, sender, command);
    }

    fn land_all(&mut self, landed: Vec<(Sender, Landed)>) {
        let now = self.clock.now();
        for (sender, landed) in landed {
            self.land(now, sender, landed);
        }
    }

    fn land(&mut self, now: Moment, sender: Sender, landed: Landed) {
        let effects = &mut self.effects;
        let reply = match (sender, landed) {
            (
                Sender::Save(op) | Sender::Confirm(op) | Sender::HandOver(op) | Sender::Delete(op),
                Landed::TimedOut(error),
            ) => return self.machine.timed_out(now, op, error, effects),
            (sender, Landed::TimedOut(error)) => (sender, Err(error)),
            (sender, Landed::Answered(reply)) => (sender, reply),
        };
        let store = self.store.name();
        match reply {
            (Sender::Save(op), reply) => self.machine.saved(now, op, to_save(store, reply), effects),
            (Sender::Confirm(op), reply) => self.machine.confirmed(now, op, to_lease(store, reply), effects),
            (Sender::HandOver(op), reply) => {
                self.machine.handed_over(now, op, to_lease(store, reply), effects);
            }
            (Sender::Delete(op), reply) => self.machine.deleted(now, op, to_done(store, reply), effects),
            (Sender::Extend { key, ttl, issued, answer }, mut reply) => {
                if let Ok(Answer::Acquired(lease)) = &mut reply {
                    *lease = dated(*lease, issued, ttl);
                    self.machine.extended(key.as_str(), lease.expires_at);
                }
                let _ = answer.send(reply);
            }
            (Sender::ForceDelete { key, answer }, reply) => {
                self.machine.woken(now, key.as_str(), effects);
                let _ = answer.send(reply);
            }
            (Sender::Exists { answer }, reply) => {
                let _ = answer.send(reply);
            }
        }
    }

    fn close(&mut self) {
        let now = self.clock.now();
        if self.closing.is_none() {
            self.closing = Some(now + self.outbox.patience());
            self.machine.close(now, None, &mut self.effects);
        }
    }

    fn is_over(&mut self, now: Moment) -> bool {
        let Some(deadline) = self.closing else {
            return false;
        };
        let is_quiet =
            self.machine.next_deadline().is_none() && self.machine.is_idle() && self.outbox.is_empty();
        is_quiet || now >= deadline
    }

    fn next_deadline(&mut self) -> Option<Moment> {
        let closing = self.closing.filter(|_| !self.closers.is_empty() || self.inbox.is_closed());
        [self.machine.next_deadline(), self.outbox.next_deadline(), closing].into_iter().flatten().min()
    }
}

fn to_save(store: &'static str, reply: Reply) -> Result<Save> {
    match reply? {
        Answer::Acquired(lease) => Ok(Save::Acquired(lease)),
        Answer::Held { until } => Ok(Save::Held { until }),
        _ => Err(nonsense(store)),
    }
}

fn to_lease(store: &'static str, reply: Reply) -> Result<Option<Lease>> {
    match reply? {
        Answer::Acquired(lease) => Ok(Some(lease)),
        Answer::NotOwned => Ok(None),
        _ => Err(nonsense(store)),
    }
}

fn to_done(store: &'static str, reply: Reply) -> Result<bool> {
    match reply? {
        Answer::Done => Ok(true),
        Answer::NotOwned => Ok(false),
        _ => Err(nonsense(store)),
    }
}

/// An answer to another question: nobody knows what was done.
fn nonsense(store: &'static str) -> Error {
    Error::new(ErrorKind::Uncertain, store, "execute", "the store answered something that wasn't asked")
}
