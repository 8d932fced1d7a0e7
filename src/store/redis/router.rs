//! Which server holds a key, and the connection to it.
//!
//! With one server, or one primary that sentinels know, that is always the same link. In a cluster each of the 16,384
//! slots has its node; the map is asked of any node and corrected by the redirections that servers answer with. The
//! client library's own cluster connection is not used, because it sends a command again when its reply is lost: a release
//! that went through would come back as "not yours". Here the engine decides what becomes of a lost reply.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{ErrorKind, RedisError, Value};
use tokio::time::{Instant, timeout_at};

use super::connect::Refusal;
use super::link::{Destination, Link};
use super::scripts::slot;
use super::settings::{Address, Deployment, Settings};
use crate::figures::Traffic;

const SLOTS: usize = 16_384;
const UNKNOWN: u16 = u16::MAX;

/// How long one node may take to tell the map before the next is asked.
const ASK_PATIENCE: Duration = Duration::from_secs(1);

/// The map isn't asked for more often than this.
const REFRESH_PAUSE: Duration = Duration::from_millis(50);

/// See the [module documentation](self).
pub(super) struct Router {
    settings: Arc<Settings>,
    plan: Plan,
}

enum Plan {
    One(Link),
    Cluster { seeds: Vec<Address>, map: Mutex<Map> },
}

struct Map {
    /// The index of each slot's node.
    slots: Vec<u16>,
    nodes: Vec<(Address, Link)>,
    refreshed_at: Option<Instant>,
    traffic: Arc<Traffic>,
}

impl Router {
    pub(super) fn new(settings: Arc<Settings>, traffic: Arc<Traffic>) -> Self {
        let plan = match &settings.deployment {
            Deployment::Standalone(address) => {
                Plan::One(Link::new(Arc::clone(&settings), Destination::Fixed(address.clone()), traffic))
            }
            Deployment::Sentinel(_) => {
                Plan::One(Link::new(Arc::clone(&settings), Destination::Primary, traffic))
            }
            Deployment::Cluster(seeds) => Plan::Cluster {
                seeds: seeds.clone(),
                map: Mutex::new(Map {
                    slots: vec![UNKNOWN; SLOTS],
                    nodes: Vec::new(),
                    refreshed_at: None,
                    traffic,
                }),
            },
        };
        Self { settings, plan }
    }

    /// The only link, unless it is a cluster.
    pub(super) fn only(&self) -> Option<&Link> {
        match &self.plan {
            Plan::One(link) => Some(link),
            Plan::Cluster { .. } => None,
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.plan, Plan::Cluster { .. })
    }

    /// The same number for keys that the same node holds, as far as is known.
    pub(super) fn lane(&self, key: &str) -> u32 {
        match &self.plan {
            Plan::One(_) => 0,
            Plan::Cluster { map, .. } => {
                lock(map).slots.get(usize::from(slot(key))).copied().unwrap_or(UNKNOWN).into()
            }
        }
    }

    /// The link to the node that holds a key.
    pub(super) async fn link(&self, key: &str, deadline: Instant) -> Result<Link, Refusal> {
        match &self.plan {
            Plan::One(link) => Ok(link.clone()),
            Plan::Cluster { map, .. } => {
                if let Some((_, link)) = lock(map).of(key) {
                    return Ok(link);
                }
                self.refresh(deadline).await?;
                lock(map).of(key).map(|(_, link)| link).ok_or_else(|| uncovered(key))
            }
        }
    }

    /// Where the subscriptions of a key are to be made, if that is known.
    pub(super) fn known_destination(&self, key: &str) -> Option<Destination> {
        match (&self.plan, &self.settings.deployment) {
            (Plan::One(_), Deployment::Standalone(address)) => Some(Destination::Fixed(address.clone())),
            (Plan::One(_), _) => Some(Destination::Primary),
            (Plan::Cluster { map, .. }, _) => {
                lock(map).of(key).map(|(address, _)| Destination::Fixed(address))
            }
        }
    }

    /// Slots lie elsewhere than the map says: it is asked for anew with the next command.
    pub(super) fn distrust(&self) {
        if let Plan::Cluster { map, .. } = &self.plan {
            let mut map = lock(map);
            if map.refreshed_at.is_none_or(|at| at.elapsed() >= REFRESH_PAUSE) {
                map.slots.fill(UNKNOWN);
            }
        }
    }

    /// A node has told that a slot lies elsewhere, in the words of its `MOVED` or `ASK`: `<slot> <host>:<port>`. Returns
    /// the link to the node named, which for good (`MOVED`) becomes the slot's.
    pub(super) fn redirected(&self, words: &str, for_good: bool) -> Option<Link> {
        let Plan::Cluster { map, .. } = &self.plan else {
            return None;
        };
        let (slot, place) = words.split_once(' ')?;
        let (host, port) = place.rsplit_once(':')?;
        let slot: usize = slot.parse().ok()?;
        let address = self.settings.translate(Address::Tcp(host.to_owned(), port.parse().ok()?));
        if host.is_empty() {
            return None; // "the node that you asked", which has changed its mind: ask for the map
        }
        let mut map = lock(map);
        let node = map.node(&self.settings, address);
        if for_good {
            if let Some(entry) = map.slots.get_mut(slot) {
                *entry = node;
            }
            map.refreshed_at = None;
        }
        map.nodes.get(usize::from(node)).map(|(_, link)| link.clone())
    }

