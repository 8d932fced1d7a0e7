use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::store::faulty::{Faults, Faulty};
use crate::store::served::{Connection, Served, TokioClock};
use crate::store::{Capability, LockStore};

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
    check(&mut Later(connection(true, NonZeroU32::new(3))), "served:").await;
    check(&mut Later(connection(false, None)), "modest:").await;
}

#[tokio::test(start_paused = true)]
async fn a_faulty_store_without_faults_conforms() {
    let inner = Arc::new(connection(true, NonZeroU32::new(3)));
    check(&mut Later(Faulty::new(inner, 1, Faults::NONE)), "faulty:").await;
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
