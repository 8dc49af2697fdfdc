//! Requests of the contract with their events still as bytes: `bytes` and a message are the same on the wire.

use bytes::Bytes;

/// [`milepost_wire::pb::PublishRequest`].
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RawPublish {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) events: Vec<Bytes>,
}

/// [`milepost_wire::pb::PublishStreamRequest`].
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RawBatch {
    #[prost(uint64, tag = "1")]
    pub(super) sequence: u64,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) events: Vec<Bytes>,
}

#[cfg(test)]
mod tests {
    use milepost_wire::pb;
    use prost::Message as _;

    use super::*;

    #[test]
    fn what_a_client_encodes_is_read() {
        let event = pb::Event { id: "1".into(), ..Default::default() };
        let bytes = Bytes::from(event.encode_to_vec());

        let request = pb::PublishRequest { events: vec![event.clone(), event.clone()] };
        let raw = RawPublish::decode(request.encode_to_vec().as_slice()).unwrap();
        assert_eq!(raw.events, [bytes.clone(), bytes.clone()]);

        let batch = pb::PublishStreamRequest { sequence: 7, events: vec![event] };
        let raw = RawBatch::decode(batch.encode_to_vec().as_slice()).unwrap();
        assert_eq!((raw.sequence, raw.events), (7, vec![bytes]));
    }
}
