use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::store::faulty::{Faults, Faulty};
use crate::store::served::{Connection, Served, TokioClock};
use crate::store::{BoxFuture, Capability, LockStore, Reply};

fn connection(tells_expiry: bool, hand_over: Option<NonZeroU32>) -> Connection {
    let capability = Capability { polls: true, tells_expiry, hand_over, watches: true };
    let clock = Arc::new(TokioClock::start());
    Served::new(capability, clock.clone()).connect(clock)
}

#[tokio::test]
async fn the_memory_store_conforms() {
    check(&mut Immediate::default(), "memory:").await;
}

#[tokio::test(start_paused = true)]
async fn a_served_store_conforms_whatever_it_promises() {
    check(&mut Later::new(connection(true, NonZeroU32::new(3))), "served:").await;
    check(&mut Later::new(connection(false, None)), "modest:").await;
}

#[tokio::test(start_paused = true)]
async fn a_faulty_store_without_faults_conforms() {
    let inner = Arc::new(connection(true, NonZeroU32::new(3)));
    check(&mut Later::new(Faulty::new(inner, 1, Faults::NONE)), "faulty:").await;
}

/// A connection that takes its time, with each answer, or has another idea of it.
struct Odd {
    inner: Connection,
    delay: Duration,
    /// What it makes of a TTL.
    span: fn(Duration) -> Duration,
}

impl Odd {
    fn new(delay: u64, span: fn(Duration) -> Duration) -> Self {
        let inner = connection(false, NonZeroU32::new(3));
        Self { inner, delay: Duration::from_millis(delay), span }
    }
}

impl LockStore for Odd {
    fn name(&self) -> &'static str {
        "odd"
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn execute(&self, mut batch: Vec<Command>, patience: Duration) -> BoxFuture<'_, Vec<Reply>> {
        for command in &mut batch {
            if let Command::Save { ttl, .. } | Command::Extend { ttl, .. } | Command::HandOver { ttl, .. } =
                command
            {
                *ttl = ttl.span().map_or(Ttl::FOREVER, |span| of((self.span)(span)));
            }
        }
        Box::pin(async move {
            tokio::time::sleep(self.delay / 2).await;
            let replies = self.inner.execute(batch, patience).await;
            tokio::time::sleep(self.delay / 2).await;
            replies
        })
    }
}

fn of(span: Duration) -> Ttl {
    u64::try_from(span.as_millis())
        .ok()
        .and_then(|millis| Ttl::from_millis(millis).ok())
        .unwrap_or(Ttl::FOREVER)
}

#[tokio::test(start_paused = true)]
async fn a_store_on_a_slow_machine_conforms() {
    for delay in [40, 120, 400, 1_000] {
        check(&mut Later::new(Odd::new(delay, |span| span)), "slow:").await;
    }
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "is held but was given away")]
async fn a_store_that_ends_leases_early_does_not_conform() {
    check(&mut Later::new(Odd::new(0, |span| span / 2)), "hasty:").await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "an expired lease exists")]
async fn a_store_that_ends_leases_late_does_not_conform() {
    check(&mut Later::new(Odd::new(40, |span| span * 2)), "lazy:").await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "is held but was given away")]
async fn a_store_on_a_slow_machine_that_ends_leases_early_does_not_conform() {
    check(&mut Later::new(Odd::new(400, |span| span / 2)), "slow and hasty:").await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the machine is too slow")]
async fn a_machine_that_is_too_slow_is_named() {
    check(&mut Later::new(Odd::new(20_000, |span| span)), "too slow:").await;
}

#[tokio::test(start_paused = true)]
async fn one_failure_does_not_fail_its_neighbours() {
    let faults = Faults { lost_request: 300, lost_reply: 300, ..Faults::NONE };
    let store = Faulty::new(Arc::new(connection(true, None)), 7, faults);
    let keys: Vec<_> = (0..100).filter_map(|number| Key::new(&format!("n{number}")).ok()).collect();
    let owner = Owner::named("o");
    let replies =
        store.execute(keys.iter().map(|key| save(key, &owner, Ttl::FOREVER)).collect(), Duration::MAX).await;
    let failed = replies.iter().filter(|reply| reply.is_err()).count();
    assert!((20..90).contains(&failed) && replies.len() == 100, "{failed} of {}", replies.len());
    store.set_faults(Faults::NONE);
    let confirm = |key: &Key| Command::Confirm { key: key.clone(), owner: owner.clone(), fenced: false };
    let confirms = keys.iter().map(confirm);
    for (first, second) in replies.iter().zip(store.execute(confirms.collect(), Duration::MAX).await) {
        let is_held = matches!(second, Ok(Answer::Acquired(_)));
        match first {
            Ok(answer) => assert!(is_held && matches!(answer, Answer::Acquired(_))),
            Err(error) => assert_eq!(is_held, error.kind() == crate::error::ErrorKind::Uncertain),
        }
    }
    assert!(store.injected() > 0);
}
