//! What a process's store knows and does without the network.

use std::sync::Arc;

use redis::Value;

use super::super::line::{Lines, Manner, Step};
use super::super::request::{Meaning, Request, Setting, decode, news, reply};
use super::Message;
use crate::clock::Moment;
use crate::lease::Key;
use crate::store::{Answer, Command, Reply};

/// A request, and how it is to be sent.
#[derive(Debug)]
pub struct Call {
    pub(super) request: Request,
    pub(super) manner: Manner,
    pub(super) me: Option<Arc<str>>,
    pub(super) setting: Setting,
}

impl Call {
    /// What the call is, for those who count calls.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match (&self.request, &self.manner) {
            (Request::Command(Command::Save { .. }), Manner::Plain) => "set",
            (Request::Command(Command::Save { .. }), Manner::InTurn { .. }) => "acquire in turn",
            (request, _) => request.operation(),
        }
    }
}

/// What a process has to do for its places in line.
#[derive(Debug)]
pub enum Errand {
    /// Hear of turns on a channel.
    Subscribe(Key, String),
    /// Stop to.
    Unsubscribe(Key, String),
    /// Send a call; nobody waits for the answer.
    Send(Call),
    /// Tell the engine that the key may be free.
    Wake(Key),
}

/// A process's store without the network.
#[derive(Debug)]
pub struct Member {
    lines: Lines,
    setting: Setting,
}

impl Member {
    /// The store of a process that no other is called like, on a single server.
    #[must_use]
    pub fn new(process: String) -> Self {
        Self::with(process, Setting { db: 0, is_cluster: false, has_lines: true })
    }

    pub(super) fn with(process: String, setting: Setting) -> Self {
        Self { lines: Lines::new(process), setting }
    }

    pub(super) fn setting(&self) -> Setting {
        self.setting
    }

    /// How a command is to be sent now.
    #[must_use]
    pub fn prepare(&mut self, now: Moment, command: Command) -> Call {
        let (manner, me) = self.lines.prepare(now, &command);
        Call { request: Request::Command(command), manner, me, setting: self.setting }
    }

    /// The answer to a command that needn't be sent. To be asked for before it is prepared.
    pub fn skips(&mut self, now: Moment, command: &Command) -> Option<Answer> {
        self.lines.skip(now, command)
    }

    /// Understands the answer to a call that was sent at `sent_at`.
    ///
    /// # Errors
    /// As the store has them, for an answer that makes no sense.
    pub fn understand(&mut self, sent_at: Moment, now: Moment, call: &Call, value: &Value) -> Reply {
        let meaning = decode(&call.request, value, sent_at, now);
        if let Ok(meaning) = &meaning {
            self.note(now, call, meaning);
        }
        reply(meaning)
    }

    fn note(&mut self, now: Moment, call: &Call, meaning: &Meaning) {
        match &call.request {
            Request::Command(Command::Save { key, waits: true, .. }) => {
                self.lines.tried(now, key, &call.manner, meaning);
            }
            Request::Command(Command::Delete { key, .. }) if meaning.answer == Answer::Done => {
                let channels = self.setting.names(key).channels;
                self.lines.released(now, key, meaning.has_woken.as_deref(), &channels);
            }
            _ => {}
        }
    }

    /// A call that nobody waits for has been answered, or never will be.
    pub fn left(&mut self, call: &Call) -> Option<Errand> {
        let Request::Leave(key, me) = &call.request else {
            return None;
        };
        let step = self.lines.left(key, me);
        step.and_then(|step| self.errand(step))
    }

    /// Somebody here begins to wait for a key, or the last one has stopped.
    pub fn watch(&mut self, now: Moment, key: &Key, waits: bool) -> Option<Errand> {
        let setting = self.setting;
        let step = self.lines.watch(now, key, waits, || setting.names(key).channels);
        step.and_then(|step| self.errand(step))
    }

    /// The server has confirmed a subscription.
    pub fn subscribed(&mut self, key: &Key) -> Option<Errand> {
        let step = self.lines.subscribed(key);
        step.and_then(|step| self.errand(step))
    }

    /// A subscription has been lost; if it is still wanted, it is made again.
    pub fn unheard(&mut self, key: &Key) -> Option<Errand> {
        if !self.lines.unheard(key) {
            return None;
        }
        let step = self.lines.retry(key);
        step.and_then(|step| self.errand(step))
    }

    /// Something has been published on a channel of ours.
    pub fn heard(&mut self, now: Moment, message: &Message) -> Option<Errand> {
        let Message { channel, held_for } = message;
        let payload = held_for.map_or_else(String::new, |millis| millis.to_string());
        let step = match news(now, &payload) {
            Some(end) => self.lines.told_end(now, channel, end),
            None => self.lines.heard(now, channel),
        };
        step.and_then(|step| self.errand(step))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment) -> Vec<Errand> {
        let steps = self.lines.tick(now);
        steps.into_iter().filter_map(|step| self.errand(step)).collect()
    }

    /// Whether there is no line to look after.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.lines.is_empty()
    }

    fn errand(&self, step: Step) -> Option<Errand> {
        Some(match step {
            Step::Subscribe(key) => {
                let channel = self.lines.channel(&key)?.to_owned();
                Errand::Subscribe(key, channel)
            }
            Step::Unsubscribe(key, channel) => Errand::Unsubscribe(key, channel),
            Step::Leave(key, me) => Errand::Send(Call {
                request: Request::Leave(key, me),
                manner: Manner::Plain,
                me: None,
                setting: self.setting,
            }),
            Step::Wake(key) => Errand::Wake(key),
        })
    }
}
