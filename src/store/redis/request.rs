//! One command of the engine as Redis commands, and what the answers mean.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};

use super::line::{Manner, TURN};
use super::scripts::{
    self, ACQUIRE, CONFIRM, EXTEND, HAND_OVER, LEAVE, Lua, Names, RELEASE, RELEASE_BY_FORCE,
};
use super::{STORE, line};
use crate::clock::{Moment, unix_micros};
use crate::error::{Error, ErrorKind};
use crate::lease::{Holder, Key, Lease, LeaseId, Owner, Token, Ttl};
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
        Request::Leave(_, me) => with_line(&LEAVE, in_full, setting, request.key(), Some(me), false),
        Request::Command(command) => match command {
            Command::Save { owner, ttl, fenced, .. } => {
                let (setting, joins, known) = match manner {
                    Manner::Plain if !fenced => return set(key, owner, *ttl),
                    // No command takes lock and token at once, so it is a script, which goes past the line as well.
                    Manner::Plain => (Setting { has_lines: false, ..setting }, None, None),
                    Manner::InTurn { joins, known } => (setting, joins.as_deref(), known.as_ref()),
                };
                let mut cmd = with_line(&ACQUIRE, in_full, setting, request.key(), joins, *fenced);
                let known = known.filter(|_| setting.has_lines);
                cmd.arg(known.map_or("", |(name, _)| name));
                cmd.arg(known.map_or("", |(_, over)| if *over { "1" } else { "" })).arg(name(owner));
                ttl_arg(&mut cmd, *ttl);
                cmd.arg(millis(line::LINE_LIFETIME));
                if *fenced {
                    cmd.arg(unix_micros());
                }
                cmd
            }
            Command::Confirm { owner, fenced, .. } => {
                let mut cmd = with_fence(&CONFIRM, in_full, setting, request.key(), *fenced);
                cmd.arg(name(owner));
                cmd
            }
            Command::HandOver { from, to, ttl, fenced, .. } => {
                let mut cmd = with_fence(&HAND_OVER, in_full, setting, request.key(), *fenced);
                cmd.arg(claimed(from)).arg(name(to));
                ttl_arg(&mut cmd, *ttl);
                if *fenced {
                    cmd.arg(unix_micros());
                }
                cmd
            }
            Command::Delete { holder, .. } => {
                let mut cmd = with_line(&RELEASE, in_full, setting, request.key(), me, false);
                cmd.arg(claimed(holder));
                cmd
            }
            Command::ForceDelete { .. } => {
                with_line(&RELEASE_BY_FORCE, in_full, setting, request.key(), me, false)
            }
            Command::Extend { holder, ttl, .. } => {
                let mut cmd = with_fence(&EXTEND, in_full, setting, request.key(), false);
                cmd.arg(claimed(holder));
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

/// A script that deals with the lock alone, and with its counter of tokens if that is wanted.
fn with_fence(script: &Lua, in_full: bool, setting: Setting, key: &Key, fenced: bool) -> Cmd {
    let mut cmd = script.call(in_full, 1 + usize::from(fenced));
    cmd.arg(key.as_str());
    if fenced {
        cmd.arg(setting.names(key).fence);
    }
    cmd
}

/// A script that deals with a line; without permission to, it gets nothing of the line and nothing to publish.
fn with_line(
    script: &Lua,
    in_full: bool,
    setting: Setting,
    key: &Key,
    me: Option<&str>,
    fenced: bool,
) -> Cmd {
    if !setting.has_lines {
        let mut cmd = with_fence(script, in_full, setting, key, fenced);
        cmd.arg("").arg("").arg("");
        return cmd;
    }
    let Names { line, fence, channels } = setting.names(key);
    let mut cmd = script.call(in_full, 2 + usize::from(fenced));
    cmd.arg(key.as_str()).arg(line);
    if fenced {
        cmd.arg(fence);
    }
    cmd.arg(setting.publish()).arg(channels).arg(me.unwrap_or(""));
    cmd
}

pub(super) fn ttl_arg(cmd: &mut Cmd, ttl: Ttl) {
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
pub(super) fn claimed(holder: &Holder) -> &str {
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
    let lease = |expires_at, token| Answer::Acquired(Lease { id: LeaseId::default(), expires_at, token });
    let command = match request {
        Request::Leave(..) => return plainly(Answer::Done),
        Request::Command(command) => command,
    };
    let granted = |token| match command {
        Command::Save { ttl, .. } | Command::HandOver { ttl, .. } | Command::Extend { ttl, .. } => {
            plainly(lease(ttl.expiry_from(sent_at), token))
        }
        _ => Err(nonsense(request)),
    };
    match (command, value) {
        (Command::Save { .. }, Value::Okay)
        | (Command::HandOver { .. } | Command::Extend { .. }, Value::Int(1)) => granted(None),
        (Command::Save { .. }, Value::Nil) => plainly(Answer::Held { until: None }),
        (Command::Save { .. }, Value::Array(parts)) => match parts.as_slice() {
            [Value::Int(1), Value::Int(number)] => granted(token(*number)),
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
        (Command::HandOver { .. }, Value::Array(parts)) => match parts.as_slice() {
            [Value::Int(1), Value::Int(number)] => granted(token(*number)),
            _ => Err(nonsense(request)),
        },
        (Command::Confirm { .. }, Value::Int(millis)) => plainly(lease(after(sent_at, *millis), None)),
        (Command::Confirm { .. }, Value::Array(parts)) => match parts.as_slice() {
            [Value::Int(millis), Value::BulkString(digits)] => {
                let token = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                let token = token.and_then(Token::new).ok_or_else(|| no_token(request))?;
                plainly(lease(after(sent_at, *millis), Some(token)))
            }
            [Value::Int(_), Value::Nil] => Err(no_token(request)),
            _ => Err(nonsense(request)),
        },
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

fn token(number: i64) -> Option<Token> {
    u64::try_from(number).ok().and_then(Token::new)
}

/// Somebody has deleted the counter, or the server has thrown it away, since the owner acquired the lock.
fn no_token(request: &Request) -> Error {
    let message = "the counter of the lock's fencing tokens has been deleted";
    Error::new(ErrorKind::Storage, STORE, request.operation(), message)
}

fn nonsense(request: &Request) -> Error {
    Error::new(ErrorKind::Uncertain, STORE, request.operation(), "the server answered something unexpected")
}

/// The answer to a request, as the engine wants it.
pub(super) fn reply(result: Result<Meaning, Error>) -> Reply {
    result.map(|meaning| meaning.answer)
}
