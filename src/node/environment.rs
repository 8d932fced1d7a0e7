//! What belongs to one JavaScript environment: the main thread's or a worker's.
//!
//! Statics are shared by all threads of the process, so everything of an environment lives in a thread-local table. The
//! module may be evaluated more than once on a thread (test runners do), so a thread can have several environments; a
//! handle names the environment in its upper bits and the lock space or shell in its lower ones.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use napi::Env;
use napi::bindgen_prelude::{Float64Array, Function};
use slab::Slab;

use super::buffer::{Buffer, Letter};
use super::completion::Port;
use super::error::{Result, internal};
use super::hub::Hub;
use super::leash::Leashes;
use super::shell::Shell;
use super::space::Space;
use crate::clock::Moment;
use crate::engine::inline::Inline;
use crate::error::Error;
use crate::store::memory::MemoryStore;

/// Bits of a handle that name what is meant within the environment.
const LOCAL_BITS: u32 = 20;
const LOCAL_MASK: u32 = (1 << LOCAL_BITS) - 1;

/// How many environments a thread may have.
const MOST_ENVIRONMENTS: usize = 1 << 10;

/// Tells environments apart, over all threads; 0 is nobody.
static NEXT_TENANT: AtomicU32 = AtomicU32::new(1);

thread_local! {
    static ENVIRONMENTS: RefCell<Slab<Environment>> = const { RefCell::new(Slab::new()) };
}

/// One environment.
pub(super) struct Environment {
    pub(super) port: Arc<Port>,
    pub(super) buffer: Buffer,
    spaces: Slab<Space>,
    pub(super) shells: Slab<Shell>,
    servers: Slab<Arc<Hub>>,
    pub(super) leashes: Leashes,
    /// Errors that JavaScript has been told of and hasn't taken yet.
    errors: Slab<Error>,
    /// Settlements that JavaScript hasn't been told of yet.
    letters: VecDeque<Letter>,
}

impl Environment {
    /// Opens an environment on this thread; returns its handle.
    pub(super) fn open(env: Env, array: Float64Array, on_mail: &Function<'_, (), ()>) -> Result<u32> {
        let tenant = NEXT_TENANT.fetch_add(1, Ordering::Relaxed);
        let environment = Self {
            port: Port::new(tenant, on_mail)?,
            buffer: Buffer::new(array)?,
            spaces: Slab::new(),
            shells: Slab::new(),
            servers: Slab::new(),
            leashes: Leashes::default(),
            errors: Slab::new(),
            letters: VecDeque::new(),
        };
        let index = ENVIRONMENTS.with_borrow_mut(|environments| {
            (environments.len() < MOST_ENVIRONMENTS).then(|| environments.insert(environment))
        });
        let index = index.ok_or_else(|| internal("too many environments on one thread"))?;
        env.add_env_cleanup_hook(index, Self::end).map_err(|error| internal(&error.to_string()))?;
        u32::try_from(index << LOCAL_BITS).map_err(|_| internal("too many environments on one thread"))
    }

    /// The environment goes: nothing of JavaScript's is left to be told anything. Runs on its own thread, also when a
    /// worker is terminated.
    fn end(index: usize) {
        let ended = ENVIRONMENTS
            .try_with(|environments| {
                environments.try_borrow_mut().ok().and_then(|mut environments| environments.try_remove(index))
            })
            .ok()
            .flatten();
        let Some(mut environment) = ended else { return };
        let mut untaken = environment.port.close();
        untaken.extend(environment.letters.drain(..));
        for (_, space) in &environment.spaces {
            space.leave(&environment.port, &untaken);
        }
        for (_, hub) in &environment.servers {
            hub.leave(environment.port.tenant());
        }
        for letter in untaken {
            if let Letter::Served { settlement, server, .. } = letter
                && let Some(hub) = environment.servers.get((server & LOCAL_MASK) as usize)
            {
                hub.give_back(settlement);
            }
        }
    }

    pub(super) fn server(&self, handle: u32) -> Result<&Arc<Hub>> {
        self.servers
            .get((handle & LOCAL_MASK) as usize)
            .ok_or_else(|| internal("the connection has been closed"))
    }

