//! How the command line speaks to a server.

use std::path::PathBuf;

use clap::Args;

use crate::remote::{Remote, RemoteError};

/// What a server wants to see, and what we want to see of it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "With --server")]
pub(super) struct RemoteArgs {
    /// The token to show. Better given as the variable: arguments are seen by everybody on the machine.
    #[arg(long, value_name = "TOKEN", env = "MILEPOST_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file with the token.
    #[arg(long, value_name = "FILE", env = "MILEPOST_TOKEN_FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Whom its certificate must be from, as PEM [default: whom the system trusts].
    #[arg(long, value_name = "FILE", env = "MILEPOST_CA")]
    ca: Option<PathBuf>,
}

impl RemoteArgs {
    /// The server at this URL.
    pub(super) fn open(&self, url: &str) -> Result<Remote, RemoteError> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => Some(
                std::fs::read_to_string(path)
                    .map_err(|error| RemoteError::File { path: path.clone(), message: error.to_string() })?,
            ),
            (None, None) => None,
        };
        Remote::new(url, token.as_deref(), self.ca.as_deref())
    }
}
