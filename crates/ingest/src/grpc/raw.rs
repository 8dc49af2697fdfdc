//! Requests of the contract with their events still as bytes: `bytes` and a message are the same on the wire.
//!
//! Law: a batch of more events than are taken is counted, never gathered. An empty event is two bytes on the wire and
//! many times that in memory.

use std::marker::PhantomData;

use bytes::{Buf as _, Bytes};
use milepost_wire::codec::Codec;
use milepost_wire::pb;
use prost::DecodeError;
use prost::encoding::{DecodeContext, bytes as field_bytes, decode_key, skip_field, uint64};
use tonic::Status;
use tonic::codec::{Codec as CodecOf, DecodeBuf, Decoder};

/// What gRPC puts before each message: whether it is packed, and its length.
const MESSAGE_PREFIX: usize = 5;

/// A batch, not yet read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RawBatch {
    /// What its sender calls it; 0 in a request of its own.
    pub(super) sequence: u64,
    /// The first of its events, at most as many as are taken.
    pub(super) events: Vec<Bytes>,
    /// How many events there are.
    pub(super) count: usize,
    /// Its bytes on the wire, with what gRPC puts before each message.
    pub(super) bytes: usize,
}

/// Where a request has its fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    sequence: Option<u32>,
    events: u32,
}

impl Layout {
    /// [`pb::PublishRequest`].
    pub(super) const PUBLISH: Self = Self { sequence: None, events: 1 };
    /// [`pb::PublishStreamRequest`].
    pub(super) const STREAM: Self = Self { sequence: Some(1), events: 2 };
}

impl RawBatch {
    /// Reads a request; of its events, the first `most` are kept.
    fn read(mut message: Bytes, layout: Layout, most: usize) -> Result<Self, DecodeError> {
        let mut batch = Self { bytes: MESSAGE_PREFIX + message.len(), ..Self::default() };
        while message.has_remaining() {
            let (tag, wire) = decode_key(&mut message)?;
            let context = DecodeContext::default();
            if tag == layout.events {
                let mut event = Bytes::new();
                field_bytes::merge(wire, &mut event, &mut message, context)?;
                batch.count += 1;
                if batch.count <= most {
                    batch.events.push(event);
                }
            } else if Some(tag) == layout.sequence {
                uint64::merge(wire, &mut batch.sequence, &mut message, context)?;
            } else {
                skip_field(wire, tag, &mut message, context)?;
            }
        }
        Ok(batch)
    }
}

/// Reads batches, answers with `T`.
#[derive(Debug, Clone)]
pub(super) struct BatchCodec<T> {
    layout: Layout,
    most: usize,
    answers: PhantomData<T>,
}

impl<T> BatchCodec<T> {
    /// Of requests of this layout; at most `most` events of each are gathered.
    pub(super) fn new(layout: Layout, most: usize) -> Self {
        Self { layout, most, answers: PhantomData }
    }
}

impl<T: prost::Message + Send + 'static> CodecOf for BatchCodec<T> {
    type Encode = T;
    type Decode = RawBatch;
    type Encoder = <Codec<T, pb::PublishRequest> as CodecOf>::Encoder;
    type Decoder = BatchDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        Codec::<T, pb::PublishRequest>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BatchDecoder { layout: self.layout, most: self.most }
    }
}

/// See [`BatchCodec`].
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchDecoder {
    layout: Layout,
    most: usize,
}

impl Decoder for BatchDecoder {
    type Item = RawBatch;
    type Error = Status;

    /// Bytes that are no message are their sender's fault.
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<RawBatch>, Status> {
        let message = buffer.copy_to_bytes(buffer.remaining());
        RawBatch::read(message, self.layout, self.most)
            .map(Some)
            .map_err(|error| Status::invalid_argument(format!("not a message of this method: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn read(message: &impl prost::Message, layout: Layout) -> RawBatch {
        RawBatch::read(message.encode_to_vec().into(), layout, 2).unwrap()
    }

    #[test]
    fn what_a_client_encodes_is_read() {
        let event = pb::Event { id: "1".into(), ..Default::default() };
        let bytes = Bytes::from(event.encode_to_vec());

        let request = pb::PublishRequest { events: vec![event.clone(), event.clone()] };
        let events = vec![bytes.clone(), bytes.clone()];
        let size = MESSAGE_PREFIX + request.encoded_len();
        let expected = RawBatch { sequence: 0, events, count: 2, bytes: size };
        assert_eq!(read(&request, Layout::PUBLISH), expected);

        let batch = pb::PublishStreamRequest { sequence: 7, events: vec![event] };
        let size = MESSAGE_PREFIX + batch.encoded_len();
        let expected = RawBatch { sequence: 7, events: vec![bytes], count: 1, bytes: size };
        assert_eq!(read(&batch, Layout::STREAM), expected);
    }

    #[test]
    fn events_beyond_those_taken_are_counted_and_not_gathered() {
        let request = pb::PublishRequest { events: vec![pb::Event::default(); 1_000] };
        let batch = read(&request, Layout::PUBLISH);
        assert_eq!((batch.events.len(), batch.count), (2, 1_000));
        assert!(batch.events.capacity() < 10);
    }

    #[test]
    fn what_is_no_request_is_an_error_and_fields_of_later_contracts_are_passed_over() {
        for bytes in [&b"\x08\x01"[..], b"\x0a\x05ab", b"\x07", b"\x0a"] {
            assert!(RawBatch::read(Bytes::copy_from_slice(bytes), Layout::PUBLISH, 2).is_err(), "{bytes:?}");
        }
        let later = Bytes::from_static(b"\x78\x01\x0a\x00");
        assert_eq!(RawBatch::read(later, Layout::PUBLISH, 2).unwrap().count, 1);
    }
}
