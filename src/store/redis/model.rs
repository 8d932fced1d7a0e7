//! A Redis server in memory, as far as locks and lines go, and a process that uses it: for simulation.
//!
//! [`Server`] does in plain Rust what the [scripts](super::scripts) do; a test compares the two, command by command, on a
//! real server. [`Member`] is what a process's store knows and does without the network: the real lines, requests and
//! answers. Time is an argument, and so is who can hear which channel.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use redis::Value;

use super::line::{LINE_LIFETIME, Manner};
use super::request::Request;
use super::scripts::Names;
use crate::clock::Moment;
use crate::lease::{Holder, Key, Owner, Ttl};
use crate::store::Command;

mod member;
#[cfg(test)]
mod tests;

pub use member::{Call, Errand, Member};

/// Names of channels that somebody hears.
pub type Channels = HashSet<String, foldhash::fast::RandomState>;

/// What is published on a channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// Where.
    pub channel: String,
    /// How many milliseconds the lock is held for; nothing: it is the hearer's turn.
    pub held_for: Option<i64>,
}

/// A server. It counts whole milliseconds.
#[derive(Debug, Default)]
pub struct Server {
    locks: HashMap<Key, Held, foldhash::fast::RandomState>,
    lines: HashMap<Vec<u8>, Line, foldhash::fast::RandomState>,
    /// The last tokens. Their keys outlive every simulation.
    fences: HashMap<Key, u64, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct Held {
    owner: Owner,
    /// Gone when more milliseconds than these have passed.
    ends: Option<u64>,
}

/// The sorted set of those in line.
#[derive(Debug, Default)]
struct Line {
    by_rank: BTreeMap<u64, Arc<str>>,
    ranks: HashMap<Arc<str>, u64, foldhash::fast::RandomState>,
    ends: Option<u64>,
}

impl Line {
    fn first(&self) -> Option<&Arc<str>> {
        self.by_rank.values().next()
    }

    fn remove(&mut self, name: &str) {
        if let Some(rank) = self.ranks.remove(name) {
            self.by_rank.remove(&rank);
        }
    }

    fn join(&mut self, name: &Arc<str>) {
        if !self.ranks.contains_key(name) {
            let last = self.by_rank.last_key_value().map_or(0, |(rank, _)| *rank);
            self.by_rank.insert(last + 1, Arc::clone(name));
            self.ranks.insert(Arc::clone(name), last + 1);
        }
    }
}

/// One call of a script, or of a plain command, on the server.
struct Turn<'a> {
    server: &'a mut Server,
    now: u64,
    key: &'a Key,
    /// The names of the line and of its channels; without permission to touch them there are none.
    names: Option<Names>,
    heard_by: &'a Channels,
    published: Vec<Message>,
}

impl Server {
    /// Performs a call. Returns the answer, and what somebody has heard of it, in order.
    pub fn perform(&mut self, now: Moment, call: &Call, heard_by: &Channels) -> (Value, Vec<Message>) {
        let Call { request, manner, me, setting } = call;
        let names = setting.has_lines.then(|| setting.names(request.key()));
        let now = millis(now);
        let mut turn = Turn { server: self, now, key: request.key(), names, heard_by, published: Vec::new() };
        let value = turn.perform(request, manner, me.as_deref());
        (value, turn.published)
    }

    /// Who holds a lock.
    #[must_use]
    pub fn owner_of(&mut self, now: Moment, key: &Key) -> Option<&Owner> {
        self.look(millis(now), key).map(|held| &held.owner)
    }

    /// Those in line for a key, in order, with their ranks.
    #[must_use]
    pub fn line_of(&mut self, now: Moment, key: &Key, member: &Member) -> Vec<(String, u64)> {
        self.line(millis(now), &member.setting().names(key).line).map_or_else(Vec::new, |line| {
            line.by_rank.iter().map(|(rank, name)| (name.to_string(), *rank)).collect()
        })
    }

    /// Who is first in line for a key.
    #[must_use]
    pub fn first_of(&mut self, now: Moment, key: &Key, member: &Member) -> Option<Arc<str>> {
        self.line(millis(now), &member.setting().names(key).line).and_then(|line| line.first().cloned())
    }

    /// Whether there is nothing on the server but the last tokens.
    #[must_use]
    pub fn is_empty(&mut self, now: Moment) -> bool {
        let now = millis(now);
        self.locks.retain(|_, held| held.ends.is_none_or(|end| now <= end));
        self.lines.retain(|_, line| line.ends.is_none_or(|end| now <= end));
        self.locks.is_empty() && self.lines.is_empty()
    }

