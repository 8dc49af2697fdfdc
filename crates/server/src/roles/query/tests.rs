//! The role, as a whole, on a real ClickHouse.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use milepost_model::{Door, Payload, Reason, Refusal, Rejected};
use serde_json::Value;
use tower::ServiceExt as _;

use super::testing::Database;
use super::*;
use crate::config::{Password, QuerySettings, Settings};
use crate::exporter::exposition::{Dialect, write};
use crate::testing::used;

fn settings(database: &Database, query: QuerySettings) -> Settings {
    let mut settings = Settings { query, ..Settings::default() };
    let options = &database.options;
    settings.clickhouse.url.clone_from(&options.url);
    settings.clickhouse.database.clone_from(&options.database);
    settings.clickhouse.user.clone_from(&options.user);
    settings.clickhouse.password = Password(options.password.clone());
    settings
}

async fn ask(replica: &Query, method: Method, path: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = replica.http().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn refused(id: &str) -> Rejected {
    Rejected {
        refusal: Refusal::new(Reason::Future, "occurred_at", "dated in the future"),
        door: Door::Http,
        source: Some("/ci".to_owned()),
        id: Some(id.to_owned()),
        payload: Some(Payload::Json(format!("{{\"id\":\"{id}\"}}"))),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn refused_events_are_listed_page_by_page_and_none_is_tried_again() {
    let database = Database::new("listed").await;
    database.refuse(&["1", "2", "3"].map(refused)).await;
    let replica = Query::open(settings(&database, QuerySettings::default())).await.unwrap();
    let listed = async |path: &str| -> Vec<Value> {
        let (status, body) = ask(&replica, Method::GET, path).await;
        assert_eq!(status, 200, "{body}");
        body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let newest = listed("/v1/quarantine?limit=2").await;
    let ids: Vec<_> = newest.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["3", "2"]);
    let [one, reason] = ["sent", "reason"].map(|field| newest[0][field].clone());
    assert_eq!((one["id"].as_str(), reason.as_str()), (Some("3"), Some("future")));
    let rest = listed(&format!("/v1/quarantine?before={}", newest[1]["number"])).await;
    assert_eq!((rest.len(), &rest[0]["id"]), (1, &"1".into()));

    let (status, body) = ask(&replica, Method::POST, "/v1/quarantine/retry").await;
    assert_eq!(status, 501, "{body}");
    assert!(body.contains("send their events again"), "{body}");
    replica.close().await;
}

/// As it is configured: a process with the setting writes, one without does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_history_is_written_by_whom_it_is_asked_of() {
    let mut database = Database::new("asked").await;
    database.keep([used("2021-01-05T00:00:00Z", "a", "ci")]).await;
    let own = async |replica: &Query| {
        let own = replica.scraped().own;
        tokio::task::spawn_blocking(move || write(&own(), Dialect::Text)).await.unwrap()
    };
    let silent = Query::open(settings(&database, QuerySettings::default())).await.unwrap();
    assert!(!own(&silent).await.contains("milepost_history"));
    let asked = QuerySettings { history: true, history_seconds: 1, ..QuerySettings::default() };
    let writer = Query::open(settings(&database, asked)).await.unwrap();
    let days = "SELECT uniqExact(day) AS n FROM {database}.metric_history WHERE metric = 'market_share'";
    while database.rows(days)[0]["n"].as_u64() < Some(1_000) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = own(&writer).await;
    assert!(told.contains("milepost_history_failures_total 0"), "{told}");
    assert!(!told.contains("milepost_history_rows_total 0\n"), "{told}");
    writer.close().await;
    silent.close().await;
}
