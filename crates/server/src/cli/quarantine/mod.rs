//! `milepost quarantine`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use milepost_store::sqlite;
use serde_json::Value;

use super::Failure;
use super::asking::variable;
use super::remote::RemoteArgs;
use crate::quarantine::http;
use crate::quarantine::listed::{lines, listed};
use crate::remote::Remote;

mod retry;

const HELP: &str = "\
Examples:
  milepost quarantine list --data milepost-data --limit 20 --format json
  milepost quarantine list --server http://127.0.0.1:7171";

/// Columns of a table that is not shown on a terminal, whose width would be taken instead.
const WIDTH: u16 = 160;

/// Look at refused events, and try them again.
#[derive(Debug, Subcommand)]
pub(super) enum QuarantineCommand {
    List(ListArgs),
    Retry(retry::RetryArgs),
}

/// List refused events, the newest first, each with its reason.
///
/// Persons in them are pseudonyms. A server may be running on the data directory.
#[derive(Debug, Args)]
#[command(after_help = HELP, group(ArgGroup::new("place").args(["data", "server"])))]
pub(super) struct ListArgs {
    /// The data directory [default: milepost-data] [env: `MILEPOST_DATA`, without --server].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The server whose quarantine it is, such as `http://127.0.0.1:7171`, in a cluster one with the role query; its token needs
    /// the scope admin.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
    /// The form of the list; json prints one object a line, with what was sent.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

impl QuarantineCommand {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::List(args) => args.run(),
            Self::Retry(args) => args.run(),
        }
    }
}

impl ListArgs {
    fn run(&self) -> Result<ExitCode, Failure> {
        let refused = match &self.server {
            Some(url) => {
                let remote = self
                    .remote
                    .open(url)
                    .map_err(|error| Failure::usage(format!("{}: {error}", error.flag())))?;
                self.there(&remote)?
            }
            None => self.here()?,
        };
        let text = match self.format {
            Format::Json => lines(&refused),
            Format::Table if refused.is_empty() => "nothing was refused\n".to_owned(),
            Format::Table => format!("{}\n", as_table(&refused)),
        };
        crate::cli::asking::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn here(&self) -> Result<Vec<Value>, Failure> {
        let data = self.data.clone().or_else(|| variable("MILEPOST_DATA"));
        let mut reader =
            sqlite::open_reader(&data.unwrap_or_else(|| "milepost-data".into())).map_err(Failure::new)?;
        let refused = reader.quarantine(None, self.limit).map_err(Failure::new)?;
        Ok(refused.iter().map(listed).collect())
    }

    /// Page after page.
    fn there(&self, remote: &Remote) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        while all.len() < self.limit {
            let before = all.last().and_then(|last: &Value| last["number"].as_u64());
            let page = page(remote, before, self.limit - all.len())?;
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        all.truncate(self.limit);
        Ok(all)
    }
}

fn page(remote: &Remote, before: Option<u64>, limit: usize) -> Result<Vec<Value>, Failure> {
    let url = remote.url(http::LIST);
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{url}: {error}"));
    let request = remote.get(http::LIST).query("limit", limit.to_string());
    let request = before.iter().fold(request, |request, before| request.query("before", before.to_string()));
    let mut response = request.call().map_err(|error| failed(&error))?;
    let status = response.status().as_u16();
    let body =
        response.body_mut().with_config().limit(u64::MAX).read_to_string().map_err(|error| failed(&error))?;
    if status != 200 {
        return Err(failed(&refused(status, &body)));
    }
    body.lines().map(serde_json::from_str).collect::<Result<_, _>>().map_err(|error| failed(&error))
}

/// Why a server does not do what it was asked for, in words.
fn refused(status: u16, body: &str) -> String {
    let said = serde_json::from_str::<Value>(body).ok();
    let message = said.as_ref().and_then(|said| said["error"]["message"].as_str());
    match (status, message) {
        (404, _) => {
            "there is no such path: is this a Milepost server with a quarantine, and new enough?".to_owned()
        }
        (429 | 501 | 503, Some(message)) => message.to_owned(),
        _ => format!("status {status}: {}", message.unwrap_or(body)),
    }
}

fn as_table(refused: &[Value]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH);
    }
    table.set_header(["#", "refused at", "door", "source", "id", "reason", "field", "message"]);
    for one in refused {
        let columns = ["number", "at", "door", "source", "id", "reason", "field", "message"];
        table.add_row(columns.map(|column| match &one[column] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }));
    }
    table
}
