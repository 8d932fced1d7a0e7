//! Where drivers run.

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use super::error::{Result, internal};

/// The one runtime of the process, started with the first store on a server. napi's own is not built.
///
/// It has one thread: everything that a command passes through (driver, batch, connection) is then on the same thread, and
/// nothing but the way to it and back crosses threads. It doesn't keep the process alive, and ends with it.
static RUNTIME: OnceLock<Option<Handle>> = OnceLock::new();

/// The runtime's handle.
pub(super) fn handle() -> Result<&'static Handle> {
    let handle = RUNTIME.get_or_init(start);
    handle.as_ref().ok_or_else(|| internal("the thread for connections can't be started"))
}

/// How long a driver may keep looking for answers before it sleeps: a little longer than a server nearby takes.
pub(super) fn spin() -> Duration {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    if processors > 1 { Duration::from_micros(200) } else { Duration::ZERO }
}

/// A runtime of several threads, were it of one only, would wake itself up for every task that it makes.
fn start() -> Option<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let handle = runtime.handle().clone();
    let run = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name("loquet-io".to_owned()).spawn(run).ok()?;
    Some(handle)
}
