//! A fenced lock goes round, within processes and between them.
#![allow(dead_code)] // not every test needs all of it

use std::time::Duration;

use loquet::engine::Retry;
use loquet::engine::driver::Handle;
use loquet::lease::{Key, Owner, Token, Ttl};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// One fenced acquisition, told to `hold` before its release.
pub async fn turn(handle: &Handle, key: &Key, owner: &str, hold: impl FnOnce(Token)) {
    let (owner, ttl) = (Owner::named(owner), Ttl::from_millis(60_000).unwrap());
    let retry = Retry { attempts: None, delay: Duration::from_millis(200), timeout: None };
    let acquire = handle.acquire_fenced(key.clone(), owner.clone(), ttl, retry);
    let lease = timeout(PATIENCE, acquire).await.expect("somebody was forgotten").unwrap();
    hold(lease.unwrap().token.expect("a token"));
    handle.release(key.clone(), owner).await.unwrap();
}

/// Several turns, one after another; tells the last token.
pub async fn turns(handles: &[&Handle], key: &Key, mut last: Option<Token>) -> Option<Token> {
    for handle in handles {
        turn(handle, key, "somebody", |token| {
            assert!(Some(token) > last, "{token:?} after {last:?}");
            last = Some(token);
        })
        .await;
    }
    last
}

/// Tokens go up in the order of the holders.
pub async fn grow_in_turn(handles: &[&Handle], key: &Key) {
    let (order, mut tokens) = tokio::sync::mpsc::unbounded_channel();
    let tasks: Vec<_> = (0..12)
        .map(|task| {
            let (handle, key, order) = (handles[task % handles.len()].clone(), key.clone(), order.clone());
            tokio::spawn(async move {
                for round in 0..10 {
                    turn(&handle, &key, &format!("{task}/{round}"), |token| order.send(token).unwrap()).await;
                }
            })
        })
        .collect();
    drop(order);
    for task in tasks {
        task.await.unwrap();
    }
    let mut last = None;
    let mut count = 0;
    while let Some(token) = tokens.recv().await {
        assert!(Some(token) > last, "{token:?} after {last:?}");
        last = Some(token);
        count += 1;
    }
    assert_eq!(count, 120);
}
