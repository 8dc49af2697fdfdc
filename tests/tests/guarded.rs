//! A guarded installation, used by the command line: tokens, a private authority, and files that are read again.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use milepost_tests::binary::{Finished, milepost};
use milepost_tests::events::{ago, lines, now, used};
use milepost_tests::{Installation, Served, eventually};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority with the certificate of a server, each a file.
struct Files {
    directory: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        files.renew("ca.pem");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a new authority there, and a new certificate of the server's from it.
    fn renew(&self, ca: &str) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(self.path(ca), issuer.pem()).unwrap();
        fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
        fs::write(self.path("cert.pem"), certificate.pem()).unwrap();
    }

    /// A guarded installation.
    fn installation(&self) -> Installation {
        let (cert, key) = (self.path("cert.pem"), self.path("key.pem"));
        Installation::new(&format!(
            "[auth]\nrequired = true\n[tls]\nrequired = true\ncert = '{}'\nkey = '{}'\n",
            cert.display(),
            key.display()
        ))
    }

    /// Makes a token, and a file with it.
    fn token(&self, installation: &Installation, name: &str, scope: &str) -> PathBuf {
        let made =
            installation.run(&["token", "create"], &["--name", name, "--scope", scope]).expect_success();
        let token = made.split_whitespace().find(|word| word.starts_with("mp_")).expect("it is printed");
        fs::write(self.path(name), token).unwrap();
        self.path(name)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn ask(served: &Served, ca: &Path, token: &Path) -> Finished {
    let url = served.url().replace("http:", "https:");
    let place = ["--server", &url, "--ca", text(ca), "--token-file", text(token)];
    milepost(["query", "market_share", "--format", "json"].into_iter().chain(place))
}

#[test]
fn a_file_is_imported_through_tls_with_a_token() {
    let files = Files::new();
    let installation = files.installation();
    let (writer, reader) =
        (files.token(&installation, "writer", "write"), files.token(&installation, "reader", "read"));
    let served = installation.serve();
    let events: Vec<_> = (0..3).map(|n| used(&n.to_string(), ago(now(), 1, 0), "team")).collect();
    fs::write(files.path("events.ndjson"), lines(&events).join("\n")).unwrap();

    let url = served.url().replace("http:", "https:");
    let import = |more: &[&str]| {
        let what = ["import", "--format", "json", "--server", &url, text(&files.path("events.ndjson"))]
            .map(str::to_owned);
        milepost(what.iter().map(String::as_str).chain(more.iter().copied()))
    };
    let ca = files.path("ca.pem");
    let imported = import(&["--ca", text(&ca), "--token-file", text(&writer)]);
    assert_eq!(imported.last_json()["stored"], 3, "{imported:?}");

    let distrusted = import(&["--token-file", text(&writer)]);
    assert_eq!(distrusted.code, 1);
    assert!(distrusted.stderr.contains("certificate"), "{distrusted:?}");
    let unknown = import(&["--ca", text(&ca), "--token", "mp_00"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("401"), "{unknown:?}");
    let denied = import(&["--ca", text(&ca), "--token-file", text(&reader)]);
    assert!(denied.code == 1 && denied.stderr.contains("403"), "{denied:?}");
    assert!(ask(&served, &ca, &reader).expect_success().contains("market_share"));
}

#[test]
fn a_hangup_has_tokens_and_certificates_read_again() {
    let files = Files::new();
    let installation = files.installation();
    let token = files.token(&installation, "reader", "read");
    let served = installation.serve();
    let ca = files.path("ca.pem");
    ask(&served, &ca, &token).expect_success();

    // Nothing has changed: only who is told to reads them again.
    assert!(!served.log().contains("read again"), "{}", served.log());
    served.hang_up();
    eventually("both are read again", || (served.log().matches("read again").count() == 2).then_some(()));

    files.renew("new.pem");
    let other = files.token(&installation, "other", "read");
    installation.run(&["token", "revoke"], &["--name", "reader"]).expect_success();
    served.hang_up();
    let new = files.path("new.pem");
    eventually("the new certificate and the new token are good", || {
        (ask(&served, &new, &other).code == 0).then_some(())
    });
    assert_eq!(ask(&served, &ca, &other).code, 1, "the old certificate is gone");
    let revoked = ask(&served, &new, &token);
    assert!(revoked.code == 1 && revoked.stderr.contains("token"), "{revoked:?}");
}
