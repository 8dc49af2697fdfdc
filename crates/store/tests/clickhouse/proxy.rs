//! Something between us and ClickHouse that does harm.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// What it does with the next requests that hold a text.
#[derive(Debug, Clone)]
pub(crate) enum Harm {
    /// Passes everything on.
    None,
    /// Passes the request on, waits for the answer, and drops it.
    LoseAnswers,
    /// Takes the request, and does nothing.
    Hang,
    /// Answers this, with a status of 500.
    Answer(String),
}

/// A proxy on a port of its own.
pub(crate) struct Proxy {
    address: SocketAddr,
    harm: Arc<Mutex<(String, Harm)>>,
}

impl Proxy {
    pub(crate) fn before(server: &str, runtime: &Handle) -> Self {
        let server = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let harm = Arc::new(Mutex::new((String::new(), Harm::None)));
        let shared = harm.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((from, _)) = listener.accept().await {
                let (server, harm) = (server.clone(), shared.clone());
                tokio::spawn(async move { pass(from, &server, &harm).await });
            }
        });
        Self { address, harm }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does this from now on with requests in which this text is.
    pub(crate) fn harm(&self, text: &str, harm: Harm) {
        *self.harm.lock().unwrap() = (text.to_owned(), harm);
    }
}

/// Passes one connection on, and looks at what is sent each time before it goes on.
async fn pass(mut from: TcpStream, server: &str, harm: &Mutex<(String, Harm)>) -> Option<()> {
    let mut to = TcpStream::connect(server).await.ok()?;
    let (mut sent, mut received) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut lost = false;
    loop {
        tokio::select! {
            bytes = from.read(&mut sent) => {
                let bytes = bytes.ok().filter(|bytes| *bytes > 0)?;
                let (text, harm) = harm.lock().unwrap().clone();
                if String::from_utf8_lossy(&sent[..bytes]).contains(&text) {
                    match harm {
                        Harm::None => {}
                        Harm::LoseAnswers => lost = true,
                        Harm::Hang => std::future::pending().await,
                        Harm::Answer(answer) => {
                            let head = format!("HTTP/1.1 500 Oh\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
                            from.write_all(format!("{head}{answer}").as_bytes()).await.ok()?;
                            from.shutdown().await.ok()?;
                            // Closed before all was read, the connection would break under the answer.
                            while from.read(&mut sent).await.is_ok_and(|bytes| bytes > 0) {}
                            return None;
                        }
                    }
                }
                to.write_all(&sent[..bytes]).await.ok()?;
            }
            bytes = to.read(&mut received) => {
                let bytes = bytes.ok().filter(|bytes| *bytes > 0)?;
                if lost {
                    return None;
                }
                from.write_all(&received[..bytes]).await.ok()?;
            }
        }
    }
}
