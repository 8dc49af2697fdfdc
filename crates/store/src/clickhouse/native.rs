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

/// A block of so many rows.
pub(super) fn block(columns: &[Column], rows: usize) -> Bytes {
    let size = |column: &Column| column.nulls.len() + column.values.len() + 64;
    let mut block = Vec::with_capacity(columns.iter().map(size).sum());
    number(&mut block, columns.len());
    number(&mut block, rows);
    for Column { name, kind, nulls, values } in columns {
        for text in [name, kind] {
            number(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
        block.extend_from_slice(nulls);
        block.extend_from_slice(values);
    }
    block.into()
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
