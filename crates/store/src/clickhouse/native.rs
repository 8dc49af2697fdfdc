//! ClickHouse's format `Native`: a block of rows, column by column. It is the one ClickHouse takes with the least work.

use bytes::Bytes;

/// A column that is being filled.
#[derive(Debug)]
pub(super) struct Column {
    name: &'static str,
    /// Its type, which may be a simpler one than the table's.
    kind: &'static str,
    /// Of columns that may be null: for each value whether it is.
    nulls: Vec<u8>,
    values: Vec<u8>,
}

impl Column {
    pub(super) fn new(name: &'static str, kind: &'static str) -> Self {
        Self { name, kind, nulls: Vec::new(), values: Vec::new() }
    }

    /// A number, or anything else of a fixed width.
    pub(super) fn fixed<const N: usize>(&mut self, bytes: [u8; N]) {
        self.values.extend_from_slice(&bytes);
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        number(&mut self.values, text.len());
        self.values.extend_from_slice(text);
    }

    pub(super) fn text_or_null(&mut self, text: Option<&str>) {
        self.nulls.push(u8::from(text.is_none()));
        self.text(text.unwrap_or_default().as_bytes());
    }
}

/// A block of so many rows, in pieces that are sent one after the other.
pub(super) fn block(columns: impl IntoIterator<Item = Column>, rows: usize) -> Vec<Bytes> {
    let (mut head, mut pieces) = (Vec::new(), Vec::new());
    for Column { name, kind, nulls, values } in columns {
        for text in [name, kind] {
            number(&mut head, text.len());
            head.extend_from_slice(text.as_bytes());
        }
        head.extend_from_slice(&nulls);
        pieces.extend([std::mem::take(&mut head), values].map(Bytes::from));
    }
    let mut block = Vec::new();
    number(&mut block, pieces.len() / 2);
    number(&mut block, rows);
    pieces.insert(0, block.into());
    pieces
}

/// Seven bits a byte, the lowest first.
fn number(to: &mut Vec<u8>, number: usize) {
    let mut rest = number;
    while rest > 127 {
        to.push(rest as u8 | 128);
        rest >>= 7;
    }
    to.push(rest as u8);
}
