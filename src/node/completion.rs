//! The completion port: how other threads reach a JavaScript environment.
//!
//! One weak threadsafe function for each environment. Whoever settles a ticket of another environment leaves a letter in
//! its mailbox and rings, unless a ring is under way. The ring carries nothing: JavaScript is called, and takes whatever
//! letters there are in one native call. The threadsafe function is weak, so an idle environment may end; while
//! something waits, JavaScript asks for it to be referenced, which keeps the event loop alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use napi::bindgen_prelude::Function;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status, sys};

use super::buffer::Letter;
use super::error::{Result, internal};
use crate::clock::Moment;
use crate::engine::mailbox::Mailbox;

/// Calls JavaScript without arguments; weak; errors thrown there are not fed back.
type Bell = ThreadsafeFunction<(), (), (), Status, false, true, 0>;

/// The way to one environment.
pub(super) struct Port {
    tenant: u32,
    mailbox: Mailbox<Letter>,
    bell: Bell,
    /// When the event loop has turned last, in nanoseconds of the clock; as far as JavaScript has told.
    turned_at: AtomicU64,
}

impl Port {
    /// A port that calls `on_mail` on the environment's thread.
    pub(super) fn new(tenant: u32, on_mail: &Function<'_, (), ()>) -> Result<Arc<Self>> {
        let bell = on_mail
            .build_threadsafe_function::<()>()
            .callee_handled::<false>()
            .weak::<true>()
            .build()
            .map_err(|error| internal(&error.to_string()))?;
        Ok(Arc::new(Self { tenant, mailbox: Mailbox::default(), bell, turned_at: AtomicU64::new(0) }))
    }

    pub(super) fn tenant(&self) -> u32 {
        self.tenant
    }

    /// When the event loop has turned last, as far as it has told.
    pub(super) fn turned_at(&self) -> Moment {
        Moment::from_nanos(self.turned_at.load(Ordering::Relaxed))
    }

    /// The event loop turns.
    pub(super) fn turn(&self, now: Moment) {
        let nanos = now.since(Moment::START).as_nanos();
        self.turned_at.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Leaves a letter for the environment. Gives it back if the environment is gone.
    pub(super) fn post(&self, letter: Letter) -> std::result::Result<(), Letter> {
        if self.mailbox.post(letter)? {
            self.bell.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
        Ok(())
    }

    /// Takes the letters; on the environment's own thread.
    pub(super) fn take(&self) -> Vec<Letter> {
        self.mailbox.take()
    }

    /// Refuses letters from now on and gives back those that nobody has taken.
    pub(super) fn close(&self) -> Vec<Letter> {
        self.mailbox.close()
    }

    /// Lets the port keep the event loop alive, or not.
    pub(super) fn set_referenced(&self, env: &Env, referenced: bool) -> Result<()> {
        // SAFETY: `env` is the environment that made the threadsafe function and we are on its thread (`Env` is the
        // witness: napi hands it out only there). The bell is dropped at the environment's clean-up at the earliest,
        // and no JavaScript runs after that, so the raw function is alive.
        let status = unsafe {
            if referenced {
                sys::napi_ref_threadsafe_function(env.raw(), self.bell.raw())
            } else {
                sys::napi_unref_threadsafe_function(env.raw(), self.bell.raw())
            }
        };
        if status == sys::Status::napi_ok { Ok(()) } else { Err(internal("the completion port is gone")) }
    }
}
