//! The task that hears of turns: it subscribes to a key's channel while somebody here waits for it.
//!
//! It runs while a line is known and ends a while after; commands and subscriptions have connections of their own, since a
//! server may tell of lost subscriptions at any time, and the client library would take that for the answer to a command.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::{ErrorKind, PushInfo, PushKind, RedisError, ServerErrorKind, from_redis_value};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::connect::Refusal;
use super::exchange;
use super::line::Step;
use super::link::{Destination, Link, Pushes};
use super::request::{Request, news};
use super::{Inner, lock};
use crate::lease::Key;

/// How often what is no longer contended is forgotten.
const TICK: Duration = Duration::from_millis(250);

/// How long the connections for subscriptions stay open without use.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// How long a subscription may take before it is tried again, and the pause before that.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What the task is told.
pub(super) enum Wish {
    Step(Step),
    /// What became of a subscription, and over which link.
    Subscribed(Key, u64, Result<(), Refusal>),
    /// We have been taken out of the key's line, where we were called so.
    Left(Key, Arc<str>),
    /// Nothing but to be there: there is a line to look after.
    Stay,
}

/// See the [module documentation](self).
pub(super) struct Subscriber {
    store: Weak<Inner>,
    inbox: mpsc::UnboundedReceiver<Wish>,
    own: mpsc::WeakUnboundedSender<Wish>,
    pushes: Pushes,
    /// By destination: in a cluster there may be several.
    links: Vec<(Destination, u64, Link)>,
    /// Which link a key is subscribed over.
    subscribed_over: HashMap<Key, u64>,
    idle_since: Option<Instant>,
}

impl Subscriber {
    /// Has a step done.
    pub(super) fn tell(inner: &Arc<Inner>, step: Step) {
        Self::send(inner, Wish::Step(step));
    }

    /// Sees to it that the task runs.
    pub(super) fn start(inner: &Arc<Inner>) {
        Self::send(inner, Wish::Stay);
    }

    fn send(inner: &Arc<Inner>, wish: Wish) {
        let mut place = lock(&inner.subscriber);
        let wish = match place.as_ref() {
            None => wish,
            Some(sender) => match sender.send(wish) {
                Ok(()) => return,
                Err(returned) => returned.0,
            },
        };
        Self::spawn(inner, &mut place, wish);
    }

    fn spawn(inner: &Arc<Inner>, place: &mut Option<mpsc::UnboundedSender<Wish>>, first: Wish) {
        let (sender, inbox) = mpsc::unbounded_channel();
        let (pushes, news) = mpsc::unbounded_channel();
        let own = sender.downgrade();
        let _ = sender.send(first); // the receiver is in our hands
        *place = Some(sender);
        let task = Self {
            store: Arc::downgrade(inner),
            inbox,
            own,
            pushes,
            links: Vec::new(),
            subscribed_over: HashMap::new(),
            idle_since: None,
        };
        tokio::spawn(task.run(news));
    }

