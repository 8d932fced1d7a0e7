//! The model beside a real server: the same calls have the same answers, lines and wake-ups.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::{Connection, ErrorKind, PubSub, ServerErrorKind, Value};

use super::super::line::Manner;
use super::super::request::{Request, Setting, encode};
use super::*;
use crate::store::faulty::Dice;

/// The address of a real server, if there is one.
fn server_url() -> Option<String> {
    match std::env::var("LOQUET_TEST_REDIS") {
        Ok(url) if url == "none" => {
            eprintln!("left out: LOQUET_TEST_REDIS=none");
            None
        }
        Ok(url) => Some(url),
        Err(error) => panic!(
            "needs private Redis servers ({error}): run `node scripts/with_redis.mjs cargo test …`, \
             or leave these tests out with LOQUET_TEST_REDIS=none"
        ),
    }
}

const CLOSING_WORD: &str = "model:that was all";
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A model and a real server side by side.
struct Pair<'a> {
    model: Server,
    real: Connection,
    ear: PubSub<'a>,
    heard_by: Channels,
    begun: Instant,
    dice: Dice,
    setting: Setting,
    keys: [Key; 2],
    /// The last tokens, the model's and the server's.
    tokens: HashMap<Key, (u64, u64)>,
}

impl Pair<'_> {
    fn now(&self) -> Moment {
        Moment::START + self.begun.elapsed()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.dice.below(from.len() as u64)).unwrap()].clone()
    }

    fn name(&mut self) -> Arc<str> {
        Arc::from(self.pick(&NAMES))
    }

    fn owner(&mut self) -> Owner {
        Owner::named(self.pick(&["one", "two", "three"]))
    }

    fn ttl(&mut self) -> Ttl {
        self.pick(&[Ttl::FOREVER, Ttl::from_millis(300_000).unwrap(), Ttl::from_millis(900_000).unwrap()])
    }

    fn call(&mut self) -> Call {
        let key = self.pick(&self.keys.clone());
        let setting = Setting { has_lines: !self.dice.happens(50), ..self.setting };
        let holder = Holder::Owner(self.owner());
        let fenced = self.dice.happens(500);
        let mut manner = Manner::Plain;
        let mut me = None;
        let request = match self.dice.below(20) {
            0..10 => {
                if !self.dice.happens(100) {
                    let joins = self.dice.happens(800).then(|| self.name());
                    let known = self.dice.happens(400).then(|| (self.name(), self.dice.happens(500)));
                    manner = Manner::InTurn { joins, known };
                }
                Request::Command(Command::Save {
                    key,
                    owner: self.owner(),
                    ttl: self.ttl(),
                    fenced,
                    waits: true,
                })
            }
            10..14 => {
                me = self.dice.happens(500).then(|| self.name());
                Request::Command(Command::Delete { key, holder })
            }
            14 => {
                me = self.dice.happens(500).then(|| self.name());
                Request::Command(Command::ForceDelete { key })
            }
            15 => Request::Command(Command::HandOver {
                key,
                from: holder,
                to: self.owner(),
                ttl: self.ttl(),
                fenced,
            }),
            16 => Request::Command(Command::Extend { key, holder, ttl: self.ttl() }),
            17 => Request::Command(Command::Confirm { key, owner: self.owner(), fenced }),
            18 => Request::Command(Command::Exists { key }),
            _ => Request::Leave(key, self.name()),
        };
        // Whoever can't have a line doesn't leave one.
        let has_lines = setting.has_lines || matches!(request, Request::Leave(..));
        Call { request, manner, me, setting: Setting { has_lines, ..setting } }
    }

    /// Whether somebody hears of a turn changes from time to time.
    fn change_hearing(&mut self) {
        let name = self.name();
        for key in self.keys.clone() {
            let channel = format!("{}{name}", self.setting.names(&key).channels);
            if self.heard_by.remove(&channel) {
                self.ear.unsubscribe(&channel).unwrap();
            } else {
                self.ear.subscribe(&channel).unwrap();
                self.heard_by.insert(channel);
            }
        }
    }

    fn send(&mut self, call: &Call) -> Value {
        let command = |in_full| {
            encode(&call.request, call.setting, &call.manner, call.me.as_deref(), in_full)
                .query::<Value>(&mut self.real)
        };
        let mut command = command;
        match command(false) {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => command(true),
            answer => answer,
        }
        .unwrap()
    }

    /// The two count from different clocks: the server's tokens grow, and a question has the last one. The answers stay
    /// without their tokens.
    fn compare_tokens(&mut self, expected: &mut Value, answer: &mut Value, call: &Call) {
        let key = call.request.key();
        let before = self.tokens.get(key).copied().unwrap_or_default();
        let tokens = (take_token(&call.request, expected), take_token(&call.request, answer));
        let is_question = matches!(call.request, Request::Command(Command::Confirm { .. }));
        match tokens {
            (None, None) => {}
            (Some(model), Some(real)) if is_question => assert_eq!(before, (model, real), "{call:?}"),
            (Some(model), Some(real)) => {
                assert!(before.0 < model && before.1 < real, "{tokens:?} come after {before:?}: {call:?}");
                self.tokens.insert(key.clone(), (model, real));
            }
            _ => panic!("{tokens:?} are the tokens of {call:?}"),
        }
    }

    /// What has been published since the last time.
    fn published(&mut self) -> Vec<Message> {
        redis::cmd("PUBLISH").arg(CLOSING_WORD).arg("").exec(&mut self.real).unwrap();
        let mut messages = Vec::new();
        loop {
            let message = self.ear.get_message().unwrap();
            if message.get_channel_name() == CLOSING_WORD {
                return messages;
            }
            let payload: String = message.get_payload().unwrap();
            let held_for = (!payload.is_empty()).then(|| payload.parse().unwrap());
            messages.push(Message { channel: message.get_channel_name().to_owned(), held_for });
        }
    }

    fn compare_state(&mut self) {
        for key in self.keys.clone() {
            let line = self.setting.names(&key).line;
            let (owner, remaining, ranks, lifetime): (Option<String>, i64, Vec<(String, f64)>, i64) =
                redis::pipe()
                    .cmd("GET")
                    .arg(key.as_str())
                    .cmd("PTTL")
                    .arg(key.as_str())
                    .cmd("ZRANGE")
                    .arg(&line)
                    .arg(0)
                    .arg(-1)
                    .arg("WITHSCORES")
                    .cmd("PTTL")
                    .arg(&line)
                    .query(&mut self.real)
                    .unwrap();
            let now = self.now();
            let member = Member::with(String::new(), self.setting);
            assert_eq!(self.model.owner_of(now, &key).and_then(Owner::name), owner.as_deref());
            let ends = self.model.look(millis(now), &key).map(|held| held.ends);
            compare_span(now, ends, remaining);
            #[allow(clippy::cast_precision_loss)] // a few
            let expected: Vec<_> = self
                .model
                .line_of(now, &key, &member)
                .into_iter()
                .map(|(name, rank)| (name, rank as f64))
                .collect();
            assert_eq!(expected, ranks);
            let ends = self.model.line(millis(now), &line).map(|line| line.ends);
            compare_span(now, ends, lifetime);
        }
    }

    fn clean_up(&mut self) {
        for key in self.keys.clone() {
            let line = self.setting.names(&key).line;
            let fence = self.setting.names(&key).fence;
            redis::cmd("DEL").arg(key.as_str()).arg(line).arg(fence).exec(&mut self.real).unwrap();
        }
    }

    fn step(&mut self) {
        match self.dice.below(20) {
            0..3 => self.change_hearing(),
            3 => {
                let key = self.pick(&self.keys.clone());
                self.model.expire(&key);
                redis::cmd("DEL").arg(key.as_str()).exec(&mut self.real).unwrap();
            }
            _ => {
                let call = self.call();
                let before = self.now();
                let (mut expected, messages) = self.model.perform(before, &call, &self.heard_by);
                let mut answer = self.send(&call);
                self.compare_tokens(&mut expected, &mut answer, &call);
                compare(&expected, &answer, &call);
                compare_messages(&messages, &self.published(), &call);
            }
        }
        self.compare_state();
    }
}

