//! The tokio driver while extensions of one lease are under way on several connections: a store performs and answers them in
//! whatever order.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test stops at the first surprise

use std::sync::{Arc, Mutex};
use std::time::Duration;

use loquet::clock::{Clock, Moment};
use loquet::engine::Leash;
use loquet::engine::driver::{Claim, Driver, Handle, Options, Order, Outlet, Settlement};
use loquet::lease::{Key, Lease, Ticket};
use loquet::store::served::{Served, TokioClock};
use loquet::store::{Answer, BoxFuture, Capability, Command, LockStore, Reply, WakeUp};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

mod line;
use line::{PATIENCE, capability, key, millis, owner, server, ttl, wait};

/// A batch that is performed and answered when the test says so.
#[derive(Default)]
struct Flight {
    perform: Notify,
    answer: Notify,
}

/// A store with a connection for each batch.
struct Desk {
    inner: Arc<dyn LockStore>,
    /// The batches so far; `None` while they are answered at once.
    flights: Mutex<Option<Vec<Arc<Flight>>>>,
    /// How long a request that is answered at once takes to the store, and a reply back.
    lag: Mutex<Duration>,
}

impl Desk {
    fn lag(&self, lag: Duration) {
        *self.lag.lock().unwrap() = lag;
    }
}

impl LockStore for Desk {
    fn name(&self) -> &'static str {
        "desk"
    }

    fn capability(&self) -> Capability {
        capability()
    }

    fn execute(&self, batch: Vec<Command>, patience: Duration) -> BoxFuture<'_, Vec<Reply>> {
        let flight = self.flights.lock().unwrap().as_mut().map(|flights| {
            flights.push(Arc::default());
            Arc::clone(flights.last().unwrap())
        });
        let lag = *self.lag.lock().unwrap();
        Box::pin(async move {
            let Some(flight) = flight else {
                sleep(lag).await;
                let replies = self.inner.execute(batch, patience).await;
                sleep(lag).await;
                return replies;
            };
            flight.perform.notified().await;
            let replies = self.inner.execute(batch, patience).await;
            flight.answer.notified().await;
            replies
        })
    }

    fn on_wake_up(&self, listener: WakeUp) {
        self.inner.on_wake_up(listener);
    }

    fn watch(&self, key: &Key, waiting: bool) {
        self.inner.watch(key, waiting);
    }
}

impl Outlet for Desk {
    fn settle(&self, _: Ticket, _: Settlement) -> Result<(), Settlement> {
        Ok(())
    }
}

/// Longer than a batch is expected back any moment, and room for what happens without time passing.
const BIT: Duration = Duration::from_millis(2);

struct Process {
    served: Served,
    clock: Arc<TokioClock>,
    desk: Arc<Desk>,
    handle: Handle,
}

impl Process {
    fn start() -> Self {
        let (served, clock) = server();
        let inner = Arc::new(served.connect(clock.clone()));
        let desk = Arc::new(Desk { inner, flights: Mutex::default(), lag: Mutex::default() });
        let runtime = tokio::runtime::Handle::current();
        let (store, outlet) = (Arc::clone(&desk), Arc::clone(&desk));
        let handle = Driver::spawn_for(store, clock.clone(), &runtime, Options::default(), outlet);
        Self { served, clock, desk, handle }
    }

    /// A lease of 6 seconds that is kept: by itself it is extended after 2.
    async fn kept(&self) -> Arc<Leash> {
        let ticket = Ticket { tenant: 1, number: 1 };
        let leash = Arc::new(Leash::new(ticket, None, None));
        let (ttl, leashed) = (ttl(6000), Some(Arc::clone(&leash)));
        let claim = Claim { key: key("k"), owner: owner(1), ttl, fenced: false, leash: leashed };
        self.handle.submit(ticket, Order::Acquire { claim, retry: wait(20) });
        sleep(BIT).await;
        leash
    }

    /// From now on nothing is answered by itself, or everything.
    fn hold(&self, holds: bool) {
        *self.desk.flights.lock().unwrap() = holds.then(Vec::new);
    }

    fn flights(&self) -> usize {
        self.desk.flights.lock().unwrap().as_ref().unwrap().len()
    }

    fn flight(&self, number: usize) -> Arc<Flight> {
        Arc::clone(&self.desk.flights.lock().unwrap().as_ref().unwrap()[number])
    }

    async fn perform(&self, number: usize) {
        self.flight(number).perform.notify_one();
        sleep(BIT).await;
    }

    async fn answer(&self, number: usize) {
        self.flight(number).answer.notify_one();
        sleep(BIT).await;
    }

