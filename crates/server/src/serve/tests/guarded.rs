//! A guarded installation as its clients see it.

use std::fs;
use std::path::PathBuf;

use milepost_model::Timestamp;
use milepost_wire::pb::event_result::Fate;
use milepost_wire::pb::metrics_service_client::MetricsServiceClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use super::*;
use crate::guard::{Scope, Secret, Tokens, tokens_file};

fn token(settings: &Settings, name: &str, scope: Scope, sources: &[&str]) -> Secret {
    let sources = sources.iter().map(|source| (*source).to_owned()).collect();
    let now: Timestamp = crate::engine::system_clock();
    Tokens::create(&tokens_file(settings), name, vec![scope], sources, (now, None)).unwrap()
}

fn guarded(directory: &TempDir) -> Settings {
    let mut settings = settings(directory);
    settings.auth.required = Some(true);
    settings
}

/// Runs blocking work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn post(remote: Remote, body: String) -> (u16, String) {
    blocking(move || {
        let mut response =
            remote.post("/v1/events").header("content-type", "application/json").send(body).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    })
    .await
}

async fn status(remote: Remote, path: &'static str) -> u16 {
    blocking(move || remote.get(path).call().unwrap().status().as_u16()).await
}

fn with<T>(message: T, secret: &Secret) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {}", secret.text())).unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

#[tokio::test]
async fn a_token_writes_the_sources_it_is_for_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let settings = guarded(&directory);
    let writer = token(&settings, "writer", Scope::Write, &["/t*"]);
    let running = start(settings).await.unwrap();
    let url = format!("http://{}", running.addr);
    let remote = |secret: &str| Remote::new(&url, Some(secret), None).unwrap();

    let other = event(2).replace("\"/t\"", "\"/other\"");
    let body = format!("[{},{other}]", event(1));
    let (status, answer) = post(remote(writer.text()), body.clone()).await;
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["stored"], 1);
    assert_eq!(answer["refused"][0]["index"], 1);
    assert_eq!(answer["refused"][0]["reason"], "forbidden");
    assert_eq!(answer["refused"][0]["field"], "context.source");
    assert_eq!(post(remote("mp_00"), body).await.0, 401);

    let mut client = IngestServiceClient::connect(url.clone()).await.unwrap();
    let events: Vec<_> =
        [event(3), other].map(|text| proto::encode(&json::decode(text.as_bytes()).unwrap())).to_vec();
    let publish = || pb::PublishRequest { events: events.clone() };
    assert_eq!(client.publish(publish()).await.unwrap_err().code(), Code::Unauthenticated);
    let results = client.publish(with(publish(), &writer)).await.unwrap().into_inner().results;
    assert!(matches!(results[0].fate, Some(Fate::Stored(_))));
    assert!(matches!(&results[1].fate, Some(Fate::Refused(refused)) if refused.reason == "forbidden"));

    let batch = pb::PublishStreamRequest { sequence: 1, events };
    let stream = client.publish_stream(with(tokio_stream::iter([batch]), &writer)).await.unwrap();
    let answer = stream.into_inner().message().await.unwrap().unwrap();
    assert!(matches!(answer.results[0].fate, Some(Fate::Duplicate(_))));
    assert!(matches!(&answer.results[1].fate, Some(Fate::Refused(refused)) if refused.reason == "forbidden"));

    let mut asking = MetricsServiceClient::connect(url).await.unwrap();
    let denied = asking.list(with(pb::ListRequest {}, &writer)).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert!(denied.message().contains("scope read"), "{denied}");
    running.shutdown().await;
}

#[tokio::test]
async fn persons_are_explained_to_admins_only() {
    let directory = tempfile::tempdir().unwrap();
    let settings = guarded(&directory);
    let (reader, admin) = (token(&settings, "r", Scope::Read, &[]), token(&settings, "a", Scope::Admin, &[]));
    let running = start(settings).await.unwrap();
    let url = format!("http://{}", running.addr);
    let remote = |secret: &Secret| Remote::new(&url, Some(secret.text()), None).unwrap();
    for (secret, path, expected) in [
        (&reader, "/v1/metrics/nps", 200),
        (&reader, "/v1/metrics/market_share/explain", 200),
        (&reader, "/v1/metrics/nps/explain", 403),
        (&admin, "/v1/metrics/nps/explain", 200),
    ] {
        assert_eq!(status(remote(secret), path).await, expected, "{path}");
    }
    let explain = || {
        let selector = Some(pb::Selector { metric: "onboarding_time".into(), ..Default::default() });
        pb::ExplainRequest { selector, ..Default::default() }
    };
    let mut client = MetricsServiceClient::connect(url.clone()).await.unwrap();
    assert_eq!(client.explain(with(explain(), &reader)).await.unwrap_err().code(), Code::PermissionDenied);
    client.explain(with(explain(), &admin)).await.unwrap();
    running.shutdown().await;
}

