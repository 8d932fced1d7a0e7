//! TLS as ioredis's users know it from Node.js: Mozilla's roots unless others are given, a server name that may differ
//! from the host's, and, if they insist, no check at all.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, LazyLock};

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use super::settings::Tls;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

/// Builds what a connector needs.
pub(super) fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(invalid)?;
    let builder = if tls.verify {
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots(&tls.authorities)?),
            Arc::clone(&PROVIDER),
        )
        .build()
        .map_err(invalid)?;
        builder.with_webpki_verifier(verifier)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified))
    };
    let config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|error| invalid(format!("the key of tls.key can't be read: {error}")))?;
            builder
                .with_client_auth_cert(certificates("tls.cert", chain)?, key)
                .map_err(|error| invalid(format!("tls.cert and tls.key don't fit: {error}")))?
        }
    };
    Ok(Arc::new(config))
}

/// The name that is sent and checked.
pub(super) fn server_name(tls: &Tls, host: &str) -> Result<ServerName<'static>, Error> {
    let name = tls.server_name.as_deref().unwrap_or(host).to_owned();
    ServerName::try_from(name).map_err(invalid)
}

fn roots(authorities: &[String]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        for certificate in certificates("tls.ca", authority)? {
            roots.add(certificate).map_err(invalid)?;
        }
    }
    if authorities.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        // As Node.js does: more authorities, from a file that the environment names.
        if let Some(path) = std::env::var_os("NODE_EXTRA_CA_CERTS")
            && let Ok(text) = std::fs::read_to_string(path)
        {
            for certificate in certificates("NODE_EXTRA_CA_CERTS", &text)? {
                roots.add(certificate).map_err(invalid)?;
            }
        }
    }
    Ok(roots)
}

fn certificates(option: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match parsed {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(invalid(format!("there is no PEM certificate in {option}"))),
        Err(error) => Err(invalid(format!("{option} can't be read: {error}"))),
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::InvalidInput, error)
}

/// `rejectUnauthorized: false`: encrypted, but anybody may be at the other end.
#[derive(Debug)]
struct Unverified;

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
