//! What services are made of, in the versions pinned here, fetched once into the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::fetch::{Pin, Pinned, fetch, hex, maven_repository, npm_registry, run};
use crate::{Error, cache, progress, shared};

/// The jars Kafka runs on, each with its digest.
const KAFKA_JARS: &str = include_str!("kafka-jars.txt");
const KAFKA_VERSION: &str = "4.3.1";

/// An npm package with ClickHouse as a shared library, and its digest as npm publishes it.
const CHDB: &str = "@chdb/lib-linux-x64-gnu/-/lib-linux-x64-gnu-26.7.3-stable.1.tgz";
const CHDB_SHA512: &str =
    "XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==";
const CHDB_VERSION: &str = "26.7.3";

const LAUNCHER: &str = include_str!("launcher.c");

/// Fetches everything that Kafka, ClickHouse and Prometheus need, so that starting them later needs no network.
pub fn all() -> Result<(), Error> {
    launcher()?;
    kafka()?;
    java()?;
    clickhouse()?;
    prometheus().map(|_| ())
}

/// Fetches what the tests of Kafka and ClickHouse need. A server given to them need not be had here as well: where a test
/// starts one of its own all the same, that test fails and says why.
pub fn for_tests() -> Result<(), Error> {
    launcher()?;
    if shared::given(shared::KAFKA).is_none() {
        kafka()?;
        java()?;
    }
    if shared::given(shared::CLICKHOUSE).is_none() {
        clickhouse()?;
    }
    Ok(())
}

/// The directory with the jars of Kafka.
pub(crate) fn kafka() -> Result<PathBuf, Error> {
    cache::kept(&named(&format!("kafka-{KAFKA_VERSION}"), KAFKA_JARS), |directory| {
        progress(format_args!("fetching Kafka {KAFKA_VERSION} (45 MB)"));
        let repository = maven_repository();
        let jars: Vec<_> = kafka_jars()
            .map(|(digest, path)| Pinned {
                url: format!("{repository}/{path}"),
                file: directory.join(path.rsplit('/').next().unwrap_or(path)),
                pin: Pin::Sha256(digest),
            })
            .collect();
        fetch(&jars).map_err(|error| Error::Unavailable {
            what: "Kafka",
            reason: error.to_string(),
            remedy: "install curl and let it reach Maven Central, or set MILEPOST_MAVEN_REPOSITORY to the URL of a mirror; \
                     for tests that do not stop their server, MILEPOST_TEST_KAFKA=host:port names one"
                .into(),
        })
    })
}

fn kafka_jars() -> impl Iterator<Item = (&'static str, &'static str)> {
    KAFKA_JARS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once("  "))
}

/// Java: that of `JAVA_HOME`, else that in the path.
pub(crate) fn java() -> Result<PathBuf, Error> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    home.filter(|java| java.is_file()).or_else(|| in_path("java")).ok_or_else(|| Error::Unavailable {
        what: "Java for Kafka",
        reason: "`java` is neither in $JAVA_HOME/bin nor in the PATH".into(),
        remedy: "install Java 17 or newer (on Debian and Ubuntu: apt-get install default-jre-headless)"
            .into(),
    })
}

/// The shared library that is ClickHouse.
pub(crate) fn clickhouse() -> Result<PathBuf, Error> {
    let unavailable = |reason: String| {
        Error::Unavailable {
        what: "ClickHouse",
        reason,
        remedy: "install curl and tar and let curl reach the npm registry, or set MILEPOST_NPM_REGISTRY to the URL of a \
                 mirror; for tests that do not stop their server, MILEPOST_TEST_CLICKHOUSE=http://host:port names one"
            .into(),
    }
    };
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return Err(unavailable("what is pinned is for Linux on x86_64 with glibc".into()));
    }
    let directory = cache::kept(&named(&format!("clickhouse-{CHDB_VERSION}"), CHDB_SHA512), |directory| {
        progress(format_args!("fetching ClickHouse {CHDB_VERSION} (178 MB)"));
        let archive = directory.join("package.tgz");
        let url = format!("{}/{CHDB}", npm_registry());
        fetch(&[Pinned { url, file: archive.clone(), pin: Pin::Sha512(CHDB_SHA512) }])
            .and_then(|()| {
                let tar = ["--strip-components=1", "-xzf", "package.tgz", "package/libchdb.so"];
                run(Command::new("tar").current_dir(directory).args(tar))
            })
            .map_err(|error| unavailable(error.to_string()))?;
        fs::remove_file(&archive).map_err(Error::file(&archive))
    })?;
    Ok(directory.join("libchdb.so"))
}

