//! A machine between a modelled store and modelled callers, and the rules that are checked at every step.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use loquet::clock::Moment;
use loquet::engine::machine::OpId;
use loquet::engine::{Effect, Effects, Leftovers, Machine, Request, Retry, WaiterId};
use loquet::error::{Error, ErrorKind};
use loquet::lease::{Holder, Key, Owner, Ticket, Ttl};
use loquet::store::memory::MemoryStore;
use loquet::store::served::{claim, perform};
use loquet::store::{Answer, Capability, Command};

mod others;
mod rules;

use crate::shell::tokens::Tokens;
use crate::shell::{Event, command_of};

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Performed and answered.
    Fine,
    /// Not performed, and the shell knows.
    LostRequest,
    /// Performed, and the shell doesn't know.
    LostReply,
    /// Not performed, and the shell doesn't know.
    LostSilently,
    /// Performed, and the shell gives up waiting for the answer.
    TimedOutAfter,
    /// Not performed, and the shell gives up waiting for the answer.
    TimedOutBefore,
}

/// A command between machine and store.
struct Flight {
    op: OpId,
    command: Command,
    /// The answer on its way back.
    reply: Option<Reply>,
}

enum Reply {
    Answer(Answer),
    Failed(ErrorKind),
    TimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Waiting,
    Granted,
    Settled,
    Cancelled,
}

/// Somebody who acquires.
struct Person {
    key: Key,
    owner: Owner,
    retry: Retry,
    since: Moment,
    waiter: WaiterId,
    standing: Standing,
    saves: u32,
}

/// A lease that somebody believes to have.
struct Belief {
    key: Key,
    owner: Owner,
    until: Option<Moment>,
}

/// A lease that somebody doesn't believe in any longer, and that may still be there.
struct Unsure {
    key: Key,
    owner: Owner,
    /// Whether it isn't over yet by the holder's own clock, as far as that knows.
    is_live: bool,
}

pub struct World {
    pub capability: Capability,
    pub machine: Machine,
    pub now: Moment,
    pub store: MemoryStore,
    /// Whatever happened, for the reader of a failed case.
    pub steps: u64,
    effects: Effects,
    flights: Vec<Flight>,
    people: Vec<Person>,
    line: HashMap<Key, VecDeque<u32>>,
    beliefs: Vec<Belief>,
    /// Leases to release late, or at the end: a release failed, or they are over by our time and may not be by the store's.
    unsure: Vec<Unsure>,
    /// Whether a release that failed is repeated at the end, or the lease is left to expire if it has an end.
    pub repeats_releases: bool,
    releases: HashMap<u32, (Key, Owner, bool)>,
    forced: HashSet<Owner>,
    foreigners: Vec<(Key, Owner)>,
    tokens: Tokens,
    watched: HashSet<Key>,
    wakes: Vec<Key>,
    last_ticket: u32,
    /// What was left behind at some moments, and who had left without a lease by then.
    leftovers: Vec<(Leftovers, Vec<usize>)>,
    /// Whose lease could not be given back at the first try.
    unlucky: HashSet<Owner>,
}

/// Releases have tickets from here on.
const RELEASES: u32 = 1 << 31;

pub fn at(millis: u64) -> Moment {
    Moment::START + Duration::from_millis(millis)
}

pub fn key(number: u8) -> Key {
    Key::new(&format!("key-{number}")).unwrap()
}

/// Every other acquisition has a fencing token.
fn is_fenced(number: u32) -> bool {
    number.is_multiple_of(2)
}

pub fn retry(attempts: u32, delay: u64, timeout: Option<u64>) -> Retry {
    Retry {
        attempts: NonZeroU32::new(attempts),
        delay: Duration::from_millis(delay),
        timeout: timeout.map(Duration::from_millis),
    }
}

impl World {
    pub fn new(capability: Capability) -> Self {
        Self {
            capability,
            machine: Machine::new(capability),
            now: at(1),
            store: MemoryStore::default(),
            steps: 0,
            effects: Effects::new(),
            flights: Vec::new(),
            people: Vec::new(),
            line: HashMap::new(),
            beliefs: Vec::new(),
            unsure: Vec::new(),
            repeats_releases: true,
            releases: HashMap::new(),
            forced: HashSet::new(),
            foreigners: Vec::new(),
            tokens: Tokens::default(),
            watched: HashSet::new(),
            wakes: Vec::new(),
            last_ticket: 0,
            leftovers: Vec::new(),
            unlucky: HashSet::new(),
        }
    }

