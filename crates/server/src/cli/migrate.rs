//! `milepost migrate` and `milepost replay`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use milepost_model::Positions;
use milepost_store::clickhouse::{Agreement, ClickHouse};

use super::{Failure, asking};
use crate::config::{self, Flags, KafkaSettings, Settings};

const MIGRATE: &str = "\
Examples:
  milepost migrate --config milepost.toml
  MILEPOST_CLICKHOUSE__URL=http://clickhouse:8123 milepost migrate

The roles migrate when they start, too; this does it before, with a user who may, and says what was done. It also makes
the configuration that numbers depend on the one of the cluster: replicas with another one stop answering until they are
given this one.

Where kafka.brokers is set, the topics are made and checked as well.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

const REPLAY: &str = "\
After ClickHouse has lost what it had acked: a deleted part, a restored backup. Aggregators then read the log again from its
earliest record, and what is there already is found again, not added. Replicas answer from what they have, and load
anew once it has come as far as it was. What Kafka has deleted by then is not brought back.

Exit codes: 0 begun, 1 failed, 2 wrong usage or configuration.";

/// Make the topics, the database and its tables what this version needs.
#[derive(Debug, Args)]
#[command(after_help = MIGRATE)]
pub(super) struct MigrateArgs {
    /// The configuration [default: none].
    #[arg(long, value_name = "FILE", env = "MILEPOST_CONFIG")]
    config: Option<PathBuf>,
}

/// Have the log read again.
#[derive(Debug, Args)]
#[command(after_help = REPLAY)]
pub(super) struct ReplayArgs {
    /// The configuration [default: none].
    #[arg(long, value_name = "FILE", env = "MILEPOST_CONFIG")]
    config: Option<PathBuf>,
}

impl MigrateArgs {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        super::log("info");
        let settings = config::load(self.config.as_deref(), Flags::default()).map_err(Failure::usage)?;
        let clickhouse = clickhouse(&settings)?;
        let done = super::block_on(async {
            let mut done = Vec::new();
            if !settings.kafka.brokers.is_empty() {
                let options = settings.kafka.options(settings.limits.event_bytes);
                let report = milepost_log::prepare(&options).await.map_err(Failure::new)?;
                done.extend(report.made.iter().map(|topic| format!("made the topic {topic}")));
                done.extend(report.notes);
            }
            for migration in clickhouse.migrate().await.map_err(Failure::new)? {
                done.push(format!("applied migration {} ({})", migration.number, migration.name));
            }
            let digest = settings.metrics().digest();
            if clickhouse.agree_on_config(&digest, false).await.map_err(Failure::new)? != Agreement::Same {
                clickhouse.agree_on_config(&digest, true).await.map_err(Failure::new)?;
                done.push(format!("the configuration of the cluster has the digest {digest} now"));
            }
            Ok(done)
        })?;
        let said = if done.is_empty() { "nothing to do".to_owned() } else { done.join("\n") };
        asking::print(&format!("{said}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ReplayArgs {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        super::log("info");
        let settings = config::load(self.config.as_deref(), Flags::default()).map_err(Failure::usage)?;
        let clickhouse = clickhouse(&settings)?;
        let progress = super::block_on(async {
            clickhouse.check_schema().await.map_err(Failure::new)?;
            let known = clickhouse.progress().await.map_err(Failure::new)?.positions;
            clickhouse.rewind(&from_the_first(&known, &settings.kafka)).await.map_err(Failure::new)
        })?;
        let again = progress.epoch;
        asking::print(&format!("the log is read again from its earliest record, for the {again}. time\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Where the log begins. What was read of other topics stays as it is: nobody reads those any more.
fn from_the_first(known: &Positions, kafka: &KafkaSettings) -> Positions {
    let is_read = |topic: &str| topic == kafka.topic || topic == kafka.refused_topic;
    let read = known.iter().filter(|(partition, _)| is_read(&partition.topic));
    read.map(|(partition, _)| (partition.clone(), 0)).collect()
}

fn clickhouse(settings: &Settings) -> Result<ClickHouse, Failure> {
    if settings.clickhouse.url.is_empty() {
        let message =
            "clickhouse.url: missing: write where ClickHouse answers HTTP (MILEPOST_CLICKHOUSE__URL)";
        return Err(Failure::usage(message));
    }
    ClickHouse::new(&settings.clickhouse.options()).map_err(Failure::usage)
}

#[cfg(test)]
mod tests {
    use milepost_model::Partition;

    use super::*;

    #[test]
    fn topics_that_nobody_reads_any_more_stay_where_they_are() {
        let partition = |topic: &str, number| Partition { topic: topic.into(), number };
        let known = [("old", 0, 5), ("new", 0, 7), ("new", 1, 9), ("refused", 0, 3)];
        let known = known.into_iter().map(|(topic, number, next)| (partition(topic, number), next)).collect();
        let kafka = KafkaSettings {
            topic: "new".into(),
            refused_topic: "refused".into(),
            ..KafkaSettings::default()
        };
        let again = [("new", 0), ("new", 1), ("refused", 0)];
        let again = again.into_iter().map(|(topic, number)| (partition(topic, number), 0)).collect();
        assert_eq!(from_the_first(&known, &kafka), again);
    }
}
