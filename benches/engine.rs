//! How long the engine takes: `cargo bench --no-default-features --features testing`.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used)] // criterion's macros; a benchmark stops at a surprise

use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use loquet::clock::{Clock, Moment, SystemClock};
use loquet::engine::driver::Driver;
use loquet::engine::inline::{Entered, Inline};
use loquet::engine::{Outcome, Request, Retry, WaiterId};
use loquet::lease::{Holder, Key, Lease, Owner, Ticket, Ttl};
use loquet::store::Capability;
use loquet::store::memory::MemoryStore;
use loquet::store::served::Served;

const WAIT: Retry = Retry { attempts: None, delay: Duration::from_millis(250), timeout: None };
const WAITERS: u32 = 10_000;

fn request(number: u32, key: &Key) -> Request {
    let ticket = Ticket { tenant: 0, number };
    Request {
        ticket,
        key: key.clone(),
        owner: Owner::unnamed(),
        ttl: Ttl::from_millis(30_000).unwrap(),
        fenced: false,
        retry: WAIT,
    }
}

fn lease(entered: Entered) -> Lease {
    match entered {
        Entered::Acquired(lease) => lease,
        other => unreachable!("the lock is free: {other:?}"),
    }
}

fn uncontended(criterion: &mut Criterion) {
    let (key, clock) = (Key::new("orders:1").unwrap(), SystemClock);
    let mut inline = Inline::new(MemoryStore::default());
    criterion.bench_function("inline: acquire and release", |bencher| {
        bencher.iter(|| {
            let held = lease(inline.acquire(clock.now(), request(0, &key)));
            inline.release(clock.now(), &key, &Holder::Lease(held.id))
        });
    });
    // A thousand others hold locks of their own, with ends of their own.
    for number in 0..1000 {
        let other = Key::new(&format!("orders:{}", number + 2)).unwrap();
        lease(inline.acquire(clock.now(), request(0, &other)));
    }
    criterion.bench_function("inline: acquire and release, 1,000 other locks held", |bencher| {
        bencher.iter(|| {
            let held = lease(inline.acquire(clock.now(), request(0, &key)));
            inline.release(clock.now(), &key, &Holder::Lease(held.id))
        });
    });
}

fn crowded(key: &Key, waiters: u32) -> (Inline<MemoryStore>, Lease) {
    let mut inline = Inline::new(MemoryStore::default());
    let held = lease(inline.acquire(Moment::START, request(0, key)));
    for number in 1..=waiters {
        inline.acquire(Moment::START, request(number, key));
    }
    (inline, held)
}

fn hand_over(criterion: &mut Criterion) {
    let key = Key::new("orders:1").unwrap();
    let mut group = criterion.benchmark_group("inline");
    group.throughput(Throughput::Elements(u64::from(WAITERS)));
    group.bench_function("hand-over through 10,000 waiters", |bencher| {
        bencher.iter_batched(
            || crowded(&key, WAITERS),
            |(mut inline, mut held)| {
                for _ in 0..WAITERS {
                    inline.release(Moment::START, &key, &Holder::Lease(held.id));
                    for (_, outcome) in inline.drain_settled() {
                        if let Outcome::Acquired(next) = outcome {
                            held = next;
                        }
                    }
                }
                inline
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("10,000 waiters join and time out", |bencher| {
        bencher.iter_batched(
            || crowded(&key, 0).0,
            |mut inline| {
                let timeout = Some(Duration::from_millis(100));
                for number in 1..=WAITERS {
                    inline.acquire(
                        Moment::START,
                        Request { retry: Retry { timeout, ..WAIT }, ..request(number, &key) },
                    );
                }
                inline.tick(Moment::START + Duration::from_millis(200));
                assert_eq!(inline.drain_settled().count(), WAITERS as usize);
                inline
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// Resident memory, in bytes, as the operating system counts it.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/statm").ok()?;
    status.split_whitespace().nth(1)?.parse::<usize>().ok().map(|pages| pages * 4096)
}

fn parked(_: &mut Criterion) {
    let key = Key::new("orders:1").unwrap();
    let before = resident();
    let (inline, _) = crowded(&key, 1_000_000);
    if let (Some(before), Some(after)) = (before, resident()) {
        let each = (after.saturating_sub(before)) / inline.waiter_count();
        println!("1,000,000 parked waiters: {each} bytes each (a waiter's id: {})", size_of::<WaiterId>());
    }
}

fn driver(criterion: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let clock = Arc::new(SystemClock);
    let capability = Capability { polls: true, tells_expiry: true, hand_over: None, watches: false };
    let store = Arc::new(Served::new(capability, clock.clone()).connect(clock.clone()));
    let handle = Driver::spawn(store, clock, runtime.handle());
    let ttl = Ttl::from_millis(30_000).unwrap();
    let (key, owner) = (Key::new("orders:1").unwrap(), Owner::named("owner"));
    criterion.bench_function("driver: acquire and release, one after another", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                handle.acquire(key.clone(), owner.clone(), ttl, WAIT).await.expect("a lease");
                handle.release(key.clone(), owner.clone()).await.expect("the release");
            });
        });
    });
    let keys: Vec<_> = (0..100).map(|number| Key::new(&format!("orders:{number}")).unwrap()).collect();
    let mut group = criterion.benchmark_group("driver");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("100 acquires and releases at once", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let acquires: Vec<_> =
                    keys.iter().map(|key| handle.acquire(key.clone(), owner.clone(), ttl, WAIT)).collect();
                for acquire in acquires {
                    acquire.await.expect("a lease");
                }
                let releases: Vec<_> =
                    keys.iter().map(|key| handle.release(key.clone(), owner.clone())).collect();
                for release in releases {
                    release.await.expect("the release");
                }
            });
        });
    });
    group.finish();
}

criterion_group!(benches, uncontended, hand_over, parked, driver);
criterion_main!(benches);
