//! Something between Milepost and ClickHouse that does harm when it is told to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Passed on only when the harm ends, be whoever sent it gone by then.
    Hold,
    /// Never passed on, and never answered while the harm lasts.
    Swallow,
    /// Passed on, and the answer is dropped with the connection.
    LoseAnswer,
    /// Answered with an exception of ClickHouse, by its number and name.
    Refuse(u32, &'static str),
}

/// Which statements, and what is done to them.
#[derive(Debug, Clone, Default)]
struct Rule {
    /// Texts that are all in the statement.
    texts: Vec<&'static str>,
    harm: Option<Harm>,
}

struct Shared {
    server: String,
    rule: watch::Sender<Rule>,
    harmed: AtomicU64,
    let_go: AtomicU64,
}

/// A proxy on a port of its own, which passes everything on until it is told otherwise.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

impl Proxy {
    /// Before this server.
    pub fn before(server: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            rule: watch::Sender::new(Rule::default()),
            harmed: AtomicU64::new(0),
            let_go: AtomicU64::new(0),
        });
        runtime.spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared, _runtime: runtime }
    }

    /// Where it is, as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does this from now on to statements in which all these texts are.
    pub fn harm(&self, texts: &[&'static str], harm: Harm) {
        self.shared.rule.send_replace(Rule { texts: texts.to_vec(), harm: Some(harm) });
    }

    /// Does no harm any more, and lets go what it held.
    pub fn relent(&self) {
        self.shared.rule.send_replace(Rule::default());
    }

    /// Waits until so many requests that it held have been answered.
    pub fn wait_let_go(&self, requests: u64) {
        let let_go = || self.shared.let_go.load(SeqCst);
        crate::eventually("what was held is done", || (let_go() >= requests).then_some(()));
    }

    /// How many requests it has done harm to.
    pub fn harmed(&self) -> u64 {
        self.shared.harmed.load(SeqCst)
    }

    /// Waits until it has done harm to so many requests.
    pub fn wait_harmed(&self, requests: u64) {
        crate::eventually("the proxy has done harm", || (self.harmed() >= requests).then_some(()));
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((connection, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| handle(request, Arc::clone(&shared)));
        // An error is a connection that ends: as it was told to, or because somebody is gone.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
    }
}

type Answer = Result<Response<Full<Bytes>>, io::Error>;

async fn handle(request: Request<Incoming>, shared: Arc<Shared>) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let mut rule = shared.rule.subscribe();
    let harm = rule.borrow_and_update().of(&head.uri.to_string(), &body);
    if harm.is_some() {
        shared.harmed.fetch_add(1, SeqCst);
    }
    let pass = {
        let shared = Arc::clone(&shared);
        move || pass(&shared.server, &head, &body)
    };
    match harm {
        None => blocking(pass).await,
        Some(Harm::Hold) => {
            let passed = tokio::spawn(async move {
                ended(&mut rule).await;
                let answer = blocking(pass).await;
                shared.let_go.fetch_add(1, SeqCst);
                answer
            });
            passed.await.map_err(io::Error::other)?
        }
        Some(Harm::Swallow) => {
            ended(&mut rule).await;
            Err(io::Error::other("swallowed"))
        }
        Some(Harm::LoseAnswer) => {
            blocking(pass).await?;
            Err(io::Error::other("the answer is lost"))
        }
        Some(Harm::Refuse(code, name)) => Ok(exception(code, name)),
    }
}

async fn ended(rule: &mut watch::Receiver<Rule>) {
    // An error means that the proxy is gone.
    let _ = rule.wait_for(|rule| rule.harm.is_none()).await;
}

async fn blocking(pass: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    tokio::task::spawn_blocking(pass).await.map_err(io::Error::other)?
}

impl Rule {
    /// What is done to a statement, which stands in the query string, the body, or both.
    fn of(&self, uri: &str, body: &[u8]) -> Option<Harm> {
        const STATEMENT: usize = 4_096;
        let uri = percent_decoded(uri);
        let body = String::from_utf8_lossy(&body[..body.len().min(STATEMENT)]);
        self.harm.filter(|_| self.texts.iter().all(|text| uri.contains(text) || body.contains(text)))
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn exception(code: u32, name: &str) -> Response<Full<Bytes>> {
    let text = format!("Code: {code}. DB::Exception: not now. ({name}) (version 26)\n");
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert("x-clickhouse-exception-code", code.into());
    response
}

/// Passes a request on and reads the whole answer.
fn pass(server: &str, head: &hyper::http::request::Parts, body: &Bytes) -> Answer {
    let own = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION];
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(head.method.clone()).uri(format!("{server}{path}"));
    for (name, value) in head.headers.iter().filter(|(name, _)| !own.contains(name)) {
        request = request.header(name, value);
    }
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = request.body(&body[..]).map_err(io::Error::other)?;
    let (head, mut body) = agent.run(request).map_err(io::Error::other)?.into_parts();
    let bytes = body.with_config().limit(u64::MAX).read_to_vec().map_err(io::Error::other)?;
    let mut response = Response::new(Full::from(bytes));
    *response.status_mut() = head.status;
    for (name, value) in head.headers.iter().filter(|(name, _)| !own.contains(name)) {
        response.headers_mut().append(name, value.clone());
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_recognised_where_they_stand() {
        let rule = Rule { texts: vec!["INSERT INTO", "events"], harm: Some(Harm::Hold) };
        assert_eq!(rule.of("/?query=INSERT+INTO%20db.events", b""), Some(Harm::Hold));
        assert_eq!(rule.of("/?database=db", b"INSERT INTO events VALUES"), Some(Harm::Hold));
        assert_eq!(rule.of("/?query=SELECT%201", b"INSERT INTO progress"), None);
        assert_eq!(Rule::default().of("/", b""), None);
    }
}
