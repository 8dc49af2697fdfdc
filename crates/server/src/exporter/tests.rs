use axum::body::{Body, to_bytes};
use axum::http::Request;
use milepost_model::{Config, Model};
use tower::ServiceExt as _;

use super::*;
use crate::health::Health;
use crate::roles::whole;
use crate::testing;

async fn scraped(accept: &str) -> (String, String) {
    let engine = testing::engine();
    let health = Health::new(engine.now());
    let own = {
        let (engine, health) = (Arc::clone(&engine), Arc::clone(&health));
        move || whole::families(&engine, &health)
    };
    let scraped =
        Scraped { started_at: health.started_at, engine: Some(engine), own: Arc::new(own), series: 10_000 };
    let request = Request::get("/metrics").header(header::ACCEPT, accept).body(Body::empty()).unwrap();
    let response = router(scraped).oneshot(request).await.unwrap();
    let content_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (content_type, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_scrape_has_the_metrics_and_milepost_itself() {
    let (content_type, text) = scraped("*/*").await;
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "milepost_market_share_ratio{capability=\"ci\"} 0.5",
        "milepost_market_share_numerator{capability=\"ci\"} 3",
        "milepost_market_share_denominator{capability=\"ci\"} 6",
        "milepost_keep_rate_denominator{capability=\"ci\"} 0",
        "milepost_events_total{door=\"http\",fate=\"stored\"} 0",
        "milepost_model_events 10",
        "milepost_build_info{version=\"0.1.0\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("milepost_keep_rate_ratio{"), "no cohort, no ratio");
    assert!(!text.lines().any(|line| line.starts_with("milepost_nps ")), "no answers, no score");
}

#[tokio::test]
async fn a_scrape_says_how_many_series_it_has() {
    let (_, text) = scraped("*/*").await;
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(
        text.lines().any(|line| line == format!("milepost_exporter_series {series}")),
        "{series}: {text}"
    );
    let about_itself = text.lines().filter(|line| {
        [
            "market_share",
            "keep_rate",
            "self_service_rate",
            "time_to",
            "onboarding",
            "nps",
            "slo_",
            "deployment_",
            "lead_time",
            "change_failure",
            "failed_",
            "rework",
        ]
        .iter()
        .all(|metric| !line.starts_with(&format!("milepost_{metric}")))
            && !line.starts_with('#')
    });
    // With room for what is absent until something happens.
    assert!(about_itself.count() + 50 < budget::OWN);
}

#[tokio::test]
async fn openmetrics_on_request() {
    let (content_type, text) = scraped("application/openmetrics-text; version=1.0.0").await;
    assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(text.ends_with("# EOF\n"));
}

/// The order of arrival must not show.
#[test]
fn the_same_events_in_any_order_are_the_same_bytes() {
    let mut events = testing::history();
    let now = testing::NOW.parse().unwrap();
    let mut text = || {
        events.rotate_left(3);
        let mut model = Model::new();
        for event in &events {
            model.insert(event);
        }
        let business = business::business(&model, &Config::default(), now, 10_000).unwrap();
        exposition::write(&business.families, exposition::Dialect::Text)
    };
    let first = text();
    assert!(!first.is_empty());
    assert_eq!(first, text());
}
