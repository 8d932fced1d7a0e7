//! Finding the primary by asking the sentinels.
//!
//! The algorithm is the one of the [guidelines for Sentinel clients](https://redis.io/docs/latest/develop/reference/sentinel-clients/):
//! ask the sentinels in turn for the primary's address, connect to it, and check by `ROLE` that it knows itself to be one.

use redis::{ErrorKind, PushInfo, RedisError, Value, from_redis_value};

use super::connect::{Opened, Refusal, Target, open};
use super::link::ask;
use super::settings::{Address, Sentinels, Settings};

/// The primary's address, from the first sentinel that knows one.
pub(super) async fn find_primary(settings: &Settings, sentinels: &Sentinels) -> Result<Address, Refusal> {
    let mut last: Refusal =
        RedisError::from((ErrorKind::EmptySentinelList, "no sentinel is configured")).into();
    for address in &sentinels.addresses {
        match ask_one(settings, sentinels, address).await {
            Ok(Some(found)) => return Ok(settings.translate(found)),
            Ok(None) => {
                last = RedisError::from((
                    ErrorKind::MasterNameNotFoundBySentinel,
                    "the sentinels know no primary of that name",
                    sentinels.name.clone(),
                ))
                .into();
            }
            Err(refusal) => last = refusal,
        }
    }
    // One sentinel may be down or misled; later they may know.
    Err(Refusal { is_hopeless: false, ..last })
}

async fn ask_one(
    settings: &Settings,
    sentinels: &Sentinels,
    address: &Address,
) -> Result<Option<Address>, Refusal> {
    let target = Target { address, login: &sentinels.login, tls: sentinels.tls.as_ref(), db: 0 };
    let no_pushes: Option<fn(PushInfo) -> Result<(), ()>> = None;
    let mut opened = open(settings, target, no_pushes).await?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("get-master-addr-by-name").arg(&sentinels.name);
    let answer = tokio::time::timeout(settings.connect_timeout, ask(&mut opened, &command))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    let found: Option<(String, u16)> = from_redis_value(answer).map_err(RedisError::from)?;
    Ok(found.map(|(host, port)| Address::Tcp(host, port)))
}

/// Whether the server at the address is the primary by its own account: a sentinel's knowledge may be old.
pub(super) async fn check_role(opened: &mut Opened, address: &Address) -> Result<(), Refusal> {
    let answer = ask(opened, &redis::cmd("ROLE")).await?;
    let role = match answer {
        Value::Array(parts) => parts.into_iter().next(),
        _ => None,
    };
    let role: String = role.map(from_redis_value).transpose().map_err(RedisError::from)?.unwrap_or_default();
    if role == "master" {
        return Ok(());
    }
    let message = format!("{address} is not the primary (yet): its role is \"{role}\"");
    Err(Refusal { cause: std::io::Error::other(message).into(), is_hopeless: false })
}
