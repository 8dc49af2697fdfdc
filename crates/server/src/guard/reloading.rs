//! Something made from files, and made again when they change.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};

type Load<T> = Box<dyn Fn() -> Result<T, Box<dyn Display>> + Send + Sync>;

/// When a file was written last, how long it is, and which one it is; none of a file that is not there.
type Stamp = Option<(SystemTime, u64, u64)>;

/// See the module.
pub(super) struct Reloading<T> {
    files: Vec<PathBuf>,
    load: Load<T>,
    current: RwLock<Arc<T>>,
    seen: Mutex<Vec<Stamp>>,
}

impl<T> Reloading<T> {
    /// Loads it for the first time.
    pub(super) fn new<E: Display + 'static>(
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        // Looked at first: what is written meanwhile is then read again.
        let seen = Mutex::new(files.iter().map(|file| stamp(file)).collect());
        let current = RwLock::new(Arc::new(load()?));
        let load: Load<T> = Box::new(move || load().map_err(|error| Box::new(error) as Box<dyn Display>));
        Ok(Self { files, load, current, seen })
    }

    /// As it is now.
    pub(super) fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.read())
    }

    /// Loads it again if a file has changed, or if `always`. If that fails it stays as it was.
    pub(super) fn reload(&self, always: bool) {
        let mut seen = self.seen.lock();
        let stamps: Vec<_> = self.files.iter().map(|file| stamp(file)).collect();
        if !always && *seen == stamps {
            return;
        }
        *seen = stamps;
        let files =
            || self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        match (self.load)() {
            Ok(loaded) => {
                *self.current.write() = Arc::new(loaded);
                tracing::info!(files = files(), "read again");
            }
            Err(error) => {
                tracing::error!(%error, files = files(), "cannot be read again; what was read before stays");
            }
        }
    }
}

fn stamp(file: &Path) -> Stamp {
    let metadata = file.metadata().ok()?;
    #[cfg(unix)]
    let which = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let which = 0;
    Some((metadata.modified().ok()?, metadata.len(), which))
}
