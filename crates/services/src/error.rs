//! What can go wrong, each with the way out.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why a service cannot be had, or does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something it is made of is missing and cannot be fetched.
    #[error("{what} cannot be had: {reason}\n  remedy: {remedy}")]
    Unavailable {
        /// What is missing.
        what: &'static str,
        /// Why.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
    /// Another program failed.
    #[error("`{command}` failed: {reason}")]
    Command {
        /// Its command line.
        command: String,
        /// Its exit status and the end of what it said.
        reason: String,
    },
    /// A file or directory cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A fetched file is not the one pinned here.
    #[error(
        "{file} is not what is pinned: its digest is {found}, not {wanted}; fetch it from where it is published"
    )]
    Digest {
        /// What was fetched.
        file: String,
        /// The digest of what came.
        found: String,
        /// The digest pinned here.
        wanted: String,
    },
    /// It was started and does not answer.
    #[error("{name} on {address} {reason}\n  its log is {}, and ends in:\n{tail}", log.display())]
    NotUp {
        /// Which service.
        name: &'static str,
        /// Where it should answer.
        address: SocketAddr,
        /// What it does instead.
        reason: String,
        /// Where its log is.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// Something else listens on the port it was to have.
    #[error("port {port} of 127.0.0.1 is taken: stop what listens there, or choose another port")]
    PortTaken {
        /// Which.
        port: u16,
    },
    /// Its directory is in use.
    #[error("{name} runs in {} already: stop it, or take another directory", directory.display())]
    Running {
        /// Which service.
        name: &'static str,
        /// Where.
        directory: PathBuf,
    },
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}
