//! Apache Kafka: one node in KRaft mode, broker and controller in one process.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::fetch::run;
use crate::{Error, Kind, Lifetime, Service, ports, tools};

/// How it is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where clients are served; a free port if none is given.
    pub port: Option<u16>,
    /// The most memory of the Java heap, in MiB.
    pub heap_mib: u32,
    /// Properties of the broker, over the ones set here.
    pub properties: Vec<(String, String)>,
    /// How long it lives.
    pub lifetime: Lifetime,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: None, heap_mib: 384, properties: Vec::new(), lifetime: Lifetime::default() }
    }
}

/// One cluster is as good as another: none of them ever meets a second one.
const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";

const PROPERTIES: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
";

const LOGGING: &str = "\
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
";

/// Starts it, on the data that is in the directory if there is any, and waits until it answers.
pub fn start(directory: &Path, options: &Options) -> Result<Service, Error> {
    Service::start(Kind::Kafka, directory, options.port, options.lifetime, |directory, port| {
        let java = tools::java()?;
        let mut classes = tools::kafka()?.into_os_string();
        classes.push("/*");
        let controller = ports::choose(directory, "controller-port", None)?;
        write(&directory.join("server.properties"), &properties(port, controller, &options.properties))?;
        write(&directory.join("log4j2.properties"), LOGGING)?;
        let java = |heap_mib: u32, main: &str| -> Vec<OsString> {
            let heap = format!("-Xmx{heap_mib}m");
            let options = [
                "-Xms64m",
                &heap,
                "-XX:+ExitOnOutOfMemoryError",
                "-Dlog4j2.configurationFile=log4j2.properties",
            ];
            let mut line = vec![java.clone().into_os_string()];
            line.extend(options.map(OsString::from));
            line.extend(["-cp".into(), classes.clone(), main.into()]);
            line
        };
        if !directory.join("data/meta.properties").exists() {
            let format = ["format", "--cluster-id", CLUSTER_ID, "--config", "server.properties"];
            let line = java(128, "kafka.tools.StorageTool");
            run(Command::new(&line[0]).current_dir(directory).args(&line[1..]).args(format))?;
        }
        let mut program = vec!["exec".into()];
        program.extend(java(options.heap_mib, "kafka.Kafka"));
        program.push("server.properties".into());
        Ok(program)
    })
}

/// The last of several lines for one property counts.
fn properties(port: u16, controller: u16, more: &[(String, String)]) -> String {
    let mut text = PROPERTIES.to_owned();
    let address = format!("PLAINTEXT://127.0.0.1:{port}");
    let own = [
        ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
        ("listeners", format!("{address},CONTROLLER://127.0.0.1:{controller}")),
        ("advertised.listeners", address),
    ];
    let own = own.iter().map(|(name, value)| (*name, value.as_str()));
    let more = more.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.chain(more) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    fs::write(file, text).map_err(Error::file(file))
}
