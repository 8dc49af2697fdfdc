//! `milepost serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::config::{self, Flags, Role, Settings};
use crate::roles::{Aggregate, Ingest, Part, Query, Whole};
use crate::serve::start_part;
use crate::shutdown::Requests;

const HELP: &str = "\
Examples:
  milepost serve
  milepost serve --config milepost.toml --data /var/lib/milepost --listen 0.0.0.0:7171
  milepost serve --role query --config milepost.toml

Roles of a cluster: `ingest` takes events and puts them on Kafka, `aggregate` brings them from there into ClickHouse,
`query` answers from ClickHouse; any number of each. docs/scaling.md says when and how many.

Where others reach it, it needs [tls] cert and key and a token (`milepost token create`), or
[tls] required = false and [auth] required = false.

On one port: gRPC (with reflection and health), POST /v1/events, GET /v1/metrics, /metrics,
/healthz, /readyz.

SIGTERM or Ctrl-C ends it cleanly, within limits.shutdown (10s): what was taken is kept and
answered. A second one ends it at once.

Exit codes: 0 ended when asked to, 1 cannot serve, 2 wrong usage or configuration.";

/// Take events and answer questions.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct ServeArgs {
    /// The configuration [default: none].
    #[arg(long, value_name = "FILE", env = "MILEPOST_CONFIG")]
    config: Option<PathBuf>,
    /// The part of a cluster it is [default: all].
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// The data directory [default: milepost-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen at; port 0 takes a free one [default: 127.0.0.1:7171].
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl ServeArgs {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        super::log("info");
        let flags = Flags { listen: self.listen, data: self.data, role: self.role };
        let (settings, foreign) = config::read(self.config.as_deref(), config::process_variables(), flags)
            .map_err(Failure::usage)?;
        if !foreign.is_empty() {
            tracing::warn!(variables = foreign.join(", "), "these name no setting and are ignored");
        }
        match settings.role {
            Role::All => serve::<Whole>(settings),
            Role::Ingest => serve::<Ingest>(settings),
            Role::Aggregate => serve::<Aggregate>(settings),
            Role::Query => serve::<Query>(settings),
        }
    }
}

fn serve<P: Part>(settings: Settings) -> Result<ExitCode, Failure> {
    super::block_on(async {
        let mut requests = Requests::listen().map_err(Failure::new)?;
        let mut running = tokio::select! {
            running = start_part::<P>(settings) => running.map_err(Failure::new)?,
            asked = requests.next() => {
                tracing::info!("asked to end before anything was taken");
                return asked.map_err(Failure::new).map(|()| ExitCode::SUCCESS);
            }
        };
        let scheme = if running.guard.has_tls() { "https" } else { "http" };
        eprintln!("milepost listens at {scheme}://{} (gRPC and HTTP)", running.addr);
        if let Some(addr) = running.metrics_addr {
            eprintln!("milepost answers /metrics at {addr}");
        }
        let failed = tokio::select! {
            asked = requests.next() => asked.map_err(Failure::new).map(|()| None)?,
            why = running.failed() => Some(why),
        };
        requests.end_at_the_next();
        if failed.is_none() {
            tracing::info!("asked to end");
        }
        running.shutdown().await;
        failed.map_or(Ok(ExitCode::SUCCESS), |why| Err(Failure::new(why)))
    })
}
