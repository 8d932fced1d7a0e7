//! A fleet of processes that want one key of a Redis server, in virtual time: the real engine and the real lines in each
//! process, the modelled server, and a network between them.
//!
//! Everything that happens is an event at a moment; the same seed gives the same history.
#![allow(dead_code)] // not every test needs all of it

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use loquet::clock::{Moment, SystemClock};
use loquet::engine::machine::OpId;
use loquet::engine::{Effects, Machine, WaiterId};
use loquet::lease::{Key, Owner, Token, Ttl};
use loquet::store::faulty::Dice;
use loquet::store::redis::RedisStore;
use loquet::store::redis::model::{Call, Channels, Member, Message, Server};
use loquet::store::redis::settings::Settings as Address;
use loquet::store::{Capability, LockStore};
use redis::Value;
use slab::Slab;

mod figures;
mod tasks;
mod wire;

pub use figures::Figures;

/// What becomes of some of the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// They are killed: the server learns of it at once.
    Killed,
    /// They stop for ever, and their connections stay.
    Stopped,
}

/// How the world is in one run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub processes: usize,
    /// Of each process. Each acquires again as soon as it has released.
    pub tasks: usize,
    /// How often each task does so; for ever if there is no bound.
    pub rounds: Option<u32>,
    /// How long a lock is held.
    pub body: Duration,
    /// How much longer it may be held, at random.
    pub body_spread: Duration,
    /// Between a release and the next acquire of a task, at most, at random.
    pub pause: Duration,
    pub delay: Duration,
    pub ttl: Ttl,
    /// From a process to the server or back, and how much longer it may take at random.
    pub trip: Duration,
    pub trip_spread: Duration,
    /// What a command costs the server, which does one at a time.
    pub service: Duration,
    /// When some processes are lost, how many in a thousand, and how.
    pub losses: Option<(Moment, u16, Loss)>,
    /// Half of the leases last so long instead, and the first process that holds one while others wait is killed.
    pub doomed: Option<Ttl>,
    /// In a thousand commands, until then: the reply is lost, the command is or isn't performed; or the connection for
    /// subscriptions is.
    pub faults: (u16, Moment),
}

impl Settings {
    /// 100 waiters in each process, a body of 5 ms, a round trip of 0.2 ms and up to as much again.
    pub fn usual(processes: usize) -> Self {
        Self {
            processes,
            tasks: 100,
            rounds: None,
            body: Duration::from_millis(5),
            body_spread: Duration::ZERO,
            pause: Duration::ZERO,
            delay: Duration::from_millis(250),
            ttl: Ttl::from_millis(30_000).unwrap(),
            trip: Duration::from_micros(100),
            trip_spread: Duration::from_micros(100),
            service: Duration::from_micros(10),
            losses: None,
            doomed: None,
            faults: (0, Moment::START),
        }
    }

    pub fn contenders(&self) -> usize {
        self.processes * self.tasks
    }
}

/// How often a process looks after its lines, and how long it waits before it subscribes once more.
const LINE_TICK: Duration = Duration::from_millis(250);
const RETRY_PAUSE: Duration = Duration::from_millis(200);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A command reaches the server.
    Arrive(usize),
    /// The server has come to it.
    Perform(usize),
    Answer(usize),
    GiveUpOn(usize, u64),
    /// The machine's deadline.
    Tick(usize),
    /// The lines are looked after.
    LineTick(usize),
    /// The engine is told that the key may be free.
    Hint(usize),
    /// Something published reaches a process.
    Hear(usize, Message),
    /// A subscription reaches the server, or the wish to end one; over the connection of that number.
    Subscribe(usize, u64, String),
    Unsubscribe(usize, u64, String),
    Subscribed(usize, u64, String),
    /// The connection for subscriptions is lost.
    Cut(usize),
    Resubscribe(usize, String),
    /// A task does what it does next.
    Act(usize, usize),
    Lose,
    KillHolder,
}

/// A command on its way.
#[derive(Debug)]
struct Flight {
    serial: u64,
    process: usize,
    /// Nobody waits for the answer of some.
    op: Option<OpId>,
    call: Call,
    sent_at: Moment,
    value: Option<Value>,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    LostReply,
    LostRequest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    Waiting(WaiterId),
    Holding(Option<Moment>),
    Releasing,
    Done,
}

#[derive(Debug)]
struct Task {
    doing: Doing,
    round: u32,
    owner: Owner,
    since: Moment,
    fenced: bool,
}

struct Process {
    is_alive: bool,
    machine: Machine,
    effects: Effects,
    member: Member,
    tasks: Vec<Task>,
    next_tick: Option<Moment>,
    next_line_tick: Option<Moment>,
    /// A connection keeps the order of what goes over it, both ways.
    last_arrival: Moment,
    last_answer: Moment,
    last_push: Moment,
    last_subscription: Moment,
    /// The connection for subscriptions: its number, and what is subscribed over it.
    line: u64,
    /// Commands under way that may bring the lock.
    asks: u32,
    serial: u32,
}

