//! Protobuf over gRPC, with bytes that cannot be decoded blamed on who sent them.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{DecodeBuf, Decoder};
use tonic::{Code, Status};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// [`ProstCodec`], but a malformed message is `INVALID_ARGUMENT`, not `INTERNAL`: the server is not at fault, and
/// sending the same again will not help. (Clients use it too: one that is answered nonsense sees the same code.)
#[derive(Debug, Clone)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BlamingDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BlamingDecoder(ProstCodec::<T, U>::raw_decoder(tonic::codec::BufferSettings::default()))
    }
}

/// See [`Codec`].
#[derive(Debug, Clone)]
pub struct BlamingDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default> Decoder for BlamingDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        self.0.decode(buffer).map_err(|status| {
            if status.code() != Code::Internal {
                return status;
            }
            Status::invalid_argument(format!("not a message of this method: {}", status.message()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use tonic::codec::{Codec as _, Streaming};

    use super::*;
    use crate::pb::{ListRequest, ListResponse};

    #[test]
    fn a_malformed_message_is_the_senders_fault() {
        // Not compressed, one byte long, and that byte is no beginning of a field.
        let body = "\0\0\0\0\u{1}\u{7}".to_owned();
        let mut codec = Codec::<ListResponse, ListRequest>::default();
        let mut messages = Streaming::new_request(codec.decoder(), body, None, None);
        let read = pin!(messages.message()).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Err(status)) = read else { panic!("{read:?}") };
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}
