//! How a driver is tuned.

use std::time::Duration;

/// What can be tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long a command may take, the wait for its turn included.
    pub command_timeout: Duration,
    /// How many commands go into one batch at most.
    pub batch_limit: usize,
    /// How many batches are under way at most.
    pub flight_limit: usize,
    /// How many of them left so lately that they are expected back any moment, at most: what gathers meanwhile is cheaper in
    /// one batch, where the batch costs something. At least one.
    pub fresh_limit: usize,
    /// How long the task keeps looking for the answer to what it has sent before it goes to sleep, and for a quarter of
    /// that, once everything is answered, for more to do. Waking a thread that sleeps on another processor may take longer
    /// than the server does; where locks are taken one after another that is most of their time. Zero where there is only
    /// one processor.
    pub spin: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            command_timeout: Duration::from_secs(5),
            batch_limit: 512,
            flight_limit: 8,
            fresh_limit: 2,
            spin: Duration::ZERO,
        }
    }
}