/// Takes the token out of an answer that has one; 0 where there is no counter yet.
fn take_token(request: &Request, answer: &mut Value) -> Option<u64> {
    let Request::Command(command) = request else {
        return None;
    };
    let Value::Array(parts) = &mut *answer else {
        return None;
    };
    match (command, &mut parts[..]) {
        (Command::Save { fenced: true, .. } | Command::HandOver { .. }, [Value::Int(1), token]) => {
            let Value::Int(number) = std::mem::replace(token, Value::Nil) else {
                panic!("{token:?} is the token of {request:?}");
            };
            Some(number.try_into().unwrap())
        }
        (Command::Confirm { .. }, [remaining, token]) => {
            let token = match token {
                Value::BulkString(digits) => str::from_utf8(digits).unwrap().parse().unwrap(),
                Value::Nil => 0,
                other => panic!("{other:?} is the token of {request:?}"),
            };
            *answer = std::mem::replace(remaining, Value::Nil);
            Some(token)
        }
        _ => None,
    }
}

/// Milliseconds that remain: the two clocks are not read in the same moment.
fn compare_numbers(expected: i64, answer: i64) -> bool {
    expected == answer || (expected > 3 && answer > 3 && (expected - answer).abs() < 60_000)
}

fn compare(expected: &Value, answer: &Value, call: &Call) {
    let is_same = match (expected, answer) {
        (Value::Int(expected), Value::Int(answer)) => compare_numbers(*expected, *answer),
        (Value::Array(expected), Value::Array(answer)) => match (&expected[..], &answer[..]) {
            ([word, Value::Int(expected), rank @ ..], [other, Value::Int(answer), place @ ..]) => {
                word == other && rank == place && compare_numbers(*expected, *answer)
            }
            (expected, answer) => expected == answer,
        },
        _ => expected == answer,
    };
    assert!(is_same, "{expected:?} expected, {answer:?} is the answer to {call:?}");
}