pub struct Fleet {
    pub settings: Settings,
    pub now: Moment,
    pub figures: Figures,
    pub events: u64,
    /// What has happened lately, if anybody wants to know.
    trace: Option<VecDeque<String>>,
    dice: Dice,
    key: Key,
    server: Server,
    heard_by: Channels,
    hearers: HashMap<String, usize>,
    /// When the server has done what has come so far.
    server_free: Moment,
    queue: BinaryHeap<Reverse<(Moment, u64, Event)>>,
    last_event: u64,
    flights: Slab<Flight>,
    last_flight: u64,
    processes: Vec<Process>,
    /// Whoever believes to hold the lock, and until when.
    holder: Option<(usize, usize, Option<Moment>)>,
    last_token: Option<Token>,
}

/// What the real store promises.
fn capability() -> Capability {
    RedisStore::new(Address::standalone("nowhere", 1), Arc::new(SystemClock), String::new()).capability()
}

fn process(settings: &Settings, number: usize) -> Process {
    let task = || Task {
        doing: Doing::Nothing,
        round: 0,
        owner: Owner::unnamed(),
        since: Moment::START,
        fenced: false,
    };
    Process {
        is_alive: true,
        machine: Machine::new(capability()),
        effects: Effects::new(),
        member: Member::new(format!("p{number}")),
        tasks: (0..settings.tasks).map(|_| task()).collect(),
        next_tick: None,
        next_line_tick: None,
        last_arrival: Moment::START,
        last_answer: Moment::START,
        last_push: Moment::START,
        last_subscription: Moment::START,
        line: 0,
        asks: 0,
        serial: 0,
    }
}

impl Fleet {
    pub fn new(seed: u64, settings: Settings) -> Self {
        let mut fleet = Self {
            settings,
            now: Moment::START,
            figures: Figures::since(Moment::START, settings.contenders()),
            events: 0,
            trace: None,
            dice: Dice::new(seed),
            key: Key::new("orders").unwrap(),
            server: Server::default(),
            heard_by: Channels::default(),
            hearers: HashMap::new(),
            server_free: Moment::START,
            queue: BinaryHeap::new(),
            last_event: 0,
            flights: Slab::new(),
            last_flight: 0,
            processes: (0..settings.processes).map(|number| process(&settings, number)).collect(),
            holder: None,
            last_token: None,
        };
        for process in 0..settings.processes {
            // Each process begins some time within a delay, so that not all of them poll at once.
            let start = fleet.dice.span(settings.delay.min(Duration::from_millis(250)));
            for task in 0..settings.tasks {
                fleet.after(start, Event::Act(process, task));
            }
        }
        if let Some((at, ..)) = settings.losses {
            fleet.at(at, Event::Lose);
        }
        fleet
    }

    fn after(&mut self, span: Duration, event: Event) {
        self.at(self.now + span, event);
    }

    fn at(&mut self, moment: Moment, event: Event) {
        self.last_event += 1;
        self.queue.push(Reverse((moment, self.last_event, event)));
    }

    fn trip(&mut self) -> Duration {
        self.settings.trip + self.dice.span(self.settings.trip_spread)
    }

    /// Runs until nothing is left to happen, or for as long as `goes_on` says.
    pub fn run(&mut self, mut goes_on: impl FnMut(&Self) -> bool) {
        while goes_on(self)
            && let Some(Reverse((moment, _, event))) = self.queue.pop()
        {
            self.now = moment;
            self.events += 1;
            if self.trace.is_some() {
                self.note(&event);
            }
            self.happen(event);
        }
    }

    /// Keeps in mind what happens.
    pub fn remember(&mut self) {
        self.trace = Some(VecDeque::new());
    }

    /// What has happened lately.
    pub fn history(&self) -> String {
        let lines: Vec<_> = self.trace.iter().flatten().map(String::as_str).collect();
        lines.join("\n")
    }

    fn note(&mut self, event: &Event) {
        let about = match event {
            Event::Arrive(place) | Event::Perform(place) | Event::Answer(place) => {
                let Flight { process, call, value, .. } = &self.flights[*place];
                format!("{event:?} of {process}: {} {value:?}", call.kind())
            }
            other => format!("{other:?}"),
        };
        let line = self.server.line_of(self.now, &self.key, &self.processes[0].member);
        let millis = self.now.as_millis_f64();
        let holder = self.server.owner_of(self.now, &self.key).map(|owner| owner.name().map(str::to_owned));
        let text = format!("{millis:.3} {about} | held by {holder:?}, in line {line:?}");
        if let Some(trace) = &mut self.trace {
            trace.push_back(text);
            if trace.len() > 400 {
                trace.pop_front();
            }
        }
    }

    /// How long the one has waited who has waited longest.
    pub fn longest_present_wait(&self) -> Duration {
        self.waiting_since().map_or(Duration::ZERO, |since| self.now.since(since))
    }

