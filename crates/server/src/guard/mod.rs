//! Who may do what: bearer tokens, TLS, and when a listener must have them.
//!
//! Laws:
//!
//! 1. **A listener others can reach is guarded**, by TLS and by tokens, unless it is said by name that it is not. What
//!    is reached by this machine alone is not, unless it is said that it is.
//! 2. **No secret is kept or logged.** Of a token there is only the hash.
//! 3. **A file that cannot be read changes nothing**: what was read before stays until it can be read again. But a
//!    token file that is gone has no tokens in it.

mod access;
mod reloading;
mod secret;
pub mod tls;
mod tokens;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Settings;
pub use access::{Guarded, Scopes, authorize};
use reloading::Reloading;
pub use secret::{Hash, Secret};
use tls::Acceptor;
pub use tokens::{Scope, Token, TokenError, Tokens};

/// How often files are looked at for a change.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSettings {
    /// Whether requests need a token. Absent: unless only this machine reaches the listener.
    pub required: Option<bool>,
    /// The hashes of the tokens. Absent: `tokens.toml` in the data directory.
    pub tokens_file: Option<PathBuf>,
}

/// TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// Whether there must be TLS. Absent: unless only this machine reaches the listener.
    pub required: Option<bool>,
    /// The certificate and those between it and the root, as PEM.
    pub cert: Option<PathBuf>,
    /// Its key, as PEM.
    pub key: Option<PathBuf>,
    /// Who signs the certificates of clients, as PEM. Absent: clients need none.
    pub client_ca: Option<PathBuf>,
}

/// The listener of `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// Its address. Absent: they are at the one of everything.
    pub listen: Option<String>,
    /// Whether it has the TLS and needs the tokens of the other one. Absent: unless only this machine reaches it.
    pub guarded: Option<bool>,
}

/// Why a listener cannot be guarded as it must be.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// There is no certificate.
    #[error(
        "{addr} is reached by others, and there is no TLS: set [tls] cert and key, or [tls] required = false to go \
         without (MILEPOST_TLS__REQUIRED=false), or listen at 127.0.0.1"
    )]
    NoTls {
        /// Where it would listen.
        addr: SocketAddr,
    },
    /// There is no token file.
    #[error(
        "requests to {addr} need tokens, and there is no {}: make one with `milepost token create --name NAME \
         --scope write` (or read, or admin) and the same --data, or set [auth] required = false to go without \
         (MILEPOST_AUTH__REQUIRED=false)", file.display()
    )]
    NoTokens {
        /// Where it would listen.
        addr: SocketAddr,
        /// Where they should be.
        file: PathBuf,
    },
    /// The token file.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// A certificate or key.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

/// What guards a listener, and is read again when its files change.
#[derive(Clone, Default)]
pub struct Guard {
    tokens: Option<Arc<Reloading<Tokens>>>,
    tls: Option<Arc<Reloading<Acceptor>>>,
}

impl Guard {
    /// Of the listener of everything. Nothing has been opened yet when it is asked for: this refuses to start.
    pub fn new(settings: &Settings, addr: SocketAddr) -> Result<Self, GuardError> {
        let public = !addr.ip().is_loopback();
        let tls = tls::reloading(&settings.tls)?.map(Arc::new);
        if tls.is_none() && settings.tls.required.unwrap_or(public) {
            return Err(GuardError::NoTls { addr });
        }
        let tokens = settings.auth.required.unwrap_or(public).then(|| {
            let file = tokens_file(settings);
            if file.exists() {
                Ok(Arc::new(Tokens::reloading(file)?))
            } else {
                Err(GuardError::NoTokens { addr, file })
            }
        });
        Ok(Self { tokens: tokens.transpose()?, tls })
    }

    /// Of the listener of `/metrics`: the same or none.
    #[must_use]
    pub fn for_metrics(&self, settings: &MetricsSettings, addr: SocketAddr) -> Self {
        let guarded = settings.guarded.unwrap_or(!addr.ip().is_loopback());
        if guarded { self.clone() } else { Self::default() }
    }

    /// Whether connections are encrypted.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// What encrypts the next connection.
    pub fn acceptor(&self) -> Option<Arc<Acceptor>> {
        self.tls.as_ref().map(|tls| tls.current())
    }

    /// The tokens of now, if requests need one.
    fn tokens(&self) -> Option<Arc<Tokens>> {
        self.tokens.as_ref().map(|tokens| tokens.current())
    }

    /// Reads files again that have changed; with `all`, every one.
    pub fn reload(&self, all: bool) {
        if let Some(tokens) = &self.tokens {
            tokens.reload(all);
        }
        if let Some(tls) = &self.tls {
            tls.reload(all);
        }
    }

    /// Follows the files until it is dropped: what changed is read within a second, all of it at SIGHUP.
    pub async fn follow(self) {
        if self.tokens.is_none() && self.tls.is_none() {
            return;
        }
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        let mut hangups = hangups();
        loop {
            let all = tokio::select! {
                _ = ticks.tick() => false,
                () = hangup(&mut hangups) => true,
            };
            let guard = self.clone();
            if tokio::task::spawn_blocking(move || guard.reload(all)).await.is_err() {
                tracing::error!("reading tokens and certificates again has failed");
            }
        }
    }
}

/// Where the tokens are.
pub fn tokens_file(settings: &Settings) -> PathBuf {
    settings.auth.tokens_file.clone().unwrap_or_else(|| default_tokens_file(&settings.data))
}

fn default_tokens_file(data: &Path) -> PathBuf {
    data.join("tokens.toml")
}

#[cfg(unix)]
type Hangups = Option<tokio::signal::unix::Signal>;
#[cfg(not(unix))]
type Hangups = ();

#[cfg(unix)]
fn hangups() -> Hangups {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::hangup()).inspect_err(|error| tracing::warn!(%error, "SIGHUP is not followed")).ok()
}

#[cfg(unix)]
async fn hangup(hangups: &mut Hangups) {
    let came = match hangups {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending::<()>().await;
    }
}

#[cfg(not(unix))]
fn hangups() -> Hangups {}

#[cfg(not(unix))]
async fn hangup((): &mut Hangups) {
    std::future::pending().await
}

#[cfg(test)]
mod tests;
