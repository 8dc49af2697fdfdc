//! A real Prometheus scrapes both forms of the exposition, and PromQL gives what our own answers say.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};

use milepost_tests::delivery::{Door, deliver};
use milepost_tests::prometheus::{Prometheus, lint};
use milepost_tests::{Installation, REAL_CONFIG, Served, dashboards, events, eventually, served};

const TEXT: &str = "text/plain; version=0.0.4";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

fn small_platform(installation: &Installation) -> Served {
    let served = installation.serve();
    deliver(&served, Door::Http, &events::lines(&events::recent_history(events::now())), 50);
    served
}

#[test]
fn promtool_finds_nothing() {
    let installation = Installation::new(REAL_CONFIG);
    let empty = installation.serve();
    assert_eq!(lint(&empty.metrics()), "");
    drop(empty);
    assert_eq!(lint(&small_platform(&installation).metrics()), "");
}

#[test]
fn each_form_is_what_it_says() {
    let installation = Installation::new(REAL_CONFIG);
    let served = small_platform(&installation);
    let text = served::get(&served.url(), "/metrics", TEXT);
    assert!(text.content_type.starts_with("text/plain"), "{}", text.content_type);
    assert!(!text.body.contains("# EOF"));
    let open = served::get(&served.url(), "/metrics", OPEN_METRICS);
    assert!(open.content_type.starts_with("application/openmetrics-text"), "{}", open.content_type);
    assert!(open.body.ends_with("# EOF\n"));
}

#[test]
fn promql_gives_our_own_answers() {
    let installation = Installation::new(REAL_CONFIG);
    let served = small_platform(&installation);
    // Prometheus prefers OpenMetrics; behind the relay it gets plain text.
    let targets = [served.address(), text_relay(served.url())];
    for prometheus in targets.map(|target| Prometheus::scraping(&target.to_string())) {
        agrees(&served, &prometheus);
    }
}

#[test]
fn every_panel_of_the_dashboards_has_an_answer() {
    let installation = Installation::new(REAL_CONFIG);
    let served = small_platform(&installation);
    let prometheus = Prometheus::scraping(&served.address().to_string());
    let queries = dashboards::queries();
    assert!(queries.len() > 10, "{queries:?}");
    for (panel, query) in queries {
        eventually(&format!("{panel}: {query}"), || (!prometheus.query(&query).is_empty()).then_some(()));
    }
}

fn agrees(served: &Served, prometheus: &Prometheus) {
    eventually("a scrape", || (prometheus.query("up").get("") == Some(&1.0)).then_some(()));
    for metric in ["market_share", "keep_rate", "self_service_rate"] {
        eventually(metric, || ratios_agree(served, prometheus, metric).then_some(()));
    }
    for metric in ["time_to_first_deploy", "onboarding_time"] {
        eventually(metric, || durations_agree(served, prometheus, metric).then_some(()));
    }
    let nps = served.get_json("/v1/metrics/nps")[0]["value"].as_f64().expect("there are answers");
    assert!(close(prometheus.query("milepost_nps")[""], nps));
    let stored = prometheus.query("sum(milepost_events_total{fate=\"stored\"})")[""];
    assert!(close(stored, events::recent_history(events::now()).len() as f64), "{stored}");
}

/// Scrapes and answers may lie on two sides of midnight; the next scrape agrees again.
fn ratios_agree(served: &Served, prometheus: &Prometheus, metric: &str) -> bool {
    let ratios = prometheus.query(&format!("milepost_{metric}_ratio"));
    let divided =
        prometheus.query(&format!("milepost_{metric}_numerator / milepost_{metric}_denominator > -1"));
    let answers = served.get_json(&format!("/v1/metrics/{metric}"));
    let with_value: Vec<_> =
        answers.as_array().into_iter().flatten().filter(|answer| !answer["value"].is_null()).collect();
    !with_value.is_empty()
        && with_value.len() == ratios.len()
        && with_value.iter().all(|answer| {
            let label = format!("capability={}", answer["labels"]["capability"].as_str().unwrap_or_default());
            let value = answer["value"].as_f64().unwrap_or(f64::NAN);
            [&ratios, &divided]
                .iter()
                .all(|found| found.get(&label).is_some_and(|found| close(*found, value)))
        })
}

fn durations_agree(served: &Served, prometheus: &Prometheus, metric: &str) -> bool {
    let answer = &served.get_json(&format!("/v1/metrics/{metric}"))[0];
    let seconds = prometheus.query(&format!("milepost_{metric}_seconds"));
    let subjects = prometheus.query(&format!("milepost_{metric}_subjects"));
    let quantiles = answer["quantiles"].as_object().into_iter().flatten();
    let counts = answer["counts"].as_object().into_iter().flatten();
    quantiles
        .map(|(q, value)| (seconds.get(&format!("q={q}")), value.as_f64()))
        .chain(counts.map(|(state, count)| (subjects.get(&format!("state={state}")), count.as_f64())))
        .all(|pair| match pair {
            (Some(found), Some(expected)) => close(*found, expected),
            (found, expected) => found.is_none() && expected.is_none(),
        })
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0)
}

/// Passes every scrape on and answers in plain text, whatever was preferred.
fn text_relay(url: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let request =
                BufReader::new(&connection).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            request.for_each(drop);
            let body = served::get(&url, "/metrics", TEXT).body;
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {TEXT}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // Prometheus may have given up on this scrape.
            let _ = connection.write_all((head + &body).as_bytes());
        }
    });
    address
}
