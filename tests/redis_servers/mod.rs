//! Real Redis servers, and processes that lock on them.
//!
//! `node scripts/with_redis.mjs cargo test …` starts the servers and tells where they are. Without it these tests fail, and
//! say so: a suite that leaves them out by itself would look as green as one that doesn't. `LOQUET_TEST_REDIS=none` leaves
//! them out on purpose.
#![allow(dead_code)] // not every test needs all of it

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loquet::clock::SystemClock;
use loquet::engine::Retry;
use loquet::engine::driver::{Driver, Handle};
use loquet::lease::{Key, Owner, Ttl};
use loquet::store::ServerStore;
use loquet::store::redis::RedisStore;
use loquet::store::redis::settings::{Address, Deployment, Login, Sentinels, Settings, Tls};
use redis::{Connection, FromRedisValue};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take that is no matter of retry delays, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A retry delay that is never waited for: only a wake-up can come earlier.
pub const NO_POLL: u64 = 120_000;

/// Whoever changes what holds for the whole standalone server has it alone.
static STANDALONE: RwLock<()> = RwLock::const_new(());

/// The standalone server, to be had with a share in it only: who changes the whole of it waits for all others to end.
pub struct Standalone {
    settings: Settings,
    _share: Share,
}

enum Share {
    OneOfMany(RwLockReadGuard<'static, ()>),
    All(RwLockWriteGuard<'static, ()>),
}

impl Deref for Standalone {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}

/// What a variable of `scripts/with_redis.mjs` says. Nothing: the test is to be left out.
fn variable(name: &str) -> Option<String> {
    if std::env::var("LOQUET_TEST_REDIS").is_ok_and(|url| url == "none") {
        eprintln!("left out: LOQUET_TEST_REDIS=none");
        return None;
    }
    Some(std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: this test needs private Redis servers. Run `node scripts/with_redis.mjs cargo test …`, \
             or leave such tests out with LOQUET_TEST_REDIS=none"
        )
    }))
}

fn address(text: &str) -> Address {
    let (host, port) = text.rsplit_once(':').unwrap();
    Address::Tcp(host.to_owned(), port.parse().unwrap())
}

fn at(address: &Address) -> Settings {
    let Address::Tcp(host, port) = address else {
        panic!("{address}");
    };
    Settings::standalone(host, *port)
}

fn standalone_settings() -> Option<Settings> {
    let url = variable("LOQUET_TEST_REDIS")?;
    Some(at(&address(url.strip_prefix("redis://").unwrap())))
}

/// The standalone server, beside other tests: for those that touch nothing but keys that are no other test's.
pub async fn standalone() -> Option<Standalone> {
    let settings = standalone_settings()?;
    Some(Standalone { settings, _share: Share::OneOfMany(STANDALONE.read().await) })
}

/// The standalone server, with no other test beside this one: for those that change its settings, empty it or count its
/// commands.
pub async fn standalone_alone() -> Option<Standalone> {
    let settings = standalone_settings()?;
    Some(Standalone { settings, _share: Share::All(STANDALONE.write().await) })
}

pub fn tls() -> Option<Settings> {
    let url = variable("LOQUET_TEST_REDIS_TLS")?;
    let authority = std::fs::read_to_string(variable("LOQUET_TEST_REDIS_TLS_CA")?).unwrap();
    let tls = Tls { authorities: vec![authority], identity: None, server_name: None, verify: true };
    Some(Settings { tls: Some(tls), ..at(&address(url.strip_prefix("rediss://").unwrap())) })
}

pub fn sentinels() -> Option<Settings> {
    let addresses = variable("LOQUET_TEST_REDIS_SENTINELS")?.split(',').map(address).collect();
    let name = "mymaster".to_owned();
    let sentinels = Sentinels { addresses, name, login: Login::default(), tls: None };
    Some(Settings { deployment: Deployment::Sentinel(sentinels), ..Settings::standalone("", 0) })
}

pub fn cluster() -> Option<Settings> {
    let nodes = variable("LOQUET_TEST_REDIS_CLUSTER")?.split(',').map(address).collect();
    Some(Settings { deployment: Deployment::Cluster(nodes), ..Settings::standalone("", 0) })
}

