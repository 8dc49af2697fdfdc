//! Whether a service answers, asked in its own protocol.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Whether a `GET` of this path succeeds.
pub(crate) fn http(address: SocketAddr, path: &str) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; "HTTP/1.1 200".len()];
        stream.read_exact(&mut status)?;
        Ok(status.starts_with(b"HTTP/1.") && status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

/// Whether a Kafka broker is up and lets clients in: it answers a request for metadata and names a broker in it.
pub(crate) fn kafka(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = connect(address)?;
        stream.write_all(&metadata_request())?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        // Correlation id, throttle time, number of brokers: 4 bytes each.
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer[..4] == CORRELATION && answer[8..] != [0; 4])
    };
    ask().unwrap_or(false)
}

const CORRELATION: [u8; 4] = [0, 0, 0, 42];

/// Version 4, which every Kafka since 0.11 answers: no topics, and none to be made.
fn metadata_request() -> Vec<u8> {
    const METADATA: [u8; 2] = [0, 3];
    const VERSION: [u8; 2] = [0, 4];
    const NO_CLIENT_ID: [u8; 2] = [0xff, 0xff];
    const NO_TOPICS: [u8; 4] = [0; 4];
    const MAKE_NONE: [u8; 1] = [0];
    let body = [&METADATA[..], &VERSION, &CORRELATION, &NO_CLIENT_ID, &NO_TOPICS, &MAKE_NONE].concat();
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}
