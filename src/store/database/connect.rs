//! Connections: settings as `sqlx` wants them. Nothing is taken from the environment: where settings come from, that has been considered.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::time::sleep;

use super::column::quoted;
use super::settings::Server;

/// What the options of both kinds call the same; they have no trait in common.
macro_rules! with_account {
    ($options:ident, $server:ident) => {
        if let Some(socket) = &$server.socket {
            $options = $options.socket(socket);
        }
        if let Some(username) = &$server.username {
            $options = $options.username(username);
        }
        if let Some(password) = &$server.password {
            $options = $options.password(&password.0);
        }
        if let Some(database) = &$server.database {
            $options = $options.database(database);
        }
    };
}

macro_rules! with_certificate {
    ($options:ident, $tls:ident) => {
        if let Some(certificate) = &$tls.certificate {
            $options = $options.ssl_client_cert_from_pem(certificate);
        }
        if let Some(key) = &$tls.key {
            $options = $options.ssl_client_key_from_pem(&key.0);
        }
    };
}

pub(super) fn postgres(server: &Server, application_name: Option<&str>) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&server.host)
        .port(server.port)
        .ssl_mode(PgSslMode::Disable)
        .extra_float_digits(None)
        .statement_cache_capacity(32)
        .disable_statement_logging();
    with_account!(options, server);
    if let Some(name) = application_name {
        options = options.application_name(name);
    }
    if let Some(tls) = &server.tls {
        options = options.ssl_mode(match (tls.verifies, tls.is_optional) {
            (_, true) => PgSslMode::Prefer,
            (true, false) if tls.verifies_name => PgSslMode::VerifyFull,
            (true, false) => PgSslMode::VerifyCa,
            (false, false) => PgSslMode::Require,
        });
        if !tls.authorities.is_empty() {
            options = options.ssl_root_cert_from_pem(tls.authorities.join("\n").into_bytes());
        }
        with_certificate!(options, tls);
    }
    options
}

pub(super) fn mysql(server: &Server) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .host(&server.host)
        .port(server.port)
        .ssl_mode(MySqlSslMode::Disabled)
        .charset("utf8mb4")
        // Left as the app's own connections have them.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone("+00:00".to_owned())
        .statement_cache_capacity(256)
        .disable_statement_logging();
    with_account!(options, server);
    if let Some(tls) = &server.tls {
        options = options.ssl_mode(match (tls.verifies, tls.is_optional) {
            (_, true) => MySqlSslMode::Preferred,
            (true, false) if tls.verifies_name => MySqlSslMode::VerifyIdentity,
            (true, false) => MySqlSslMode::VerifyCa,
            (false, false) => MySqlSslMode::Required,
        });
        if !tls.authorities.is_empty() {
            options = options.ssl_ca_from_pem(tls.authorities.join("\n").into_bytes());
        }
        with_certificate!(options, tls);
    }
    options
}

/// Schemas as the value of the setting.
pub(super) fn search_path(schemas: &[String]) -> String {
    schemas.iter().map(|schema| quoted(schema, '"')).collect::<Vec<_>>().join(", ")
}

/// Ends a session, if it is still the one that is meant.
pub(super) async fn end(connection: &mut PgConnection, process: i32, start: &str) -> sqlx::Result<()> {
    const MEANT: &str = "FROM pg_stat_activity WHERE pid = $1 AND backend_start::text = $2";
    let ask = |what: &str| {
        sqlx::query(AssertSqlSafe(format!("SELECT {what} {MEANT}")))
            .bind(process)
            .bind(start)
            .persistent(false)
    };
    ask("pg_terminate_backend(pid)").fetch_all(&mut *connection).await?;
    // Gone at the next opportunity; what it has done by then is found out. Nobody may ask before: whoever waits for this
    // has a deadline.
    while ask("1").fetch_optional(&mut *connection).await?.is_some() {
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// The session is not the one that was made.
#[derive(Debug)]
pub(super) struct PoolerBetween;

impl std::fmt::Display for PoolerBetween {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("there is a pooler between this process and the database")
    }
}

impl std::error::Error for PoolerBetween {}
