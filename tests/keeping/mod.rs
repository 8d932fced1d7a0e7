//! A world for the keeper: a store that performs extensions when it is told to, and holders.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use loquet::clock::Moment;
use loquet::engine::keeper::{Extended, Keeper, KeptId};
use loquet::engine::{Leash, Loss};
use loquet::lease::{Key, Owner, Ticket, Ttl};

mod rules;

/// So many milliseconds after the clock's origin.
pub fn at(count: u64) -> Moment {
    Moment::START + millis(count)
}

pub fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What becomes of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Fine,
    LostRequest,
    LostReply,
    /// It fails, and is performed all the same, later.
    Late,
    /// The same, and the failure is known at once.
    TimedOut,
}

/// A lease, as its holder has it.
struct Holder {
    key: Key,
    owner: Owner,
    ttl: u64,
    leash: Arc<Leash>,
    /// When the leash ends.
    until: Moment,
    /// To when it was extended by hand.
    by_hand: Moment,
    /// The store has forgotten it, and its holder needn't know yet.
    is_forced: bool,
    /// Its holder has gone.
    is_over: bool,
    is_told: bool,
}

/// An extension under way.
#[derive(Clone, Copy)]
struct Flight {
    number: u64,
    /// `None` for one by hand.
    id: Option<KeptId>,
    holder: usize,
    ttl: u64,
    issued: Moment,
    /// Once it has come back.
    reply: Option<Extended>,
}

/// An extension that has failed and will be performed nevertheless, until then.
struct Stray {
    flight: u64,
    holder: usize,
    ttl: u64,
    latest: Moment,
}

pub struct World {
    pub now: Moment,
    keeper: Keeper,
    holders: Vec<Holder>,
    /// What the store says: who holds a key, until when.
    store: HashMap<Key, (usize, Moment)>,
    flights: Vec<Flight>,
    strays: Vec<Stray>,
    last_turn: Moment,
    numbers: u64,
    /// Who has lost what.
    pub told: Vec<(String, Loss)>,
    /// How many ticks wanted something, and how much of it.
    pub batches: usize,
    pub extensions: usize,
    asked: HashMap<Key, Vec<Moment>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: Moment::START + millis(1),
            keeper: Keeper::default(),
            holders: Vec::new(),
            store: HashMap::new(),
            flights: Vec::new(),
            strays: Vec::new(),
            last_turn: Moment::START,
            numbers: 0,
            told: Vec::new(),
            batches: 0,
            extensions: 0,
            asked: HashMap::new(),
        }
    }
}

/// One of so many.
fn pick(choice: usize, count: usize) -> Option<usize> {
    (count > 0).then(|| choice % count)
}

impl World {
    /// When a key was asked for.
    pub fn asked_for(&self, key: &str) -> Vec<Moment> {
        self.asked.get(key).cloned().unwrap_or_default()
    }

    /// To when the last holder of a key believes to hold it.
    pub fn believed(&self, key: &str) -> Moment {
        let mut of_key = self.holders.iter().filter(|holder| holder.key.as_str() == key);
        of_key.next_back().unwrap().leash.ends_at()
    }

    pub fn keep(&mut self, key: u8, ttl: u64, max: Option<u64>, stall: Option<u64>) {
        self.keep_key(&format!("{key}"), ttl, max, stall);
    }

    /// Somebody acquires a lock, if it is free.
    pub fn keep_key(&mut self, key: &str, ttl: u64, max: Option<u64>, stall: Option<u64>) {
        let key = Key::new(key).unwrap();
        if self.holder_of(&key).is_some() {
            return;
        }
        let index = self.holders.len();
        let owner = Owner::named(&format!("owner-{index}"));
        let ticket = Ticket { tenant: u32::from(key.as_str() == "1"), number: u32::try_from(index).unwrap() };
        let leash = Arc::new(Leash::new(ticket, max.map(millis), stall.map(millis)));
        let end = self.now + millis(ttl);
        self.store.insert(key.clone(), (index, end));
        let span = Ttl::from_millis(ttl).unwrap();
        self.keeper.keep(self.now, &key, &owner, span, Some(end), Arc::clone(&leash));
        let until = max.map_or(Moment::NEVER, |max| self.now + millis(max));
        self.holders.push(Holder {
            key,
            owner,
            ttl,
            leash,
            until,
            by_hand: Moment::START,
            is_forced: false,
            is_over: false,
            is_told: false,
        });
    }

