//! Several processes, each with a machine, one store, and a network between them, in virtual time.
//!
//! Everything that happens is an event at a moment; the same seed gives the same history.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use loquet::clock::Moment;
use loquet::engine::machine::OpId;
use loquet::engine::{Effects, Machine, WaiterId};
use loquet::error::ErrorKind;
use loquet::lease::{Key, Owner};
use loquet::store::faulty::Dice;
use loquet::store::memory::MemoryStore;
use loquet::store::{Answer, Capability, Command};

use crate::shell::tokens::Tokens;

mod line;
mod tasks;

/// How the world is in one run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub capability: Capability,
    pub processes: usize,
    pub tasks: usize,
    pub rounds: u32,
    pub keys: u64,
    /// Leases without end; then nobody is killed, and nothing is performed after its time.
    pub endless: bool,
    /// Faults in a thousand commands, until the network heals.
    pub faults: u16,
    /// Kills per run.
    pub kills: u32,
    pub heals_at: Moment,
    /// No pause between a release and the next acquire, and no policy that gives up.
    pub greedy: bool,
}

const COMMAND_TIMEOUT: Duration = Duration::from_millis(200);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive(u64),
    Answer(u64),
    GiveUpOn(u64),
    Tick {
        process: usize,
        incarnation: u32,
    },
    Wake {
        process: usize,
        incarnation: u32,
        key: Key,
    },
    /// A task of a process does what it does next.
    Act {
        process: usize,
        incarnation: u32,
        task: usize,
    },
    Cancel {
        process: usize,
        incarnation: u32,
        task: usize,
        round: u32,
    },
    Kill(usize),
    Restart(usize),
}

/// A command on its way.
struct Flight {
    process: usize,
    incarnation: u32,
    op: OpId,
    command: Command,
    reply: Option<Result<Answer, ErrorKind>>,
    /// The process has had an answer, or has given up on it.
    is_over: bool,
    /// The answer never comes.
    loses_reply: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    Waiting(WaiterId),
    Holding,
    Releasing,
    Done,
}

struct Task {
    doing: Doing,
    round: u32,
    key: Key,
    owner: Owner,
    fenced: bool,
}

struct Process {
    incarnation: u32,
    is_alive: bool,
    machine: Machine,
    effects: Effects,
    tasks: Vec<Task>,
    next_tick: Option<Moment>,
    /// When the last command arrives at the store: one connection keeps its order.
    last_arrival: Moment,
    watched: BTreeSet<Key>,
}

struct Belief {
    process: usize,
    key: Key,
    owner: Owner,
    until: Option<Moment>,
}

pub struct Network {
    pub settings: Settings,
    pub now: Moment,
    pub dice: Dice,
    /// Who was granted what, in order.
    pub grants: Vec<(usize, Key)>,
    pub events: u64,
    store: MemoryStore,
    tokens: Tokens,
    queue: BinaryHeap<Reverse<(Moment, u64, Event)>>,
    last_event: u64,
    flights: BTreeMap<u64, Flight>,
    last_flight: u64,
    last_owner: u32,
    processes: Vec<Process>,
    beliefs: Vec<Belief>,
}

fn task() -> Task {
    Task {
        doing: Doing::Nothing,
        round: 0,
        key: Key::new("none").unwrap(),
        owner: Owner::unnamed(),
        fenced: false,
    }
}

fn process(settings: &Settings, incarnation: u32) -> Process {
    Process {
        incarnation,
        is_alive: true,
        machine: Machine::new(settings.capability),
        effects: Effects::new(),
        tasks: (0..settings.tasks).map(|_| task()).collect(),
        next_tick: None,
        last_arrival: Moment::START,
        watched: BTreeSet::new(),
    }
}

impl Network {
    pub fn new(seed: u64, settings: Settings) -> Self {
        let mut network = Self {
            settings,
            now: Moment::START,
            dice: Dice::new(seed),
            grants: Vec::new(),
            events: 0,
            store: MemoryStore::default(),
            tokens: Tokens::default(),
            queue: BinaryHeap::new(),
            last_event: 0,
            flights: BTreeMap::new(),
            last_flight: 0,
            last_owner: 0,
            processes: (0..settings.processes).map(|_| process(&settings, 0)).collect(),
            beliefs: Vec::new(),
        };
        for process in 0..settings.processes {
            for task in 0..settings.tasks {
                let pause = network.dice.span(Duration::from_millis(if settings.greedy { 1 } else { 20 }));
                network.after(pause, Event::Act { process, incarnation: 0, task });
            }
        }
        for _ in 0..settings.kills {
            let victim = usize::try_from(network.dice.below(settings.processes as u64)).unwrap();
            let at = network.dice.span(settings.heals_at.since(Moment::START) / 2);
            network.after(at, Event::Kill(victim));
        }
        network
    }

