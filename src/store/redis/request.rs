//! One command of the engine as Redis commands, and what the answers mean.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};

use super::line::{Manner, TURN};
use super::scripts::{
    self, ACQUIRE, CONFIRM, EXTEND, HAND_OVER, LEAVE, Lua, Names, RELEASE, RELEASE_BY_FORCE,
};
use super::{STORE, line};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::lease::{Holder, Key, Lease, LeaseId, Owner, Ttl};
use crate::store::{Answer, Command, Reply};

/// What is asked of a server.
#[derive(Debug)]
pub(super) enum Request {
    Command(Command),
    /// Leaves a line.
    Leave(Key, Arc<str>),
}

impl Request {
    pub(super) fn key(&self) -> &Key {
        match self {
            Self::Leave(key, _) => key,
            Self::Command(command) => command.key(),
        }
    }

    /// Whether it may be performed any number of times.
    pub(super) fn changes_nothing(&self) -> bool {
        matches!(self, Self::Command(Command::Confirm { .. } | Command::Exists { .. }))
    }

    /// The word that stands for it in errors.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::Leave(..) => "leave",
            Self::Command(Command::Save { .. }) => "acquire",
            Self::Command(Command::Confirm { .. }) => "confirm",
            Self::Command(Command::HandOver { .. }) => "hand over",
            Self::Command(Command::Delete { .. }) => "release",
            Self::Command(Command::ForceDelete { .. }) => "force release",
            Self::Command(Command::Extend { .. }) => "extend",
            Self::Command(Command::Exists { .. }) => "exists",
        }
    }
}

/// How the server and this process are set up, as far as a request depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) db: i64,
    pub(super) is_cluster: bool,
    /// Whether we may touch lines and publish; a user's permissions may forbid it.
    pub(super) has_lines: bool,
}

impl Setting {
    pub(super) fn names(self, key: &Key) -> Names {
        scripts::names(key.as_str(), self.db, self.is_cluster)
    }

    fn publish(self) -> &'static str {
        if self.is_cluster { "spublish" } else { "publish" }
    }
}

/// The Redis command for a request. `manner` and `me` say how we stand in the key's line; `in_full`: the server doesn't
/// know the script.
pub(super) fn encode(
    request: &Request,
    setting: Setting,
    manner: &Manner,
    me: Option<&str>,
    in_full: bool,
) -> Cmd {
    let key = request.key().as_str();
    match request {
        Request::Leave(_, me) => with_line(&LEAVE, in_full, setting, request.key(), Some(me)),
        Request::Command(command) => match command {
            Command::Save { owner, ttl, .. } => match manner {
                Manner::Plain => set(key, owner, *ttl),
                Manner::InTurn { joins, known } => {
                    let mut cmd = with_line(&ACQUIRE, in_full, setting, request.key(), joins.as_deref());
                    let known = known.as_ref().filter(|_| setting.has_lines);
                    cmd.arg(known.map_or("", |(name, _)| name));
                    cmd.arg(known.map_or("", |(_, over)| if *over { "1" } else { "" })).arg(name(owner));
                    ttl_arg(&mut cmd, *ttl);
                    cmd.arg(millis(line::LINE_LIFETIME));
                    cmd
                }
            },
            Command::Confirm { owner, .. } => plain(&CONFIRM, in_full, key, &[name(owner)]),
            Command::HandOver { from, to, ttl, .. } => {
                let mut cmd = plain(&HAND_OVER, in_full, key, &[claimed(from), name(to)]);
                ttl_arg(&mut cmd, *ttl);
                cmd
            }
            Command::Delete { holder, .. } => {
                let mut cmd = with_line(&RELEASE, in_full, setting, request.key(), me);
                cmd.arg(claimed(holder));
                cmd
            }
            Command::ForceDelete { .. } => with_line(&RELEASE_BY_FORCE, in_full, setting, request.key(), me),
            Command::Extend { holder, ttl, .. } => {
                let mut cmd = plain(&EXTEND, in_full, key, &[claimed(holder)]);
                ttl_arg(&mut cmd, *ttl);
                cmd
            }
            Command::Exists { .. } => {
                let mut cmd = redis::cmd("EXISTS");
                cmd.arg(key);
                cmd
            }
        },
    }
}

fn set(key: &str, owner: &Owner, ttl: Ttl) -> Cmd {
    let mut cmd = redis::cmd("SET");
    cmd.arg(key).arg(name(owner));
    if let Some(span) = ttl.span() {
        cmd.arg("PX").arg(millis(span));
    }
    cmd.arg("NX");
    cmd
}

fn plain(script: &Lua, in_full: bool, key: &str, arguments: &[&str]) -> Cmd {
    let mut cmd = script.call(in_full, 1);
    cmd.arg(key).arg(arguments);
    cmd
}

