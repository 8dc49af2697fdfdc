//! What several tests need: files of the repository, and any event there can be.
#![allow(dead_code, reason = "no test needs all of it")]
#![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

pub(crate) mod any;
pub(crate) mod cdevent;
pub(crate) mod schema;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A path from the root of the repository.
pub(crate) fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The JSON files of a folder, by name without the extension.
pub(crate) fn json_files(folder: &str) -> Vec<(String, Value)> {
    let mut files: Vec<_> = fs::read_dir(root(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        })
        .collect();
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    files
}
