//! Being asked to end.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Whoever asks the process to end, by SIGTERM or Ctrl-C.
#[derive(Debug)]
pub struct Requests {
    #[cfg(unix)]
    signals: [Signal; 2],
}

impl Requests {
    /// Listens from now on: who asks earlier ends the process at once, as is the way of the system.
    #[cfg(unix)]
    pub fn listen() -> io::Result<Self> {
        Ok(Self { signals: [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?] })
    }

    /// Listens.
    #[cfg(not(unix))]
    pub fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits until the process is asked.
    pub async fn next(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        {
            let [terminate, interrupt] = &mut self.signals;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            Ok(())
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await
    }

    /// Asked once more, the process ends at once: nothing acked is lost by that, only what is unanswered.
    pub fn end_at_the_next(mut self) {
        tokio::spawn(async move {
            if self.next().await.is_ok() {
                std::process::exit(130);
            }
        });
    }
}

/// Listens, and waits until the process is asked to end; asked a second time, it ends at once.
pub async fn requested() -> io::Result<()> {
    let mut requests = Requests::listen()?;
    requests.next().await?;
    requests.end_at_the_next();
    Ok(())
}
