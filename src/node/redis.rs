//! Redis settings, from the plain objects that JavaScript has made of them.

use std::path::PathBuf;
use std::time::Duration;

use napi_derive::napi;

use super::environment::Environment;
use super::error::{CodedError, Result};
use super::hub::{self, Hub};
use crate::error::Error;
use crate::store::redis::settings::{Address, Deployment, Family, Login, Sentinels, Settings, Tls};

/// Where a server is: a host and a port, or the path of a socket.
#[napi(object)]
pub struct RedisAddress {
    /// By name or number.
    pub host: Option<String>,
    /// 6379 unless told.
    pub port: Option<u16>,
    /// In place of host and port.
    pub path: Option<String>,
}

/// How to encrypt. Texts are PEM.
#[napi(object)]
pub struct RedisTls {
    /// The authorities to trust; the usual ones if there are none.
    pub ca: Vec<String>,
    /// Our certificate.
    pub cert: Option<String>,
    /// Its key.
    pub key: Option<String>,
    /// The name in the server's certificate, if not its host's.
    pub servername: Option<String>,
    /// Whether the server's certificate is checked.
    pub reject_unauthorized: bool,
}

/// The sentinels of a primary.
#[napi(object)]
pub struct RedisSentinel {
    /// What they call the primary.
    pub name: String,
    /// Who we are to them.
    pub username: Option<String>,
    /// Our password with them.
    pub password: Option<String>,
    /// TLS to them.
    pub tls: Option<RedisTls>,
}

/// An address that servers tell, and what to use instead.
#[napi(object)]
pub struct RedisNat {
    /// As `host:port`.
    pub from: String,
    /// To be used instead.
    pub host: String,
    /// To be used instead.
    pub port: u16,
}

/// Everything that a connection needs. Times are milliseconds.
#[napi(object)]
pub struct RedisSettings {
    /// `standalone`, `sentinel` or `cluster`.
    #[napi(ts_type = "'standalone' | 'sentinel' | 'cluster'")]
    pub kind: String,
    /// The server; or the sentinels; or nodes to begin with.
    pub nodes: Vec<RedisAddress>,
    /// Who we are.
    pub username: Option<String>,
    /// Our password.
    pub password: Option<String>,
    /// The database's number.
    pub db: u32,
    /// 4, 6, or 0 for any.
    pub family: u32,
    /// How long a connection may take.
    pub connect_timeout: f64,
    /// How long a command may take.
    pub command_timeout: f64,
    /// After how much silence the system asks whether the server is still there; 0 for the usual time.
    pub keep_alive: f64,
    /// What the connection is called in `CLIENT LIST`.
    pub connection_name: Option<String>,
    /// TLS to the servers.
    pub tls: Option<RedisTls>,
    /// Only with sentinels.
    pub sentinel: Option<RedisSentinel>,
    /// For networks that translate addresses.
    pub nat_map: Option<Vec<RedisNat>>,
}

/// Opens a store on Redis; nothing is connected before the first command. Stores with equal settings share a connection.
/// Returns a handle.
#[napi]
pub fn open_redis(
    environment: u32,
    #[napi(ts_arg_type = "RedisSettings")] settings: Option<RedisSettings>,
) -> Result<u32> {
    let settings = settings.ok_or_else(|| invalid("there are no Redis settings"))?;
    let hub = Hub::with(hub::Settings::Redis(understand(settings)?))?;
    Environment::with(environment, |owner| owner.add_server(environment, hub))
}

fn understand(settings: RedisSettings) -> Result<Settings> {
    let mut addresses: Vec<Address> = settings.nodes.into_iter().map(address).collect();
    if addresses.is_empty() {
        return Err(invalid("there is no Redis server to connect to"));
    }
    let deployment = match (settings.kind.as_str(), settings.sentinel) {
        ("standalone", _) => Deployment::Standalone(addresses.swap_remove(0)),
        ("cluster", _) => Deployment::Cluster(addresses),
        ("sentinel", Some(sentinel)) => Deployment::Sentinel(Sentinels {
            addresses,
            name: sentinel.name,
            login: Login { username: sentinel.username, password: sentinel.password },
            tls: sentinel.tls.map(tls),
        }),
        _ => return Err(invalid("the Redis settings name neither a server nor sentinels nor a cluster")),
    };
    let nat = settings.nat_map.unwrap_or_default();
    Ok(Settings {
        deployment,
        login: Login { username: settings.username, password: settings.password },
        db: i64::from(settings.db),
        connection_name: settings.connection_name,
        tls: settings.tls.map(tls),
        family: match settings.family {
            4 => Family::V4,
            6 => Family::V6,
            _ => Family::Any,
        },
        connect_timeout: millis("connectTimeout", settings.connect_timeout)?,
        command_timeout: millis("commandTimeout", settings.command_timeout)?,
        keep_alive: millis("keepAlive", settings.keep_alive)?,
        nat: nat.into_iter().map(|RedisNat { from, host, port }| (from, Address::Tcp(host, port))).collect(),
    })
}

fn address(RedisAddress { host, port, path }: RedisAddress) -> Address {
    match path {
        Some(path) => Address::Unix(PathBuf::from(path)),
        None => Address::Tcp(host.unwrap_or_else(|| "localhost".to_owned()), port.unwrap_or(6379)),
    }
}

fn tls(tls: RedisTls) -> Tls {
    Tls {
        authorities: tls.ca,
        identity: tls.cert.zip(tls.key),
        server_name: tls.servername,
        verify: tls.reject_unauthorized,
    }
}

fn millis(option: &str, value: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(value / 1e3)
        .map_err(|_| invalid(&format!("{option} must be a finite number of milliseconds, got {value}")))
}

fn invalid(message: &str) -> CodedError {
    Error::invalid(message).into()
}
