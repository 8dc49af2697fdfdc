//! Files with secrets: keys of persons, hashes of tokens.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use milepost_store::failpoint::reach;

/// Writes one whole, for its owner alone: under another name first and then renamed, both synced. A key that a power cut takes
/// away would leave persons whom nobody can ever name again, and a token that was revoked must not come back.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    reach("key.written");
    fs::rename(&new, path)?;
    reach("key.renamed");
    match path.parent() {
        #[cfg(unix)]
        Some(directory) if directory.as_os_str().is_empty() => File::open(".")?.sync_all(),
        #[cfg(unix)]
        Some(directory) => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}
