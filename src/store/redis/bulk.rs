//! Extensions that stand next to each other in a batch, as one command.
//!
//! Leases that are extended by themselves come in hundreds. One script that goes through all of them costs the server and
//! both ends of the connection a fraction of as many calls. In a cluster a script may name keys of one slot only, so there
//! each is a call of its own.

use redis::{Cmd, Value};

use super::request::{Request, claimed, ttl_arg};
use super::scripts::EXTEND_MANY;
use crate::store::Command;

/// How many of the requests at the head travel as one command. Each comes with whether the server doesn't know the script.
pub(super) fn run<'a>(requests: impl Iterator<Item = (&'a Request, bool)>, is_cluster: bool) -> usize {
    if is_cluster {
        return 1;
    }
    let mut first = None;
    let count = requests
        .take_while(|(request, in_full)| {
            matches!(request, Request::Command(Command::Extend { .. }))
                && *first.get_or_insert(*in_full) == *in_full
        })
        .count();
    count.max(1)
}

/// The command for several extensions.
pub(super) fn encode<'a>(requests: impl Iterator<Item = &'a Request>, count: usize, in_full: bool) -> Cmd {
    let mut cmd = EXTEND_MANY.call(in_full, count);
    let mut claims = Vec::with_capacity(count);
    for request in requests {
        cmd.arg(request.key().as_str());
        if let Request::Command(Command::Extend { holder, ttl, .. }) = request {
            claims.push((claimed(holder), *ttl));
        }
    }
    for (owner, ttl) in claims {
        cmd.arg(owner);
        ttl_arg(&mut cmd, ttl);
    }
    cmd
}

/// The answers to runs of requests as answers to each request; without one where there isn't any.
pub(super) fn spread(answers: Vec<Value>, runs: &[usize]) -> Vec<Option<Value>> {
    let mut spread = Vec::with_capacity(runs.iter().sum());
    let mut answers = answers.into_iter();
    for run in runs {
        match answers.next() {
            Some(answer) if *run == 1 => spread.push(Some(answer)),
            Some(Value::Array(each)) if each.len() == *run => spread.extend(each.into_iter().map(Some)),
            Some(Value::ServerError(error)) => {
                spread.extend((0..*run).map(|_| Some(Value::ServerError(error.clone()))));
            }
            _ => spread.extend((0..*run).map(|_| None)),
        }
    }
    spread
}
