//! `milepost doctor`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::HumanBytes;
use milepost_store::Horizon;
use milepost_store::sqlite::{self, Finding, KeysInForce, Report, Severity};
use serde_json::json;

use super::copying::bar;
use super::{Failure, Format};
use crate::config::PersonKeys;

const HELP: &str = "\
Example:
  milepost doctor --data milepost-data

Exit codes: 0 nothing is damaged, 1 something is, or it could not be looked at.";

/// Look at everything in a data directory, and say what is wrong and what to do.
///
/// Reads every event, whether a server is running or not, and changes nothing. Needs as much memory as the server does.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct DoctorArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "milepost-data", env = "MILEPOST_DATA")]
    data: PathBuf,
    /// The form of the report.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl DoctorArgs {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let bar = bar("{bar:40} {pos} of {len} events {eta}");
        let report = sqlite::examine(&self.data, &mut |read, of| {
            bar.set_length(of);
            bar.set_position(read);
        });
        bar.finish_and_clear();
        let mut report = report.map_err(Failure::new)?;
        report.findings.extend(self.key());
        report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        super::asking::print(&match self.format {
            Format::Text => text(&report),
            Format::Json => as_json(&report),
        })?;
        let damaged = report.findings.iter().any(|finding| finding.severity == Severity::Damage);
        Ok(if damaged { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }

    /// What is to say of the key of the persons.
    fn key(&self) -> Option<Finding> {
        // What the database cannot say is among the findings already.
        let in_force = sqlite::keys_in_force(&self.data);
        let in_force = in_force.unwrap_or(KeysInForce { count: 1, fingerprint: None });
        let path = self.data.join("person.key");
        let kept = PersonKeys::kept_in(&self.data)
            .and_then(|keys| keys.map(|keys| keys.in_force(&in_force, path)).transpose());
        let (severity, what, advice) = match kept {
            Ok(Some(_)) => return None,
            Ok(None) if in_force.fingerprint.is_some() => (
                Severity::Note,
                "there is no person.key".to_owned(),
                "nothing if the key is in the configuration; else put it back from the backup: no server starts without it",
            ),
            Ok(None) => (
                Severity::Note,
                "there is no person.key".to_owned(),
                "nothing if the key is in the configuration; else put it back from the backup before a server makes a new one, \
                 to which every person is somebody else",
            ),
            Err(error) => (Severity::Damage, error.to_string(), "put it back from the backup"),
        };
        Some(Finding { severity, what, advice: advice.to_owned() })
    }
}

pub(super) fn text(report: &Report) -> String {
    let Report { versions, superseded, quarantined, runs, .. } = report;
    let mut text = format!(
        "events      {versions} ({superseded} of them replaced by others)\n\
         quarantine  {quarantined}\n\
         database    {} and {} of WAL\n\
         identity    {} in {runs} files\n\n",
        HumanBytes(report.database_bytes),
        HumanBytes(report.wal_bytes),
        HumanBytes(report.identity_bytes),
    );
    if let Some(Horizon { at, dropped, finished }) = report.horizon {
        let more = if finished { "" } else { ", and more are to be" };
        text.truncate(text.trim_end().len());
        // Writing to a String cannot fail.
        let _ = write!(text, "\nretention   {dropped} events before {at} are dropped{more}\n\n");
    }
    for Finding { severity, what, advice } in &report.findings {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {what}\n  -> {advice}", severity.as_str());
    }
    if !report.findings.iter().any(|finding| finding.severity == Severity::Damage) {
        text.push_str("nothing is damaged\n");
    }
    text
}

fn as_json(report: &Report) -> String {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|Finding { severity, what, advice }| {
            json!({"severity": severity.as_str(), "what": what, "advice": advice})
        })
        .collect();
    let mut value = json!({
        "events": report.versions,
        "superseded": report.superseded,
        "quarantined": report.quarantined,
        "database_bytes": report.database_bytes,
        "wal_bytes": report.wal_bytes,
        "identity_bytes": report.identity_bytes,
        "identity_files": report.runs,
        "findings": findings,
    });
    if let Some(horizon) = report.horizon {
        value["horizon"] = json!(horizon.at.to_string());
        value["dropped_events"] = json!(horizon.dropped);
    }
    format!("{value}\n")
}