    /// Asks the nodes for the map, unless it is brand-new.
    pub(super) async fn refresh(&self, deadline: Instant) -> Result<(), Refusal> {
        let Plan::Cluster { seeds, map } = &self.plan else {
            return Ok(());
        };
        let candidates: Vec<(Address, Link)> = {
            let mut map = lock(map);
            if map.refreshed_at.is_some_and(|at| at.elapsed() < REFRESH_PAUSE) {
                return Ok(());
            }
            for seed in seeds {
                map.node(&self.settings, seed.clone());
            }
            map.nodes.clone()
        };
        let mut last = uncovered("");
        for (address, link) in candidates {
            let patience = deadline.min(Instant::now() + ASK_PATIENCE);
            match ask(&link, patience).await {
                Ok(ranges) if !ranges.is_empty() => {
                    lock(map).redraw(&self.settings, &address, ranges);
                    return Ok(());
                }
                Ok(_) => {}
                Err(refusal) => last = refusal,
            }
        }
        Err(last)
    }

    /// Closes all connections.
    pub(super) fn close(&self) {
        match &self.plan {
            Plan::One(link) => link.close(),
            Plan::Cluster { map, .. } => lock(map).nodes.iter().for_each(|(_, link)| link.close()),
        }
    }

    /// Whether a server turned out to need no password though we have one; told once.
    pub(super) fn take_needless_password(&self) -> bool {
        match &self.plan {
            Plan::One(link) => link.take_needless_password(),
            Plan::Cluster { map, .. } => {
                lock(map).nodes.iter().fold(false, |found, (_, link)| link.take_needless_password() | found)
            }
        }
    }
}

impl Map {
    fn of(&self, key: &str) -> Option<(Address, Link)> {
        let node = *self.slots.get(usize::from(slot(key)))?;
        self.nodes.get(usize::from(node)).cloned()
    }

    /// The index of the node at an address.
    fn node(&mut self, settings: &Arc<Settings>, address: Address) -> u16 {
        let known = self.nodes.iter().position(|(known, _)| *known == address);
        let index = known.unwrap_or_else(|| {
            let destination = Destination::Fixed(address.clone());
            let link = Link::new(Arc::clone(settings), destination, Arc::clone(&self.traffic));
            self.nodes.push((address, link));
            self.nodes.len() - 1
        });
        u16::try_from(index).unwrap_or(UNKNOWN)
    }

    fn redraw(&mut self, settings: &Arc<Settings>, asked: &Address, ranges: Vec<Range>) {
        let old = std::mem::take(&mut self.nodes);
        self.slots.fill(UNKNOWN);
        for Range { first, last, host, port } in ranges {
            // A node that doesn't know its own name means the one that was asked.
            let told = match (host, asked) {
                (Some(host), _) => Address::Tcp(host, port),
                (None, Address::Tcp(host, _)) => Address::Tcp(host.clone(), port),
                (None, Address::Unix(_)) => asked.clone(),
            };
            let address = settings.translate(told);
            if let Some(kept) = old.iter().find(|(known, _)| *known == address)
                && !self.nodes.iter().any(|(known, _)| *known == address)
            {
                self.nodes.push(kept.clone());
            }
            let node = self.node(settings, address);
            if let Some(slots) = self.slots.get_mut(usize::from(first)..=usize::from(last)) {
                slots.fill(node);
            }
        }
        self.refreshed_at = Some(Instant::now());
    }
}

/// Slots in a row, and their primary.
struct Range {
    first: u16,
    last: u16,
    host: Option<String>,
    port: u16,
}

async fn ask(link: &Link, patience: Instant) -> Result<Vec<Range>, Refusal> {
    let mut live = link.live(patience).await?;
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    let Ok(answer) = timeout_at(patience, live.connection.send_packed_command(&command)).await else {
        link.discard(live.number);
        return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
    };
    let answer = answer?.extract_error()?;
    let Value::Array(rows) = answer else {
        return Ok(Vec::new());
    };
    Ok(rows.into_iter().filter_map(parse).collect())
}

/// `[first, last, [host, port, …], …]`
fn parse(row: Value) -> Option<Range> {
    let Value::Array(parts) = row else {
        return None;
    };
    let mut parts = parts.into_iter();
    let mut number = || match parts.next() {
        Some(Value::Int(number)) => u16::try_from(number).ok(),
        _ => None,
    };
    let (first, last) = (number()?, number()?);
    let Some(Value::Array(primary)) = parts.next() else {
        return None;
    };
    let host = match primary.first()? {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    };
    let host = host.filter(|host| !host.is_empty() && host != "?");
    let Some(Value::Int(port)) = primary.get(1) else {
        return None;
    };
    Some(Range { first, last, host, port: u16::try_from(*port).ok()? })
}

fn uncovered(key: &str) -> Refusal {
    let message = "no node of the cluster is responsible for the slot";
    let slot = slot(key).to_string();
    let cause = RedisError::from((ErrorKind::ClusterConnectionNotFound, message, slot));
    Refusal { cause, is_hopeless: false }
}

fn lock(map: &Mutex<Map>) -> MutexGuard<'_, Map> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}
