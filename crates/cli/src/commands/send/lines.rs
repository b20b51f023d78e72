//! Cuts a file of notifications into batches: one to a line (NDJSON), or the elements of one JSON array. Only a few
//! batches are in memory at a time, however large the file is.
//!
//! Items are not understood here, only told apart: the server says what is wrong with each.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use serde::de::{DeserializeSeed, Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

/// Items of a batch.
const BATCH_ITEMS_MAX: usize = 1000;
/// Bytes of a batch's items; an item always has room.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of an item that are read; the server's own limit is far below.
const ITEM_BYTES_MAX: usize = 1024 * 1024;
/// Batches that are read ahead.
pub(super) const BATCHES_AHEAD_MAX: usize = 2;
/// What some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A notification of the file, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Its line; in an array its number. Both count from 1.
    pub(super) line: u64,
    /// Without line breaks.
    pub(super) json: Vec<u8>,
}

/// Some items, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    /// Lines that are too long to be sent.
    pub(super) too_long: Vec<u64>,
    /// How far the file is read.
    pub(super) bytes_read: u64,
}

/// What reading ends with.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("it can't be read: {0}")]
    Io(#[from] io::Error),
    #[error("behind item {after} it is no JSON array of notifications: {source}")]
    Array { after: u64, source: serde_json::Error },
}

/// Reads `file` from line `from_line` on and hands over its batches, until it ends or nobody takes them any more.
pub(super) fn read(file: impl Read, from_line: u64, batches: &mpsc::Sender<Result<Batch, ReadError>>) {
    let mut cutter = Cutter { batch: Batch::default(), bytes: 0, from_line, batches };
    let counted = Counted { file, read: Rc::default(), item_max: Rc::new(Cell::new(u64::MAX)) };
    let (bytes_read, item_max) = (Rc::clone(&counted.read), Rc::clone(&counted.item_max));
    if let Err(error) = cutter.cut(BufReader::new(counted), &bytes_read, &item_max)
        && cutter.hand_over(bytes_read.get())
    {
        // Nobody to tell means that nobody wants to know.
        batches.blocking_send(Err(error)).unwrap_or_default();
    }
}

struct Cutter<'a> {
    batch: Batch,
    bytes: usize,
    from_line: u64,
    batches: &'a mpsc::Sender<Result<Batch, ReadError>>,
}

impl Cutter<'_> {
    fn cut(
        &mut self,
        mut file: impl BufRead,
        bytes_read: &Cell<u64>,
        item_max: &Cell<u64>,
    ) -> Result<(), ReadError> {
        let mut line = 1;
        if file.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            file.consume(BYTE_ORDER_MARK.len());
        }
        let is_array = loop {
            match file.fill_buf()?.first() {
                Some(b'\n') => line += 1,
                Some(byte) if byte.is_ascii_whitespace() => {}
                first => break first == Some(&b'['),
            }
            file.consume(1);
        };
        if is_array {
            self.cut_array(file, bytes_read, item_max)
        } else {
            self.cut_lines(file, line, bytes_read)
        }
    }

    fn cut_lines(
        &mut self,
        mut file: impl BufRead,
        mut line: u64,
        bytes_read: &Cell<u64>,
    ) -> Result<(), ReadError> {
        let mut text = Vec::new();
        loop {
            text.clear();
            let length = file.by_ref().take(ITEM_BYTES_MAX as u64 + 1).read_until(b'\n', &mut text)?;
            if length == 0 {
                self.hand_over(bytes_read.get());
                return Ok(());
            }
            let is_whole = text.last() == Some(&b'\n') || length <= ITEM_BYTES_MAX;
            if !is_whole {
                skip_line(&mut file)?;
            }
            let json = is_whole.then(|| text.trim_ascii().to_vec());
            if json.as_ref().is_none_or(|json| !json.is_empty()) && !self.take(line, json, bytes_read.get()) {
                return Ok(());
            }
            line += 1;
        }
    }

    fn cut_array(
        &mut self,
        file: impl BufRead,
        bytes_read: &Cell<u64>,
        item_max: &Cell<u64>,
    ) -> Result<(), ReadError> {
        let mut parser = serde_json::Deserializer::from_reader(file);
        let mut after = 0;
        let elements = Elements { cutter: self, after: &mut after, bytes_read, item_max };
        let read = parser.deserialize_seq(elements).and_then(|()| parser.end());
        read.map_err(|source| ReadError::Array { after, source })?;
        self.hand_over(bytes_read.get());
        Ok(())
    }

    /// Takes an item, or the line of one that is too long. Gives whether anybody wants more.
    fn take(&mut self, line: u64, json: Option<Vec<u8>>, bytes_read: u64) -> bool {
        if line < self.from_line {
            return true;
        }
        let bytes = json.as_ref().map_or(0, Vec::len) + 1;
        let is_full = self.batch.items.len() + self.batch.too_long.len() == BATCH_ITEMS_MAX
            || self.bytes > 0 && self.bytes + bytes > BATCH_BYTES_MAX;
        if is_full && !self.hand_over(bytes_read) {
            return false;
        }
        self.bytes += bytes;
        match json {
            Some(json) => self.batch.items.push(Item { line, json }),
            None => self.batch.too_long.push(line),
        }
        true
    }

    /// Hands over what has gathered. Gives whether anybody wants more.
    fn hand_over(&mut self, bytes_read: u64) -> bool {
        let batch = Batch { bytes_read, ..std::mem::take(&mut self.batch) };
        self.bytes = 0;
        self.batches.blocking_send(Ok(batch)).is_ok()
    }
}

