//! loquet: atomic locks for Node.js.
//!
//! One crate, several rooms. Arrows point one way: `node -> engine -> store (the trait) -> lease, error, clock`.
//!
//! - [`lease`]: the vocabulary (key, owner, TTL, lease), validated once.
//! - [`clock`]: monotonic time, real and manual.
//! - [`deadline`]: what is due when.
//! - [`error`]: one error type with stable codes.
//! - [`figures`]: what is counted.
//! - [`store`]: what a lock store does, and the stores.
//! - [`engine`]: who holds what, who waits, in which order; no I/O.
//! - `node`: the Node.js addon, the only importer of napi (feature `node`).

pub mod clock;
pub mod deadline;
pub mod engine;
pub mod error;
pub mod figures;
pub mod lease;
#[cfg(feature = "node")]
mod node;
pub mod store;
