//! ClickHouse, over HTTP and its native protocol: `clickhouse local` out of a shared library, told to listen.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::{Error, Kind, Lifetime, Service, ports, tools};

/// How it is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where HTTP is served; a free port if none is given.
    pub http_port: Option<u16>,
    /// Where the native protocol is served, which `Distributed` tables use; a free port if none is given.
    pub tcp_port: Option<u16>,
    /// Elements of `<clickhouse>` in the configuration, such as `<remote_servers>` and `<macros>`.
    pub config: String,
    /// Elements of `<users>`, beside the user `default` without a password, as which the server itself runs.
    pub users: String,
    /// How long it lives.
    pub lifetime: Lifetime,
}

/// It listens until its standard input ends, which the launcher ends when asked to.
const QUERY: &str = "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; SELECT * FROM file(stdin, 'LineAsString') FORMAT Null";

const USERS: &str = "\
<clickhouse>
<profiles><default/></profiles>
<quotas><default/></quotas>
<users>
<default>
<password></password><profile>default</profile><quota>default</quota><networks><ip>127.0.0.1</ip></networks>
</default>
<!-- more -->
</users>
</clickhouse>
";

/// Starts it, on the data that is in the directory if there is any, and waits until it answers.
pub fn start(directory: &Path, options: &Options) -> Result<Service, Error> {
    let Options { http_port, tcp_port, config, users, lifetime } = options;
    Service::start(Kind::ClickHouse, directory, *http_port, *lifetime, |directory, http_port| {
        let tcp_port = ports::choose(directory, "tcp-port", *tcp_port)?;
        let data = directory.join("data");
        fs::create_dir_all(&data).map_err(Error::file(&data))?;
        write(&directory.join("users.xml"), &USERS.replace("<!-- more -->", users))?;
        let config = format!(
            "<clickhouse>\n<listen_host>127.0.0.1</listen_host>\n<http_port>{http_port}</http_port>\n\
             <tcp_port>{tcp_port}</tcp_port>\n<logger><log>server.log</log><errorlog>errors.log</errorlog></logger>\n\
             <users_config>users.xml</users_config>\n{config}\n</clickhouse>\n"
        );
        write(&directory.join("config.xml"), &config)?;
        let library = tools::clickhouse()?;
        let mut program = vec!["clickhouse".into(), library.into_os_string()];
        // The whole path: below a relative one it does not find the directories it is asked to sync.
        program.extend(["--path".into(), data.into_os_string()]);
        program.extend(
            ["--config-file", "config.xml", "--log-level", "information", "--query", QUERY]
                .map(OsString::from),
        );
        Ok(program)
    })
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    fs::write(file, text).map_err(Error::file(file))
}
