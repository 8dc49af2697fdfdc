//! What one peer may have of the connections and of the requests under way.
//!
//! Law: who comes from one address cannot take all there is, however many connections or streams they open. This machine
//! itself is let do so: a proxy on it speaks for everybody.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much of each there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerLimits {
    /// Connections of one address.
    pub(crate) connections: usize,
    /// Requests under way, of all.
    pub(crate) requests: usize,
    /// The same of one address.
    pub(crate) requests_each: usize,
}

/// Everybody who is connected.
pub(super) struct Peers {
    limits: PeerLimits,
    requests: Arc<Semaphore>,
    connected: Mutex<HashMap<IpAddr, Peer>>,
}

struct Peer {
    connections: usize,
    requests: Arc<Semaphore>,
}

impl Peers {
    pub(super) fn new(limits: PeerLimits) -> Arc<Self> {
        let requests = Arc::new(Semaphore::new(limits.requests.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { limits, requests, connected: Mutex::default() })
    }

    /// A place for a connection from this address, if it has not got too many already.
    pub(super) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let Some(peer) = accountable(address) else {
            return Some(Seat { peers: Arc::clone(self), peer: None });
        };
        let mut connected = self.connected.lock();
        let entry = connected.entry(peer).or_insert_with(|| {
            let requests = self.limits.requests_each.min(Semaphore::MAX_PERMITS);
            Peer { connections: 0, requests: Arc::new(Semaphore::new(requests)) }
        });
        if entry.connections >= self.limits.connections {
            return None;
        }
        entry.connections += 1;
        let requests = Arc::clone(&entry.requests);
        Some(Seat { peers: Arc::clone(self), peer: Some((peer, requests)) })
    }
}

/// Whom an address stands for: an IPv6 network of 64 bits is one subscriber. None for this machine.
fn accountable(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST) => None,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
        }
        address @ IpAddr::V4(_) => Some(address),
    }
}

/// The place of a connection; free again when dropped.
pub(super) struct Seat {
    peers: Arc<Peers>,
    peer: Option<(IpAddr, Arc<Semaphore>)>,
}

/// The place of a request; free again when dropped.
pub(super) struct Ticket {
    _of_all: OwnedSemaphorePermit,
    _of_peer: Option<OwnedSemaphorePermit>,
}

impl Seat {
    /// A place for a request, if there is one at once.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        let of_peer = match &self.peer {
            Some((_, requests)) => Some(Arc::clone(requests).try_acquire_owned().ok()?),
            None => None,
        };
        let of_all = Arc::clone(&self.peers.requests).try_acquire_owned().ok()?;
        Some(Ticket { _of_all: of_all, _of_peer: of_peer })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((address, _)) = &self.peer else { return };
        let mut connected = self.peers.connected.lock();
        if let Some(peer) = connected.get_mut(address) {
            peer.connections -= 1;
            if peer.connections == 0 {
                connected.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Arc<Peers> {
        Peers::new(PeerLimits { connections: 2, requests: 3, requests_each: 2 })
    }

    #[test]
    fn an_address_has_its_share_of_connections() {
        let (peers, [one, other]) = (peers(), ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap()));
        let first = peers.seat(one).unwrap();
        let second = peers.seat(one).unwrap();
        assert!(peers.seat(one).is_none());
        assert!(peers.seat(other).is_some());
        drop(first);
        assert!(peers.seat(one).is_some());
        drop(second);
        assert!(peers.connected.lock().is_empty());
    }

    #[test]
    fn an_address_has_its_share_of_requests_over_all_its_connections() {
        let (peers, [one, other]) = (peers(), ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap()));
        let seats = [peers.seat(one).unwrap(), peers.seat(one).unwrap()];
        let tickets = seats.each_ref().map(|seat| seat.ticket().unwrap());
        assert!(seats[0].ticket().is_none());
        let other = peers.seat(other).unwrap();
        let _third = other.ticket().unwrap();
        assert!(other.ticket().is_none(), "there are three for all");
        drop(tickets);
        assert!(other.ticket().is_some());
    }

    #[test]
    fn networks_are_one_and_this_machine_is_nobody() {
        let of = |text: &str| accountable(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(of(here), None);
        }
        assert!(of("127.0.0.2").is_some());
    }
}