    /// Time passes, and the shell is on time.
    pub fn advance(&mut self, span: Duration) {
        let to = self.now + span;
        while let Some(due) = self.keeper.next_deadline().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            self.tick();
            self.check();
        }
        self.now = to;
    }

    /// Time passes while the shell's thread doesn't run.
    pub fn leap(&mut self, span: Duration) {
        self.now = self.now + span;
        self.check();
        self.tick();
    }

    /// Time passes, and the store answers at once.
    pub fn advance_answering(&mut self, to: Moment) {
        while let Some(due) = self.keeper.next_deadline().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            self.tick();
            for mut flight in std::mem::take(&mut self.flights) {
                flight.reply = Some(self.fulfil(&flight));
                self.deliver(&flight);
            }
            self.last_turn = self.now;
        }
        self.now = to;
    }

    fn tick(&mut self) {
        let (now, last_turn) = (self.now, self.last_turn);
        let found = self.keeper.tick(now, |_| Some(last_turn));
        let mut asked = HashSet::new();
        self.batches += usize::from(!found.extensions.is_empty());
        self.extensions += found.extensions.len();
        for extension in found.extensions {
            let index = Self::index_of(&extension.owner);
            assert!(asked.insert(index), "{:?} is asked for twice at once", extension.key);
            let holder = &self.holders[index];
            assert!(!holder.is_over && !holder.is_told, "nobody wants {:?}", extension.key);
            let span = extension.ttl.span().unwrap();
            assert!(
                now + span <= holder.until || now + span <= holder.by_hand + millis(1),
                "{:?} is extended beyond the leash",
                extension.key
            );
            let stall = holder.leash.stall.unwrap_or(Duration::MAX);
            assert!(now.since(last_turn) <= stall, "{:?} is extended though nobody turns", extension.key);
            self.asked.entry(extension.key).or_default().push(now);
            let ttl = u64::try_from(span.as_millis()).unwrap();
            self.send(Some(extension.id), index, ttl);
        }
        for leash in found.lost {
            self.tell(&leash);
        }
    }

    fn send(&mut self, id: Option<KeptId>, holder: usize, ttl: u64) {
        self.numbers += 1;
        let number = self.numbers;
        self.flights.push(Flight { number, id, holder, ttl, issued: self.now, reply: None });
    }

    fn tell(&mut self, leash: &Arc<Leash>) {
        let holder = self.holders.iter_mut().find(|holder| Arc::ptr_eq(&holder.leash, leash)).unwrap();
        assert!(!holder.is_told && !holder.is_over, "{:?} is told in vain", holder.key);
        holder.is_told = true;
        assert_eq!(leash.ends_at(), Moment::START);
        self.told.push((holder.key.as_str().to_owned(), leash.loss().unwrap()));
    }

    fn index_of(owner: &Owner) -> usize {
        owner.name().unwrap().strip_prefix("owner-").unwrap().parse().unwrap()
    }

    fn holder_of(&self, key: &Key) -> Option<usize> {
        self.store.get(key).filter(|(_, end)| *end > self.now).map(|(holder, _)| *holder)
    }

    /// Something under way reaches the store, or doesn't.
    pub fn perform(&mut self, choice: usize, fate: Fate) {
        let waiting: Vec<_> =
            (0..self.flights.len()).filter(|index| self.flights[*index].reply.is_none()).collect();
        let Some(choice) = pick(choice, waiting.len() + self.strays.len()) else { return };
        let Some(index) = waiting.get(choice).copied() else {
            let stray = self.strays.swap_remove(choice - waiting.len());
            if self.now <= stray.latest {
                self.extend(stray.holder, stray.ttl);
            }
            return;
        };
        let flight = self.flights[index];
        let Flight { number, holder, ttl, .. } = flight;
        let reply = match fate {
            Fate::Fine => self.fulfil(&flight),
            Fate::LostReply => {
                self.extend(holder, ttl);
                Extended::Failed
            }
            Fate::LostRequest => Extended::Failed,
            Fate::Late | Fate::TimedOut => {
                self.strays.push(Stray { flight: number, holder, ttl, latest: Moment::NEVER });
                Extended::Failed
            }
        };
        self.flights[index].reply = Some(reply);
        if fate == Fate::TimedOut {
            let flight = self.flights.swap_remove(index);
            self.deliver(&flight);
        }
    }

    fn fulfil(&mut self, flight: &Flight) -> Extended {
        match self.extend(flight.holder, flight.ttl) {
            Some(()) => Extended::Until(flight.issued + millis(flight.ttl)),
            None => Extended::NotOwned,
        }
    }

    /// The store extends a lease; an expired one isn't revived.
    fn extend(&mut self, holder: usize, ttl: u64) -> Option<()> {
        let key = &self.holders[holder].key;
        let held = self.store.get_mut(key).filter(|(other, end)| *other == holder && *end > self.now)?;
        held.1 = self.now + millis(ttl);
        Some(())
    }

    /// An answer arrives.
    pub fn answer(&mut self, choice: usize) {
        let answered: Vec<_> =
            (0..self.flights.len()).filter(|index| self.flights[*index].reply.is_some()).collect();
        if let Some(choice) = pick(choice, answered.len()) {
            let flight = self.flights.remove(answered[choice]);
            self.deliver(&flight);
        }
    }

    fn deliver(&mut self, flight: &Flight) {
        let Flight { id, issued, reply, .. } = *flight;
        let (outcome, holder) = (reply.unwrap(), &mut self.holders[flight.holder]);
        // A stray is reckoned with for a TTL.
        let latest = self.now + millis(holder.ttl);
        for stray in self.strays.iter_mut().filter(|stray| stray.flight == flight.number) {
            stray.latest = latest;
        }
        if let Some(id) = id {
            if let Some(leash) = self.keeper.extended(self.now, id, issued, outcome) {
                self.tell(&leash);
            }
            return;
        }
        if let Extended::Until(end) = outcome {
            holder.by_hand = end;
        }
        self.keeper.extended_by_hand(self.now, &holder.key, &holder.owner, issued, outcome);
    }

    fn choose(&self, choice: usize) -> Option<usize> {
        let live: Vec<_> = (0..self.holders.len())
            .filter(|index| !self.holders[*index].is_over && !self.holders[*index].is_told)
            .collect();
        pick(choice, live.len()).map(|choice| live[choice])
    }

    pub fn extend_by_hand(&mut self, choice: usize, ttl: u64) {
        let Some(index) = self.choose(choice) else { return };
        let Holder { key, owner, .. } = &self.holders[index];
        self.keeper.extending_by_hand(self.now, key, owner, Ttl::from_millis(ttl).unwrap());
        self.send(None, index, ttl);
    }

    /// The holder goes.
    pub fn release(&mut self, choice: usize) {
        let Some(index) = self.choose(choice) else { return };
        let Holder { key, owner, .. } = &self.holders[index];
        self.keeper.drop_lease(key, owner);
        self.holders[index].is_over = true;
        self.forget(index);
    }

    /// Somebody else releases in the holder's name.
    pub fn release_elsewhere(&mut self, choice: usize) {
        let Some(index) = self.choose(choice) else { return };
        let Holder { key, owner, .. } = &self.holders[index];
        let leash = self.keeper.released(key, owner).expect("what is neither over nor told is kept");
        self.tell(&leash);
        self.forget(index);
    }

    fn forget(&mut self, index: usize) {
        let key = &self.holders[index].key;
        if self.store.get(key).is_some_and(|(holder, _)| *holder == index) {
            self.store.remove(key);
        }
    }

    pub fn force(&mut self, key: u8, is_known: bool) {
        self.force_key(&format!("{key}"), is_known);
    }

    /// Somebody frees a key by force; in this process, or elsewhere.
    pub fn force_key(&mut self, key: &str, is_known: bool) {
        let key = Key::new(key).unwrap();
        if let Some((holder, _)) = self.store.remove(&key) {
            self.holders[holder].is_forced = true;
        }
        if is_known {
            self.keeper.suspect(self.now, &key);
        }
    }

    /// The holders' thread turns to something new.
    pub fn turn(&mut self) {
        self.last_turn = self.now;
    }

    /// One of the tenants goes.
    pub fn evict(&mut self) {
        self.keeper.evict(1);
        for holder in self.holders.iter_mut().filter(|holder| holder.leash.ticket.tenant == 1) {
            holder.is_over = true;
        }
    }
}