    /// Adds a store on a server; returns its handle.
    pub(super) fn add_server(&mut self, environment: u32, hub: Arc<Hub>) -> Result<u32> {
        let handle = local_handle(environment, self.servers.vacant_key())?;
        hub.join(Arc::clone(&self.port), handle);
        self.servers.insert(hub);
        Ok(handle)
    }

    pub(super) fn remove_server(&mut self, handle: u32) -> Option<Arc<Hub>> {
        self.servers.try_remove((handle & LOCAL_MASK) as usize)
    }

    pub(super) fn take_error(&mut self, number: u32) -> Option<Error> {
        self.errors.try_remove(number as usize)
    }

    /// Runs `work` with the environment that a handle names.
    pub(super) fn with<T>(handle: u32, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        ENVIRONMENTS.with(|environments| {
            let mut environments = environments
                .try_borrow_mut()
                .map_err(|_| internal("called while another call is under way"))?;
            let environment = environments
                .get_mut((handle >> LOCAL_BITS) as usize)
                .ok_or_else(|| internal("the environment has ended"))?;
            work(environment)
        })
    }

    /// Runs an operation on a lock space; settlements for this environment are kept until [`Self::post_letters`].
    pub(super) fn operate<T>(
        &mut self,
        handle: u32,
        operation: impl FnOnce(&mut Inline<MemoryStore>, u32, Moment) -> T,
    ) -> Result<T> {
        let tenant = self.port.tenant();
        let space = space_of(&self.spaces, handle)?;
        let letters = &mut self.letters;
        Ok(space.operate(tenant, &mut |letter| letters.push_back(letter), |engine, now| {
            operation(engine, tenant, now)
        }))
    }

    /// Writes the space's next deadline into the buffer, for JavaScript to arm its timer.
    pub(super) fn set_alarm(&mut self, handle: u32) -> Result<()> {
        let deadline = space_of(&self.spaces, handle)?.set_alarm(self.port.tenant(), handle);
        self.buffer.put_deadline(deadline);
        Ok(())
    }

    pub(super) fn shell(&mut self, handle: u32) -> Result<&mut Shell> {
        self.shells
            .get_mut((handle & LOCAL_MASK) as usize)
            .ok_or_else(|| internal("the engine has been dropped"))
    }

    /// Adds a lock space; returns its handle.
    pub(super) fn add_space(&mut self, environment: u32, space: Space) -> Result<u32> {
        let handle = local_handle(environment, self.spaces.vacant_key())?;
        space.join(Arc::clone(&self.port), handle);
        self.spaces.insert(space);
        Ok(handle)
    }

    /// Adds an engine for a store in JavaScript; returns its handle.
    pub(super) fn add_shell(&mut self, environment: u32, shell: Shell) -> Result<u32> {
        let handle = local_handle(environment, self.shells.vacant_key())?;
        self.shells.insert(shell);
        Ok(handle)
    }

    pub(super) fn drop_space(&mut self, handle: u32) {
        if let Some(space) = self.spaces.try_remove((handle & LOCAL_MASK) as usize) {
            space.drop_handle(self.port.tenant(), handle);
        }
    }

    pub(super) fn drop_shell(&mut self, handle: u32) {
        self.shells.try_remove((handle & LOCAL_MASK) as usize);
    }

    /// Writes settlements into the shared buffer; returns how many.
    pub(super) fn post_letters(&mut self) -> u32 {
        if self.letters.is_empty() {
            return 0;
        }
        let count = self.buffer.capacity().min(self.letters.len());
        let errors = &mut self.errors;
        self.buffer.put_letters(self.letters.drain(..count), |error| {
            u32::try_from(errors.insert(error)).unwrap_or(u32::MAX)
        })
    }

    /// Takes what other threads have left.
    pub(super) fn fetch_mail(&mut self) {
        self.letters.extend(self.port.take());
    }
}

fn space_of(spaces: &Slab<Space>, handle: u32) -> Result<&Space> {
    spaces.get((handle & LOCAL_MASK) as usize).ok_or_else(|| internal("the lock space has been dropped"))
}

fn local_handle(environment: u32, index: usize) -> Result<u32> {
    let index = u32::try_from(index).ok().filter(|index| *index <= LOCAL_MASK);
    index
        .map(|index| (environment & !LOCAL_MASK) | index)
        .ok_or_else(|| internal("too many lock stores in one thread"))
}