#[tokio::test]
async fn metrics_move_to_a_listener_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = guarded(&directory);
    settings.metrics.listen = Some("127.0.0.1:0".into());
    let reader = token(&settings, "r", Scope::Read, &[]);
    let running = start(settings).await.unwrap();
    let own = running.metrics_addr.unwrap();
    assert_eq!(get(own, "/healthz").await.0, 200);
    assert_eq!(get(own, "/readyz").await.0, 200);
    let (code, text) = get(own, "/metrics").await;
    assert_eq!(code, 200);
    assert!(text.contains("milepost_denied_requests_total{reason=\"unauthenticated\"} 0"), "{text}");
    assert_eq!(get(own, "/v1/metrics").await.0, 404);
    let url = format!("http://{}", running.addr);
    let remote = Remote::new(&url, Some(reader.text()), None).unwrap();
    assert_eq!(status(remote, "/metrics").await, 404);
    running.shutdown().await;
}

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// Certificates of a test.
struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { directory, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a new certificate of 127.0.0.1 and its key.
    fn certify(&self) -> String {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
        fs::write(self.path("cert.pem"), certificate.pem()).unwrap();
        certificate.pem()
    }

    fn settings(&self, directory: &TempDir) -> Settings {
        let mut settings = settings(directory);
        settings.tls.cert = Some(self.path("cert.pem"));
        settings.tls.key = Some(self.path("key.pem"));
        settings
    }

    /// A certificate that a client shows, and its key.
    fn identity(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    /// A client that speaks these protocols; gives what was agreed and the certificate seen.
    async fn handshake(&self, addr: SocketAddr, protocols: &[&[u8]]) -> io::Result<(Vec<u8>, Vec<u8>)> {
        self.handshake_as(None, addr, protocols).await
    }

    /// The same as who shows a certificate.
    async fn handshake_as(
        &self,
        identity: Option<Identity>,
        addr: SocketAddr,
        protocols: &[&[u8]],
    ) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(guard::tls::provider());
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = tokio::net::TcpStream::connect(addr).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        // A server that wants a certificate says so only when it is spoken to.
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await?;
        let mut answer = [0];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut answer).await?;
        let (_, session) = stream.get_ref();
        let seen = session.peer_certificates().unwrap()[0].to_vec();
        Ok((session.alpn_protocol().unwrap_or_default().to_vec(), seen))
    }
}

#[tokio::test]
async fn tls_speaks_both_protocols_and_takes_new_certificates() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    authority.certify();
    let running = start(authority.settings(&directory)).await.unwrap();
    let url = format!("https://{}", running.addr);
    let ca = authority.path("ca.pem");
    let remote = Remote::new(&url, Some("mp_ignored"), Some(&ca)).unwrap();
    assert_eq!(post(remote, event(1)).await.0, 200);
    let plain = Remote::new(&url.replace("https", "http"), None, None).unwrap();
    assert!(blocking(move || plain.get("/healthz").call().is_err()).await);

    let (protocol, before) = authority.handshake(running.addr, &[b"http/1.1"]).await.unwrap();
    assert_eq!(protocol, b"http/1.1");
    // The server answers with its settings, whatever it is sent.
    assert_eq!(authority.handshake(running.addr, &[b"h2", b"http/1.1"]).await.unwrap().0, b"h2");

    authority.certify();
    running.guard.reload(false);
    let (_, after) = authority.handshake(running.addr, &[b"http/1.1"]).await.unwrap();
    assert_ne!(before, after);
    fs::write(authority.path("cert.pem"), "no certificate").unwrap();
    running.guard.reload(false);
    assert_eq!(authority.handshake(running.addr, &[b"http/1.1"]).await.unwrap().1, after);
    running.shutdown().await;
}