/// A process of its own, as far as a server can tell.
pub struct Process {
    pub store: RedisStore,
    pub handle: Handle,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// `name` must be no other's.
    pub fn start(settings: &Settings, name: &str) -> Self {
        let store = RedisStore::new(settings.clone(), Arc::new(SystemClock), name.to_owned());
        let notices = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&notices);
        store.on_notice(Arc::new(move |text| told.lock().unwrap().push(text.to_owned())));
        let runtime = tokio::runtime::Handle::current();
        let handle = Driver::spawn(Arc::new(store.clone()), Arc::new(SystemClock), &runtime);
        Self { store, handle, notices }
    }

    /// Acquires a lock that is free, or will be soon.
    pub async fn take(&self, key: Key, owner: Owner, ttl: Ttl) {
        let retry = Retry { attempts: None, delay: Duration::from_millis(20), timeout: None };
        let lease = timeout(PATIENCE, self.handle.acquire(key, owner, ttl, retry)).await;
        lease.expect("a lock that nobody holds").unwrap().unwrap();
    }

    /// What it has told people so far.
    pub fn notices(&self) -> Vec<String> {
        self.notices.lock().unwrap().clone()
    }
}

/// Somebody who looks at the standalone server.
pub struct Observer(Connection);

impl Observer {
    pub fn new(settings: &Settings) -> Self {
        let Deployment::Standalone(address) = &settings.deployment else {
            panic!("{:?}", settings.deployment);
        };
        let client = redis::Client::open(format!("redis://{address}")).unwrap();
        Self(client.get_connection().unwrap())
    }

    pub fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.0).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The answer to a command for a key whose name isn't text.
    pub fn tell<T: FromRedisValue>(&mut self, command: &str, key: &[u8]) -> T {
        redis::cmd(command).arg(key).query(&mut self.0).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Sets such a key.
    pub fn write(&mut self, key: &[u8], value: &str) {
        redis::cmd("SET").arg(key).arg(value).exec(&mut self.0).unwrap();
    }

    /// How many processes stand in line for a key.
    pub fn in_line(&mut self, key: &str) -> u32 {
        redis::cmd("ZCARD").arg([key.as_bytes(), b":loquet:line\xFF"].concat()).query(&mut self.0).unwrap()
    }

    /// How many channels there are on which processes would hear of a key.
    pub fn channels(&mut self, key: &str) -> usize {
        let pattern = format!("loquet:wake:*:{key}:*");
        self.ask::<Vec<String>>(&["PUBSUB", "CHANNELS", &pattern]).len()
    }

    /// The connections that are called so, as `CLIENT LIST` tells of them.
    pub fn connections(&mut self, name: &str) -> Vec<Client> {
        let list: String = self.ask(&["CLIENT", "LIST"]);
        let named = format!(" name={name} ");
        list.lines().filter(|line| line.contains(&named)).map(|line| Client(line.to_owned())).collect()
    }

    /// Waits until so many processes stand in line for a key.
    pub async fn wait_for_line(&mut self, key: &str, count: u32) {
        let what = format!("{count} in line for {key}");
        until(&what, || self.in_line(key) == count).await;
    }

    /// Waits until nothing on the server tells of the key.
    pub async fn wait_for_nothing(&mut self, key: &str) {
        until(&format!("nothing left of {key}"), || {
            self.in_line(key) == 0 && self.channels(key) == 0 && self.ask::<u32>(&["EXISTS", key]) == 0
        })
        .await;
    }
}

/// A line of `CLIENT LIST`.
#[derive(Debug)]
pub struct Client(String);

impl Client {
    fn field(&self, name: &str) -> &str {
        let start = format!("{name}=");
        self.0.split(' ').find_map(|field| field.strip_prefix(&start)).unwrap()
    }

    pub fn id(&self) -> &str {
        self.field("id")
    }

    /// Whether it hears of turns at present.
    pub fn is_subscribed(&self) -> bool {
        self.field("sub") != "0"
    }
}

/// Waits for a condition to come true.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
