//! Line numbers of places in files, for those who look up many.
//!
//! A reader that begins in the middle of a file does not know its line numbers, and does not need
//! them until a line is bad. Then somebody must count from the start; if every reader of a file
//! did, a file of many ranges would be read as many times over. So what was counted once is kept: a
//! place is counted from the nearest known one before it, and all places of a file together take
//! one reading of it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flagstone_common::Error;

use crate::compression::Compression;
use crate::decode::DecompressingReader;
use crate::delimiter::Delimiter;
use crate::files::InputFile;
use crate::source::Io;

const BUFFER_BYTES: u64 = 256 << 10;

/// The line numbers of a source's files, as far as somebody asked for them.
#[derive(Debug, Default)]
pub struct LineNumbers {
    /// By file: lines that start at a byte, and their numbers.
    known: Mutex<HashMap<Arc<Path>, BTreeMap<u64, u64>>>,
}

impl LineNumbers {
    /// The number (from 1) of the line that starts at byte `offset` of a file's text. Lines of a
    /// file end in one way only.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn number_at(
        &self,
        file: &InputFile,
        offset: u64,
        delimiter: &Delimiter,
        io: &Io<'_>,
    ) -> Result<u64, Error> {
        let path = file.shared_path();
        let (from, number) = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let before = known
                .get(&path)
                .and_then(|lines| lines.range(..=offset).next_back());
            before.map_or((0, 1), |(offset, number)| (*offset, *number))
        };
        // compressed text can only be read from its start
        let number = match file.compression() {
            Compression::None => number + count(file, from, offset, delimiter, io)?,
            _ if from == offset => number,
            _ => 1 + count(file, 0, offset, delimiter, io)?,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(path).or_default().insert(offset, number);
        Ok(number)
    }
}

/// How many delimiters end between two places of a file's text, of which the first is where a line
/// starts.
pub(crate) fn count(
    file: &InputFile,
    from: u64,
    to: u64,
    delimiter: &Delimiter,
    io: &Io<'_>,
) -> Result<u64, Error> {
    let (len, overlap) = (delimiter.len(), delimiter.len() as u64 - 1);
    let buffer_bytes = (to - from).clamp(1, BUFFER_BYTES) + overlap;
    // a message shall name its line also where memory is short: a page is always there
    let lease = io.memory.reserve(buffer_bytes).ok();
    let buffer_bytes = match lease {
        Some(_) => buffer_bytes,
        None => buffer_bytes.min(4096 + overlap),
    };
    let mut buffer = vec![0; buffer_bytes as usize];
    let path = file.path();
    let opened = io.source.open(path);
    let opened = opened.map_err(|cause| Error::os("read", path, cause))?;
    let mut input = match file.compression() {
        Compression::None => Err(opened),
        _ => Ok(DecompressingReader::over(file, opened, io)?),
    };
    let (mut base, mut filled, mut number) = (from, 0, 0);
    loop {
        let here = base + filled as u64;
        let room = (to - here).min((buffer.len() - filled) as u64) as usize;
        let target = &mut buffer[filled..filled + room];
        let read = match (&mut input, room) {
            (_, 0) => 0,
            (Ok(reader), _) => reader.read_bytes(target)?,
            (Err(file), _) => io.read_at(&**file, path, here, target)?,
        };
        if read == 0 {
            return Ok(number);
        }
        filled += read;
        let (more, end) = delimiter.count(&buffer[..filled], base);
        number += more;
        // what may be the start of one that ends in the next piece
        let keep = end.max((filled + 1).saturating_sub(len));
        buffer.copy_within(keep..filled, 0);
        base += keep as u64;
        filled -= keep;
    }
}
