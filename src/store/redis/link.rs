//! A connection that is made when it is wanted, made again when it is lost, and shared by all who want it.
//!
//! Whoever wants a connection waits for it as long as it likes; one task connects on behalf of all of them, again and
//! again with a growing pause, until it has succeeded or nobody waits any longer. Where another try can't help (a wrong
//! password), everybody hears of it at once.

use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, RedisError, Value};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connect::{Opened, Refusal, Target, open};
use super::sentinel;
use super::settings::{Address, Deployment, Settings};
use crate::figures::Traffic;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a connection for subscriptions tells: which link, and what was pushed.
pub(super) type Pushes = mpsc::UnboundedSender<(u64, PushInfo)>;

/// Which server a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// Always the same.
    Fixed(Address),
    /// The one that the sentinels name.
    Primary,
}

/// A live connection, and which one it is of those that the link has had.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    pub(super) number: u64,
    /// Who we are to the server, over this connection.
    identity: Option<Arc<Identity>>,
}

/// A connection as the server knows it: `CLIENT INFO`'s `id` and `addr`.
///
/// What was sent over a connection may reach the server long after the connection has been given up, from the network or
/// from a queue of the operating system: a lock may come to be saved after the engine has found out that it wasn't. So the
/// next connection begins by killing the old one at the server. Number and address together are never those of somebody
/// else, on another server or after a restart either.
#[derive(Debug)]
struct Identity {
    id: String,
    address: String,
}

/// See the [module documentation](self).
#[derive(Clone)]
pub(super) struct Link(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    destination: Destination,
    pushes: Option<(u64, Pushes)>,
    traffic: Arc<Traffic>,
    state: Mutex<State>,
    changes: watch::Sender<()>,
    wanted: AtomicUsize,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Why there is no connection, as far as is known.
    trouble: Option<Refusal>,
    /// How many connections there have been.
    number: u64,
    /// Connections that were given up while commands were under way.
    suspects: Vec<Arc<Identity>>,
    /// Whether the last connection was lost, and not closed.
    was_lost: bool,
    needless_password: bool,
}

#[derive(Default)]
enum Phase {
    #[default]
    Down,
    Opening,
    Up(Live, AbortHandle),
}

impl Link {
    /// A link for commands.
    pub(super) fn new(settings: Arc<Settings>, destination: Destination, traffic: Arc<Traffic>) -> Self {
        Self::build(settings, destination, None, traffic)
    }

    /// A link for subscriptions; what is pushed goes to `pushes` together with `id`.
    pub(super) fn for_pushes(
        settings: Arc<Settings>,
        destination: Destination,
        id: u64,
        pushes: Pushes,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self::build(settings, destination, Some((id, pushes)), traffic)
    }

    fn build(
        settings: Arc<Settings>,
        destination: Destination,
        pushes: Option<(u64, Pushes)>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self(Arc::new(Inner {
            settings,
            destination,
            pushes,
            traffic,
            state: Mutex::default(),
            changes: watch::Sender::new(()),
            wanted: AtomicUsize::new(0),
        }))
    }

    /// The connection, made if need be, until the deadline.
    pub(super) async fn live(&self, deadline: Instant) -> Result<Live, Refusal> {
        let inner = &self.0;
        let _wish = Wish::new(&inner.wanted);
        let mut changes = inner.changes.subscribe();
        loop {
            changes.mark_unchanged();
            {
                let mut state = inner.lock();
                match &state.phase {
                    Phase::Up(live, _) => return Ok(live.clone()),
                    Phase::Opening => {}
                    Phase::Down => {
                        state.phase = Phase::Opening;
                        tokio::spawn(Arc::clone(inner).open());
                    }
                }
            }
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(inner.lock().trouble.clone().unwrap_or_else(|| {
                    let message = "the connection could not be made in time";
                    std::io::Error::new(std::io::ErrorKind::TimedOut, message).into()
                }));
            }
            // A failure that can't be helped is told to all who waited for it.
            let state = inner.lock();
            if let (Phase::Down, Some(trouble)) = (&state.phase, &state.trouble)
                && trouble.is_hopeless
            {
                return Err(trouble.clone());
            }
        }
    }

    /// Gives up the connection of the given number, if it is still the present one: it doesn't answer, or leads to the
    /// wrong server.
    pub(super) fn discard(&self, number: u64) {
        self.0.lost(number);
    }

    /// Closes whatever connection there is. The next wish makes a new one.
    pub(super) fn close(&self) {
        let mut state = self.0.lock();
        if let Phase::Up(_, runner) = &state.phase {
            runner.abort();
            state.phase = Phase::Down;
        }
        drop(state);
        self.0.changes.send_replace(());
    }

    /// Whether it is the very same link.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether the server turned out to need no password though we have one; told once.
    pub(super) fn take_needless_password(&self) -> bool {
        std::mem::take(&mut self.0.lock().needless_password)
    }
}

