//! The bytes of a request, capped before and after they are unpacked.

use std::io::{ErrorKind, Read as _};

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use super::error::Error;

/// Reads a body of at most `most` bytes.
pub(super) async fn read(body: Body, most: usize) -> Result<Bytes, Error> {
    axum::body::to_bytes(body, most).await.map_err(|error| {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(cause) = source {
            if cause.is::<http_body_util::LengthLimitError>() {
                return Error::TooLarge { most };
            }
            source = cause.source();
        }
        Error::Unreadable(format!("the body ended early: {error}"))
    })
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(Self::Plain) };
        match encoding.to_str().map(str::trim).map(str::to_ascii_lowercase).as_deref() {
            Ok("" | "identity") => Ok(Self::Plain),
            Ok("gzip" | "x-gzip") => Ok(Self::Gzip),
            _ => Err(Error::UnknownEncoding),
        }
    }

    /// How many bytes there may be to decode, where at most `most` are: of a packed body nobody knows.
    pub(super) fn most_once_decoded(self, body: &Bytes, most: usize) -> usize {
        if self == Self::Plain { body.len() } else { most }
    }

    /// Unpacks a body, to at most `most` bytes: a few packed bytes may stand for any number of others.
    pub(super) fn decode(self, body: Bytes, most: usize) -> Result<Bytes, Error> {
        if self == Self::Plain {
            return Ok(body);
        }
        let mut plain = Vec::new();
        MultiGzDecoder::new(&*body).take((most as u64).saturating_add(1)).read_to_end(&mut plain).map_err(
            |error| {
                let what = match error.kind() {
                    ErrorKind::UnexpectedEof => "the body is gzip cut short",
                    _ => "the body is not gzip, as Content-Encoding says",
                };
                Error::Unreadable(format!("{what}: {error}"))
            },
        )?;
        if plain.len() > most { Err(Error::TooLarge { most }) } else { Ok(plain.into()) }
    }
}
