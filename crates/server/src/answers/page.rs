//! Page tokens. A token says where the next page begins, which question it belongs to, and the moment the question was
//! asked as of, so that all pages of a question about *now* are about the same now. It is opaque to its bearer.

use milepost_model::event::hex;
use milepost_model::{AsOf, Day, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{Ask, AskError, When};

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    question: [u8; 8],
    as_of: AsOf,
    /// Units before it.
    pub(super) offset: u64,
}

impl Token {
    /// For the page of `ask` that begins behind `offset` units.
    pub(super) fn new(ask: &Ask, as_of: AsOf, config_digest: &str, offset: u64) -> Self {
        Self { question: question(ask, config_digest), as_of, offset }
    }

    /// Reads a token that was given out for this question; tells which moment it is about.
    pub(super) fn read(text: &str, ask: &Ask, config_digest: &str) -> Result<(Self, AsOf), AskError> {
        // Spelled as it was given out: a number has other spellings, too.
        let token = Self::decode(text).filter(|token| token.encode() == text).ok_or_else(|| {
            AskError::bad("page_token", "is none that was given out; leave it empty for the first page")
        })?;
        let same_moment = match ask.when {
            When::Moment(AsOf::Instant(_)) => matches!(token.as_of, AsOf::Instant(_)),
            When::Moment(as_of) => as_of == token.as_of,
            When::Range { .. } => false,
        };
        if !same_moment || token.question != question(ask, config_digest) {
            let message =
                "belongs to another question or another configuration; leave it empty for the first page";
            return Err(AskError::bad("page_token", message));
        }
        Ok((token, token.as_of))
    }

    /// Its text form: hexadecimal.
    pub(super) fn encode(self) -> String {
        let (kind, moment) = match self.as_of {
            AsOf::Day(day) => (0, i64::from(day.number())),
            AsOf::Instant(at) => (1, at.micros()),
        };
        let mut bytes = self.question.to_vec();
        bytes.push(kind);
        bytes.extend(moment.to_be_bytes());
        bytes.extend(self.offset.to_be_bytes());
        hex(&bytes)
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes: Vec<u8> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect::<Option<_>>()?;
        let (question, rest) = bytes.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let (moment, rest) = rest.split_first_chunk::<8>()?;
        let offset = u64::from_be_bytes(rest.try_into().ok()?);
        let moment = i64::from_be_bytes(*moment);
        let as_of = match kind {
            0 => AsOf::Day(Day::from_number(i32::try_from(moment).ok()?)),
            1 => AsOf::Instant(Timestamp::from_micros(moment)?),
            _ => return None,
        };
        Some(Self { question: *question, as_of, offset })
    }
}

/// Eight bytes of a hash over all that decides which units there are and in which order, but the moment.
fn question(ask: &Ask, config_digest: &str) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(config_digest);
    hash.update(ask.metric.spec().name);
    for (name, value) in ask.selector.fields() {
        if let Some(value) = value {
            hash.update([0]);
            hash.update(name);
            hash.update([0]);
            hash.update(value);
        }
    }
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    first
}
