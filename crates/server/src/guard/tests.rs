use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::routing::any;
use milepost_model::{Span, Timestamp};
use tower::ServiceExt as _;

use super::*;
use crate::health::Health;

const LOOPBACK: &str = "127.0.0.1:7171";
const PUBLIC: &str = "192.0.2.1:7171";

fn settings(directory: &tempfile::TempDir) -> Settings {
    Settings { data: directory.path().into(), ..Settings::default() }
}

fn now() -> Timestamp {
    crate::engine::system_clock()
}

fn create(settings: &Settings, name: &str, scope: Scope) -> Secret {
    Tokens::create(&tokens_file(settings), name, vec![scope], Vec::new(), (now(), None)).unwrap()
}

#[test]
fn a_listener_others_reach_is_guarded_or_said_not_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    let open = |settings: &Settings, addr: &str| Guard::new(settings, addr.parse().unwrap());
    assert!(open(&settings, LOOPBACK).unwrap().tokens.is_none());
    let refused = |settings: &Settings, addr| open(settings, addr).err().unwrap().to_string();
    assert!(refused(&settings, PUBLIC).contains("[tls] required = false"));
    settings.tls.required = Some(false);
    let message = refused(&settings, PUBLIC);
    assert!(
        message.contains("milepost token create") && message.contains("[auth] required = false"),
        "{message}"
    );
    create(&settings, "ci", Scope::Write);
    assert!(open(&settings, PUBLIC).unwrap().tokens.is_some());
    settings.auth.required = Some(false);
    assert!(open(&settings, PUBLIC).unwrap().tokens.is_none());
    settings.auth.required = Some(true);
    assert!(open(&settings, LOOPBACK).unwrap().tokens.is_some());
    settings.tls.required = Some(true);
    assert!(refused(&settings, LOOPBACK).contains("no TLS"));
}

#[test]
fn the_listener_of_metrics_is_guarded_as_said() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.tls.required = Some(false);
    create(&settings, "ci", Scope::Write);
    let guard = Guard::new(&settings, PUBLIC.parse().unwrap()).unwrap();
    for (addr, guarded, expected) in [
        (PUBLIC, None, true),
        (LOOPBACK, None, false),
        (PUBLIC, Some(false), false),
        (LOOPBACK, Some(true), true),
    ] {
        let own = MetricsSettings { listen: None, guarded };
        assert_eq!(guard.for_metrics(&own, addr.parse().unwrap()).tokens.is_some(), expected, "{addr}");
    }
}

#[test]
fn the_file_holds_what_was_created_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/tokens.toml");
    let sources = vec!["/ci/*".to_owned(), "quote\" \\ \u{7f}".to_owned()];
    let expires = Some(now() + Span::days(90));
    let secret =
        Tokens::create(&path, "ci", vec![Scope::Write, Scope::Read], sources.clone(), (now(), expires))
            .unwrap();
    assert_eq!(secret.text().len(), "mp_".len() + 64);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(secret.text()) && !text.contains(&secret.text()[3..]));
    let tokens = Tokens::read(&path).unwrap();
    let token = tokens.find(secret.text()).unwrap();
    assert_eq!((token.name.as_str(), &token.sources, token.expires), ("ci", &sources, expires));
    assert!(tokens.find(&secret.text()[3..]).is_none());
    assert!(tokens.find("").is_none());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    let again = |name| Tokens::create(&path, name, vec![Scope::Read], Vec::new(), (now(), None));
    assert!(matches!(again("ci"), Err(TokenError::Taken(_))));
    assert!(matches!(again("c i"), Err(TokenError::BadName)));
    let second = again("ci-2").unwrap();
    Tokens::revoke(&path, "ci").unwrap();
    assert!(matches!(Tokens::revoke(&path, "ci"), Err(TokenError::Unknown(_))));
    let tokens = Tokens::read(&path).unwrap();
    assert!(tokens.find(secret.text()).is_none() && tokens.find(second.text()).is_some());
}