#[tokio::test]
async fn clients_show_the_certificate_that_is_asked_for_or_are_turned_away() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    authority.certify();
    let mut settings = authority.settings(&directory);
    settings.tls.client_ca = Some(authority.path("ca.pem"));
    let running = start(settings).await.unwrap();
    let addr = running.addr;
    assert!(authority.handshake(addr, &[b"http/1.1"]).await.is_err());
    let stranger = Authority::new().identity();
    assert!(authority.handshake_as(Some(stranger), addr, &[b"http/1.1"]).await.is_err());
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let known = authority.identity();
        assert_eq!(authority.handshake_as(Some(known), addr, &[protocol]).await.unwrap().0, protocol);
    }
    running.shutdown().await;
}

#[tokio::test]
async fn certificates_that_are_none_are_told_by_key_and_file() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    authority.certify();
    let settings = authority.settings(&directory);
    let refused = async |settings: Settings| start(settings).await.err().unwrap().to_string();
    let mut half = settings.clone();
    half.tls.key = None;
    assert!(refused(half).await.starts_with("tls.key: missing"));
    let mut absent = settings.clone();
    absent.tls.cert = Some(authority.path("absent.pem"));
    assert!(refused(absent).await.contains("absent.pem"));
    let mut foreign = settings;
    fs::write(authority.path("other.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    foreign.tls.key = Some(authority.path("other.pem"));
    assert!(refused(foreign).await.starts_with("tls.cert, tls.key: "));
}

#[tokio::test]
async fn only_admins_see_refused_events_and_have_them_tried_again() {
    use crate::quarantine::Outcome;
    use crate::quarantine::http::{LIST, PATH};

    let directory = tempfile::tempdir().unwrap();
    let settings = guarded(&directory);
    let writer = token(&settings, "writer", Scope::Write, &["/other"]);
    let reader = token(&settings, "reader", Scope::Read, &[]);
    let admin = token(&settings, "admin", Scope::Admin, &[]);
    let running = start(settings).await.unwrap();
    let url = format!("http://{}", running.addr);
    let remote = |secret: &Secret| Remote::new(&url, Some(secret.text()), None).unwrap();
    assert_eq!(post(remote(&writer), event(1)).await.0, 422);

    let ask = async |remote: Remote, content_type: &'static str, body: &'static str| {
        blocking(move || {
            let mut response = remote.post(PATH).header("content-type", content_type).send(body).unwrap();
            (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
        })
        .await
    };
    let json = "application/json; charset=utf-8";
    for secret in [&writer, &reader] {
        assert_eq!(ask(remote(secret), json, "{}").await.0, 403);
    }
    for (content_type, body, status, field) in [
        ("text/plain", "{}", 415, "Content-Type"),
        (json, "{", 400, "body"),
        (json, r#"{"reasons":["whim"]}"#, 400, "body"),
        (json, r#"{"reason":["future"]}"#, 400, "body"),
    ] {
        let (found, answer) = ask(remote(&admin), content_type, body).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((found, &answer["error"]["field"]), (status, &field.into()), "{body}: {answer}");
    }
    let list = async |remote: Remote, query: &'static str| {
        blocking(move || {
            let mut response = remote.get(&format!("{LIST}{query}")).call().unwrap();
            (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
        })
        .await
    };
    for secret in [&writer, &reader] {
        assert_eq!(list(remote(secret), "").await.0, 403);
    }
    for (query, field) in [("?limit=0", "limit"), ("?limit=few", "query"), ("?after=1", "query")] {
        let (found, answer) = list(remote(&admin), query).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((found, &answer["error"]["field"]), (400, &field.into()), "{query}: {answer}");
    }
    let (found, listed) = list(remote(&admin), "?limit=9").await;
    assert!(
        found == 200 && listed.lines().count() == 1 && listed.contains(r#""reason":"forbidden""#),
        "{listed}"
    );
    assert_eq!(list(remote(&admin), "?before=1").await, (200, String::new()));
    let outcome =
        async |body| -> Outcome { serde_json::from_str(&ask(remote(&admin), json, body).await.1).unwrap() };
    let left = outcome("{}").await;
    assert_eq!((left.tried, left.forbidden, left.quarantined), (0, 1, 1));
    let rehearsed = outcome(r#"{"reasons":["forbidden"],"dry_run":true}"#).await;
    assert_eq!((rehearsed.stored, running.part.engine.model.read().events()), (1, 0));
    assert_eq!(outcome(r#"{"reasons":["forbidden"]}"#).await.stored, 1);
    assert_eq!(running.part.engine.model.read().events(), 1);
    assert_eq!(outcome(r#"{"numbers":[1]}"#).await, Outcome::default());
    running.shutdown().await;
}
