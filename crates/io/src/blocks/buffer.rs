//! The rolling buffer: how it is filled and grows.

use flagstone_common::{Error, Fault};

use super::{BlockReader, Input};
use crate::options::TAIL_BYTES;

impl BlockReader<'_> {
    /// Moves the unfinished line to the front and reads until the buffer is full, the range is
    /// covered or the file ends. Says by how much the line moved.
    pub(super) fn refill(&mut self) -> Result<usize, Error> {
        let Some(input) = &mut self.input else {
            return Ok(0);
        };
        if self.at_end {
            return Ok(0);
        }
        let moved = self.pos;
        if moved > 0 {
            self.buffer.copy_within(self.pos..self.filled, 0);
            self.base += moved as u64;
            self.filled -= moved;
            self.pos = 0;
        }
        let range = &self.range;
        // the range is covered: only its last line is still to be finished
        let beyond = self.base + self.filled as u64 >= range.end;
        let mut room = self.buffer.len() - self.filled;
        if beyond {
            room = room.min(TAIL_BYTES);
        } else {
            room = (room as u64).min(range.end - self.base - self.filled as u64) as usize;
        }
        let goal = self.filled + room;
        while self.filled < goal {
            let target = &mut self.buffer[self.filled..goal];
            let read = match input {
                Input::Packed(reader) => reader.read_bytes(target)?,
                Input::Plain { file, position } => {
                    let read = self
                        .io
                        .read_at(&**file, range.file.path(), *position, target)?;
                    *position += read as u64;
                    read
                }
            };
            if read == 0 {
                self.at_end = true;
                let here = self.base + self.filled as u64;
                if let Input::Plain { .. } = input
                    && here < range.end.min(range.file.len())
                {
                    let message = format!(
                        "the file has become shorter: it had {} bytes when it was listed, now it \
                         has {here}",
                        range.file.len()
                    );
                    return Err(Error::of(Fault::Io, message).at_offset(here));
                }
                break;
            }
            self.filled += read;
        }
        Ok(moved)
    }

    /// Makes the buffer `len` bytes long, leasing first.
    pub(super) fn enlarge(&mut self, len: usize) -> Result<(), Error> {
        let additional = (len - self.buffer.len()) as u64;
        // growing may move the bytes: for a moment the old buffer lives beside the new one
        let moving = self.io.memory.reserve(self.filled as u64)?;
        self.lease.try_grow(additional)?;
        let mut buffer = vec![0; len];
        buffer[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
        self.buffer = buffer;
        drop(moving);
        Ok(())
    }
}
