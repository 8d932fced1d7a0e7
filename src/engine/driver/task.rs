//! The task that owns the machine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::super::keeper::Keeper;
use super::super::machine::{Effect, Effects, Leftovers, Machine, Outcome};
use super::super::queue::WaiterId;
use super::super::retry::Retry;
use super::board::Board;
use super::crossings::Crossings;
use super::outbox::{Landed, Outbox, Sender};
use super::{Asker, Claim, Event, Options, Outlet, Settlement};
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind, Result};
use crate::lease::{Holder, Lease, Ticket};
use crate::store::{Answer, Command, LockStore, Reply, Save};

mod closing;
mod keeping;

/// A timer further off than this is set again when it fires: a deadline may lie centuries ahead, and while the machine is
/// suspended timers stand still, but the clock doesn't.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// Somebody whose answer is still to come.
enum Parked {
    Waiter { waiter: WaiterId, claim: Claim, asker: Asker<Outcome> },
    Releaser(Asker<Outcome>),
}

pub(super) struct Task {
    store: Arc<dyn LockStore>,
    clock: Arc<dyn Clock>,
    inbox: mpsc::UnboundedReceiver<Event>,
    machine: Machine,
    effects: Effects,
    parked: HashMap<Ticket, Parked, foldhash::fast::RandomState>,
    outbox: Outbox,
    keeper: Keeper,
    crossings: Crossings,
    spin: Duration,
    outlet: Arc<dyn Outlet>,
    board: Board,
    /// Until when what is under way may finish, once the driver has been closed.
    closing: Option<Moment>,
    closers: Vec<oneshot::Sender<()>>,
    /// Those who wait until something is settled.
    cleaners: Vec<(Leftovers, Asker<Reply>)>,
}

