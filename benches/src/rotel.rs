//! Rotel, a collector of OpenTelemetry in Rust, as its makers publish it: the nearest peer on the way from gRPC to Kafka.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use milepost_services::Error;

use crate::server::Server;

const VERSION: &str = "0.0.1a15";
/// Versions of Python it is published for, with the digest of each package. It needs the library of the one it is built for.
const PACKAGES: [(&str, &str); 4] = [
    ("3.10", "797faed4ec003b0b1ab65fee25a18c991cb863c221f503d383425f0958aaa5fa"),
    ("3.11", "2f4117e58410c933e0dc042a268ef738dab2e3a5d63b5831209acdac2a6ddcb7"),
    ("3.12", "6b1a12b2d6d52ab10574cb111053402f2bc195fa55453b19294af57c0d35bece"),
    ("3.13", "322a830deed963dd5dcc460007e917eec071c5977e51c3a06029348f39e4eec9"),
];

/// Its program.
pub struct Rotel(PathBuf);

impl Rotel {
    /// Fetches it with pip into the cache, unless it is there. Why it cannot be had, if it cannot.
    pub fn fetch() -> Result<Self, String> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err("it is fetched for Linux on x86_64".into());
        }
        let libraries = Command::new("sh").args(["-c", "PATH=$PATH:/sbin ldconfig -p"]).output();
        let libraries = libraries.map_err(|error| format!("ldconfig: {error}"))?.stdout;
        let libraries = String::from_utf8_lossy(&libraries);
        let (python, digest) = PACKAGES
            .into_iter()
            .find(|(python, _)| libraries.contains(&format!("libpython{python}.so.1.0")))
            .ok_or("it needs the shared library of Python 3.10 to 3.13, and there is none of these")?;
        let cache = milepost_services::cache().map_err(|error| error.to_string())?;
        let directory = cache.join(format!("rotel-{VERSION}-{python}"));
        let program = directory.join("rotel/rotel-agent");
        if !program.is_file() {
            let fill = |directory: &Path| fetch(directory, python, digest);
            milepost_services::staged::<Error>(&directory, fill).map_err(|error| error.to_string())?;
        }
        Ok(Self(program))
    }

    /// As it would be called beside Milepost.
    pub fn name(&self) -> String {
        format!("Rotel {VERSION}")
    }

    /// Has it take logs over gRPC and put them on a topic, with acknowledgements and packing as Milepost has.
    pub fn logs_to_kafka(&self, brokers: &str, topic: &str) -> Server {
        let free = milepost_services::free_port;
        let [grpc, http] = [free(), free()].map(|port| format!("127.0.0.1:{port}"));
        let mut command = Command::new(&self.0);
        command.args(["start", "--otlp-grpc-endpoint", &grpc, "--otlp-http-endpoint", &http]);
        command.args(["--exporter", "kafka", "--kafka-exporter-brokers", brokers]);
        command.args(["--kafka-exporter-logs-topic", topic, "--kafka-exporter-compression", "lz4"]);
        // As many logs in a record as surely fit into the 1 MB that a broker takes.
        command.args(["--kafka-exporter-acks", "all", "--batch-max-size", "2000"]);
        command.args(["--kafka-exporter-custom-config", "enable.idempotence=true"]);
        command.stdout(Stdio::null());
        Server::other(&mut command, grpc.parse().expect("an address"))
    }
}

fn fetch(directory: &Path, python: &str, digest: &str) -> Result<(), Error> {
    let requirements = directory.join("requirements.txt");
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    fs::write(&requirements, format!("rotel=={VERSION} --hash=sha256:{digest}\n"))
        .map_err(failed(&requirements))?;
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--require-hashes", "--only-binary", ":all:", "--platform", "manylinux_2_34_x86_64"])
        .args(["--python-version", python, "--dest"])
        .arg(directory)
        .arg("--requirement")
        .arg(&requirements))?;
    run(Command::new("sh").current_dir(directory).args(["-c", "python3 -m zipfile --extract *.whl ."]))?;
    let program = directory.join("rotel/rotel-agent");
    let file = File::open(&program).map_err(failed(&program))?;
    file.set_permissions(fs::Permissions::from_mode(0o755)).map_err(failed(&program))
}

fn run(command: &mut Command) -> Result<(), Error> {
    let reason = match command.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Error::Command { command: format!("{command:?}"), reason })
}