    fn after(&mut self, span: Duration, event: Event) {
        self.at(self.now + span, event);
    }

    fn at(&mut self, moment: Moment, event: Event) {
        self.last_event += 1;
        self.queue.push(Reverse((moment, self.last_event, event)));
    }

    fn latency(&mut self) -> Duration {
        let usual = Duration::from_micros(100) + self.dice.span(Duration::from_micros(900));
        if !self.settings.greedy && self.dice.happens(30) {
            usual + self.dice.span(Duration::from_millis(30))
        } else {
            usual
        }
    }

    /// Runs until nothing is left to happen, or for as long as `goes_on` says.
    pub fn run(&mut self, mut goes_on: impl FnMut(&Self) -> bool) {
        while goes_on(self)
            && let Some(Reverse((moment, _, event))) = self.queue.pop()
        {
            self.now = moment;
            self.events += 1;
            assert!(self.events < 1_000_000, "no end of it at {:?}", self.now);
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(flight) => self.arrive(flight),
            Event::Answer(flight) => self.answer(flight),
            Event::GiveUpOn(number) => {
                if let Some(flight) = self.flights.get_mut(&number).filter(|flight| !flight.is_over) {
                    flight.is_over = true;
                    let (process, incarnation, op) = (flight.process, flight.incarnation, flight.op);
                    if let Some(machine) = self.machine_of(process, incarnation) {
                        machine.0.timed_out(machine.2, op, line::error(ErrorKind::Uncertain), machine.1);
                        self.perform_effects(process);
                    }
                }
            }
            Event::Tick { process, incarnation } => {
                if let Some((machine, effects, now)) = self.machine_of(process, incarnation) {
                    machine.tick(now, effects);
                    self.perform_effects(process);
                }
            }
            Event::Wake { process, incarnation, key } => {
                if let Some((machine, effects, now)) = self.machine_of(process, incarnation) {
                    machine.woken(now, key.as_str(), effects);
                    self.perform_effects(process);
                }
            }
            Event::Act { process, incarnation, task } => {
                if self.machine_of(process, incarnation).is_some() {
                    self.act(process, task);
                }
            }
            Event::Cancel { process, incarnation, task, round } => {
                self.cancel(process, incarnation, task, round);
            }
            Event::Kill(victim) => {
                let victim_process = &mut self.processes[victim];
                if victim_process.is_alive {
                    victim_process.is_alive = false;
                    self.beliefs.retain(|belief| belief.process != victim);
                    let pause = self.dice.span(Duration::from_millis(100));
                    self.after(pause, Event::Restart(victim));
                }
            }
            Event::Restart(number) => {
                let incarnation = self.processes[number].incarnation + 1;
                self.processes[number] = process(&self.settings, incarnation);
                for task in 0..self.settings.tasks {
                    self.after(Duration::ZERO, Event::Act { process: number, incarnation, task });
                }
            }
        }
    }

    fn machine_of(
        &mut self,
        process: usize,
        incarnation: u32,
    ) -> Option<(&mut Machine, &mut Effects, Moment)> {
        let now = self.now;
        let process = &mut self.processes[process];
        (process.is_alive && process.incarnation == incarnation).then_some((
            &mut process.machine,
            &mut process.effects,
            now,
        ))
    }

    /// After the end: everybody has had what they wanted, nothing is left.
    pub fn check_the_end(&mut self) {
        for (number, process) in self.processes.iter_mut().enumerate() {
            for (task, state) in process.tasks.iter().enumerate() {
                assert_eq!(
                    state.doing,
                    Doing::Done,
                    "{number}/{task} never came to its end ({:?})",
                    state.key
                );
            }
            assert_eq!(process.machine.next_deadline(), None);
            assert!(process.machine.is_idle(), "{:?}", process.machine);
            assert!(process.watched.is_empty(), "still watched: {:?}", process.watched);
        }
        self.store.sweep(self.now + Duration::from_secs(1), usize::MAX);
        assert!(self.store.is_empty(), "left behind: {:?}", self.store);
    }
}
