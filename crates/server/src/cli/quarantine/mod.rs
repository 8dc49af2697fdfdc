//! `milepost quarantine`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use milepost_model::Payload;
use milepost_store::{Quarantined, sqlite};
use milepost_wire::pb;
use prost::Message as _;
use serde_json::{Value, json};

use super::Failure;

mod retry;

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
#[command(after_help = "Example:\n  milepost quarantine list --data milepost-data --limit 20 --format json")]
pub(super) struct ListArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "milepost-data", env = "MILEPOST_DATA")]
    data: PathBuf,
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
        let mut reader = sqlite::open_reader(&self.data).map_err(Failure::new)?;
        let refused = reader.quarantine(None, self.limit).map_err(Failure::new)?;
        let text = match self.format {
            Format::Json => refused.iter().flat_map(|one| [as_json(one).to_string(), "\n".into()]).collect(),
            Format::Table if refused.is_empty() => "nothing was refused\n".to_owned(),
            Format::Table => format!("{}\n", as_table(&refused)),
        };
        crate::cli::asking::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(one: &Quarantined) -> Value {
    let rejected = &one.rejected;
    json!({
        "number": one.number,
        "at": one.at,
        "door": rejected.door.as_str(),
        "reason": rejected.refusal.reason.as_str(),
        "field": rejected.refusal.field,
        "message": rejected.refusal.message,
        "source": rejected.source,
        "id": rejected.id,
        "sent": rejected.payload.as_ref().map(sent),
    })
}

/// As JSON; what came as protobuf, in a text that people can read.
fn sent(payload: &Payload) -> Value {
    match payload {
        Payload::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Payload::Protobuf(bytes) => {
            json!({"protobuf": pb::Event::decode(bytes.as_slice()).map(|event| format!("{event:?}")).ok()})
        }
    }
}

fn as_table(refused: &[Quarantined]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH);
    }
    table.set_header(["#", "refused at", "door", "source", "id", "reason", "field", "message"]);
    for Quarantined { number, at, rejected } in refused {
        table.add_row([
            number.to_string(),
            at.to_string(),
            rejected.door.as_str().to_owned(),
            rejected.source.clone().unwrap_or_default(),
            rejected.id.clone().unwrap_or_default(),
            rejected.refusal.reason.as_str().to_owned(),
            rejected.refusal.field.clone(),
            rejected.refusal.message.clone(),
        ]);
    }
    table
}