fn compare_messages(expected: &[Message], published: &[Message], call: &Call) {
    let is_same = expected.len() == published.len()
        && expected.iter().zip(published).all(|(one, other)| {
            let [expected, told] = [one, other].map(|message| message.held_for.unwrap_or(-1));
            one.channel == other.channel && compare_numbers(expected, told)
        });
    assert!(is_same, "{expected:?} expected, {published:?} was published for {call:?}");
}

/// `ends`: nothing there, there without end, or with one; as `PTTL` tells it.
#[allow(clippy::option_option)] // three cases, as in `PTTL`
fn compare_span(now: Moment, ends: Option<Option<u64>>, told: i64) {
    let expected = ends.map_or(-2, |ends| ends.map_or(-1, |end| i64::try_from(end - millis(now)).unwrap()));
    assert!(compare_numbers(expected, told), "{expected} ms expected, {told} ms told");
}

#[test]
fn the_model_does_what_the_scripts_do() {
    let Some(url) = server_url() else {
        return;
    };
    let client = redis::Client::open(url).unwrap();
    let mut subscriptions = client.get_connection().unwrap();
    subscriptions.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("LOQUET_SEED").unwrap_or(1);
    let mut pair = Pair {
        model: Server::default(),
        real: client.get_connection().unwrap(),
        ear: subscriptions.as_pubsub(),
        heard_by: Channels::default(),
        begun: Instant::now(),
        dice: Dice::new(seed),
        setting: Setting { db: 0, is_cluster: false, has_lines: true },
        tokens: HashMap::new(),
        keys: ["model:one", "model:{two}"].map(|key| Key::new(key).unwrap()),
    };
    pair.clean_up(); // after a run that failed
    pair.ear.subscribe(CLOSING_WORD).unwrap();
    for step in 0..number("LOQUET_CASES").unwrap_or(5000) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pair.step()));
        if let Err(panic) = outcome {
            eprintln!("seed {seed}, step {step}");
            std::panic::resume_unwind(panic);
        }
    }
    pair.clean_up();
}
