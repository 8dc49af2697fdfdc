//! Calls of librdkafka that wait for a broker.

use std::thread;

use tokio::sync::oneshot;

use crate::LogError;

/// Runs what may wait for long on a thread of its own. Not one of the runtime's: a broker that does not answer would hold up the
/// end of the process.
pub(crate) async fn beside<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LogError> {
    let (done, answer) = oneshot::channel();
    let run = move || {
        // Whoever waits may have gone.
        let _ = done.send(work());
    };
    thread::Builder::new().name(format!("kafka {what}")).spawn(run).map_err(LogError::unavailable)?;
    answer.await.map_err(|_| LogError::Unavailable(format!("the thread for {what} has failed")))
}