impl Inner {
    /// Nothing is left half done in there by a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(self: Arc<Self>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let outcome = self.try_open().await;
            if self.conclude(outcome) {
                break;
            }
            sleep(pause).await;
            // Whoever comes during the pause must not have waited in vain when it ends.
            pause = (pause * 2).min(LONGEST_PAUSE).min(self.settings.command_timeout / 4);
        }
        self.changes.send_replace(());
    }

    /// Notes what came of a try; tells whether it was the last.
    fn conclude(self: &Arc<Self>, outcome: Result<(Opened, Option<Identity>), Refusal>) -> bool {
        let mut state = self.lock();
        match outcome {
            Ok((opened, identity)) => {
                state.number += 1;
                if std::mem::take(&mut state.was_lost) {
                    self.traffic.count_reconnect();
                }
                let number = state.number;
                let inner = Arc::downgrade(self);
                let runner = tokio::spawn(async move {
                    opened.run.await;
                    if let Some(inner) = inner.upgrade() {
                        inner.lost(number);
                    }
                });
                state.needless_password |= opened.needless_password;
                state.trouble = None;
                state.suspects.clear();
                let live = Live { connection: opened.connection, number, identity: identity.map(Arc::new) };
                state.phase = Phase::Up(live, runner.abort_handle());
                true
            }
            Err(refusal) => {
                let is_over = refusal.is_hopeless || self.wanted.load(Ordering::Acquire) == 0;
                state.trouble = Some(refusal);
                if is_over {
                    state.phase = Phase::Down;
                }
                is_over
            }
        }
    }

    async fn try_open(&self) -> Result<(Opened, Option<Identity>), Refusal> {
        let settings = &*self.settings;
        let pushes = self.pushes.clone().map(|(id, pushes)| move |push| pushes.send((id, push)));
        let address = match (&self.destination, &settings.deployment) {
            (Destination::Fixed(address), _) => address.clone(),
            (Destination::Primary, Deployment::Sentinel(sentinels)) => {
                sentinel::find_primary(settings, sentinels).await?
            }
            (Destination::Primary, _) => unreachable_destination()?,
        };
        let target =
            Target { address: &address, login: &settings.login, tls: settings.tls.as_ref(), db: settings.db };
        let mut opened = timeout(settings.attempt_timeout(), open(settings, target, pushes))
            .await
            .map_err(|_| Error::new(ErrorKind::TimedOut, format!("{address} doesn't answer")))??;
        if matches!(self.destination, Destination::Primary) {
            sentinel::check_role(&mut opened, &address).await?;
        }
        if self.pushes.is_some() {
            return Ok((opened, None)); // nothing is saved over it
        }
        let suspects = self.lock().suspects.clone();
        for suspect in suspects {
            suspect.kill(&mut opened).await?;
        }
        let identity = Identity::over(&mut opened).await?;
        Ok((opened, identity))
    }

    fn lost(&self, number: u64) {
        let mut state = self.lock();
        match &state.phase {
            Phase::Up(live, runner) if live.number == number => {
                runner.abort();
                let suspect = live.identity.clone();
                state.suspects.extend(suspect);
                state.was_lost = true;
                state.phase = Phase::Down;
            }
            _ => return,
        }
        drop(state);
        self.changes.send_replace(());
    }
}

impl Identity {
    /// Asks the server. One that is too old to tell, or doesn't let us ask, isn't told to kill anybody later.
    async fn over(opened: &mut Opened) -> Result<Option<Self>, Refusal> {
        let mut command = redis::cmd("CLIENT");
        command.arg("INFO");
        let text = match ask(opened, &command).await {
            Ok(Value::BulkString(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            Ok(Value::VerbatimString { text, .. }) => text,
            Err(error) if error.is_unrecoverable_error() => return Err(error.into()),
            _ => return Ok(None),
        };
        let field = |name: &str| {
            let mut fields = text.split_whitespace().filter_map(|field| field.split_once('='));
            fields.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
        };
        Ok(field("id").zip(field("addr")).map(|(id, address)| Self { id, address }))
    }

    /// Sees to it that the server performs nothing more of what was sent over the connection.
    async fn kill(&self, opened: &mut Opened) -> Result<(), Refusal> {
        let mut command = redis::cmd("CLIENT");
        command.arg("KILL").arg("ID").arg(&self.id).arg("ADDR").arg(&self.address);
        match ask(opened, &command).await {
            Err(error) if error.is_unrecoverable_error() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Phase::Up(_, runner) = &self.lock().phase {
            runner.abort();
        }
    }
}

/// Only a deployment with sentinels has a destination that moves.
fn unreachable_destination() -> Result<Address, Refusal> {
    let message = "there are no sentinels to ask";
    Err(RedisError::from((redis::ErrorKind::InvalidClientConfig, message)).into())
}

/// Somebody waits for the connection.
struct Wish<'a>(&'a AtomicUsize);

impl<'a> Wish<'a> {
    fn new(wanted: &'a AtomicUsize) -> Self {
        wanted.fetch_add(1, Ordering::AcqRel);
        Self(wanted)
    }
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One command on a connection that isn't being run by a task of its own yet.
pub(super) async fn ask(opened: &mut Opened, command: &redis::Cmd) -> Result<Value, RedisError> {
    let Opened { connection, run, .. } = opened;
    tokio::select! {
        answer = connection.send_packed_command(command) => answer?.extract_error(),
        () = run => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
    }
}
