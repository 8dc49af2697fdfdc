//! Prometheus.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::{Error, Kind, Lifetime, Service, tools};

/// How it is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where it is served; a free port if none is given.
    pub port: Option<u16>,
    /// Its configuration, as YAML; files it names are relative to the directory.
    pub config: String,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// Starts it, on the data that is in the directory if there is any, and waits until it answers.
pub fn start(directory: &Path, options: &Options) -> Result<Service, Error> {
    Service::start(Kind::Prometheus, directory, options.port, options.lifetime, |directory, port| {
        let config = directory.join("prometheus.yml");
        fs::write(&config, &options.config).map_err(Error::file(&config))?;
        let (prometheus, _) = tools::prometheus()?;
        let arguments = [
            "--config.file=prometheus.yml".to_owned(),
            "--storage.tsdb.path=data".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let mut program = vec!["exec".into(), prometheus.into_os_string()];
        program.extend(arguments.map(OsString::from));
        Ok(program)
    })
}
