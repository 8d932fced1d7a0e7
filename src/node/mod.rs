//! The Node.js addon: the only part of the crate that knows napi, and the only one with `unsafe` code.
//!
//! JavaScript owns the promises; natively there are only tickets, which are numbers. Every call is synchronous. What
//! ends a ticket reaches JavaScript in one of two ways, both through the [`buffer`] that the two sides share: within the
//! call that caused it, or, if another thread caused it, through the environment's [`completion`] port.
//!
//! - [`environment`]: what belongs to one JavaScript environment (main thread or worker), and its clean-up.
//! - [`completion`]: how other threads reach an environment.
//! - [`space`]: a lock space in memory, private or shared by name.
//! - [`engine`]: the functions that JavaScript calls for lock spaces; [`hot`]: the two that are called for every lock.
//! - [`shell`]: the engine for stores that are written in JavaScript.
//! - [`hub`]: a store on a server, its driver and the environments that share it; [`server`]: the functions that
//!   JavaScript calls for it; [`redis`], [`database`]: opening one; [`sqlite_files`]: files that the app's own SQLite may
//!   have open too; [`runtime`]: where drivers run.
//! - [`figures`]: what is counted, as JavaScript reads it.
//! - [`leash`]: leases that are extended by themselves, as JavaScript sees them.
//! - [`options`], [`error`]: numbers to validated values, errors to JavaScript errors.

// napi hands arguments over by value, whether or not a function keeps them.
#![allow(clippy::needless_pass_by_value)]

mod buffer;
mod completion;
mod database;
mod engine;
mod environment;
mod error;
mod figures;
mod hot;
mod hub;
mod leash;
mod options;
mod redis;
mod runtime;
mod server;
mod shell;
mod space;
mod sqlite_files;
