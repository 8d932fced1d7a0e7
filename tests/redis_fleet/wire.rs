//! What happens between the processes and the server.

use loquet::engine::Effect;
use loquet::engine::machine::OpId;
use loquet::error::{Error, ErrorKind};
use loquet::store::redis::model::{Call, Errand};
use loquet::store::{Answer, Reply, Save};
use redis::Value;

use super::{COMMAND_TIMEOUT, Event, Fate, Fleet, Flight, LINE_TICK, RETRY_PAUSE};
use crate::shell::{Event as Told, command_of};

impl Fleet {
    pub(super) fn perform_effects(&mut self, number: usize) {
        while let Some(effect) = self.processes[number].effects.pop_front() {
            let (op, command) = match command_of(effect) {
                Ok(command) => command,
                Err(Effect::Settle { ticket, outcome, .. }) => {
                    self.settle(number, ticket, &outcome);
                    continue;
                }
                Err(Effect::Watch { key, waiting }) => {
                    let errand = self.processes[number].member.watch(self.now, &key, waiting);
                    self.run_errand(number, errand);
                    continue;
                }
                Err(other) => panic!("{other:?}"),
            };
            let process = &mut self.processes[number];
            if let Some(Answer::Held { until }) = process.member.skips(self.now, &command) {
                self.figures.left_out += 1;
                process.machine.saved(self.now, op, Ok(Save::Held { until }), &mut process.effects);
                continue;
            }
            let call = process.member.prepare(self.now, command);
            self.send(number, Some(op), call);
        }
        self.arm(number);
    }

    fn arm(&mut self, number: usize) {
        let now = self.now;
        let process = &mut self.processes[number];
        if let Some(due) = process.machine.next_deadline()
            && process.next_tick.is_none_or(|at| due < at || at < now)
        {
            process.next_tick = Some(due);
            self.at(due.max(now), Event::Tick(number));
        }
        self.arm_lines(number);
    }

    fn arm_lines(&mut self, number: usize) {
        let process = &mut self.processes[number];
        if process.next_line_tick.is_none() && !process.member.is_idle() {
            let at = self.now + LINE_TICK;
            process.next_line_tick = Some(at);
            self.at(at, Event::LineTick(number));
        }
    }

    pub(super) fn tick_lines(&mut self, number: usize) {
        let now = self.now;
        let Some(process) = self.alive(number) else {
            return;
        };
        process.next_line_tick = None;
        for errand in process.member.tick(now) {
            self.run_errand(number, Some(errand));
        }
        self.arm_lines(number);
    }

    pub(super) fn run_errand(&mut self, number: usize, errand: Option<Errand>) {
        match errand {
            None => {}
            Some(Errand::Wake(_)) => self.after(std::time::Duration::ZERO, Event::Hint(number)),
            Some(Errand::Send(call)) => self.send(number, None, call),
            Some(Errand::Subscribe(_, channel)) => {
                let line = self.processes[number].line;
                let arrival = self.subscription_arrival(number);
                self.figures.count("subscribe");
                self.at(arrival, Event::Subscribe(number, line, channel));
            }
            Some(Errand::Unsubscribe(_, channel)) => {
                let line = self.processes[number].line;
                let arrival = self.subscription_arrival(number);
                self.figures.count("unsubscribe");
                self.at(arrival, Event::Unsubscribe(number, line, channel));
            }
        }
    }

    fn subscription_arrival(&mut self, number: usize) -> loquet::clock::Moment {
        let arrival = (self.now + self.trip()).max(self.processes[number].last_subscription);
        self.processes[number].last_subscription = arrival;
        arrival
    }

    fn push(&mut self, number: usize, event: Event) {
        let arrival = (self.now + self.trip()).max(self.processes[number].last_push);
        self.processes[number].last_push = arrival;
        self.at(arrival, event);
    }

    pub(super) fn subscribe(&mut self, number: usize, line: u64, channel: String) {
        if self.processes[number].line != line || !self.processes[number].is_alive {
            return;
        }
        self.heard_by.insert(channel.clone());
        self.hearers.insert(channel.clone(), number);
        self.push(number, Event::Subscribed(number, line, channel));
        let (rate, until) = self.settings.faults;
        if self.now < until && self.dice.happens(rate) {
            let pause = self.dice.span(self.settings.delay);
            self.after(pause, Event::Cut(number));
        }
    }

    pub(super) fn unsubscribe(&mut self, number: usize, line: u64, channel: &str) {
        if self.processes[number].line == line {
            self.heard_by.remove(channel);
            self.hearers.remove(channel);
        }
    }

    pub(super) fn subscribed(&mut self, number: usize, line: u64, _channel: &str) {
        let key = self.key.clone();
        let errand = self
            .alive(number)
            .filter(|process| process.line == line)
            .and_then(|process| process.member.subscribed(&key));
        self.run_errand(number, errand);
    }

    /// The server forgets what a process hears.
    pub(super) fn forget_subscriptions(&mut self, number: usize) {
        self.hearers.retain(|channel, hearer| {
            if *hearer == number {
                self.heard_by.remove(channel);
            }
            *hearer != number
        });
    }

    pub(super) fn cut(&mut self, number: usize) {
        if self.alive(number).is_none() {
            return;
        }
        self.forget_subscriptions(number);
        self.processes[number].line += 1;
        let key = self.key.clone();
        let errand = self.processes[number].member.unheard(&key);
        if let Some(Errand::Subscribe(_, channel)) = errand {
            let pause = self.dice.span(RETRY_PAUSE);
            self.after(pause, Event::Resubscribe(number, channel));
        }
    }

