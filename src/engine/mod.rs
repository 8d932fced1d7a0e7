//! Who holds what, who waits, in which order.
//!
//! The [`machine`] is free of I/O: events in, effects out, time as an argument. Three shells run it:
//! [`inline`] performs effects within the call on a store that answers at once; [`driver`] is a tokio task that performs
//! them on a store that answers later; and the addon hands them to JavaScript for stores that live there.

#[cfg(not(loquet_loom))]
pub mod driver;
pub mod inline;
pub mod keeper;
pub mod leash;
pub mod ledger;
pub mod machine;
pub mod mailbox;
mod op;
mod queue;
pub mod retry;

pub use leash::{Leash, Loss};
pub use ledger::Ledger;
pub use machine::{Effect, Effects, Leftovers, Machine, Outcome, Request};
pub use queue::WaiterId;
pub use retry::Retry;
