//! Fetching pinned files, and running the programs that this takes.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::digest::Output;
use sha2::{Digest, Sha256, Sha512};

use crate::Error;

/// Where the files of public repositories are, if the machine is not told otherwise.
const MAVEN_CENTRAL: &str = "https://repo1.maven.org/maven2";
const NPM: &str = "https://registry.npmjs.org";
const GO_PROXY: &str = "https://proxy.golang.org";

/// The Maven repository: `MILEPOST_MAVEN_REPOSITORY`, else the mirror of Central in `~/.m2/settings.xml`, else Central.
pub(crate) fn maven_repository() -> String {
    let settings = || home().and_then(|home| std::fs::read_to_string(home.join(".m2/settings.xml")).ok());
    base("MILEPOST_MAVEN_REPOSITORY", || settings().and_then(|text| mirror_of_central(&text)), MAVEN_CENTRAL)
}

/// The npm registry: `MILEPOST_NPM_REGISTRY`, else `npm_config_registry`, else that of `~/.npmrc`, else npm's own.
pub(crate) fn npm_registry() -> String {
    let file = || home().and_then(|home| std::fs::read_to_string(home.join(".npmrc")).ok());
    let usual = || {
        std::env::var("npm_config_registry").ok().or_else(|| file().and_then(|text| registry_of_npmrc(&text)))
    };
    base("MILEPOST_NPM_REGISTRY", usual, NPM)
}

/// The proxy of Go modules: `MILEPOST_GO_PROXY`, else the first of `GOPROXY`, else Go's own.
pub(crate) fn go_proxy() -> String {
    let usual = || std::env::var("GOPROXY").ok().and_then(|list| first_of_proxies(&list));
    base("MILEPOST_GO_PROXY", usual, GO_PROXY)
}

fn base(variable: &str, usual: impl FnOnce() -> Option<String>, public: &str) -> String {
    let ours = std::env::var(variable).ok().filter(|value| !value.is_empty());
    let base = ours.or_else(usual).unwrap_or_else(|| public.to_owned());
    base.trim_end_matches('/').to_owned()
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

fn mirror_of_central(settings: &str) -> Option<String> {
    let element = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.trim().to_owned())
    };
    without_comments(settings).split("<mirror>").skip(1).find_map(|mirror| {
        let of = element(mirror, "mirrorOf")?;
        let central = of.split(',').any(|id| matches!(id.trim(), "*" | "central" | "external:*"));
        central.then(|| element(mirror, "url")).flatten()
    })
}

fn without_comments(xml: &str) -> String {
    let rest_of = |piece: &str| piece.split_once("-->").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    let mut pieces = xml.split("<!--");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + &rest_of(piece))
}

fn registry_of_npmrc(npmrc: &str) -> Option<String> {
    let mut settings = npmrc.lines().filter_map(|line| line.split_once('='));
    let (_, registry) = settings.find(|(name, _)| name.trim() == "registry")?;
    Some(registry.trim().to_owned())
}

/// `off` and `direct` are no proxies.
fn first_of_proxies(list: &str) -> Option<String> {
    list.split([',', '|']).find(|proxy| proxy.starts_with("http")).map(str::to_owned)
}

/// What a file must be.
pub(crate) enum Pin<'a> {
    /// Hexadecimal, as Maven repositories have it.
    Sha256(&'a str),
    /// Base 64, as npm has it.
    Sha512(&'a str),
}

/// A file to fetch.
pub(crate) struct Pinned<'a> {
    pub(crate) url: String,
    pub(crate) file: PathBuf,
    pub(crate) pin: Pin<'a>,
}

/// Fetches all of them at once, and checks each.
pub(crate) fn fetch(files: &[Pinned<'_>]) -> Result<(), Error> {
    let mut curl = Command::new("curl");
    curl.args([
        "--fail",
        "--location",
        "--silent",
        "--show-error",
        "--retry",
        "3",
        "--parallel",
        "--fail-early",
    ]);
    curl.args(["--connect-timeout", "30", "--proto", "=https,http", "--config", "-"]);
    let lines = |file: &Pinned<'_>| format!("url = \"{}\"\noutput = \"{}\"\n", file.url, file.file.display());
    let config: Vec<_> = files.iter().map(lines).collect();
    run_with(&mut curl, config.concat().as_bytes())?;
    files.iter().try_for_each(check)
}

fn check(pinned: &Pinned<'_>) -> Result<(), Error> {
    let (found, wanted) = match pinned.pin {
        Pin::Sha256(wanted) => (hex(&digest::<Sha256>(&pinned.file)?), wanted),
        Pin::Sha512(wanted) => (STANDARD.encode(digest::<Sha512>(&pinned.file)?), wanted),
    };
    if found == wanted {
        return Ok(());
    }
    let file = pinned.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(Error::Digest { file, found, wanted: wanted.to_owned() })
}

struct Hashing<D>(D);

impl<D: Digest> io::Write for Hashing<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn digest<D: Digest>(path: &Path) -> Result<Output<D>, Error> {
    let mut file = File::open(path).map_err(Error::file(path))?;
    let mut hashing = Hashing(D::new());
    io::copy(&mut file, &mut hashing).map_err(Error::file(path))?;
    Ok(hashing.0.finalize())
}

/// Two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Runs a program to its end; what it says is told only if it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    run_with(command, b"")
}

fn run_with(command: &mut Command, input: &[u8]) -> Result<(), Error> {
    let line = command.get_program().to_string_lossy().into_owned();
    let failed = |reason: String| Error::Command { command: line.clone(), reason };
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it ends before it has read everything, its exit status says why.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(failed(format!("{}: {}", output.status, String::from_utf8_lossy(&said).trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_of_central_is_taken_from_the_settings() {
        let settings = "<settings><mirrors>\
            <!-- <mirror><mirrorOf>*</mirrorOf><url>http://commented.example</url></mirror> -->\
            <mirror><mirrorOf>other</mirrorOf><url>http://other.example</url></mirror>\
            <mirror><id>m</id><url> http://mirror.example/maven </url><mirrorOf>x, central</mirrorOf></mirror>\
            </mirrors></settings>";
        assert_eq!(mirror_of_central(settings).as_deref(), Some("http://mirror.example/maven"));
        assert_eq!(mirror_of_central("<settings/>"), None);
    }

    #[test]
    fn a_registry_is_taken_from_npmrc() {
        assert_eq!(
            registry_of_npmrc("fund=false\nregistry = http://npm.example/\n").as_deref(),
            Some("http://npm.example/")
        );
        assert_eq!(registry_of_npmrc("@scope:registry=http://npm.example/\n"), None);
    }

    #[test]
    fn a_proxy_is_taken_from_goproxy() {
        let first = first_of_proxies("direct,https://go.example/a|https://go.example/b");
        assert_eq!(first.as_deref(), Some("https://go.example/a"));
        assert_eq!(first_of_proxies("off"), None);
    }

    #[test]
    fn a_file_that_is_not_the_pinned_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.jar");
        std::fs::write(&file, "abc").unwrap();
        let pinned = |pin| Pinned { url: String::new(), file: file.clone(), pin };
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let sha512 =
            "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==";
        check(&pinned(Pin::Sha256(sha256))).unwrap();
        check(&pinned(Pin::Sha512(sha512))).unwrap();
        let said = check(&pinned(Pin::Sha256(&sha256.replace('b', "c")))).unwrap_err().to_string();
        assert!(said.contains("a.jar") && said.contains(sha256), "{said}");
    }
}