    fn waiting_since(&self) -> Option<Moment> {
        let living = self.processes.iter().filter(|process| process.is_alive);
        let tasks = living.flat_map(|process| &process.tasks);
        tasks.filter(|task| matches!(task.doing, Doing::Waiting(_))).map(|task| task.since).min()
    }

    /// Runs until everybody could have had `rounds` turns.
    pub fn run_rounds(&mut self, rounds: u64) -> &Figures {
        let contenders = self.settings.contenders() as u64;
        self.run(|fleet| fleet.figures.grants < contenders * rounds);
        self.close_figures()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(flight) => self.arrive(flight),
            Event::Perform(flight) => self.perform(flight),
            Event::Answer(flight) => self.answer(flight),
            Event::GiveUpOn(flight, serial) => self.give_up_on(flight, serial),
            Event::Tick(number) => {
                let now = self.now;
                if let Some(process) = self.alive(number)
                    && process.next_tick.is_some_and(|at| at <= now)
                {
                    process.next_tick = None;
                    process.machine.tick(now, &mut process.effects);
                    self.perform_effects(number);
                }
            }
            Event::LineTick(number) => self.tick_lines(number),
            Event::Hint(number) => {
                let (now, key) = (self.now, self.key.clone());
                if let Some(process) = self.alive(number) {
                    process.machine.hinted(now, key.as_str(), &mut process.effects);
                    self.perform_effects(number);
                }
            }
            Event::Hear(number, message) => {
                let now = self.now;
                let errand = self.alive(number).and_then(|process| process.member.heard(now, &message));
                self.run_errand(number, errand);
            }
            Event::Subscribe(process, line, channel) => self.subscribe(process, line, channel),
            Event::Unsubscribe(process, line, channel) => self.unsubscribe(process, line, &channel),
            Event::Subscribed(process, line, channel) => self.subscribed(process, line, &channel),
            Event::Cut(process) => self.cut(process),
            Event::Resubscribe(process, channel) => self.resubscribe(process, &channel),
            Event::Act(process, task) => {
                if self.alive(process).is_some() {
                    self.act(process, task);
                }
            }
            Event::Lose => self.lose(),
            Event::KillHolder => self.kill_holder(),
        }
    }

    fn alive(&mut self, process: usize) -> Option<&mut Process> {
        self.processes.get_mut(process).filter(|process| process.is_alive)
    }

    /// Some processes are lost: those that hold nothing, and will not without knowing.
    fn lose(&mut self) {
        let Some((_, share, loss)) = self.settings.losses else {
            return;
        };
        let holder = self.holder.map(|(process, ..)| process);
        let mut victims = self.processes.len() * usize::from(share) / 1000;
        let mut candidates: Vec<_> = (0..self.processes.len()).collect();
        while victims > 0 && !candidates.is_empty() {
            let place = usize::try_from(self.dice.below(candidates.len() as u64)).unwrap();
            let number = candidates.swap_remove(place);
            if Some(number) == holder || self.processes[number].asks > 0 {
                continue;
            }
            victims -= 1;
            self.processes[number].is_alive = false;
            if loss == Loss::Killed {
                self.forget_subscriptions(number);
            }
        }
        let living = self.processes.iter().filter(|process| process.is_alive).count();
        self.figures = Figures::since(self.now, living * self.settings.tasks);
    }

    /// Kills whoever holds one of the shorter leases while others wait.
    fn kill_holder(&mut self) {
        let longest = self.settings.doomed.and_then(|ttl| ttl.expiry_from(self.now));
        let doomed = self.holder.filter(|(.., end)| end.is_some() && *end <= longest);
        if let Some((number, ..)) = doomed.filter(|_| self.waiting_since().is_some()) {
            self.processes[number].is_alive = false;
            self.forget_subscriptions(number);
            self.figures.killed_holders += 1;
        }
    }

    fn close_figures(&mut self) -> &Figures {
        self.figures.close(self.now, self.waiting_since());
        &self.figures
    }

    /// After the end: everybody has had what they wanted, nothing is left.
    pub fn check_the_end(&mut self) {
        for (number, process) in self.processes.iter_mut().enumerate() {
            if !process.is_alive {
                continue;
            }
            for task in &process.tasks {
                assert_eq!(task.doing, Doing::Done, "{number} never came to its end");
            }
            assert_eq!(process.machine.next_deadline(), None);
            assert!(process.machine.is_idle(), "{:?}", process.machine);
            assert!(process.member.is_idle(), "{:?}", process.member);
        }
        // What the lost have left behind ends by itself.
        let has_losses = self.settings.losses.is_some() || self.settings.doomed.is_some();
        let end = if has_losses { self.now + Duration::from_secs(3600) } else { self.now };
        assert!(self.server.is_empty(end), "left behind: {:?}", self.server);
        assert!(has_losses || self.heard_by.is_empty(), "{:?}", self.heard_by);
    }
}