    /// When the lease ends, as the store has it.
    async fn end(&self) -> Moment {
        let store = self.served.connect(self.clock.clone());
        let (key, owner) = (key("k"), owner(99));
        let save = Command::Save { key, owner, ttl: ttl(1), fenced: false, waits: false };
        let reply = store.execute(vec![save], PATIENCE).await.remove(0);
        let Ok(Answer::Held { until: Some(until) }) = reply else { panic!("{reply:?}") };
        until
    }

    /// Sends an extension by hand, in a batch of its own.
    async fn extend(&self, span: u64) -> tokio::task::JoinHandle<loquet::error::Result<Lease>> {
        let extending = tokio::spawn(self.handle.extend(key("k"), owner(1), ttl(span)));
        sleep(BIT).await;
        extending
    }
}

/// Both orders of two.
const ORDERS: [[usize; 2]; 2] = [[0, 1], [1, 0]];

#[tokio::test(start_paused = true)]
async fn c14_of_extensions_that_cross_no_more_is_believed_than_any_may_have_left() {
    for spans in [[60_000, 2000], [2000, 60_000]] {
        for performed in ORDERS {
            for answered in ORDERS {
                let process = Process::start();
                let acquire = process.handle.acquire(key("k"), owner(1), ttl(30_000), wait(20));
                acquire.await.unwrap().unwrap();
                process.hold(true);
                let extending = [process.extend(spans[0]).await, process.extend(spans[1]).await];
                for number in performed {
                    process.perform(number).await;
                }
                for number in answered {
                    process.answer(number).await;
                }
                let end = process.end().await;
                for extended in extending {
                    let believed = extended.await.unwrap().unwrap().expires_at.unwrap();
                    let orders = format!("{spans:?}, performed {performed:?}, answered {answered:?}");
                    assert!(believed <= end, "{believed:?} instead of {end:?}: {orders}");
                }
                // One that crosses nothing is believed.
                let now = process.clock.now();
                process.hold(false);
                let alone = process.handle.extend(key("k"), owner(1), ttl(40_000)).await.unwrap();
                assert_eq!(alone.expires_at, Some(now + millis(40_000)));
            }
        }
    }
}

/// A lease that is kept is extended by hand before or after it is extended by itself.
async fn crosses_by_itself(span: u64, hand_is_first: bool, performed: [usize; 2], answered: [usize; 2]) {
    let words = format!("{span}, first: {hand_is_first}, performed {performed:?}, answered {answered:?}");
    let process = Process::start();
    let leash = process.kept().await;
    sleep(millis(1900)).await;
    process.hold(true);
    let sent_by_itself = async |flights: usize| {
        while process.flights() < flights {
            sleep(BIT).await;
        }
    };
    let by_hand = if hand_is_first {
        let by_hand = process.extend(span).await;
        sent_by_itself(2).await;
        by_hand
    } else {
        sent_by_itself(1).await;
        process.extend(span).await
    };
    for number in performed {
        process.perform(number).await;
    }
    for number in answered {
        process.answer(number).await;
        if number == answered[1] {
            assert!(leash.ends_at() <= process.end().await, "{words}");
        }
    }
    let told = by_hand.await.unwrap().unwrap().expires_at.unwrap();
    assert!(told <= process.end().await, "{words}: {told:?}");
    process.hold(false);
    // What was sent meanwhile is never answered; what is sent from now on is.
    let wished = millis(span.min(6000) - 100);
    let is_wished = async {
        while leash.ends_at() < process.clock.now() + wished {
            assert!(leash.loss().is_none() && leash.ends_at() <= process.end().await, "{words}");
            sleep(millis(1)).await;
        }
    };
    timeout(millis(30_000), is_wished).await.unwrap_or_else(|_| panic!("never as wished: {words}"));
}

#[tokio::test(start_paused = true)]
async fn c26_a_kept_lease_is_believed_no_longer_than_an_extension_by_hand_that_it_crosses_has_left() {
    for span in [3000, 60_000] {
        for hand_is_first in [true, false] {
            for performed in ORDERS {
                for answered in ORDERS {
                    crosses_by_itself(span, hand_is_first, performed, answered).await;
                }
            }
        }
    }
}

/// Extensions are sent every twelfth of the TTL while one is under way: with such a latency there is always one.
#[tokio::test(start_paused = true)]
async fn c25_a_kept_lease_lasts_for_its_ttl_again_after_a_shorter_extension_by_hand_however_slow_the_store() {
    let process = Process::start();
    let leash = process.kept().await;
    process.desk.lag(millis(800));
    process.extend(3000).await.await.unwrap().unwrap();
    let lasts = async {
        while leash.ends_at() < process.clock.now() + millis(4000) {
            assert!(leash.loss().is_none() && leash.ends_at() <= process.end().await);
            sleep(millis(1)).await;
        }
    };
    timeout(millis(30_000), lasts).await.expect("believed for 3000 ms at most");
}
