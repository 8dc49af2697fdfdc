use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use tower::ServiceExt as _;

use super::*;
use crate::query::DIGEST;
use crate::testing;

async fn get(path: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router(testing::engine()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_metric_is_listed_with_all_it_says_of_itself() {
    let (status, _, body) = get("/v1/metrics").await;
    let listed: Vec<Value> = serde_json::from_str(&body).unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(listed.len(), metrics::registry().len());
    for (listed, metric) in listed.iter().zip(metrics::registry()) {
        assert_eq!(listed["name"], metric.spec().name);
        assert_eq!(listed["definition"], metric.spec().definition);
        assert_eq!(listed["parameters"].as_array().unwrap().len(), metric.spec().parameters.len());
    }
}

#[tokio::test]
async fn a_question_is_answered_with_the_digest_in_a_header() {
    let (status, headers, body) = get("/v1/metrics/market_share?capability=ci&as_of=2026-02-28").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(headers[DIGEST], milepost_model::Config::default().digest());
    let answers: Vec<Value> = serde_json::from_str(&body).unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!((&answers[0]["numerator"], &answers[0]["denominator"]), (&json!(3), &json!(6)));
}

/// Asking twice, and over another door, gives the same bytes.
#[tokio::test]
async fn the_same_question_is_the_same_bytes() {
    let path = "/v1/metrics/keep_rate?from=2026-02-01&to=2026-02-28&horizon=7d&grace=7d";
    let (_, _, first) = get(path).await;
    assert_eq!(first, get(path).await.2);
    let parameters = [("from", "2026-02-01"), ("to", "2026-02-28"), ("horizon", "7d"), ("grace", "7d")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let here =
        answers::Source::Here(testing::engine()).query("keep_rate", &parameters, Format::Json).unwrap();
    assert_eq!(first, here);
}

#[tokio::test]
async fn csv_on_request() {
    let (status, headers, body) = get("/v1/metrics/market_share?format=csv").await;
    assert_eq!(
        (status, &headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"text/csv; charset=utf-8".parse().unwrap())
    );
    assert!(body.starts_with("metric,capability,"));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    for (path, status, field) in [
        ("/v1/metrics/nonsense", StatusCode::NOT_FOUND, "metric"),
        ("/v1/metrics/market_share?colour=red", StatusCode::BAD_REQUEST, "colour"),
        ("/v1/metrics/market_share?window=1w", StatusCode::BAD_REQUEST, "window"),
        ("/v1/metrics/market_share?horizon=90d", StatusCode::BAD_REQUEST, "horizon"),
        ("/v1/metrics/market_share?as_of=2030-01-01", StatusCode::BAD_REQUEST, "as_of"),
        ("/v1/metrics/market_share?format=xml", StatusCode::BAD_REQUEST, "format"),
        ("/v1/metrics/market_share/explain?page_size=many", StatusCode::BAD_REQUEST, "page_size"),
        ("/v1/metrics/market_share/explain?page_token=1", StatusCode::BAD_REQUEST, "page_token"),
        ("/v1/metrics/keep_rate?rule=any", StatusCode::BAD_REQUEST, "rule"),
        ("/v1/metrics/keep_rate/explain?format=csv", StatusCode::BAD_REQUEST, "format"),
    ] {
        let (found, headers, body) = get(path).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found, body["error"]["field"].as_str()), (status, Some(field)), "{path}: {body}");
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
        let reason = if status == StatusCode::NOT_FOUND { "not_found" } else { "invalid" };
        assert_eq!(body["error"]["reason"], reason, "{path}");
        assert!(headers.contains_key(DIGEST));
    }
    let (_, _, body) = get("/v1/metrics/nonsense").await;
    assert!(body.contains("market_share, keep_rate"), "{body}");
}

#[tokio::test]
async fn who_is_sent_away_is_told_why() {
    for (error, status, reason) in [
        (AskError::Busy, StatusCode::SERVICE_UNAVAILABLE, "busy"),
        (AskError::Failed("disk".to_owned()), StatusCode::INTERNAL_SERVER_ERROR, "failed"),
    ] {
        let response = error.into_response();
        assert_eq!(response.status(), status);
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["error"]["reason"], &body["error"]["field"]), (&json!(reason), &json!("")));
    }
}

#[tokio::test]
async fn an_explanation_comes_in_pages() {
    let (status, _, body) = get("/v1/metrics/market_share/explain?capability=ci&page_size=4").await;
    assert_eq!(status, StatusCode::OK);
    let first: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((first["total_units"].as_u64(), first["units"].as_array().unwrap().len()), (Some(6), 4));
    let token = first["next_page_token"].as_str().unwrap();
    let (_, _, body) =
        get(&format!("/v1/metrics/market_share/explain?capability=ci&page_size=4&page_token={token}")).await;
    let second: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (second["units"].as_array().unwrap().len(), second["next_page_token"].as_str()),
        (2, Some(""))
    );
}