    /// Foreign processes can only take part where the store lets the machine learn of what they do.
    fn allows_foreigners(&self) -> bool {
        self.capability.polls || (self.capability.watches && self.capability.tells_expiry)
    }

    pub fn acquire(&mut self, key: Key, ttl: Ttl, retry: Retry) -> u32 {
        let number = u32::try_from(self.people.len()).unwrap();
        let owner = Owner::named(&format!("owner-{number}"));
        let request = Request {
            ticket: Ticket { tenant: 0, number },
            key: key.clone(),
            owner: owner.clone(),
            ttl,
            fenced: is_fenced(number),
            retry,
        };
        if !retry.is_single() {
            self.line.entry(key.clone()).or_default().push_back(number);
        }
        let waiter = self.machine.acquire(self.now, request, &mut self.effects);
        let (since, standing) = (self.now, Standing::Waiting);
        self.people.push(Person { key, owner, retry, since, waiter, standing, saves: 0 });
        self.settle_effects();
        number
    }

    /// Somebody who believes to hold a lock releases it.
    pub fn release(&mut self, choice: usize) {
        if self.beliefs.is_empty() {
            return;
        }
        let belief = self.beliefs.swap_remove(choice % self.beliefs.len());
        self.submit_release(&belief.key, belief.owner, true);
    }

    /// Somebody releases a lock whose lease is over, or whose release has failed before.
    pub fn release_late(&mut self, choice: usize) {
        if self.unsure.is_empty() {
            return;
        }
        let Unsure { key, owner, is_live } = self.unsure.swap_remove(choice % self.unsure.len());
        self.submit_release(&key, owner, is_live);
    }

    /// Somebody who has nothing to release does so.
    pub fn release_wrongly(&mut self, choice: usize) {
        let key = key(u8::try_from(choice % 3).unwrap());
        self.submit_release(&key, Owner::named("nobody"), true);
    }

    fn submit_release(&mut self, key: &Key, owner: Owner, was_live: bool) {
        self.last_ticket += 1;
        let number = RELEASES + self.last_ticket;
        self.releases.insert(number, (key.clone(), owner.clone(), was_live));
        let (ticket, holder) = (Ticket { tenant: 0, number }, Holder::Owner(owner));
        self.machine.release_lease(self.now, ticket, key, holder, was_live, &mut self.effects);
        self.settle_effects();
    }

    pub fn cancel(&mut self, choice: usize) {
        if self.people.is_empty() {
            return;
        }
        let number = choice % self.people.len();
        let person = &mut self.people[number];
        let was_there = self.machine.cancel(self.now, person.waiter, &mut self.effects);
        assert_eq!(
            was_there,
            person.standing == Standing::Waiting,
            "{number}: cancelled what was over, or missed it"
        );
        if was_there {
            person.standing = Standing::Cancelled;
            self.leave_line(u32::try_from(number).unwrap());
        }
        let has_left = |person: &Person| matches!(person.standing, Standing::Settled | Standing::Cancelled);
        let gone = (0..self.people.len()).filter(|number| has_left(&self.people[*number])).collect();
        self.leftovers.push((self.machine.leftovers(), gone));
        self.settle_effects();
    }

    pub fn extend(&mut self, choice: usize, ttl: Ttl) {
        if self.beliefs.is_empty() {
            return;
        }
        let index = choice % self.beliefs.len();
        let belief = &mut self.beliefs[index];
        let held = self.store.extend(self.now, belief.key.as_str(), &claim(&belief.owner), ttl);
        if let Some(lease) = held {
            belief.until = lease.expires_at;
            self.machine.extended(belief.key.as_str(), lease.expires_at);
        }
    }

