//! Ports of services: free ones, kept from one start to the next.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::Error;

/// Below the ports that systems give to outgoing connections: a client that tries a stopped server again and again would
/// otherwise end up with the server's port as its own.
const RANGE: std::ops::Range<u16> = 10_000..30_000;

/// A port of 127.0.0.1 on which nothing listens.
///
/// # Panics
/// When no port out of many tried is free.
pub fn free() -> u16 {
    let random = RandomState::new();
    let width = u64::from(RANGE.end - RANGE.start);
    let mut tries = (0..10_000).map(|attempt: u32| RANGE.start + (random.hash_one(attempt) % width) as u16);
    let Some(port) = tries.find(|port| is_free(*port)) else {
        panic!("no port of 127.0.0.1 between {} and {} is free", RANGE.start, RANGE.end)
    };
    port
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The port of this name in a directory: the one wanted, else that of the last time if it is free, else a free one.
pub(crate) fn choose(directory: &Path, name: &str, wanted: Option<u16>) -> Result<u16, Error> {
    if let Some(port) = wanted.filter(|port| !is_free(*port)) {
        return Err(Error::PortTaken { port });
    }
    let last = || remembered(directory, name).filter(|port| is_free(*port));
    let port = wanted.or_else(last).unwrap_or_else(free);
    let file = directory.join(name);
    fs::write(&file, port.to_string()).map_err(Error::file(&file))?;
    Ok(port)
}

/// The port of this name in a directory, if it ever had one.
pub(crate) fn remembered(directory: &Path, name: &str) -> Option<u16> {
    fs::read_to_string(directory.join(name)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_kept_as_long_as_it_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let choose = |wanted| choose(directory.path(), "port", wanted).unwrap();
        let first = choose(None);
        assert_eq!(choose(None), first);
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert_ne!(choose(None), first);
        let wanted = super::choose(directory.path(), "port", Some(first));
        assert!(matches!(wanted, Err(Error::PortTaken { port }) if port == first), "{wanted:?}");
        drop(taken);
        assert_eq!(choose(Some(first)), first);
        assert_eq!(remembered(directory.path(), "port"), Some(first));
    }
}
