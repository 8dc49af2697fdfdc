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
        let plain = unpack(&body, most).map_err(|error| {
            let what = match error.kind() {
                ErrorKind::UnexpectedEof => "the body is gzip cut short",
                _ => "the body is not gzip, as Content-Encoding says",
            };
            Error::Unreadable(format!("{what}: {error}"))
        })?;
        if plain.len() > most { Err(Error::TooLarge { most }) } else { Ok(plain.into()) }
    }
}

/// Unpacks to one byte more than `most` at most.
///
/// A buffer that grows by doubling is for a moment there one and a half times. This one is as large as the body says that
/// it becomes, and grows once if that is not true.
fn unpack(body: &[u8], most: usize) -> std::io::Result<Vec<u8>> {
    let most = most.saturating_add(1);
    // A body of gzip ends with how long it is unpacked; of several put together, with how long the last is.
    let promised = body.last_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize).min(most);
    let mut decoder = MultiGzDecoder::new(body);
    let mut plain = Vec::with_capacity(promised);
    decoder.by_ref().take(promised as u64).read_to_end(&mut plain)?;
    let mut more = [0];
    if plain.len() == promised && plain.len() < most && decoder.read(&mut more)? > 0 {
        plain.reserve_exact(most - plain.len());
        plain.extend(more);
        decoder.take((most - plain.len()) as u64).read_to_end(&mut plain)?;
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(text).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn a_body_is_unpacked_whatever_it_says_of_its_length() {
        let text = b"some text ".repeat(1_000);
        let one = packed(&text);
        let two = [&one[..], &packed(b"and more")].concat();
        let both = [&text[..], b"and more"].concat();
        for (body, expected) in [(&one, &text), (&two, &both), (&packed(b""), &Vec::new())] {
            for most in [expected.len(), expected.len() + 1, 1 << 20] {
                assert_eq!(&unpack(body, most).unwrap(), expected);
            }
        }
        for body in [&one, &two] {
            let cut = unpack(body, 9_999).unwrap();
            assert_eq!(cut, text, "one byte more than there may be, so that it shows");
        }
        assert!(unpack(&one[..one.len() - 4], 1 << 20).is_err());
        assert!(unpack(b"", 10).is_err() && unpack(b"abc", 10).is_err());
    }
}
