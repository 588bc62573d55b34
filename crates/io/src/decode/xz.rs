//! xz: streams one after the other; a block names the dictionary it needs.

use std::io;

use flagstone_common::{Error, Fault, Lease};
use liblzma::stream::{Action, Error as Xze, Status, Stream};

use super::{Codec, Failure, Step, fill};
use crate::source::{Io, ReadAt};

/// The first lease; it grows where a block's dictionary does not fit.
const FIRST_BYTES: u64 = 1 << 20;
/// The decoder beside its dictionary, rounded up.
const BESIDE_BYTES: u64 = 256 << 10;
/// What a block needs is asked for in steps of this.
const STEP_BYTES: u64 = 64 << 10;
/// `LZMA_CONCATENATED`: decode all streams, with padding between them.
const CONCATENATED: u32 = 0x08;

/// Decodes every stream. The library's own memory limit is kept equal to the lease.
pub(super) struct Xz {
    stream: Stream,
    ended: bool,
    stuck: bool,
    lease: Lease,
}

impl Xz {
    pub(super) fn new(io: &Io<'_>) -> Result<Self, Error> {
        let lease = io.memory.reserve(FIRST_BYTES)?;
        let stream = Stream::new_stream_decoder(lease.bytes(), CONCATENATED).map_err(|error| {
            Error::of(
                Fault::Io,
                format!("the xz library could not make a decoder: {error}"),
            )
        })?;
        Ok(Xz {
            stream,
            ended: false,
            stuck: false,
            lease,
        })
    }
}

impl Xz {
    /// Raises the library's limit to the least that it takes for the block which it has met; nothing
    /// is allocated yet.
    fn raise_limit(&mut self) -> u64 {
        // dictionaries are shorter than 4 GiB
        let (mut low, mut high) = (self.lease.bytes() / STEP_BYTES, (5 << 30) / STEP_BYTES);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match self.stream.set_memlimit(middle * STEP_BYTES) {
                Ok(()) => high = middle,
                Err(_) => low = middle,
            }
        }
        high * STEP_BYTES
    }
}

/// What a decoder takes for the first block of a file.
pub(super) fn decoder_bytes(file: &dyn ReadAt) -> io::Result<u64> {
    // the header of the stream, and the longest header of a block
    let mut head = [0; 12 + 1024];
    let filled = fill(file, 0, &mut head)?;
    let dictionary = dictionary_bytes(&head[..filled]).unwrap_or(0);
    Ok(FIRST_BYTES.max(dictionary.saturating_add(BESIDE_BYTES)))
}

/// How large a dictionary the first block of a file needs (the .xz file format, 3.1 and 5.3.1);
/// `None` where there is no block, or none that can be read.
fn dictionary_bytes(head: &[u8]) -> Option<u64> {
    const LZMA2: u64 = 0x21;
    let block = head.get(12..)?;
    // 0 is the index of a stream without blocks
    let len = (usize::from(*block.first()?) + 1) * 4;
    let mut header = block.get(1..len).filter(|_| block[0] != 0)?;
    let flags = byte(&mut header)?;
    for flag in [0x40, 0x80] {
        if flags & flag != 0 {
            number(&mut header)?;
        }
    }
    for _ in 0..=flags & 3 {
        let (filter, len) = (number(&mut header)?, number(&mut header)?);
        let properties = header.split_off(..usize::try_from(len).ok()?)?;
        if filter == LZMA2 {
            let bits = u32::from(*properties.first()? & 0x3f);
            return Some(match bits {
                40.. => u64::from(u32::MAX),
                bits => u64::from(2 | bits & 1) << (bits / 2 + 11),
            });
        }
    }
    None
}

fn byte(header: &mut &[u8]) -> Option<u8> {
    header.split_off_first().copied()
}

/// A number in bytes of seven bits, the lowest first (1.2).
fn number(header: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let next = byte(header)?;
        number |= u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

impl Codec for Xz {
    fn may_end(&self) -> bool {
        self.ended
    }

    fn step(
        &mut self,
        input: &[u8],
        last: bool,
        output: &mut [u8],
        _io: &Io<'_>,
    ) -> Result<Step, Failure> {
        if self.ended || self.stuck {
            return Ok(Step::default());
        }
        let (before_in, before_out) = (self.stream.total_in(), self.stream.total_out());
        let action = if last { Action::Finish } else { Action::Run };
        let (mut fed, mut filled) = (0, 0);
        let result = loop {
            match self
                .stream
                .process(&input[fed..], &mut output[filled..], action)
            {
                Err(Xze::MemLimit) => {
                    let decoder_bytes = self.raise_limit();
                    let leased = self.lease.ensure(decoder_bytes);
                    leased.map_err(|needs| Failure::NeedsMemory {
                        needs,
                        decoder_bytes,
                    })?;
                    fed = (self.stream.total_in() - before_in) as usize;
                    filled = (self.stream.total_out() - before_out) as usize;
                }
                result => break result,
            }
        };
        let consumed = (self.stream.total_in() - before_in) as usize;
        let produced = (self.stream.total_out() - before_out) as usize;
        let why = match result {
            Ok(Status::StreamEnd) => {
                self.ended = true;
                return Ok(Step { consumed, produced });
            }
            Ok(status) => {
                // the library refuses to be asked a third time without progress
                self.stuck = last && status == Status::MemNeeded;
                return Ok(Step { consumed, produced });
            }
            Err(Xze::Format) if before_out > 0 => "there are other bytes after the xz data",
            Err(Xze::Options) => {
                "the xz data uses a filter or check that the library does not know"
            }
            Err(Xze::Mem) => "the xz library could not allocate its dictionary",
            Err(_) => "the xz data is damaged",
        };
        Err(Failure::Corrupt {
            consumed,
            why: why.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_dictionary_is_read_from_the_header_of_the_first_block() {
        for (preset, mebibytes) in [(0, 0.25), (1, 1.0), (6, 8.0), (9, 64.0)] {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), preset);
            encoder.write_all(&[7; 1000]).unwrap();
            let packed = encoder.finish().unwrap();
            let bytes = (mebibytes * 1024.0 * 1024.0) as u64;
            assert_eq!(dictionary_bytes(&packed), Some(bytes));
            assert_eq!(dictionary_bytes(&packed[..14]), None);
        }
        let empty = liblzma::write::XzEncoder::new(Vec::new(), 6);
        assert_eq!(dictionary_bytes(&empty.finish().unwrap()), None);
    }
}