/// The program that starts all of them, compiled at its first use.
pub(crate) fn launcher() -> Result<PathBuf, Error> {
    let directory = cache::kept(&named("launcher", LAUNCHER), |directory| {
        let source = directory.join("launcher.c");
        fs::write(&source, LAUNCHER).map_err(Error::file(&source))?;
        let to = ["-O1", "-o", "launcher", "launcher.c", "-lpthread", "-ldl"];
        run(Command::new("cc").current_dir(directory).args(to)).map_err(|error| Error::Unavailable {
            what: "the launcher of services",
            reason: error.to_string(),
            remedy: "install a C compiler (on Debian and Ubuntu: apt-get install build-essential)".into(),
        })
    })?;
    Ok(directory.join("launcher"))
}

/// Prometheus and promtool: those in the path, else Debian's package, unpacked without installing it.
pub fn prometheus() -> Result<(PathBuf, PathBuf), Error> {
    if let (Some(prometheus), Some(promtool)) = (in_path("prometheus"), in_path("promtool")) {
        return Ok((prometheus, promtool));
    }
    let programs = of_debian("Prometheus", "prometheus", "prometheus", "`prometheus` and `promtool`")?;
    Ok((programs.join("prometheus"), programs.join("promtool")))
}

/// amtool, which says whether Alertmanager would take a configuration: that in the path, else Debian's package, unpacked
/// without installing it.
pub fn amtool() -> Result<PathBuf, Error> {
    if let Some(amtool) = in_path("amtool") {
        return Ok(amtool);
    }
    Ok(of_debian("amtool", "alertmanager", "prometheus-alertmanager", "`amtool`")?.join("amtool"))
}

/// The directory with the programs of a package.
fn of_debian(what: &'static str, name: &str, package: &str, programs: &str) -> Result<PathBuf, Error> {
    let unpacked = cache::kept(name, |directory| {
        progress(format_args!("fetching {what} from Debian"));
        debian(package, directory).map_err(|reason| Error::Unavailable {
            what,
            reason: reason.to_string(),
            remedy: format!(
                "install {programs} and put what you installed in the PATH \
                 (on Debian and Ubuntu: apt-get update && apt-get install {package})"
            ),
        })
    })?;
    Ok(unpacked.join("usr/bin"))
}

fn debian(package: &str, directory: &Path) -> Result<(), Error> {
    let download = || run(Command::new("apt-get").current_dir(directory).args(["download", package]));
    if download().is_err() {
        // The lists of packages may be missing, as in a fresh container.
        run(Command::new("apt-get").arg("update"))?;
        download()?;
    }
    let package = fs::read_dir(directory)
        .map_err(Error::file(directory))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| Error::Command {
            command: "apt-get".into(),
            reason: "it succeeded and left no package behind".into(),
        })?;
    run(Command::new("dpkg").arg("-x").arg(&package).arg(directory))?;
    fs::remove_file(&package).map_err(Error::file(&package))
}

/// A name that changes with what it stands for.
pub(crate) fn named(name: &str, content: &str) -> String {
    format!("{name}-{}", hex(&Sha256::digest(content)[..4]))
}

/// A program that is in the path.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_of_the_list_is_a_jar_with_its_digest() {
        let lines = KAFKA_JARS.lines().filter(|line| !line.starts_with('#')).count();
        let jars: Vec<_> = kafka_jars().collect();
        assert_eq!(jars.len(), lines);
        let names: BTreeSet<_> = jars.iter().map(|(_, path)| path.rsplit('/').next()).collect();
        assert_eq!(names.len(), lines, "two jars of one name would overwrite each other");
        for (digest, path) in &jars {
            let jar = Path::new(path).extension().is_some_and(|extension| extension == "jar");
            assert!(digest.len() == 64 && jar, "{digest} {path}");
        }
        assert!(jars.iter().any(|(_, path)| path.ends_with(&format!("kafka_2.13-{KAFKA_VERSION}.jar"))));
    }
}
