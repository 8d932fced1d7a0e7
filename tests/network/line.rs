//! What happens between the processes and the store.

use std::time::Duration;

use loquet::engine::Effect;
use loquet::engine::machine::OpId;
use loquet::error::{Error, ErrorKind};
use loquet::lease::{Key, Lease, LeaseId};
use loquet::store::served::perform;
use loquet::store::{Answer, Command};

use super::{COMMAND_TIMEOUT, Event, Flight, Network};
use crate::shell::{Event as Told, command_of};

impl Network {
    pub(super) fn perform_effects(&mut self, number: usize) {
        while let Some(effect) = self.processes[number].effects.pop_front() {
            let (op, command) = match command_of(effect) {
                Ok(command) => command,
                Err(Effect::Settle { ticket, outcome, .. }) => {
                    self.settle(number, ticket, outcome);
                    continue;
                }
                Err(Effect::Watch { key, waiting }) => {
                    let process = &mut self.processes[number];
                    if !waiting {
                        process.watched.remove(&key);
                        continue;
                    }
                    process.watched.insert(key.clone());
                    if !self.store.exists(self.now, key.as_str()) {
                        self.wake_up(number, key);
                    }
                    continue;
                }
                Err(other) => panic!("{other:?}"),
            };
            self.send(number, op, command);
        }
        let due = self.processes[number].machine.next_deadline();
        if due != self.processes[number].next_tick {
            self.processes[number].next_tick = due;
            if let Some(due) = due {
                let incarnation = self.processes[number].incarnation;
                self.at(due.max(self.now), Event::Tick { process: number, incarnation });
            }
        }
    }

    pub(super) fn wake_up(&mut self, process: usize, key: Key) {
        let incarnation = self.processes[process].incarnation;
        let latency = self.latency();
        self.after(latency, Event::Wake { process, incarnation, key });
    }

    pub(super) fn send(&mut self, number: usize, op: OpId, command: Command) {
        let is_bad = self.now < self.settings.heals_at && self.dice.happens(self.settings.faults);
        let arrival = (self.now + self.latency()).max(self.processes[number].last_arrival);
        self.processes[number].last_arrival = arrival;
        self.last_flight += 1;
        let flight = self.last_flight;
        let mut state = Flight {
            process: number,
            incarnation: self.processes[number].incarnation,
            op,
            command,
            reply: None,
            is_over: false,
            loses_reply: false,
        };
        self.after(COMMAND_TIMEOUT, Event::GiveUpOn(flight));
        let fate = if is_bad { 1 + self.dice.below(5) } else { 0 };
        match fate {
            0 => self.at(arrival, Event::Arrive(flight)),
            1 => {
                // The connection is refused.
                state.reply = Some(Err(ErrorKind::Storage));
                let latency = self.latency();
                self.after(latency, Event::Answer(flight));
            }
            2 => {} // lost on the way; nobody hears of it
            3 => {
                state.loses_reply = true;
                self.at(arrival, Event::Arrive(flight));
            }
            _ => {
                // The connection breaks: an answer that there is none comes at once, and the command arrives, late, or not.
                state.reply = Some(Err(ErrorKind::Uncertain));
                let latency = self.latency();
                self.after(latency, Event::Answer(flight));
                if fate == 4 {
                    let late =
                        if self.settings.endless { Duration::ZERO } else { Duration::from_millis(300) };
                    let late = self.dice.span(late);
                    let arrival = if self.settings.endless { self.now } else { arrival };
                    self.at(arrival + late, Event::Arrive(flight));
                }
            }
        }
        self.flights.insert(flight, state);
    }

    pub(super) fn arrive(&mut self, number: u64) {
        let Some(flight) = self.flights.get(&number) else {
            return;
        };
        let (command, has_reply, loses_reply) =
            (flight.command.clone(), flight.reply.is_some(), flight.loses_reply);
        let mut answer = perform(&mut self.store, self.now, &command);
        self.tokens.given(&command, &answer);
        if let Answer::Held { until } = &mut answer
            && !self.settings.capability.tells_expiry
        {
            *until = None;
        }
        if let (Command::Delete { key, .. }, Answer::Done) = (&command, &answer) {
            for process in 0..self.processes.len() {
                if self.processes[process].is_alive && self.processes[process].watched.contains(key) {
                    self.wake_up(process, key.clone());
                }
            }
        }
        if !has_reply && !loses_reply {
            let latency = self.latency();
            if let Some(flight) = self.flights.get_mut(&number) {
                flight.reply = Some(Ok(answer));
            }
            self.after(latency, Event::Answer(number));
        }
    }

    pub(super) fn answer(&mut self, number: u64) {
        let Some(flight) = self.flights.get_mut(&number).filter(|flight| !flight.is_over) else {
            return;
        };
        flight.is_over = true;
        let (process, incarnation, op) = (flight.process, flight.incarnation, flight.op);
        let reply = flight.reply.clone().unwrap_or(Err(ErrorKind::Uncertain)).map_err(error);
        let command = flight.command.clone();
        // Whoever asks is told of a lease, but not of where it stands.
        let reply = match (&command, reply) {
            (Command::Save { .. }, reply) => reply,
            (_, Ok(Answer::Acquired(lease))) => {
                Ok(Answer::Acquired(Lease { id: LeaseId::default(), ..lease }))
            }
            (_, reply) => reply,
        };
        let Some((machine, effects, now)) = self.machine_of(process, incarnation) else {
            return;
        };
        Told::of(&command).tell(machine, now, op, reply, effects);
        self.perform_effects(process);
    }
}

pub(super) fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "network", "execute", "injected")
}
