//! Files cut into batches of lines.

use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::ops::Range;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use tokio::sync::mpsc;

use super::{ImportError, Input};

/// Lines of a batch: enough to share the cost of a commit, few enough to overlap with the next.
const BATCH_LINES: usize = 2_000;
/// Bytes after which a batch takes no further line.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// Some lines of a file, without the empty ones.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) name: Arc<str>,
    pub(super) text: Vec<u8>,
    pub(super) lines: Vec<Line>,
}

/// Where a line is in the text of its batch, and which of the file it is, from 1.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) range: Range<usize>,
}

impl Batch {
    fn new(name: &Arc<str>) -> Self {
        Self { name: Arc::clone(name), text: Vec::new(), lines: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_LINES || self.text.len() >= BATCH_BYTES
    }

    /// The bytes of its lines, in order, without their ends.
    pub(super) fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(|line| self.text[line.range.clone()].trim_ascii_end())
    }

    /// `file:line` of the line at `index`.
    pub(super) fn place(&self, index: usize) -> String {
        format!("{}:{}", self.name, self.lines.get(index).map_or(0, |line| line.number))
    }
}

/// Sends the lines of all inputs, each cut after `longest` bytes and one more, until nobody takes them any more.
pub(super) fn read(
    inputs: Vec<Input>,
    longest: usize,
    sender: &mpsc::Sender<Batch>,
) -> Result<(), ImportError> {
    for Input { name, bytes } in inputs {
        read_one(&name, bytes, longest, sender)
            .map_err(|source| ImportError::Read { name, source: plainly(source) })?;
    }
    Ok(())
}

/// What ends before it should says so in the words of whoever reads it.
fn plainly(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::UnexpectedEof {
        return io::Error::new(error.kind(), "cut short: the file is not whole, so bring it again");
    }
    error
}

fn read_one(
    name: &Arc<str>,
    bytes: Box<dyn Read + Send>,
    longest: usize,
    sender: &mpsc::Sender<Batch>,
) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 * 1024, unpacked(bytes)?);
    let mut batch = Batch::new(name);
    let mut number = 0;
    loop {
        let start = batch.text.len();
        let more = read_line(&mut reader, longest, &mut batch.text)?;
        number += 1;
        let line = batch.text[start..].trim_ascii_start();
        if line.is_empty() {
            batch.text.truncate(start);
        } else {
            let end = batch.text.len();
            batch.lines.push(Line { number, range: end - line.len()..end });
        }
        if batch.is_full() || !more {
            let full = std::mem::replace(&mut batch, Batch::new(name));
            if !full.lines.is_empty() && sender.blocking_send(full).is_err() {
                return Ok(());
            }
        }
        if !more {
            return Ok(());
        }
    }
}

/// Appends a line with its end. False after the last.
fn read_line(reader: &mut impl BufRead, longest: usize, text: &mut Vec<u8>) -> io::Result<bool> {
    let start = text.len();
    reader.by_ref().take((longest as u64).saturating_add(1)).read_until(b'\n', text)?;
    let whole = text[start..].ends_with(b"\n");
    if whole || text.len() - start <= longest {
        return Ok(whole);
    }
    // Too long to be taken. Its beginning is kept, which is too long as well; the rest is passed over.
    reader.skip_until(b'\n')?;
    Ok(true)
}

/// Told by the first two bytes, as names lie and standard input has none.
fn unpacked(mut bytes: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::new();
    bytes.by_ref().take(2).read_to_end(&mut head)?;
    let packed = head == [0x1f, 0x8b];
    let whole = Cursor::new(head).chain(bytes);
    Ok(if packed { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}
