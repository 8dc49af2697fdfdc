//! HTTPS.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use milepost_services::shared;
use milepost_store::clickhouse::{ClickHouse, Error, Options};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::support::{of_server, runtime};

/// Where the test below finds a server, when it is started by itself.
const URL: &str = "MILEPOST_TEST_TLS_URL";

/// Passes on to a server what comes over TLS. Its URL and its certificate.
fn terminate(server: &str, runtime: &Runtime) -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let server = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((from, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let mut from = acceptor.accept(from).await.ok()?;
                let mut to = TcpStream::connect(server).await.ok()?;
                tokio::io::copy_bidirectional(&mut from, &mut to).await.ok()
            });
        }
    });
    (url, cert.pem())
}

/// What is trusted is decided where a process starts, so it starts itself.
#[test]
fn it_is_trusted_who_the_environment_says() {
    if let Ok(url) = std::env::var(URL) {
        let nowhere = Options { database: "nowhere".to_owned(), ..of_server(&url) };
        let clickhouse = ClickHouse::new(&nowhere).unwrap();
        let answer = runtime().block_on(clickhouse.check_schema());
        assert!(matches!(&answer, Err(Error::Schema(_))), "{answer:?}");
        return;
    }
    let server = shared::clickhouse().unwrap();
    let runtime = runtime();
    let options = of_server(server.address());
    let (url, certificate) = terminate(&options.url, &runtime);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let itself = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::it_is_trusted_who_the_environment_says"])
        .env("SSL_CERT_FILE", file.path())
        .env_remove("SSL_CERT_DIR")
        .env(URL, &url)
        .output()
        .unwrap();
    assert!(itself.status.success(), "{}", String::from_utf8_lossy(&itself.stdout));
    assert!(String::from_utf8_lossy(&itself.stdout).contains("1 passed"));

    // Nobody else trusts it.
    let clickhouse = ClickHouse::new(&Options { url, ..options });
    // On a machine without any authority, none can be trusted at all.
    let refused = clickhouse.and_then(|clickhouse| runtime.block_on(clickhouse.check_schema()));
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("certificate"), "{said}");
}