fn skip_line(file: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = file.fill_buf()?;
        let (length, end) = (buffer.len(), buffer.iter().position(|byte| *byte == b'\n'));
        file.consume(end.map_or(length, |end| end + 1));
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

/// Counts what is read, and ends the reading of an item that has no end.
struct Counted<R> {
    file: R,
    read: Rc<Cell<u64>>,
    /// How far the item that is being read may go.
    item_max: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.get() > self.item_max.get() {
            return Err(io::Error::other(format!("an item is longer than {ITEM_BYTES_MAX} bytes")));
        }
        let length = self.file.read(buffer)?;
        self.read.set(self.read.get() + length as u64);
        Ok(length)
    }
}

/// Takes the elements of an array one by one.
struct Elements<'c, 'a> {
    cutter: &'c mut Cutter<'a>,
    after: &'c mut u64,
    bytes_read: &'c Cell<u64>,
    item_max: &'c Cell<u64>,
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut is_wanted = true;
        loop {
            self.item_max.set(self.bytes_read.get() + ITEM_BYTES_MAX as u64);
            let Some(item) = items.next_element_seed(Raw)? else { return Ok(()) };
            *self.after += 1;
            // A line break in JSON stands between words only: inside a text it is written \n.
            let json = item.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
            is_wanted =
                is_wanted && self.cutter.take(*self.after, Some(json.collect()), self.bytes_read.get());
        }
    }
}

/// An element as it stands.
struct Raw;

impl<'de> DeserializeSeed<'de> for Raw {
    type Value = Box<RawValue>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines and texts of a file's items, the lines that are too long, and why reading ended early.
    fn cut(file: &str, from_line: u64) -> (Vec<(u64, String)>, Vec<u64>, Option<String>) {
        let (sender, mut batches) = mpsc::channel(1000);
        read(file.as_bytes(), from_line, &sender);
        drop(sender);
        let (mut items, mut too_long, mut error) = (Vec::new(), Vec::new(), None);
        while let Ok(batch) = batches.try_recv() {
            match batch {
                Ok(batch) => {
                    assert!(batch.items.len() + batch.too_long.len() <= BATCH_ITEMS_MAX);
                    let item = |item: Item| (item.line, String::from_utf8(item.json).unwrap());
                    items.extend(batch.items.into_iter().map(item));
                    too_long.extend(batch.too_long);
                }
                Err(failed) => error = Some(failed.to_string()),
            }
        }
        (items, too_long, error)
    }

    fn owned(items: &[(u64, &str)]) -> Vec<(u64, String)> {
        items.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
    }

    #[test]
    fn lines_keep_their_numbers() {
        let file = "\u{feff}\n{\"a\":1}\r\n\n  nonsense \n{\"b\":2}";
        assert_eq!(
            cut(file, 1),
            (owned(&[(2, "{\"a\":1}"), (4, "nonsense"), (5, "{\"b\":2}")]), vec![], None)
        );
        assert_eq!(cut(file, 4).0, owned(&[(4, "nonsense"), (5, "{\"b\":2}")]));
        assert_eq!(cut("", 1), (vec![], vec![], None));
    }

    #[test]
    fn arrays_count_their_items() {
        let file = " [ {\"a\":\n [1,\r\n 2]} , 5,\n{}\n] ";
        assert_eq!(cut(file, 1), (owned(&[(1, "{\"a\":  [1,   2]}"), (2, "5"), (3, "{}")]), vec![], None));
        assert_eq!(cut(file, 3).0, owned(&[(3, "{}")]));
        let (items, _, error) = cut("[{}, {}, {\"a\" 1}]", 1);
        assert_eq!(items, owned(&[(1, "{}"), (2, "{}")]), "what stands before it is good");
        assert!(error.unwrap().starts_with("behind item 2 it is no JSON array of notifications: "));
        assert!(cut("[{}] {}", 1).2.is_some());
    }

    #[test]
    fn batches_are_bounded() {
        let (items, ..) = cut(&"0\n".repeat(2500), 1);
        assert_eq!((items.len(), items[2499].0), (2500, 2500));
        let long = "x".repeat(ITEM_BYTES_MAX);
        let file = format!("{{}}\n{long}\n{long}y\n{{}}\n");
        let (items, too_long, _) = cut(&file, 1);
        assert_eq!(items.iter().map(|item| item.0).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(too_long, [3]);
        let endless = format!("[{{}}, \"{}", "x".repeat(3 * ITEM_BYTES_MAX));
        let (items, _, error) = cut(&endless, 1);
        assert_eq!(items, owned(&[(1, "{}")]));
        assert!(error.unwrap().contains("an item is longer than 1048576 bytes"));
        let (sender, mut batches) = mpsc::channel(100);
        read(format!("{long}\n").repeat(20).as_bytes(), 1, &sender);
        let first = batches.try_recv().unwrap().unwrap();
        assert_eq!(first.items.len(), 7, "8 MiB and the line breaks are over the limit");
    }
}