/// A script that deals with a line; without permission to, it gets only the lock and nothing to publish.
fn with_line(script: &Lua, in_full: bool, setting: Setting, key: &Key, me: Option<&str>) -> Cmd {
    if !setting.has_lines {
        let mut cmd = script.call(in_full, 1);
        cmd.arg(key.as_str()).arg("").arg("").arg("");
        return cmd;
    }
    let Names { line, channels } = setting.names(key);
    let mut cmd = script.call(in_full, 2);
    cmd.arg(key.as_str()).arg(line).arg(setting.publish()).arg(channels).arg(me.unwrap_or(""));
    cmd
}

fn ttl_arg(cmd: &mut Cmd, ttl: Ttl) {
    match ttl.span() {
        Some(span) => cmd.arg(millis(span)),
        None => cmd.arg(""),
    };
}

/// Whole milliseconds, as many as the server can count.
fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn name(owner: &Owner) -> &str {
    owner.name().unwrap_or_default()
}

/// A lease that is known by its number isn't one of this store's, and nobody is called by the empty name.
fn claimed(holder: &Holder) -> &str {
    match holder {
        Holder::Owner(owner) => name(owner),
        Holder::Lease(_) => "",
    }
}

/// What a server's answer means.
#[derive(Debug, PartialEq)]
pub(super) struct Meaning {
    pub(super) answer: Answer,
    /// A save: the lock is free, but it is that one's turn.
    pub(super) yields: Option<String>,
    /// A release: that one has been woken.
    pub(super) has_woken: Option<String>,
    /// A save that was refused: our place in line, 0 for the first.
    pub(super) rank: u32,
}

/// Understands an answer that isn't an error. `sent_at`: before the request was sent, `now`: after the answer came.
pub(super) fn decode(
    request: &Request,
    value: &Value,
    sent_at: Moment,
    now: Moment,
) -> Result<Meaning, Error> {
    let plainly = |answer| Ok(Meaning { answer, yields: None, has_woken: None, rank: 0 });
    let lease = |expires_at| Answer::Acquired(Lease { id: LeaseId::default(), expires_at });
    let command = match request {
        Request::Leave(..) => return plainly(Answer::Done),
        Request::Command(command) => command,
    };
    let granted = || match command {
        Command::Save { ttl, .. } | Command::HandOver { ttl, .. } | Command::Extend { ttl, .. } => {
            plainly(lease(ttl.expiry_from(sent_at)))
        }
        _ => Err(nonsense(request)),
    };
    match (command, value) {
        (Command::Save { .. }, Value::Okay)
        | (Command::HandOver { .. } | Command::Extend { .. }, Value::Int(1)) => granted(),
        (Command::Save { .. }, Value::Nil) => plainly(Answer::Held { until: None }),
        (Command::Save { .. }, Value::Array(parts)) => match parts.as_slice() {
            [Value::Int(1), _] => granted(),
            [Value::Int(0), Value::Int(millis), Value::Int(rank)] => Ok(Meaning {
                answer: Answer::Held { until: held_until(now, *millis) },
                yields: None,
                has_woken: None,
                rank: u32::try_from(*rank).unwrap_or(0),
            }),
            [Value::Int(2), Value::BulkString(name)] => Ok(Meaning {
                answer: Answer::Held { until: Some(now + TURN) },
                yields: Some(String::from_utf8_lossy(name).into_owned()),
                has_woken: None,
                rank: 0,
            }),
            _ => Err(nonsense(request)),
        },
        (Command::Confirm { .. }, Value::Int(millis)) => plainly(lease(after(sent_at, *millis))),
        (Command::Confirm { .. }, Value::Nil) => plainly(Answer::NotOwned),
        (Command::HandOver { .. } | Command::Extend { .. } | Command::Delete { .. }, Value::Int(0)) => {
            plainly(Answer::NotOwned)
        }
        (Command::Delete { .. }, Value::BulkString(name)) => {
            let has_woken = Some(String::from_utf8_lossy(name).into_owned());
            Ok(Meaning { answer: Answer::Done, yields: None, has_woken, rank: 0 })
        }
        (Command::Delete { .. }, Value::Int(1)) | (Command::ForceDelete { .. }, Value::Int(_)) => {
            plainly(Answer::Done)
        }
        (Command::Exists { .. }, Value::Int(count)) => plainly(Answer::Exists(*count > 0)),
        _ => Err(nonsense(request)),
    }
}

/// What a message on a channel of ours means: until when somebody else has the lock, or that it is our turn.
pub(super) fn news(now: Moment, payload: &str) -> Option<Moment> {
    payload.parse().ok().and_then(|millis| held_until(now, millis))
}

/// The server counts whole milliseconds and frees a key when more than those have passed.
fn held_until(now: Moment, millis: i64) -> Option<Moment> {
    after(now, millis.saturating_add(i64::from(millis >= 0)))
}

/// Negative milliseconds stand for "without end".
fn after(start: Moment, millis: i64) -> Option<Moment> {
    u64::try_from(millis).ok().map(|millis| start + Duration::from_millis(millis))
}

fn nonsense(request: &Request) -> Error {
    Error::new(ErrorKind::Uncertain, STORE, request.operation(), "the server answered something unexpected")
}

/// The answer to a request, as the engine wants it.
pub(super) fn reply(result: Result<Meaning, Error>) -> Reply {
    result.map(|meaning| meaning.answer)
}
