//! A server that the command line speaks to: its URL, the token shown to it, and whom its certificate must be from.

use std::fs;
use std::path::{Path, PathBuf};

use ureq::http::{HeaderValue, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::guard::tls;

/// Where systems keep the certificates they trust.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// A server.
#[derive(Clone)]
pub struct Remote {
    url: String,
    agent: ureq::Agent,
    authorization: Option<HeaderValue>,
}

/// Why it cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Not a URL.
    #[error("{0} is no URL: write http://host:port, such as http://127.0.0.1:7171")]
    NotAUrl(String),
    /// A token no header can carry.
    #[error("not a token: write mp_ and what follows it, as `milepost token create` printed it")]
    NotAToken,
    /// A token that anybody on the way could read.
    #[error(
        "a token is not sent over http to another machine, where anybody on the way can read it: write https://"
    )]
    Exposed,
    /// A file that cannot be read.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl RemoteError {
    /// The flag at fault.
    pub fn flag(&self) -> &'static str {
        match self {
            Self::NotAUrl(_) | Self::Exposed => "--server",
            Self::NotAToken => "--token",
            Self::File { .. } => "--token-file, --ca",
        }
    }
}

impl Remote {
    /// The one at this URL, with this token; its certificate must be from one of those in `ca`, or of those that the
    /// system trusts.
    pub fn new(url: &str, token: Option<&str>, ca: Option<&Path>) -> Result<Self, RemoteError> {
        let is_url = url.split_once("://").is_some_and(|(scheme, place)| {
            ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) && !place.is_empty()
        });
        if !is_url {
            return Err(RemoteError::NotAUrl(url.to_owned()));
        }
        let is_tls = url.to_ascii_lowercase().starts_with("https://");
        let authorization = token.map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
                .map_err(|_| RemoteError::NotAToken)?;
            value.set_sensitive(true);
            if is_tls || is_here(url) { Ok(value) } else { Err(RemoteError::Exposed) }
        });
        let mut config = ureq::Agent::config_builder().http_status_as_error(false);
        if is_tls {
            let tls = TlsConfig::builder()
                .provider(TlsProvider::Rustls)
                .unversioned_rustls_crypto_provider(tls::provider())
                .root_certs(RootCerts::new_with_certs(&roots(ca)?));
            config = config.tls_config(tls.build());
        }
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            agent: config.build().into(),
            authorization: authorization.transpose()?,
        })
    }

    /// Its URL and a path, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// A `GET` of this path.
    pub fn get(&self, path: &str) -> ureq::RequestBuilder<ureq::typestate::WithoutBody> {
        let request = self.agent.get(self.url(path));
        match &self.authorization {
            Some(value) => request.header(header::AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    /// A `POST` to this path.
    pub fn post(&self, path: &str) -> ureq::RequestBuilder<ureq::typestate::WithBody> {
        let request = self.agent.post(self.url(path));
        match &self.authorization {
            Some(value) => request.header(header::AUTHORIZATION, value.clone()),
            None => request,
        }
    }
}

/// Whether a URL is of this machine.
fn is_here(url: &str) -> bool {
    let Ok(uri) = url.parse::<ureq::http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

fn roots(ca: Option<&Path>) -> Result<Vec<Certificate<'static>>, RemoteError> {
    let system = || SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
    let Some(path) = ca.or_else(system).map(Path::to_owned) else {
        let message = "there is no such file, which is where trusted certificates would be: give one by --ca";
        return Err(RemoteError::File { path: SYSTEM_ROOTS[0].into(), message: message.into() });
    };
    let failed = |message: String| RemoteError::File { path: path.clone(), message };
    let pem = fs::read(&path).map_err(|error| failed(error.to_string()))?;
    let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| failed(error.to_string()))?;
    let certificates: Vec<_> = items
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(failed("there is no certificate in PEM form in it".to_owned()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_over_http_only_to_this_machine() {
        for (url, expected) in [
            ("http://127.0.0.1:7171", true),
            ("http://[::1]:7171", true),
            ("http://localhost", true),
            ("http://localhost.example", false),
            ("http://user@127.0.0.1.example", false),
            ("http://example", false),
        ] {
            assert_eq!(Remote::new(url, Some("mp_0"), None).is_ok(), expected, "{url}");
            assert!(Remote::new(url, None, None).is_ok());
        }
        assert!(matches!(Remote::new("localhost:1", None, None), Err(RemoteError::NotAUrl(_))));
        assert!(matches!(Remote::new("http://[::1]", Some("a\nb"), None), Err(RemoteError::NotAToken)));
    }
}
