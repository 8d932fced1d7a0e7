//! Sending a batch to the servers, and what is tried again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Pipeline, RedisError, ServerError, ServerErrorKind, Value};
use tokio::time::{Instant, sleep_until};

use super::bulk;
use super::connect::Refusal;
use super::line::Manner;
use super::link::{Link, Live};
use super::request::{Request, Setting, decode, encode, reply};
use super::{Inner, Lines, STORE, lock};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::lease::Key;
use crate::store::{Answer, Command, Reply};

/// How long a refusal that will pass is waited for, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Redirections in a row that are followed without a pause.
const REDIRECTIONS: u32 = 4;

/// A request on its way.
struct Job {
    request: Request,
    manner: Manner,
    me: Option<Arc<str>>,
    /// The server doesn't know the script.
    in_full: bool,
    /// A node to be asked instead of the slot's own, once.
    ask_at: Option<Link>,
    /// The slot is on its way to another node: no script may name two keys of it, so the line is left out.
    without_line: bool,
    redirections: u32,
    /// Why the last try came to nothing.
    trouble: Option<RedisError>,
    reply: Option<Reply>,
}

/// What becomes of a job after a try.
enum Next {
    Over(Reply),
    /// Nothing was done; again at once, or after a pause.
    Again {
        at_once: bool,
    },
}

