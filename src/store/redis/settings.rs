//! Where a Redis is and how to speak to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a connection needs. Two stores whose settings are equal may share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How the server that holds a key is found.
    pub deployment: Deployment,
    /// Who we are to the servers that hold keys.
    pub login: Login,
    /// The database's number; clusters have number 0 only.
    pub db: i64,
    /// What the connection is called in `CLIENT LIST`.
    pub connection_name: Option<String>,
    /// TLS to the servers that hold keys.
    pub tls: Option<Tls>,
    /// Which addresses of a host name are used.
    pub family: Family,
    /// How long a connection may take to be made, set-up included.
    pub connect_timeout: Duration,
    /// How long a command may take.
    pub command_timeout: Duration,
    /// How long a silent connection waits before the operating system asks whether the other side is still there.
    pub keep_alive: Duration,
    /// Addresses that the servers tell, and what to use instead: for networks that translate them.
    pub nat: Vec<(String, Address)>,
}

/// How the server that holds a key is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Deployment {
    /// There is one.
    Standalone(Address),
    /// Sentinels know which one it is at present.
    Sentinel(Sentinels),
    /// Each key has its own; any of the nodes can tell which.
    Cluster(Vec<Address>),
}

/// The sentinels of one primary.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sentinels {
    /// Where they are.
    pub addresses: Vec<Address>,
    /// What they call the primary.
    pub name: String,
    /// Who we are to them.
    pub login: Login,
    /// TLS to them.
    pub tls: Option<Tls>,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A host, by name or number, and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// A user's name and password. Never printed.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Login {
    /// Without it the password is that of the default user.
    pub username: Option<String>,
    /// Without it nobody is authenticated.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = |secret: &Option<String>| secret.as_ref().map(|_| "…");
        formatter
            .debug_struct("Login")
            .field("username", &self.username)
            .field("password", &kept(&self.password))
            .finish()
    }
}

/// How to encrypt. Texts are PEM.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tls {
    /// Certificates of the authorities that are trusted; Mozilla's if there are none.
    pub authorities: Vec<String>,
    /// Our own certificate chain and its key, for servers that ask for one.
    pub identity: Option<(String, String)>,
    /// The name that the server's certificate must bear, if not the host's.
    pub server_name: Option<String>,
    /// Whether the server's certificate is checked at all.
    pub verify: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tls")
            .field("authorities", &self.authorities.len())
            .field("identity", &self.identity.as_ref().map(|_| "…"))
            .field("server_name", &self.server_name)
            .field("verify", &self.verify)
            .finish()
    }
}

/// Which addresses of a host name are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// In the order of the resolver's answer.
    #[default]
    Any,
    /// Version 4 only.
    V4,
    /// Version 6 only.
    V6,
}

impl Settings {
    /// Settings for one server on this machine, with the usual limits.
    #[must_use]
    pub fn standalone(host: &str, port: u16) -> Self {
        Self {
            deployment: Deployment::Standalone(Address::Tcp(host.to_owned(), port)),
            login: Login::default(),
            db: 0,
            connection_name: None,
            tls: None,
            family: Family::Any,
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(5),
            keep_alive: Duration::ZERO,
            nat: Vec::new(),
        }
    }

    /// How long one attempt to connect may take: no longer than anybody would wait for it, so that the sentinels or the
    /// other nodes are asked again soon; but not less than a slow network needs.
    pub(super) fn attempt_timeout(&self) -> Duration {
        self.connect_timeout.min(self.command_timeout.max(Duration::from_secs(2)))
    }

    /// The address to use for one that a server has told.
    pub(super) fn translate(&self, told: Address) -> Address {
        let name = told.to_string();
        let found = self.nat.iter().find(|(from, _)| *from == name);
        found.map_or(told, |(_, to)| to.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c21_no_secret_is_printed() {
        let mut settings = Settings::standalone("localhost", 6379);
        settings.login = Login { username: Some("app".into()), password: Some("hunter2".into()) };
        settings.tls = Some(Tls {
            authorities: vec![],
            identity: Some(("CERT".into(), "PRIVATE".into())),
            server_name: None,
            verify: true,
        });
        settings.deployment = Deployment::Sentinel(Sentinels {
            addresses: vec![Address::Tcp("::1".into(), 26379)],
            name: "main".into(),
            login: settings.login.clone(),
            tls: settings.tls.clone(),
        });
        let shown = format!("{settings:?} {settings:#?}");
        assert!(!shown.contains("hunter2") && !shown.contains("PRIVATE"), "{shown}");
        assert_eq!(Address::Tcp("::1".into(), 1).to_string(), "[::1]:1");
    }

    #[test]
    fn addresses_are_translated_where_a_network_does() {
        let mut settings = Settings::standalone("localhost", 6379);
        let outside = Address::Tcp("example.test".into(), 7000);
        settings.nat.push(("10.0.0.1:6379".into(), outside.clone()));
        assert_eq!(settings.translate(Address::Tcp("10.0.0.1".into(), 6379)), outside);
        let other = Address::Tcp("10.0.0.2".into(), 6379);
        assert_eq!(settings.translate(other.clone()), other);
    }
}