    /// Time passes, and every deadline is kept to the moment.
    pub fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..10_000 {
            match self.machine.next_deadline() {
                Some(due) if due <= end => self.now = self.now.max(due),
                _ => {
                    self.leap(end);
                    return;
                }
            }
            self.leap(self.now);
        }
        panic!("deadlines without end at {:?}", self.now);
    }

    /// Time passes at one go.
    pub fn leap(&mut self, to: Moment) {
        self.now = to;
        self.machine.tick(self.now, &mut self.effects);
        self.settle_effects();
        for (number, person) in self.people.iter().enumerate() {
            let is_late = person.retry.timeout_at(person.since) <= self.now;
            assert!(
                person.standing != Standing::Waiting || !is_late,
                "C9: {number} waits longer than its timeout"
            );
        }
    }

    /// A command reaches the store, or doesn't.
    pub fn perform(&mut self, choice: usize, fate: Fate) {
        let asked: Vec<_> =
            (0..self.flights.len()).filter(|index| self.flights[*index].reply.is_none()).collect();
        if asked.is_empty() {
            return;
        }
        let index = asked[choice % asked.len()];
        let command = self.flights[index].command.clone();
        if let (Command::Delete { holder: Holder::Owner(owner), .. }, true) = (&command, fate != Fate::Fine) {
            self.unlucky.insert(owner.clone());
        }
        let answer = matches!(fate, Fate::Fine | Fate::LostReply | Fate::TimedOutAfter).then(|| {
            let mut answer = perform(&mut self.store, self.now, &command);
            self.tokens.given(&command, &answer);
            if let Answer::Held { until } = &mut answer
                && !self.capability.tells_expiry
            {
                *until = None;
            }
            if let Command::Delete { key, .. } = &command {
                self.note_freed(key, &answer);
            }
            answer
        });
        self.flights[index].reply = Some(match (fate, answer) {
            (Fate::Fine, Some(answer)) => Reply::Answer(answer),
            (Fate::LostRequest, _) => Reply::Failed(ErrorKind::Storage),
            (Fate::TimedOutAfter | Fate::TimedOutBefore, _) => Reply::TimedOut,
            _ => Reply::Failed(ErrorKind::Uncertain),
        });
    }

    /// An answer reaches the machine.
    pub fn answer(&mut self, choice: usize) {
        let ready: Vec<_> =
            (0..self.flights.len()).filter(|index| self.flights[*index].reply.is_some()).collect();
        if ready.is_empty() {
            return;
        }
        let flight = self.flights.swap_remove(ready[choice % ready.len()]);
        let error = |kind| Error::new(kind, "model", "execute", "injected");
        let (machine, now, op, effects) = (&mut self.machine, self.now, flight.op, &mut self.effects);
        let reply = match flight.reply {
            Some(Reply::Answer(answer)) => Ok(answer),
            Some(Reply::Failed(kind)) => Err(error(kind)),
            Some(Reply::TimedOut) | None => {
                machine.timed_out(now, op, error(ErrorKind::Uncertain), effects);
                self.settle_effects();
                return;
            }
        };
        Event::of(&flight.command).tell(machine, now, op, reply, effects);
        self.settle_effects();
    }

    /// Performs and answers everything that is under way, without faults.
    pub fn answer_all(&mut self) {
        for _ in 0..10_000 {
            if self.flights.is_empty() {
                return;
            }
            self.perform(0, Fate::Fine);
            self.answer(0);
        }
        panic!("commands without end at {:?}", self.now);
    }

    fn settle_effects(&mut self) {
        self.steps += 1;
        while let Some(effect) = self.effects.pop_front() {
            if let Effect::Save { ticket, .. } = &effect
                && let Some(person) = self.people.get_mut(ticket.number as usize)
            {
                person.saves += 1;
            }
            let (op, command) = match command_of(effect) {
                Ok(command) => command,
                Err(Effect::Watch { key, waiting }) => {
                    self.watch(key, waiting);
                    continue;
                }
                Err(Effect::Settle { ticket, outcome, .. }) => {
                    self.settle(ticket.number, outcome);
                    continue;
                }
                Err(other) => panic!("{other:?}"),
            };
            assert!(self.flights.iter().all(|flight| flight.op != op), "one number for two commands");
            self.flights.push(Flight { op, command, reply: None });
        }
        self.check_beliefs();
        self.check_leftovers();
    }
}
