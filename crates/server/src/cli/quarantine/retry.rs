//! `milepost quarantine retry`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args};
use indicatif::ProgressBar;
use milepost_ingest::HandedBack;
use milepost_model::Reason;
use serde_json::json;

use crate::cli::copying::bar;
use crate::cli::remote::RemoteArgs;
use crate::cli::{Failure, Format};
use crate::config::{self, Flags};
use crate::installation::Writing;
use crate::quarantine::{Asked, Outcome, Quarantine, RetryError, http};
use crate::remote::Remote;

/// How often a page that is handed back is tried again.
const ATTEMPTS: usize = 60;

const HELP: &str = "\
Examples:
  milepost quarantine retry --data milepost-data --reason too_many_names --dry-run
  milepost quarantine retry --server http://127.0.0.1:7171 --id 17 --id 18

The checks are those of every event, under the configuration of now. Events that are taken leave the quarantine; those
refused again stay, with the reason of now. What was refused as forbidden is tried only if it is named by --reason or
--id. Interrupted, it can be run again.

With --format json: {\"tried\":n,\"stored\":n,\"duplicate\":n,\"refused\":n,\"reasons\":{REASON:n},\"forbidden\":n,\"dry_run\":BOOL};
forbidden are those left alone.

Exit codes: 0 all taken, 1 failed, 2 wrong usage or configuration, 3 some events were refused again.";

/// Try refused events again, once the cause is mended.
#[derive(Debug, Args)]
#[command(after_help = HELP, group(ArgGroup::new("place").args(["data", "server"])))]
pub(in crate::cli) struct RetryArgs {
    /// The data directory; no server may be running on it [default: milepost-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The server whose quarantine it is, such as `http://127.0.0.1:7171`; its token needs the scope admin.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
    /// The configuration: limits and privacy. A server has its own.
    #[arg(long, value_name = "FILE", env = "MILEPOST_CONFIG")]
    config: Option<PathBuf>,
    /// Only events refused for this reason; can be given more than once.
    #[arg(long = "reason", value_name = "REASON", value_parser = reasons())]
    reasons: Vec<String>,
    /// Only the event with this number, which `milepost quarantine list` shows; can be given more than once.
    #[arg(long = "id", value_name = "N", num_args = 1..)]
    numbers: Vec<u64>,
    /// Change nothing, and say what would become of them.
    #[arg(long)]
    dry_run: bool,
    /// The form of the summary.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn reasons() -> PossibleValuesParser {
    Reason::ALL.map(Reason::as_str).into()
}

/// Whose quarantine it is.
enum Place {
    Here(Quarantine),
    There(Remote),
}

impl RetryArgs {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        crate::cli::log("warn");
        let asked = Asked {
            reasons: Reason::ALL
                .into_iter()
                .filter(|reason| self.reasons.iter().any(|name| name == reason.as_str()))
                .collect(),
            numbers: self.numbers.clone(),
            after: 0,
            dry_run: self.dry_run,
        };
        let outcome = match &self.server {
            Some(url) => {
                let remote = self
                    .remote
                    .open(url)
                    .map_err(|error| Failure::usage(format!("{}: {error}", error.flag())))?;
                crate::cli::block_on(all(Place::There(remote), asked))?
            }
            None => self.here(asked)?,
        };
        self.tell(&outcome)?;
        Ok(if outcome.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
    }

    fn here(&self, asked: Asked) -> Result<Outcome, Failure> {
        let flags = Flags { data: self.data.clone(), ..Flags::default() };
        let settings = config::load(self.config.as_deref(), flags).map_err(Failure::usage)?;
        // What has no database gets none: there is nothing in it to be tried again.
        milepost_store::sqlite::open_reader(&settings.data).map_err(Failure::new)?;
        // With the Model: how many names there may be is held against it.
        let (writing, engine) = Writing::open_with_model(&settings).map_err(Failure::new)?;
        let outcome = crate::cli::block_on(all(Place::Here(writing.quarantine(&engine)), asked));
        writing.close();
        outcome
    }

    fn tell(&self, outcome: &Outcome) -> Result<(), Failure> {
        let Outcome { tried, stored, duplicate, refused, forbidden, .. } = outcome;
        let again: u64 = refused.values().sum();
        let missing = (self.numbers.len() as u64).saturating_sub(*tried);
        if !self.numbers.is_empty() && self.reasons.is_empty() && missing > 0 {
            eprintln!("milepost: {missing} of the numbers are not in the quarantine");
        }
        let text = match self.format {
            Format::Json => {
                let summary = json!({
                    "tried": tried, "stored": stored, "duplicate": duplicate, "refused": again, "reasons": refused,
                    "forbidden": forbidden, "dry_run": self.dry_run,
                });
                format!("{summary}\n")
            }
            Format::Text => {
                let begin = if self.dry_run { "nothing is changed; of " } else { "" };
                let mut text = format!(
                    "{begin}{tried} tried: {stored} stored, {duplicate} duplicate, {again} refused again\n"
                );
                text.extend(
                    refused.iter().map(|(reason, count)| format!("  {}: {count}\n", reason.as_str())),
                );
                if *forbidden > 0 {
                    let left = "refused as forbidden were left alone: `--reason forbidden` tries them, if their senders \
                                may write them";
                    text.extend([forbidden.to_string(), format!(" {left}\n")]);
                }
                text
            }
        };
        Ok(crate::cli::asking::print(&text)?)
    }
}

/// Page after page.
async fn all(place: Place, mut asked: Asked) -> Result<Outcome, Failure> {
    let bar = bar("{bar:40} {pos} of {len} {eta}");
    let mut all = Outcome::default();
    loop {
        let page = page(&place, &asked, &bar).await.map_err(|failure| Failure {
            message: format!(
                "{}\nIt stopped there. Run it again: what was taken is gone from the quarantine.",
                failure.message
            ),
            ..failure
        })?;
        bar.set_length(page.quarantined + all.stored + all.duplicate);
        all.add(&page);
        bar.set_position(all.looked_at);
        match all.next {
            Some(next) => asked.after = next,
            None => break,
        }
    }
    bar.finish_and_clear();
    Ok(all)
}

/// One page, again if it is handed back.
async fn page(place: &Place, asked: &Asked, bar: &ProgressBar) -> Result<Outcome, Failure> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let (why, wait) = match place {
            Place::Here(quarantine) => match quarantine.retry(asked.clone()).await {
                Ok(outcome) => return Ok(outcome),
                Err(RetryError::HandedBack(busy @ HandedBack::Busy { .. })) => {
                    (busy.to_string(), busy.retry_after())
                }
                Err(error) => return Err(Failure::new(error)),
            },
            Place::There(remote) => {
                let (remote, asked) = (remote.clone(), asked.clone());
                let posted = tokio::task::spawn_blocking(move || post(&remote, &asked)).await;
                match posted.map_err(Failure::new)?? {
                    Reply::Done(outcome) => return Ok(outcome),
                    Reply::Later(why, wait) => (why, wait),
                }
            }
        };
        if attempts == ATTEMPTS {
            return Err(Failure::new(format!("{why} (still so after {ATTEMPTS} attempts)")));
        }
        bar.set_message(why);
        tokio::time::sleep(wait).await;
    }
}

enum Reply {
    Done(Outcome),
    Later(String, Duration),
}

fn post(remote: &Remote, asked: &Asked) -> Result<Reply, Failure> {
    let url = remote.url(http::PATH);
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{url}: {error}"));
    let mut response = remote.post(http::PATH).send_json(asked).map_err(|error| failed(&error))?;
    let status = response.status().as_u16();
    if status == 200 {
        return response.body_mut().read_json().map(Reply::Done).map_err(|error| failed(&error));
    }
    let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let said = response.body_mut().read_to_string().unwrap_or_default();
    let said = super::refused(status, &said);
    match status {
        429 | 503 => Ok(Reply::Later(said, Duration::from_secs(seconds.unwrap_or(1)))),
        _ => Err(failed(&said)),
    }
}