    async fn run(mut self, mut news: mpsc::UnboundedReceiver<(u64, PushInfo)>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                wish = self.inbox.recv() => {
                    let (Some(wish), Some(inner)) = (wish, self.store.upgrade()) else {
                        return;
                    };
                    self.take(&inner, wish);
                }
                Some((link, push)) = news.recv() => {
                    let Some(inner) = self.store.upgrade() else { return };
                    self.hear(&inner, link, push);
                }
                _ = ticks.tick() => {
                    let Some(inner) = self.store.upgrade() else { return };
                    let steps = lock(&inner.lines).tick(inner.now());
                    for step in steps {
                        self.perform(&inner, step);
                    }
                    if self.may_end(&inner) {
                        return;
                    }
                }
            }
        }
    }

    /// Ends after a time without lines, unless somebody has just wished something.
    fn may_end(&mut self, inner: &Arc<Inner>) -> bool {
        if !lock(&inner.lines).is_empty() {
            self.idle_since = None;
            return false;
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        if since.elapsed() < IDLE_TIME {
            return false;
        }
        let mut place = lock(&inner.subscriber);
        if !self.inbox.is_empty() {
            return false;
        }
        place.take();
        true
    }

    fn take(&mut self, inner: &Arc<Inner>, wish: Wish) {
        match wish {
            Wish::Stay => {}
            Wish::Left(key, me) => {
                let step = lock(&inner.lines).left(&key, &me);
                if let Some(step) = step {
                    self.perform(inner, step);
                }
            }
            Wish::Step(step) => self.perform(inner, step),
            Wish::Subscribed(key, link, Ok(())) => {
                self.subscribed_over.insert(key.clone(), link);
                let step = lock(&inner.lines).subscribed(&key);
                if let Some(step) = step {
                    self.perform(inner, step);
                }
            }
            Wish::Subscribed(key, _, Err(refusal)) => {
                let is_wanted = lock(&inner.lines).unheard(&key);
                if is_forbidden(&refusal.cause) {
                    inner.give_up_hearing(&refusal.cause.to_string());
                } else if is_wanted {
                    if is_elsewhere(&refusal.cause) {
                        inner.router.distrust();
                    }
                    self.retry_later(key);
                }
            }
        }
    }

    fn perform(&mut self, inner: &Arc<Inner>, step: Step) {
        match step {
            Step::Wake(key) => inner.wake(&key),
            Step::Subscribe(key) => self.subscribe(inner, key),
            Step::Unsubscribe(key, channel) => {
                let over = self.subscribed_over.remove(&key);
                let link = self.links.iter().find(|(_, id, _)| Some(*id) == over);
                if let Some((.., link)) = link {
                    let (link, command) = (link.clone(), command(inner, "UNSUBSCRIBE", &channel));
                    tokio::spawn(async move {
                        if let Ok(mut live) = link.live(Instant::now()).await {
                            // A subscription that stays costs nothing: its channel's name is not used again.
                            let _ = live.connection.send_packed_command(&command).await;
                        }
                    });
                }
            }
            Step::Leave(key, me) => {
                let (inner, own) = (Arc::clone(inner), self.own.clone());
                tokio::spawn(async move {
                    // If it fails, we are skipped once nobody hears us.
                    let leave = vec![Request::Leave(key.clone(), Arc::clone(&me))];
                    exchange::perform(&inner, leave, inner.settings.command_timeout).await;
                    tell(&own, Wish::Left(key, me));
                });
            }
        }
    }

    fn subscribe(&mut self, inner: &Arc<Inner>, key: Key) {
        let Some(channel) = lock(&inner.lines).channel(&key).map(str::to_owned) else {
            return;
        };
        let command = command(inner, "SUBSCRIBE", &channel);
        let own = self.own.clone();
        if let Some(destination) = inner.router.known_destination(key.as_str()) {
            let (id, link) = self.link(inner, destination);
            tokio::spawn(async move {
                let outcome = subscribe_over(&link, &command).await;
                tell(&own, Wish::Subscribed(key, id, outcome));
            });
            return;
        }
        // The map of the cluster has to be asked for first.
        let inner = Arc::clone(inner);
        tokio::spawn(async move {
            let found = inner.router.refresh(Instant::now() + PATIENCE).await;
            let lost = match found {
                Ok(()) => {
                    RedisError::from((ErrorKind::ClusterConnectionNotFound, "the node was not known")).into()
                }
                Err(refusal) => refusal,
            };
            tell(&own, Wish::Subscribed(key, 0, Err(Refusal { is_hopeless: false, ..lost })));
        });
    }

    fn link(&mut self, inner: &Arc<Inner>, destination: Destination) -> (u64, Link) {
        if let Some((_, id, link)) = self.links.iter().find(|(known, ..)| *known == destination) {
            return (*id, link.clone());
        }
        let id = self.links.len() as u64 + 1;
        let (settings, traffic) = (Arc::clone(&inner.settings), Arc::clone(&inner.traffic));
        let link = Link::for_pushes(settings, destination.clone(), id, self.pushes.clone(), traffic);
        self.links.push((destination, id, link.clone()));
        (id, link)
    }

    fn hear(&mut self, inner: &Arc<Inner>, link: u64, PushInfo { kind, data }: PushInfo) {
        let text =
            |place: usize| data.get(place).and_then(|value| from_redis_value::<String>(value.clone()).ok());
        let channel = || text(0);
        match kind {
            PushKind::Message | PushKind::SMessage => {
                let now = inner.now();
                let step = channel().and_then(|channel| {
                    let end = text(1).and_then(|payload| news(now, &payload));
                    let mut lines = lock(&inner.lines);
                    match end {
                        Some(end) => lines.told_end(now, &channel, end),
                        None => lines.heard(now, &channel),
                    }
                });
                if let Some(step) = step {
                    self.perform(inner, step);
                }
            }
            PushKind::Disconnection => {
                let lost: Vec<Key> = self
                    .subscribed_over
                    .iter()
                    .filter(|(_, over)| **over == link)
                    .map(|(key, _)| key.clone())
                    .collect();
                for key in lost {
                    self.lose(inner, &key);
                }
            }
            // Unless we have asked for it, the slot has moved to another node.
            PushKind::SUnsubscribe => {
                let key = channel().and_then(|channel| lock(&inner.lines).key_of(&channel));
                if let Some(key) = key {
                    inner.router.distrust();
                    self.lose(inner, &key);
                }
            }
            _ => {}
        }
    }

    fn lose(&mut self, inner: &Arc<Inner>, key: &Key) {
        self.subscribed_over.remove(key);
        if !lock(&inner.lines).unheard(key) {
            return;
        }
        let step = lock(&inner.lines).retry(key);
        if let Some(step) = step {
            self.perform(inner, step);
        }
    }

    fn retry_later(&self, key: Key) {
        let (own, store) = (self.own.clone(), self.store.clone());
        tokio::spawn(async move {
            sleep(RETRY_PAUSE).await;
            let step = store.upgrade().and_then(|inner| lock(&inner.lines).retry(&key));
            if let Some(step) = step {
                tell(&own, Wish::Step(step));
            }
        });
    }
}

fn tell(own: &mpsc::WeakUnboundedSender<Wish>, wish: Wish) {
    if let Some(sender) = own.upgrade() {
        let _ = sender.send(wish); // the task has ended: nobody waits
    }
}

async fn subscribe_over(link: &Link, command: &redis::Cmd) -> Result<(), Refusal> {
    let deadline = Instant::now() + PATIENCE;
    let mut live = link.live(deadline).await?;
    let answer = tokio::time::timeout_at(deadline, live.connection.send_packed_command(command)).await;
    let Ok(answer) = answer else {
        link.discard(live.number);
        return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    };
    answer?.extract_error()?;
    Ok(())
}

fn command(inner: &Arc<Inner>, name: &str, channel: &str) -> redis::Cmd {
    let mut command =
        redis::cmd(&if inner.router.is_cluster() { format!("S{name}") } else { name.to_owned() });
    command.arg(channel);
    command
}

/// Whether the server will never let us subscribe: an old one, or a user without the permission.
fn is_forbidden(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::RESP3NotSupported | ErrorKind::Server(ServerErrorKind::NoPerm) => true,
        ErrorKind::Server(ServerErrorKind::ResponseError) => error.to_string().contains("unknown command"),
        _ => false,
    }
}

fn is_elsewhere(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask))
}