    /// A lease ends before its time.
    pub fn expire(&mut self, key: &Key) {
        self.locks.remove(key);
    }

    fn look(&mut self, now: u64, key: &Key) -> Option<&mut Held> {
        if self.locks.get(key).is_some_and(|held| held.ends.is_some_and(|end| now > end)) {
            self.locks.remove(key);
        }
        self.locks.get_mut(key)
    }

    fn line(&mut self, now: u64, name: &[u8]) -> Option<&mut Line> {
        if self.lines.get(name).is_some_and(|line| line.ends.is_some_and(|end| now > end)) {
            self.lines.remove(name);
        }
        self.lines.get_mut(name)
    }
}

impl Turn<'_> {
    fn perform(&mut self, request: &Request, manner: &Manner, me: Option<&str>) -> Value {
        let command = match request {
            Request::Leave(_, me) => return self.leave(me),
            Request::Command(command) => command,
        };
        match command {
            Command::Save { owner, ttl, fenced, .. } => match manner {
                Manner::Plain if !fenced => self.set_if_free(owner, *ttl),
                Manner::Plain => {
                    self.names = None;
                    self.acquire(None, None, owner, *ttl, true)
                }
                Manner::InTurn { joins, known } => {
                    self.acquire(joins.as_ref(), known.as_ref(), owner, *ttl, *fenced)
                }
            },
            Command::Confirm { owner, fenced, .. } => self.confirm(owner, *fenced),
            Command::HandOver { from, to, ttl, fenced, .. } => self.hand_over(from, to, *ttl, *fenced),
            Command::Delete { holder, .. } => self.release(holder, me),
            Command::ForceDelete { .. } => self.release_by_force(),
            Command::Extend { holder, ttl, .. } => self.extend(holder, *ttl),
            Command::Exists { .. } => Value::Int(i64::from(self.held().is_some())),
        }
    }

    fn held(&mut self) -> Option<&mut Held> {
        self.server.look(self.now, self.key)
    }

    fn held_by(&mut self, holder: &Holder) -> Option<&mut Held> {
        self.held().filter(|held| matches!(holder, Holder::Owner(owner) if *owner == held.owner))
    }

    fn set(&mut self, owner: &Owner, ttl: Ttl) {
        let held = Held { owner: owner.clone(), ends: self.end(ttl) };
        self.server.locks.insert(self.key.clone(), held);
    }

    fn end(&self, ttl: Ttl) -> Option<u64> {
        ttl.span().map(|span| self.now.saturating_add(whole(span)))
    }

    /// Milliseconds that the lock is held for; nothing: without end.
    fn remaining(&mut self) -> Option<i64> {
        let now = self.now;
        let ends = self.held().and_then(|held| held.ends);
        ends.map(|end| i64::try_from(end - now).unwrap_or(i64::MAX))
    }

    /// The same as `PTTL` tells it.
    fn pttl(&mut self) -> Value {
        Value::Int(self.remaining().unwrap_or(-1))
    }

    fn line(&mut self) -> Option<&mut Line> {
        let name = &self.names.as_ref()?.line;
        self.server.line(self.now, name)
    }

    /// What is done to a line that nobody is left in is done to none.
    fn change_line(&mut self, change: impl FnOnce(&mut Line)) {
        let Some(names) = &self.names else {
            return;
        };
        if let Some(line) = self.server.line(self.now, &names.line) {
            change(line);
            if line.by_rank.is_empty() {
                self.server.lines.remove(&names.line);
            }
        }
    }

    /// Tells the first in line that it is its turn, after taking out whoever can't hear; returns who it is.
    fn wake(&mut self, except: Option<&str>) -> Option<Arc<str>> {
        self.tell(except, None)
    }

    /// Tells the first in line for how long the lock is held.
    fn tell_end(&mut self) {
        if let Some(millis) = self.remaining() {
            self.tell(None, Some(millis));
        }
    }

    fn tell(&mut self, except: Option<&str>, held_for: Option<i64>) -> Option<Arc<str>> {
        loop {
            let first = self.line()?.first().cloned()?;
            if Some(&*first) == except {
                return Some(first);
            }
            let channel = self.names.as_ref().map(|names| format!("{}{first}", names.channels))?;
            if self.heard_by.contains(&channel) {
                self.published.push(Message { channel, held_for });
                return Some(first);
            }
            self.change_line(|line| line.remove(&first));
        }
    }

    fn set_if_free(&mut self, owner: &Owner, ttl: Ttl) -> Value {
        if self.held().is_some() {
            return Value::Nil;
        }
        self.set(owner, ttl);
        Value::Okay
    }

    fn acquire(
        &mut self,
        me: Option<&Arc<str>>,
        known: Option<&(Arc<str>, bool)>,
        owner: &Owner,
        ttl: Ttl,
        fenced: bool,
    ) -> Value {
        let is_held = self.held().is_some();
        let mut first = None;
        if !is_held {
            let present = self.line().and_then(|line| line.first().cloned());
            if let Some((known, passes_over)) = known.filter(|(known, _)| present.as_ref() == Some(known)) {
                if *passes_over {
                    self.change_line(|line| line.remove(known));
                } else {
                    first = Some(Arc::clone(known));
                }
            }
            first = first.or_else(|| self.wake(me.map(|me| &**me)));
            if first.is_none() || first.as_ref() == me {
                let token = if fenced { self.next_token() } else { 0 };
                self.set(owner, ttl);
                if let Some(first) = first {
                    self.change_line(|line| line.remove(&first));
                    self.tell_end();
                }
                return pair(1, Value::Int(token));
            }
        }
        if let Some(me) = me
            && let Some(names) = &self.names
        {
            self.server.line(self.now, &names.line); // one that is over is gone
            let line = self.server.lines.entry(names.line.clone()).or_default();
            line.join(me);
            line.ends = Some(self.now + whole(LINE_LIFETIME));
        }
        if is_held {
            let rank = me.and_then(|me| {
                self.line().and_then(|line| {
                    let at = *line.ranks.get(me)?;
                    i64::try_from(line.by_rank.range(..at).count()).ok()
                })
            });
            Value::Array(vec![Value::Int(0), self.pttl(), Value::Int(rank.unwrap_or(0))])
        } else {
            pair(2, Value::BulkString(first.as_deref().unwrap_or_default().as_bytes().to_vec()))
        }
    }

    fn release(&mut self, holder: &Holder, me: Option<&str>) -> Value {
        if self.held_by(holder).is_none() {
            return Value::Int(0);
        }
        self.server.locks.remove(self.key);
        self.change_line(|line| me.iter().for_each(|me| line.remove(me)));
        self.wake(None).map_or(Value::Int(1), |name| Value::BulkString(name.as_bytes().to_vec()))
    }

    fn release_by_force(&mut self) -> Value {
        let were = self.held().is_some();
        self.server.locks.remove(self.key);
        self.wake(None);
        Value::Int(i64::from(were))
    }

    fn leave(&mut self, me: &str) -> Value {
        self.change_line(|line| line.remove(me));
        if self.held().is_none() {
            self.wake(None);
        } else {
            self.tell_end();
        }
        Value::Int(1)
    }

    fn hand_over(&mut self, from: &Holder, to: &Owner, ttl: Ttl, fenced: bool) -> Value {
        if self.held_by(from).is_none() {
            return Value::Int(0);
        }
        self.set(to, ttl);
        if fenced { pair(1, Value::Int(self.next_token())) } else { Value::Int(1) }
    }

    fn extend(&mut self, holder: &Holder, ttl: Ttl) -> Value {
        let ends = self.end(ttl);
        let Some(held) = self.held_by(holder) else {
            return Value::Int(0);
        };
        held.ends = ends;
        Value::Int(1)
    }

    fn confirm(&mut self, owner: &Owner, fenced: bool) -> Value {
        if self.held().is_none_or(|held| held.owner != *owner) {
            return Value::Nil;
        }
        let remaining = self.pttl();
        if !fenced {
            return remaining;
        }
        let token = self.server.fences.get(self.key);
        let token = token.map_or(Value::Nil, |token| Value::BulkString(token.to_string().into_bytes()));
        Value::Array(vec![remaining, token])
    }

    fn next_token(&mut self) -> i64 {
        let token = self.server.fences.entry(self.key.clone()).or_default();
        *token = (*token + 1).max(self.now.saturating_mul(1000));
        i64::try_from(*token).unwrap_or(i64::MAX)
    }
}

fn pair(word: i64, number: Value) -> Value {
    Value::Array(vec![Value::Int(word), number])
}

fn millis(now: Moment) -> u64 {
    whole(now.since(Moment::START))
}

fn whole(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
