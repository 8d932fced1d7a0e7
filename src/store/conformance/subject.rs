//! Stores of either shape, as the suite sees them.

use std::time::Duration;

use crate::clock::{Clock, ManualClock, Moment};
use crate::store::memory::MemoryStore;
use crate::store::served::{TokioClock, perform};
use crate::store::{BoxFuture, Capability, Command, ImmediateStore, LockStore, Reply};

/// A store under test.
pub trait Subject {
    /// What the store promises.
    fn capability(&self) -> Capability;

    /// Performs a batch.
    fn execute(&mut self, batch: Vec<Command>) -> BoxFuture<'_, Vec<Reply>>;

    /// The present moment of a clock that runs as fast as the store's.
    fn now(&self) -> Moment;

    /// Lets the store's time pass.
    fn pass(&mut self, span: Duration) -> BoxFuture<'_, ()>;
}

/// A store that answers at once, on a clock that is moved by hand.
#[derive(Debug, Default)]
pub struct Immediate {
    store: MemoryStore,
    clock: ManualClock,
}

impl Subject for Immediate {
    fn capability(&self) -> Capability {
        self.store.capability()
    }

    fn execute(&mut self, batch: Vec<Command>) -> BoxFuture<'_, Vec<Reply>> {
        let now = self.clock.now();
        let replies = batch.iter().map(|command| Ok(perform(&mut self.store, now, command))).collect();
        Box::pin(std::future::ready(replies))
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn pass(&mut self, span: Duration) -> BoxFuture<'_, ()> {
        self.clock.advance(span);
        Box::pin(std::future::ready(()))
    }
}

/// A store that answers later. Time passes by tokio's clock: a server's own time, or a paused runtime's.
pub struct Later<S> {
    store: S,
    clock: TokioClock,
}

impl<S> Later<S> {
    /// To be made within the tokio runtime whose clock it follows.
    pub fn new(store: S) -> Self {
        Self { store, clock: TokioClock::start() }
    }
}

impl<S: LockStore> Subject for Later<S> {
    fn capability(&self) -> Capability {
        self.store.capability()
    }

    fn execute(&mut self, batch: Vec<Command>) -> BoxFuture<'_, Vec<Reply>> {
        self.store.execute(batch, Duration::from_secs(5))
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn pass(&mut self, span: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}