#[test]
fn a_file_that_is_no_token_file_is_refused_and_says_where() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens.toml");
    let token = |name: &str| {
        format!(
            "[[token]]\nname = \"{name}\"\nsha256 = \"{}\"\nscopes = [\"read\"]\ncreated = \"2026-01-01T00:00:00Z\"\n",
            Hash::of(name)
        )
    };
    std::fs::write(&path, token("a") + &token("b")).unwrap();
    assert_eq!(Tokens::read(&path).unwrap().all().len(), 2);
    for bad in [
        token("a") + &token("a"),
        token("a").replace("read", "all"),
        token("a") + "x = 1",
        token("a").replace("sha256 = \"", "sha256 = \"x"),
    ] {
        std::fs::write(&path, bad).unwrap();
        let error = Tokens::read(&path).unwrap_err().to_string();
        assert!(error.contains("tokens.toml"), "{error}");
    }
}

fn router(guard: &Guard, health: &Arc<Health>) -> Router {
    let guarded = Guarded { guard: guard.clone(), health: Arc::clone(health) };
    Router::new().fallback(any(async || "in")).layer(axum::middleware::from_fn_with_state(guarded, authorize))
}

async fn ask(router: &Router, path: &str, authorization: Option<&str>) -> StatusCode {
    let mut request = Request::get(path);
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_say() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.auth.required = Some(true);
    let write = create(&settings, "write", Scope::Write);
    let read = create(&settings, "read", Scope::Read);
    let admin = create(&settings, "admin", Scope::Admin);
    let path = tokens_file(&settings);
    let old = (now(), Some(now()));
    let expired = Tokens::create(&path, "old", vec![Scope::Read], Vec::new(), old).unwrap();
    let guard = Guard::new(&settings, LOOPBACK.parse().unwrap()).unwrap();
    let health = Health::new(now());
    let router = router(&guard, &health);
    let bearer = |secret: &Secret| format!("Bearer {}", secret.text());
    for (path, token, status) in [
        ("/v1/events", &write, 200),
        ("/v1/events", &read, 403),
        ("/v1/events", &admin, 403),
        ("/v1/metrics/nps", &read, 200),
        ("/v1/metrics/nps", &admin, 200),
        ("/metrics", &write, 403),
        ("/metrics", &expired, 401),
        ("/elsewhere", &write, 200),
    ] {
        assert_eq!(ask(&router, path, Some(&bearer(token))).await, status, "{path}");
    }
    for authorization in [None, Some("Bearer mp_00"), Some("Basic eDp5"), Some("mp_00"), Some("")] {
        assert_eq!(ask(&router, "/metrics", authorization).await, 401, "{authorization:?}");
        assert_eq!(ask(&router, "/healthz", authorization).await, 200);
    }
    assert_eq!(health.denials(), (6, 3));
}

#[tokio::test]
async fn what_changes_in_the_file_changes_who_gets_in() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    settings.auth.required = Some(true);
    let first = create(&settings, "first", Scope::Read);
    let guard = Guard::new(&settings, LOOPBACK.parse().unwrap()).unwrap();
    let router = router(&guard, &Health::new(now()));
    let status =
        async |secret: &Secret| ask(&router, "/metrics", Some(&format!("bearer {}", secret.text()))).await;

    let second = create(&settings, "second", Scope::Read);
    assert_eq!(status(&second).await, 401);
    guard.reload(false);
    assert_eq!((status(&first).await, status(&second).await), (StatusCode::OK, StatusCode::OK));

    Tokens::revoke(&tokens_file(&settings), "first").unwrap();
    guard.reload(false);
    assert_eq!((status(&first).await, status(&second).await), (StatusCode::UNAUTHORIZED, StatusCode::OK));

    std::fs::write(tokens_file(&settings), "[[token").unwrap();
    guard.reload(false);
    assert_eq!(status(&second).await, 200);
    std::fs::remove_file(tokens_file(&settings)).unwrap();
    guard.reload(false);
    assert_eq!(status(&second).await, 401);
}
