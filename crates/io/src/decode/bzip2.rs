//! bzip2: streams one after the other.

use bzip2::{Decompress, Error as Bz, Status};
use flagstone_common::{Error, Lease};

use super::{Codec, Failure, Step};
use crate::source::Io;

/// What one decoder allocates at block size 9: 3.6 MB of tables and its state.
pub(super) const DECODER_BYTES: u64 = 4 << 20;

/// Decodes every stream.
pub(super) struct Bzip2 {
    decoder: Decompress,
    between: bool,
    streams: u64,
    _lease: Lease,
}

impl Bzip2 {
    pub(super) fn new(io: &Io<'_>) -> Result<Self, Error> {
        let lease = io.memory.reserve(DECODER_BYTES)?;
        Ok(Bzip2 {
            decoder: Decompress::new(false),
            between: true,
            streams: 0,
            _lease: lease,
        })
    }
}

impl Codec for Bzip2 {
    fn may_end(&self) -> bool {
        self.between
    }

    fn step(
        &mut self,
        input: &[u8],
        _last: bool,
        output: &mut [u8],
        _io: &Io<'_>,
    ) -> Result<Step, Failure> {
        if self.between {
            if self.streams > 0 {
                self.decoder = Decompress::new(false);
            }
            self.streams += 1;
            self.between = false;
        }
        let (before_in, before_out) = (self.decoder.total_in(), self.decoder.total_out());
        let result = self.decoder.decompress(input, output);
        let consumed = (self.decoder.total_in() - before_in) as usize;
        let produced = (self.decoder.total_out() - before_out) as usize;
        let why = match result {
            Ok(Status::StreamEnd) => {
                self.between = true;
                return Ok(Step { consumed, produced });
            }
            Ok(Status::MemNeeded) => "the bzip2 library could not allocate its tables",
            Ok(_) => return Ok(Step { consumed, produced }),
            Err(Bz::DataMagic) if self.streams > 1 => "there are other bytes after the bzip2 data",
            Err(_) => "the bzip2 data is damaged",
        };
        Err(Failure::Corrupt {
            consumed,
            why: why.to_owned(),
        })
    }
}