    pub(super) fn resubscribe(&mut self, number: usize, channel: &str) {
        if self.alive(number).is_some() {
            let errand = Errand::Subscribe(self.key.clone(), channel.to_owned());
            self.run_errand(number, Some(errand));
        }
    }

    pub(super) fn send(&mut self, number: usize, op: Option<OpId>, call: Call) {
        self.figures.count(call.kind());
        let (rate, until) = self.settings.faults;
        let is_bad = op.is_some() && self.now < until && self.dice.happens(rate);
        let fate = match self.dice.below(2) {
            _ if !is_bad => Fate::Fine,
            0 => Fate::LostReply,
            _ => Fate::LostRequest,
        };
        let mut arrival = self.now + self.trip();
        if op.is_some() {
            arrival = arrival.max(self.processes[number].last_arrival);
            self.processes[number].last_arrival = arrival;
        } else {
            // Another task sends it, when it comes to it.
            arrival = arrival + self.trip();
        }
        self.last_flight += 1;
        let serial = self.last_flight;
        let process = &mut self.processes[number];
        process.asks += u32::from(op.is_some());
        let flight = Flight { serial, process: number, op, call, sent_at: self.now, value: None, fate };
        let place = self.flights.insert(flight);
        match fate {
            // The connection is lost; that is noticed sooner or later.
            Fate::LostRequest => {
                let pause = self.dice.span(COMMAND_TIMEOUT);
                self.after(pause, Event::GiveUpOn(place, serial));
            }
            Fate::Fine | Fate::LostReply => self.at(arrival, Event::Arrive(place)),
        }
    }

    pub(super) fn arrive(&mut self, place: usize) {
        let done = self.now.max(self.server_free) + self.settings.service;
        self.server_free = done;
        self.figures.busy += self.settings.service;
        self.at(done, Event::Perform(place));
    }

    pub(super) fn perform(&mut self, place: usize) {
        let flight = &mut self.flights[place];
        let (number, serial, fate) = (flight.process, flight.serial, flight.fate);
        let member = &self.processes[number].member;
        let first = self.server.first_of(self.now, &self.key, member);
        let (value, messages) = self.server.perform(self.now, &flight.call, &self.heard_by);
        let kind = flight.call.kind();
        let has_acquired = match &value {
            Value::Okay => kind == "set",
            // Those that want tokens.
            Value::Array(parts) if kind == "set" => parts.first() == Some(&Value::Int(1)),
            Value::Array(parts) if kind == "acquire in turn" => match parts.first() {
                Some(Value::Int(1)) => {
                    self.figures.acquired += 1;
                    true
                }
                Some(Value::Int(0)) => {
                    self.figures.held += 1;
                    false
                }
                _ => {
                    self.figures.yielded += 1;
                    false
                }
            },
            _ => false,
        };
        if has_acquired
            && let Some(first) = first.and_then(|name| process_of(&name))
            && first != number
            && self.processes[first].is_alive
        {
            self.figures.overtakings += 1;
        }
        let flight = &mut self.flights[place];
        flight.value = Some(value);
        for message in messages {
            self.figures.woken += 1;
            if let Some(hearer) = self.hearers.get(&message.channel).copied() {
                self.push(hearer, Event::Hear(hearer, message));
            }
        }
        if fate == Fate::LostReply {
            let pause = self.dice.span(COMMAND_TIMEOUT);
            self.after(pause, Event::GiveUpOn(place, serial));
            return;
        }
        let arrival = (self.now + self.trip()).max(self.processes[number].last_answer);
        self.processes[number].last_answer = arrival;
        self.at(arrival, Event::Answer(place));
    }

    pub(super) fn give_up_on(&mut self, place: usize, serial: u64) {
        if self.flights.get(place).is_some_and(|flight| flight.serial == serial) {
            let flight = self.flights.remove(place);
            self.land(&flight, &flight.call, Err(error(ErrorKind::Uncertain)));
        }
    }

    pub(super) fn answer(&mut self, place: usize) {
        let flight = self.flights.remove(place);
        let now = self.now;
        let Some(process) = self.alive(flight.process) else {
            return;
        };
        if flight.op.is_none() {
            let errand = process.member.left(&flight.call);
            self.run_errand(flight.process, errand);
            return;
        }
        let value = flight.value.as_ref().unwrap_or(&Value::Nil);
        let reply = process.member.understand(flight.sent_at, now, &flight.call, value);
        self.land(&flight, &flight.call, reply);
    }

    fn land(&mut self, flight: &Flight, call: &Call, reply: Reply) {
        let (number, now) = (flight.process, self.now);
        let (Some(op), Some(process)) = (flight.op, self.alive(number)) else {
            return;
        };
        process.asks -= 1;
        let (machine, effects) = (&mut process.machine, &mut process.effects);
        let event = match call.kind() {
            "set" | "acquire in turn" => Told::Saved,
            "confirm" => Told::Confirmed,
            "hand over" => Told::HandedOver,
            _ => Told::Deleted,
        };
        event.tell(machine, now, op, reply, effects);
        self.perform_effects(number);
    }
}

/// The process that is called so in line.
fn process_of(name: &str) -> Option<usize> {
    name.strip_prefix('p')?.split_once('-')?.0.parse().ok()
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "network", "execute", "injected")
}
