//! A process of Milepost as a deployment would start it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::judged;
use super::tools::Tools;
use crate::run::Problem;

/// What stands where a secret would: 64 hex digits are good for everything, keys of persons included.
pub(super) const SECRET: &str = "5ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e75ec7e7beef";

/// The variable that names the configuration.
const CONFIG: &str = "MILEPOST_CONFIG";

/// What it is told.
pub(super) struct Process {
    /// Where that is written.
    pub(super) place: String,
    /// All its variables.
    pub(super) variables: BTreeMap<String, String>,
    /// Its configuration, if it is given one.
    pub(super) config: Option<String>,
}

impl Process {
    /// The configuration's path in the container, as a variable says.
    pub(super) fn config_path(variables: &BTreeMap<String, String>) -> Option<&Path> {
        variables.get(CONFIG).map(Path::new)
    }

    /// Whether `milepost check` takes all of it.
    pub(super) fn check(&self, tools: &Tools) -> Result<(), Problem> {
        let directory = tempfile::tempdir().map_err(Problem::file(&std::env::temp_dir()))?;
        let mut check = Command::new(&tools.milepost);
        check.arg("check").env_clear().envs(&self.variables).env_remove(CONFIG);
        if let Some(config) = &self.config {
            let file = directory.path().join("milepost.toml");
            fs::write(&file, config).map_err(Problem::file(&file))?;
            check.arg("--config").arg(file);
        }
        judged(&mut check).map_err(|problem| Problem::Check(format!("{}: {problem}", self.place)))
    }
}