impl Task {
    pub(super) fn new(
        store: Arc<dyn LockStore>,
        clock: Arc<dyn Clock>,
        inbox: mpsc::UnboundedReceiver<Event>,
        options: Options,
        outlet: Arc<dyn Outlet>,
        board: Board,
    ) -> Self {
        Self {
            machine: Machine::new(store.capability()),
            spin: options.spin,
            outbox: Outbox::new(Arc::clone(&store), options),
            store,
            clock,
            inbox,
            effects: Effects::new(),
            parked: HashMap::default(),
            keeper: Keeper::default(),
            crossings: Crossings::default(),
            outlet,
            board,
            closing: None,
            closers: Vec::new(),
            cleaners: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        // A timer that is set too early fires, finds nothing due and is set anew. Setting it for each command would cost more
        // than the command, since its deadline is later than that of the one before.
        let mut armed: Option<Moment> = None;
        let mut has_handles = true;
        let mut last_active = self.clock.now();
        loop {
            let now = self.clock.now();
            self.machine.tick(now, &mut self.effects);
            self.keep(now);
            for (sender, landed) in self.outbox.overdue(now) {
                self.land(now, sender, landed);
            }
            self.perform(now);
            self.outbox.depart(now);
            let is_over = self.is_over(now);
            self.tell_cleaners(is_over);
            if is_over {
                for closer in self.closers.drain(..) {
                    let _ = closer.send(());
                }
                if !has_handles {
                    self.give_up();
                    return;
                }
            }
            if let Some(due) = self.next_deadline(now)
                // What has passed and hasn't fired is late: the machine was suspended.
                && armed.is_none_or(|armed| due < armed || armed < now)
            {
                let now = self.clock.now();
                let span = due.since(now).min(LONGEST_SLEEP);
                timer.as_mut().reset(Instant::now() + span);
                armed = Some(now + span);
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
                () = timer.as_mut(), if armed.is_some() => armed = None,
                () = tokio::task::yield_now(), if self.keeps_looking(now, last_active) => {
                    std::thread::yield_now(); // whoever else wants this processor goes first
                    continue;
                }
            }
            last_active = self.clock.now();
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

    /// Whether to look for news again at once instead of going to sleep, see [`Options::spin`].
    fn keeps_looking(&self, now: Moment, last_active: Moment) -> bool {
        let spin = if self.outbox.has_flights() { self.spin } else { self.spin / 4 };
        now.since(last_active) < spin
    }

    fn take_in(&mut self, event: Event) {
        let now = self.clock.now();
        let effects = &mut self.effects;
        match event {
            Event::Acquire { asker: Asker::Future(answer), .. } if answer.is_closed() => {} // cancelled already
            Event::Acquire { ticket, claim, retry, asker } => self.begin(now, ticket, claim, retry, asker),
            Event::Cancel(ticket) => {
                // If it has been granted meanwhile, its settlement is among the effects, and will find nobody there.
                if let Some(Parked::Waiter { waiter, .. }) = self.parked.get(&ticket)
                    && self.machine.cancel(now, *waiter, effects)
                {
                    // A future that cancels isn't there any longer; a tenant wants its ticket back.
                    self.settle(now, ticket, Outcome::Refused, now);
                }
            }
            Event::Dismiss(tickets) => self.machine.dismiss(now, &tickets, effects),
            Event::Evict(tenant) => {
                self.machine.evict(now, tenant, effects);
                self.keeper.evict(tenant);
                self.parked.retain(|ticket, _| ticket.tenant != tenant);
            }
            Event::Return(claim) => self.give_back(now, claim),
            Event::Release { ticket, key, owner, was_live, asker } => {
                self.parked.insert(ticket, Parked::Releaser(asker));
                // Whoever releases by itself doesn't listen any longer; somebody else may have restored the lock.
                if let Some(leash) = self.keeper.released(&key, &owner) {
                    self.outlet.lost(&leash);
                }
                self.board.released(now, &key, &owner);
                self.machine.release_lease(now, ticket, &key, Holder::Owner(owner), was_live, effects);
            }
            Event::Direct { command, asker } => self.send_direct(now, command, asker),
            Event::Woken(key) => self.machine.hinted(now, key.as_str(), effects),
            Event::CleanUp(asker) => self.cleaners.push((self.machine.leftovers(), asker)),
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
                Effect::Save { op, key, owner, ttl, fenced, waits, .. } => {
                    let command = Command::Save { key, owner, ttl, fenced, waits };
                    self.outbox.put(now, Sender::Save(op), command);
                }
                Effect::Confirm { op, key, owner, fenced } => {
                    self.outbox.put(now, Sender::Confirm(op), Command::Confirm { key, owner, fenced });
                }
                Effect::HandOver { op, key, from, to, ttl, fenced, .. } => {
                    let command = Command::HandOver { key, from, to, ttl, fenced };
                    self.outbox.put(now, Sender::HandOver(op), command);
                }
                Effect::Delete { op, key, holder } => {
                    self.outbox.put(now, Sender::Delete(op), Command::Delete { key, holder });
                }
                Effect::Settle { ticket, outcome, since } => self.settle(now, ticket, outcome, since),
                Effect::Watch { key, waiting } => {
                    self.store.watch(&key, waiting);
                    let crowd = if waiting { self.machine.crowd(key.as_str()) } else { None };
                    self.board.contended(key, crowd);
                }
            }
        }
    }

    fn settle(&mut self, now: Moment, ticket: Ticket, outcome: Outcome, since: Moment) {
        match self.parked.remove(&ticket) {
            // A release nobody waits for is a release all the same.
            Some(Parked::Releaser(Asker::Future(answer))) => drop(answer.send(outcome)),
            Some(Parked::Releaser(Asker::Tenant(ticket))) => {
                let _ = self.outlet.settle(ticket, Settlement::Release(outcome));
            }
            Some(Parked::Waiter { claim, asker, .. }) => {
                if let Outcome::Acquired(lease) = &outcome {
                    self.board.granted(now, &claim.key, &claim.owner, lease.expires_at, since);
                }
                self.conclude(now, claim, asker, outcome);
            }
            None => {}
        }
    }

    fn begin(&mut self, now: Moment, ticket: Ticket, claim: Claim, retry: Retry, asker: Asker<Outcome>) {
        if self.closing.is_some() {
            self.conclude(now, claim, asker, Outcome::Closed);
            return;
        }
        let waiter = self.machine.acquire(now, claim.request(ticket, retry), &mut self.effects);
        self.parked.insert(ticket, Parked::Waiter { waiter, claim, asker });
    }

    /// Tells how an acquire ended; what reaches nobody is given back.
    fn conclude(&mut self, now: Moment, claim: Claim, asker: Asker<Outcome>, outcome: Outcome) {
        self.begin_keeping(now, &claim, &outcome);
        match asker {
            Asker::Future(answer) => {
                if let Err(Outcome::Acquired(_)) = answer.send(outcome) {
                    self.give_back(now, claim);
                }
            }
            Asker::Tenant(ticket) => {
                let is_tainted = match &outcome {
                    Outcome::Acquired(_) => false,
                    Outcome::Refused => self.machine.is_forgetting(&claim.key, &claim.owner),
                    _ => true,
                };
                let untold = self.outlet.settle(ticket, Settlement::Acquire { outcome, claim, is_tainted });
                if let Err(Settlement::Acquire { outcome: Outcome::Acquired(_), claim, .. }) = untold {
                    self.give_back(now, claim);
                }
            }
        }
    }

    fn answer(&self, asker: Asker<Reply>, reply: Reply) {
        match asker {
            Asker::Future(answer) => drop(answer.send(reply)),
            Asker::Tenant(ticket) => drop(self.outlet.settle(ticket, Settlement::Reply(reply))),
        }
    }

    /// A lease whose owner has gone.
    fn give_back(&mut self, now: Moment, Claim { key, owner, ttl, .. }: Claim) {
        self.keeper.drop_lease(&key, &owner);
        self.board.released(now, &key, &owner);
        self.machine.returned(now, &key, Holder::Owner(owner), ttl, &mut self.effects);
    }

    fn send_direct(&mut self, now: Moment, command: Command, asker: Asker<Reply>) {
        let sender = match &command {
            Command::Extend { key, holder: Holder::Owner(owner), ttl } => {
                self.extend_by_hand(now, key, owner, *ttl, asker)
            }
            Command::ForceDelete { key } => Sender::ForceDelete { key: key.clone(), asker },
            _ => Sender::Exists { asker },
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
            (extension @ (Sender::Extend { .. } | Sender::Keep { .. }), reply) => {
                self.extended(now, extension, reply);
            }
            (Sender::ForceDelete { key, asker }, reply) => {
                self.machine.woken(now, key.as_str(), effects);
                self.keeper.suspect(now, &key);
                if reply.is_ok() {
                    self.board.freed(now, &key);
                }
                self.answer(asker, reply);
            }
            (Sender::Exists { asker }, reply) => self.answer(asker, reply),
        }
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
