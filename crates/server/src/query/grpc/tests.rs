use tonic::Code;

use super::*;
use crate::query::DIGEST;
use crate::testing;

fn metrics_service() -> Metrics {
    Metrics { engine: testing::engine() }
}

fn selector(metric: &str) -> pb::Selector {
    pb::Selector { metric: metric.to_owned(), ..pb::Selector::default() }
}

#[tokio::test]
async fn a_question_is_answered_with_the_digest_in_the_metadata() {
    let request =
        pb::QueryRequest { selector: Some(selector("market_share")), as_of: "2026-02-28".to_owned() };
    let response = metrics_service().query(Request::new(request)).await.unwrap();
    assert_eq!(response.metadata().get(DIGEST).unwrap(), &milepost_model::Config::default().digest());
    let answers = response.into_inner().answers;
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].labels["capability"], "ci");
    let Some(pb::answer::Value::Ratio(ratio)) = &answers[0].value else { panic!("{:?}", answers[0]) };
    assert_eq!((ratio.numerator, ratio.denominator), (Some(3), Some(6)));
}

#[tokio::test]
async fn a_range_has_an_answer_for_each_day() {
    let request = pb::QueryRangeRequest {
        selector: Some(selector("market_share")),
        from: "2026-02-21".to_owned(),
        to: "2026-02-28".to_owned(),
        step: String::new(),
    };
    let response = metrics_service().query_range(Request::new(request)).await.unwrap();
    assert_eq!(response.into_inner().answers.len(), 16);
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let service = metrics_service();
    let query = async |selector, as_of: &str| {
        let request = pb::QueryRequest { selector, as_of: as_of.to_owned() };
        service.query(Request::new(request)).await.unwrap_err()
    };
    let status = query(None, "").await;
    assert_eq!((status.code(), status.message().starts_with("selector:")), (Code::InvalidArgument, true));
    let status = query(Some(selector("nonsense")), "").await;
    assert_eq!((status.code(), status.message().starts_with("metric:")), (Code::NotFound, true));
    let status = query(Some(selector("nps")), "2030-01-01").await;
    assert_eq!((status.code(), status.message().starts_with("as_of:")), (Code::InvalidArgument, true));

    let range = pb::QueryRangeRequest { selector: Some(selector("nps")), ..pb::QueryRangeRequest::default() };
    let status = service.query_range(Request::new(range)).await.unwrap_err();
    assert_eq!((status.code(), status.message().starts_with("from:")), (Code::InvalidArgument, true));

    let watch = service.watch(Request::new(pb::WatchRequest::default())).await.map(|_| ()).unwrap_err();
    assert_eq!((watch.code(), watch.message().starts_with("selectors:")), (Code::InvalidArgument, true));
}

#[tokio::test]
async fn an_explanation_names_the_events() {
    let request = pb::ExplainRequest {
        selector: Some(selector("market_share")),
        page_size: 1,
        ..pb::ExplainRequest::default()
    };
    let explained = metrics_service().explain(Request::new(request)).await.unwrap().into_inner();
    assert_eq!((explained.total_units, explained.units.len()), (12, 1));
    assert!(!explained.next_page_token.is_empty() && !explained.definition.is_empty());
}

#[tokio::test]
async fn a_watch_begins_with_a_snapshot() {
    let request = pb::WatchRequest { selectors: vec![selector("market_share")] };
    let mut updates = metrics_service().watch(Request::new(request)).await.unwrap().into_inner();
    let first = updates.next().await.unwrap().unwrap();
    assert!(first.snapshot);
    assert_eq!(first.answers.len(), 2);
}

#[tokio::test]
async fn every_metric_is_listed() {
    let listed = metrics_service().list(Request::new(pb::ListRequest {})).await.unwrap().into_inner().metrics;
    let names: Vec<_> = listed.iter().map(|metric| metric.name.as_str()).collect();
    let registered: Vec<_> = metrics::registry().iter().map(|metric| metric.spec().name).collect();
    assert_eq!(names, registered);
}
