//! TLS, by rustls: certificates from PEM files, read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};

use super::TlsSettings;
use super::reloading::Reloading;

/// What may be spoken inside, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What encrypts connections.
pub type Acceptor = ServerConfig;

/// What is wrong with certificates and keys.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Half of what is needed.
    #[error("tls.{0}: missing: cert and key belong together, and client_ca needs both")]
    Missing(&'static str),
    /// A file that cannot be read.
    #[error("tls.{key}: {}: {message}", path.display())]
    Unreadable {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A file without what should be in it.
    #[error("tls.{key}: {}: there is no certificate in PEM form in it", path.display())]
    Empty {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not belong together, or cannot be used.
    #[error("tls.cert, tls.key: {0}")]
    Unusable(#[from] rustls::Error),
    /// Clients could not be checked.
    #[error("tls.client_ca: {0}")]
    ClientCa(String),
}

/// Reads the files and reads them again when they change. None if there are none.
pub(super) fn reloading(settings: &TlsSettings) -> Result<Option<Reloading<Acceptor>>, TlsError> {
    let files = match (&settings.cert, &settings.key, &settings.client_ca) {
        (None, None, None) => return Ok(None),
        (None, ..) => return Err(TlsError::Missing("cert")),
        (_, None, _) => return Err(TlsError::Missing("key")),
        (Some(cert), Some(key), client_ca) => {
            Files { cert: cert.clone(), key: key.clone(), client_ca: client_ca.clone() }
        }
    };
    let paths = [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()];
    let paths = paths.into_iter().flatten().cloned().collect();
    Reloading::new(paths, move || files.load()).map(Some)
}

/// The cryptography of both sides.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

struct Files {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Files {
    fn load(&self) -> Result<Acceptor, TlsError> {
        let chain = certificates("cert", &self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unreadable("key", &self.key, &error.to_string()))?;
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider());
                builder.with_client_cert_verifier(
                    verifier.build().map_err(|error| TlsError::ClientCa(error.to_string()))?,
                )
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca", path)? {
        roots.add(certificate).map_err(|error| TlsError::ClientCa(error.to_string()))?;
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| unreadable(key, path, &error.to_string()))?;
    if all.is_empty() { Err(TlsError::Empty { key, path: path.to_owned() }) } else { Ok(all) }
}

fn unreadable(key: &'static str, path: &Path, message: &str) -> TlsError {
    TlsError::Unreadable { key, path: path.to_owned(), message: message.to_owned() }
}
