//! The directory outside the checkout in which fetched things are kept.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// The directory of the cache, made if it is not there: `$MILEPOST_CACHE`, else `$XDG_CACHE_HOME/milepost`, else
/// `~/.cache/milepost`.
pub fn directory() -> Result<PathBuf, Error> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = set("MILEPOST_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|base| base.join("milepost")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/milepost")))
        .ok_or_else(|| Error::Unavailable {
            what: "a cache",
            reason: "none of MILEPOST_CACHE, XDG_CACHE_HOME and HOME is set".into(),
            remedy: "set MILEPOST_CACHE to a directory outside the checkout".into(),
        })?;
    fs::create_dir_all(&directory).map_err(Error::file(&directory))?;
    fs::canonicalize(&directory).map_err(Error::file(&directory))
}

/// A directory of the cache, filled by the first that asks for it; others wait for that one.
pub(crate) fn kept(name: &str, fill: impl FnOnce(&Path) -> Result<(), Error>) -> Result<PathBuf, Error> {
    let cache = directory()?;
    let wanted = cache.join(name);
    if wanted.is_dir() {
        return Ok(wanted);
    }
    let path = cache.join("lock");
    // Unlocked when closed.
    let lock = File::create(&path).map_err(Error::file(&path))?;
    lock.lock().map_err(Error::file(&path))?;
    if !wanted.is_dir() {
        staged(&wanted, fill)?;
    }
    Ok(wanted)
}

/// Fills a directory that appears under its name only once it is whole.
pub fn staged<E: From<Error>>(directory: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let mut unfinished = OsString::from(directory);
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    remove(&unfinished)?;
    fs::create_dir_all(&unfinished).map_err(Error::file(&unfinished))?;
    fill(&unfinished)?;
    remove(directory)?;
    Ok(fs::rename(&unfinished, directory).map_err(Error::file(directory))?)
}

/// Removes a directory that need not be there.
pub(crate) fn remove(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file(directory)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_halfway_is_not_taken_for_whole() {
        let home = tempfile::tempdir().unwrap();
        let wanted = home.path().join("thing-1.2.3");
        let half = |directory: &Path| {
            fs::write(directory.join("half"), "").unwrap();
            Err(Error::file(directory)(io::Error::other("the network went away")))
        };
        assert!(staged(&wanted, half).is_err());
        assert!(!wanted.exists());
        staged(&wanted, |directory| fs::write(directory.join("whole"), "").map_err(Error::file(directory)))
            .unwrap();
        assert!(wanted.join("whole").exists());
        assert!(!wanted.join("half").exists());
    }
}
