//! A demo that is kept: the configuration that its events are measured with, and how to go on with them.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::{DemoError, GOLDEN_PATH, program, shell_word};

/// Beside the events.
const FILE: &str = "demo.toml";

/// Puts the configuration beside the events, unless one is there, and says how to ask again later.
pub(super) fn told(data: &Path) -> Result<String, DemoError> {
    let path = data.join(FILE);
    let text = format!(
        "# What the demo measures its events with.\n[capabilities.\"{GOLDEN_PATH}\"]\ngolden_path = true\n"
    );
    let written = OpenOptions::new().write(true).create_new(true).open(&path);
    match written.and_then(|mut file| file.write_all(text.as_bytes())) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(DemoError::Configuration { path, source: error });
        }
        _ => {}
    }
    let (program, data, config) = (program(), shell_word(data), shell_word(&path));
    Ok(format!(
        "\
The events are kept in {data}. The same numbers again, also once this has ended:
  {program} query time_to_first_deploy --as-of 2018-12-31 --data {data} --config {config}
  {program} serve --data {data} --config {config}

"
    ))
}
