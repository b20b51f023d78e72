//! The record of what was accepted: `number id` a line, written as answers come, so that a second start goes on where
//! the first one ended.
//!
//! A line that a kill kept from being written costs nothing: the notification is sent again with the same
//! Idempotency-Key, and answered as before.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};
use tokio::sync::mpsc;

/// What was accepted: the number of each notification, and its id.
pub(super) type Accepted = BTreeMap<usize, String>;

/// Reads what earlier starts have recorded. A line that a kill cut short is passed over.
pub(super) fn read(path: &Path) -> Result<Accepted> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Accepted::new()),
        Err(error) => return Err(error).with_context(|| format!("can't read {}", path.display())),
    };
    let mut accepted = Accepted::new();
    for line in BufReader::new(file).lines() {
        let line = line.with_context(|| format!("can't read {}", path.display()))?;
        if let Some((number, id)) = line.split_once(' ')
            && id.len() == ID_CHARS
            && let Ok(number) = number.parse()
        {
            accepted.insert(number, id.to_owned());
        }
    }
    Ok(accepted)
}

const ID_CHARS: usize = 36;

/// Writes what comes until the last sender is gone; answers all of it.
pub(super) async fn write(path: &Path, mut answers: mpsc::Receiver<(usize, String)>) -> Result<Accepted> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    let mut file = opened.with_context(|| format!("can't write {}", path.display()))?;
    let (mut accepted, mut batch) = (Accepted::new(), Vec::new());
    while answers.recv_many(&mut batch, 256).await > 0 {
        let lines: String = batch.iter().map(|(number, id)| format!("{number} {id}\n")).collect();
        file.write_all(lines.as_bytes()).with_context(|| format!("can't write {}", path.display()))?;
        accepted.extend(batch.drain(..));
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_read_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sent.txt");
        assert!(read(&path).unwrap().is_empty());
        let (sender, receiver) = mpsc::channel(8);
        let id = "0192f0c1-2345-7000-8000-000000000000";
        sender.send((7, id.to_owned())).await.unwrap();
        drop(sender);
        write(&path, receiver).await.unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"8 0192f0c1-23").unwrap();
        assert_eq!(read(&path).unwrap(), Accepted::from([(7, id.to_owned())]));
    }
}
