//! Making one connection: socket, TLS, and the first words.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::settings::{Address, Family, Login, Settings, Tls};
use super::tls::{client_config, server_name};

/// Half of the system's usual range of idle seconds, where ioredis's option says nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Whom to speak to, and as whom.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) address: &'a Address,
    pub(super) login: &'a Login,
    pub(super) tls: Option<&'a Tls>,
    pub(super) db: i64,
}

/// A connection, and the future that runs it: it ends when the connection is lost.
pub(super) struct Opened {
    pub(super) connection: MultiplexedConnection,
    pub(super) run: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The server knows no password though we have one. ioredis tolerates that, and so do we.
    pub(super) needless_password: bool,
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) cause: RedisError,
    /// Another try can't help: the server is there and doesn't want us, or the settings can't be used.
    pub(super) is_hopeless: bool,
}

impl From<RedisError> for Refusal {
    fn from(cause: RedisError) -> Self {
        let is_hopeless =
            matches!(cause.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig)
                || matches!(cause.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
        Self { cause, is_hopeless }
    }
}

impl From<io::Error> for Refusal {
    /// Settings that can't be used, or a certificate that isn't trusted.
    fn from(error: io::Error) -> Self {
        let is_hopeless = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
        Self { cause: error.into(), is_hopeless }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects within the settings' `connect_timeout`. With `pushes`, by RESP3, and push messages go there.
pub(super) async fn open(
    settings: &Settings,
    target: Target<'_>,
    pushes: Option<impl AsyncPushSender + Clone>,
) -> Result<Opened, Refusal> {
    let opening = async {
        match introduce(settings, target, target.login, pushes.clone()).await {
            Err(refusal) if may_be_needless(&refusal, target.login) => {
                let Ok(mut opened) = introduce(settings, target, &Login::default(), pushes).await else {
                    return Err(refusal);
                };
                if is_welcome(&mut opened).await {
                    Ok(Opened { needless_password: true, ..opened })
                } else {
                    Err(refusal)
                }
            }
            other => other,
        }
    };
    tokio::time::timeout(settings.connect_timeout, opening).await.unwrap_or_else(|_| {
        let message = format!("no connection to {} within the connect timeout", target.address);
        Err(io::Error::new(io::ErrorKind::TimedOut, message).into())
    })
}

async fn introduce(
    settings: &Settings,
    target: Target<'_>,
    login: &Login,
    pushes: Option<impl AsyncPushSender>,
) -> Result<Opened, Refusal> {
    let stream = dial(settings, target).await?;
    let mut about = RedisConnectionInfo::default()
        .set_db(target.db)
        .set_lib_name("loquet", env!("CARGO_PKG_VERSION"))
        .set_protocol(if pushes.is_some() { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 });
    if let Some(username) = &login.username {
        about = about.set_username(username);
    }
    if let Some(password) = &login.password {
        about = about.set_password(password);
    }
    let mut config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    if let Some(pushes) = pushes {
        config = config.set_push_sender(pushes);
    }
    let (mut connection, run) = MultiplexedConnection::new_with_config(&about, stream, config).await?;
    let mut run: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(run);
    if let Some(name) = &settings.connection_name {
        let mut command = redis::cmd("CLIENT");
        command.arg("SETNAME").arg(name);
        // A name that can't be set (a proxy that doesn't know the command, say) is no reason to do without locks.
        tokio::select! {
            _ = connection.send_packed_command(&command) => {}
            () = &mut run => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        }
    }
    Ok(Opened { connection, run, needless_password: false })
}

async fn dial(settings: &Settings, target: Target<'_>) -> Result<Box<dyn Stream>, Refusal> {
    let (host, port) = match target.address {
        #[cfg(unix)]
        Address::Unix(path) => return Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        #[cfg(not(unix))]
        Address::Unix(_) => {
            let message = "there are no unix sockets on this system";
            return Err(RedisError::from((ErrorKind::InvalidClientConfig, message)).into());
        }
        Address::Tcp(host, port) => (host.as_str(), *port),
    };
    let stream =
        dial_tcp(host, port, settings.family).await.map_err(|error| explain(target.address, &error))?;
    stream.set_nodelay(true)?;
    // What hasn't left yet when a connection is given up must not leave later.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    let idle = if settings.keep_alive.is_zero() { KEEP_ALIVE } else { settings.keep_alive };
    // Where the system refuses, a dead server is noticed by the command timeout.
    let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle));
    let Some(tls) = target.tls else {
        return Ok(Box::new(stream));
    };
    let connector = TlsConnector::from(client_config(tls)?);
    let name = server_name(tls, host)?;
    let stream = connector.connect(name, stream).await.map_err(|error| explain(target.address, &error))?;
    Ok(Box::new(stream))
}

/// The first address that answers.
async fn dial_tcp(host: &str, port: u16, family: Family) -> io::Result<TcpStream> {
    let fits = |address: &SocketAddr| match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address of the wanted family");
    for address in lookup_host((host, port)).await?.filter(fits) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The error with the address in it, which the operating system leaves out.
fn explain(address: &Address, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{address}: {error}"))
}

/// Whether a password was refused, perhaps because the server has none. With a username it can't be that.
fn may_be_needless(refusal: &Refusal, login: &Login) -> bool {
    refusal.cause.kind() == ErrorKind::AuthenticationFailed
        && login.password.is_some()
        && login.username.is_none()
}

/// Whether the server talks to us as we are.
async fn is_welcome(opened: &mut Opened) -> bool {
    super::link::ask(opened, &redis::cmd("PING")).await.is_ok()
}
