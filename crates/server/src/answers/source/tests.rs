use axum::Router;
use tokio::net::TcpListener;

use super::*;
use crate::query::http;
use crate::testing;

/// Serves a router; gives its URL.
async fn served(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{addr}/")
}

async fn asked<T: Send + 'static>(
    source: Source,
    ask: impl FnOnce(&Source) -> Result<T, AskError> + Send + 'static,
) -> Result<T, AskError> {
    tokio::task::spawn_blocking(move || ask(&source)).await.unwrap()
}

fn parameters(pairs: &[(&str, &str)]) -> Parameters {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn sources(url: &str) -> [Source; 2] {
    [Source::Here(testing::engine()), Source::There(Remote::new(url, None, None).unwrap())]
}

#[tokio::test]
async fn here_and_there_answer_in_the_same_bytes() {
    let url = served(http::router(testing::engine())).await;
    for format in [Format::Json, Format::Csv] {
        let [here, there] = sources(&url).map(|source| {
            asked(source, move |source| {
                let question =
                    parameters(&[("capability", "ci"), ("from", "2026-02-01"), ("to", "2026-02-28")]);
                source.query("market_share", &question, format)
            })
        });
        let here = here.await.unwrap();
        assert!(here.lines().count() >= 9, "one for each day since `ci` has appeared");
        assert_eq!(here, there.await.unwrap());
    }
    let [here, there] = sources(&url).map(|source| {
        let page = PageRequest { size: 2, token: String::new() };
        asked(source, move |source| {
            source.explain("market_share", &parameters(&[("as_of", "2026-02-28")]), &page)
        })
    });
    assert_eq!(here.await.unwrap(), there.await.unwrap());
}

#[tokio::test]
async fn here_and_there_refuse_in_the_same_words() {
    let url = served(http::router(testing::engine())).await;
    for (metric, pairs) in
        [("nonsense/?", &[][..]), ("nps", &[("window", "1w")]), ("nps", &[("as_of", "2030-01-01")])]
    {
        let [here, there] = sources(&url).map(|source| {
            asked(source, move |source| source.query(metric, &parameters(pairs), Format::Json))
        });
        assert_eq!(here.await.unwrap_err(), there.await.unwrap_err());
    }
}

#[tokio::test]
async fn what_is_no_server_of_ours_is_said_to_be_none() {
    let url = served(Router::new()).await;
    let failed = asked(Source::There(Remote::new(&url, None, None).unwrap()), |source| {
        source.query("nps", &Vec::new(), Format::Json)
    })
    .await
    .unwrap_err();
    assert!(
        matches!(&failed, AskError::Failed(message) if message.contains("is this a Milepost server?")),
        "{failed}"
    );
}
