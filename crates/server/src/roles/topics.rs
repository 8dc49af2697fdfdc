//! Events from topics that others fill, where such are configured.

use std::sync::Arc;

use milepost_ingest::Intake;
use milepost_ingest::kafka::KafkaDoor;
use milepost_log::{LogError, Status};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::lag;
use crate::config::Settings;
use crate::exporter::exposition::Family;

/// The door, while it is open.
pub(super) struct Topics {
    pub(super) status: Status,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Topics {
    /// Opens it, if there are topics. Should it have to close, `fail` is told why.
    pub(super) fn open(
        settings: &Settings,
        intake: &Arc<Intake>,
        fail: mpsc::Sender<String>,
    ) -> Result<Option<Self>, LogError> {
        let kafka = &settings.kafka;
        if kafka.topics.is_empty() {
            return Ok(None);
        }
        let options = kafka.options(settings.limits.event_bytes);
        let (topics, group) = (kafka.topics.clone(), kafka.topics_group.clone());
        let door = KafkaDoor::new(&options, topics, group, Arc::clone(intake))?;
        let status = door.status();
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let until = async move {
                // An error means that nobody can say so any more.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            if let Err(error) = door.run(until).await {
                // Nobody waits for it where the process is ending.
                let _ = fail.try_send(error.to_string());
            }
        });
        Ok(Some(Self { status, stop, task }))
    }

    /// Closes it: what is not durable yet is left to whoever reads on.
    pub(super) async fn close(self) {
        self.stop.send_replace(true);
        if self.task.await.is_err() {
            tracing::error!("the Kafka door has failed");
        }
    }
}

/// How far it has come.
pub(super) fn families(status: Option<&Status>) -> Vec<Family> {
    let help = "Records of the topics that others fill that are not durable here yet, of each partition that this process reads.";
    let lost = "Records of the topics that others fill that Kafka had deleted before they were read.";
    status.into_iter().flat_map(|status| lag(status, ("milepost_topics", help, lost))).collect()
}
