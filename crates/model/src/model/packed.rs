//! Numbers and texts as bytes, one behind the other.

use super::names::{Subject, Symbol};
use crate::time::Timestamp;

/// Writes what [`Cursor`] reads.
#[derive(Debug, Default)]
pub(super) struct Packer(pub(super) Vec<u8>);

impl Packer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// A number that is mostly small: seven bits a byte.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// A number that is mostly large.
    pub(super) fn word(&mut self, word: u64) {
        self.0.extend_from_slice(&word.to_le_bytes());
    }

    pub(super) fn at(&mut self, at: Timestamp) {
        self.word(at.micros().cast_unsigned());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn name(&mut self, name: impl Symbol) {
        self.number(name.index() as u64);
    }

    pub(super) fn name_if_any(&mut self, name: Option<impl Symbol>) {
        self.number(name.map_or(0, |name| name.index() as u64 + 1));
    }

    pub(super) fn subject(&mut self, subject: Subject) {
        self.name_if_any(subject.team);
        self.name_if_any(subject.service);
        self.name_if_any(subject.capability);
    }
}

/// Reads what [`Packer`] wrote; `None` where there is nothing or something else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// The length of something of which each has a byte at least.
    pub(super) fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(self.number()?).ok()?;
        (length <= self.0.len()).then_some(length)
    }

    pub(super) fn word(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }

    pub(super) fn at(&mut self) -> Option<Timestamp> {
        Timestamp::from_micros(self.word()?.cast_signed())
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(numbers in prop::collection::vec(any::<u64>(), 0..9), text in ".{0,300}", shift in 0..64) {
            let mut packer = Packer::default();
            packer.text(&text);
            for number in &numbers {
                packer.number(*number >> shift);
                packer.word(*number);
            }
            let mut cursor = Cursor(&packer.0);
            prop_assert_eq!(cursor.text(), Some(text.as_str()));
            for number in numbers {
                prop_assert_eq!((cursor.number(), cursor.word()), (Some(number >> shift), Some(number)));
            }
            prop_assert_eq!((cursor.byte(), cursor.number(), cursor.word(), cursor.at()), (None, None, None, None));
        }
    }
}