/// Performs requests and answers each, in order.
pub(super) async fn perform(inner: &Arc<Inner>, requests: Vec<Request>, patience: Duration) -> Vec<Reply> {
    // A little less than the caller's, so that what could not even be sent is told as such.
    let deadline = Instant::now() + patience - patience / 20;
    let mut jobs: Vec<Job> = {
        let mut lines = lock(&inner.lines);
        let now = inner.now();
        requests.into_iter().map(|request| prepare(&mut lines, now, request)).collect()
    };
    let mut pause = FIRST_PAUSE;
    while jobs.iter().any(|job| job.reply.is_none()) {
        let wants_pause = round(inner, &mut jobs, deadline).await;
        let now = Instant::now();
        if now >= deadline {
            break;
        }
        if wants_pause {
            sleep_until(deadline.min(now + pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
    jobs.into_iter().map(|job| finish(inner, job)).collect()
}

fn prepare(lines: &mut Lines, now: Moment, request: Request) -> Job {
    let (skipped, (manner, me)) = match &request {
        Request::Command(command) => match lines.skip(now, command) {
            Some(answer) => (Some(answer), (Manner::Plain, None)),
            None => (None, lines.prepare(now, command)),
        },
        Request::Leave(..) => (None, (Manner::Plain, None)),
    };
    Job {
        request,
        manner,
        me,
        in_full: false,
        ask_at: None,
        without_line: false,
        redirections: 0,
        trouble: None,
        reply: skipped.map(Ok),
    }
}

/// The reply, or that nothing was done in time.
fn finish(inner: &Inner, job: Job) -> Reply {
    let Job { request, trouble, reply, .. } = job;
    if !matches!(reply, Some(Ok(_)))
        && let Request::Command(Command::Save { key, waits: true, .. }) = &request
    {
        lock(&inner.lines).unanswered(key.as_str());
    }
    reply.unwrap_or_else(|| {
        let error = Error::new(
            ErrorKind::Storage,
            STORE,
            request.operation(),
            "Redis could not perform the command in time",
        )
        .out_of_time();
        Err(match trouble {
            Some(trouble) => error.with_source(trouble),
            None => error,
        })
    })
}

/// Sends everything that has no reply yet once. Tells whether what remains should wait a moment.
async fn round(inner: &Arc<Inner>, jobs: &mut [Job], deadline: Instant) -> bool {
    if let Some(link) = inner.router.only() {
        let link = link.clone();
        let open: Vec<&mut Job> = jobs.iter_mut().filter(|job| job.reply.is_none()).collect();
        return send(inner, &link, open, deadline).await;
    }
    let mut groups: Vec<(Link, Vec<&mut Job>)> = Vec::new();
    let mut wants_pause = false;
    for job in jobs.iter_mut().filter(|job| job.reply.is_none()) {
        let link = match &job.ask_at {
            Some(link) => link.clone(),
            None => match inner.router.link(job.request.key().as_str(), deadline).await {
                Ok(link) => link,
                Err(refusal) => {
                    wants_pause |= refused(job, &refusal);
                    continue;
                }
            },
        };
        match groups.iter_mut().find(|(known, _)| known.is(&link)) {
            Some((_, group)) => group.push(job),
            None => groups.push((link, vec![job])),
        }
    }
    let sending =
        groups.into_iter().map(|(link, group)| async move { send(inner, &link, group, deadline).await });
    join_all(sending).await.into_iter().fold(wants_pause, |wants_pause, outcome| wants_pause | outcome)
}

/// There is no connection.
fn refused(job: &mut Job, refusal: &Refusal) -> bool {
    // What a server has said tells more than that there is no connection.
    job.trouble.get_or_insert_with(|| refusal.cause.clone());
    if refusal.is_hopeless {
        job.reply = Some(Err(storage(&job.request, &refusal.cause)));
        return false;
    }
    true
}

/// Sends jobs to one server in one pipeline.
async fn send(inner: &Arc<Inner>, link: &Link, mut jobs: Vec<&mut Job>, deadline: Instant) -> bool {
    if jobs.is_empty() {
        return false;
    }
    let live = match link.live(deadline).await {
        Ok(live) => live,
        Err(refusal) => {
            return jobs.iter_mut().fold(false, |wants_pause, job| refused(job, &refusal) | wants_pause);
        }
    };
    if inner.router.take_needless_password() {
        inner.tell("the Redis server needs no password, but one is configured");
    }
    let setting = inner.setting();
    let (pipeline, runs) = write(&jobs, setting);
    let count = pipeline.len();
    let sent_at = inner.now();
    inner.traffic.count_round_trip();
    let mut attempt = Attempt { link, live, is_over: false };
    let answers = attempt.live.connection.send_packed_commands(&pipeline, 0, count).await;
    attempt.is_over = true;
    let mut answers = match answers {
        Ok(answers) => bulk::spread(answers, &runs).into_iter(),
        Err(error) => {
            link.discard(attempt.live.number);
            for job in &mut jobs {
                // What only asks may ask again.
                if job.request.changes_nothing() {
                    job.trouble = Some(error.clone());
                } else {
                    job.reply = Some(Err(uncertain(&job.request, &error)));
                }
            }
            return jobs.iter().any(|job| job.reply.is_none());
        }
    };
    let now = inner.now();
    let mut wants_pause = false;
    for job in jobs {
        if job.ask_at.take().is_some() {
            answers.next();
        }
        let next = match answers.next().flatten() {
            Some(Value::ServerError(error)) => refuse(inner, link, attempt.live.number, job, &error),
            Some(value) => {
                let meaning = decode(&job.request, &value, sent_at, now);
                if let Ok(meaning) = &meaning {
                    note(inner, now, job, meaning);
                }
                Next::Over(reply(meaning))
            }
            None => Next::Over(Err(Error::new(
                ErrorKind::Uncertain,
                STORE,
                job.request.operation(),
                "the server gave no answer",
            ))),
        };
        match next {
            Next::Over(reply) => job.reply = Some(reply),
            Next::Again { at_once } => wants_pause |= !at_once,
        }
    }
    wants_pause
}

/// The commands for jobs, and how many jobs each of them is for.
fn write(jobs: &[&mut Job], setting: Setting) -> (Pipeline, Vec<usize>) {
    let mut pipeline = Pipeline::with_capacity(jobs.len());
    let mut runs = Vec::with_capacity(jobs.len());
    let mut rest = jobs;
    while let [job, ..] = rest {
        if job.ask_at.is_some() {
            pipeline.add_command(redis::cmd("ASKING"));
            runs.push(1);
        }
        let run = bulk::run(rest.iter().map(|job| (&job.request, job.in_full)), setting.is_cluster);
        let (together, others) = rest.split_at(run);
        if run == 1 {
            let setting = Setting { has_lines: setting.has_lines && !job.without_line, ..setting };
            pipeline.add_command(encode(&job.request, setting, &job.manner, job.me.as_deref(), job.in_full));
        } else {
            pipeline.add_command(bulk::encode(together.iter().map(|job| &job.request), run, job.in_full));
        }
        runs.push(run);
        rest = others;
    }
    (pipeline, runs)
}

/// Commands that are dropped while they are under way have waited too long: the connection may be dead without anybody
/// telling, so the next commands get a new one.
struct Attempt<'a> {
    link: &'a Link,
    live: Live,
    is_over: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.link.discard(self.live.number);
        }
    }
}

/// The server has refused a command; it did nothing.
fn refuse(inner: &Arc<Inner>, link: &Link, number: u64, job: &mut Job, error: &ServerError) -> Next {
    let words = error.details().unwrap_or_default();
    job.trouble = Some(error.clone().into());
    match (error.kind(), error.code()) {
        (Some(ServerErrorKind::NoScript), _) if !job.in_full => {
            job.in_full = true;
            Next::Again { at_once: true }
        }
        (Some(kind @ (ServerErrorKind::Moved | ServerErrorKind::Ask)), _) => {
            let is_moved = kind == ServerErrorKind::Moved;
            let named = inner.router.redirected(words, is_moved);
            let is_known = named.is_some();
            job.ask_at = named.filter(|_| !is_moved);
            if !is_moved {
                leave_line_out(job);
            }
            job.redirections += 1;
            Next::Again { at_once: is_known && !job.redirections.is_multiple_of(REDIRECTIONS) }
        }
        (Some(ServerErrorKind::TryAgain), _) if !job.without_line && deals_with_lines(job) => {
            leave_line_out(job);
            Next::Again { at_once: true }
        }
        (
            Some(
                ServerErrorKind::TryAgain
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown,
            ),
            _,
        )
        | (None, "BUSY") => Next::Again { at_once: false },
        (Some(ServerErrorKind::ReadOnly), _) => {
            // It was the primary once: find the one that is now.
            link.discard(number);
            inner.router.distrust();
            Next::Again { at_once: false }
        }
        (Some(ServerErrorKind::NoPerm), _) if inner.setting().has_lines && deals_with_lines(job) => {
            inner.give_up_lines(words);
            Next::Again { at_once: true }
        }
        _ => Next::Over(Err(storage(&job.request, &error.clone().into()))),
    }
}

/// From now on the job names one key only. Nobody is woken by it; others notice when they ask.
fn leave_line_out(job: &mut Job) {
    job.without_line = true;
    if let Manner::InTurn { .. } = job.manner {
        job.manner = Manner::InTurn { joins: None, known: None };
    }
}

fn deals_with_lines(job: &Job) -> bool {
    match &job.request {
        Request::Command(Command::Save { .. }) => job.manner != Manner::Plain,
        Request::Command(command) => matches!(command, Command::Delete { .. } | Command::ForceDelete { .. }),
        Request::Leave(..) => false,
    }
}

/// What an answer tells about the key's line.
fn note(inner: &Arc<Inner>, now: Moment, job: &Job, meaning: &super::request::Meaning) {
    match &job.request {
        Request::Command(Command::Save { key, waits: true, .. }) => {
            lock(&inner.lines).tried(now, key, &job.manner, meaning);
        }
        Request::Command(Command::Delete { key, .. }) if meaning.answer == Answer::Done => {
            released(inner, now, key, meaning.has_woken.as_deref());
        }
        _ => {}
    }
}

fn released(inner: &Arc<Inner>, now: Moment, key: &Key, has_woken: Option<&str>) {
    let channels = if has_woken.is_some() { inner.setting().names(key).channels } else { String::new() };
    lock(&inner.lines).released(now, key, has_woken, &channels);
    if has_woken.is_some() {
        super::Subscriber::start(inner);
    }
}

fn storage(request: &Request, cause: &RedisError) -> Error {
    Error::new(ErrorKind::Storage, STORE, request.operation(), cause.to_string()).with_source(cause.clone())
}

fn uncertain(request: &Request, cause: &RedisError) -> Error {
    let message = format!("the reply was lost: {cause}");
    Error::new(ErrorKind::Uncertain, STORE, request.operation(), message).with_source(cause.clone())
}
