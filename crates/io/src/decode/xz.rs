//! xz: streams one after the other; a block names the dictionary it needs.

use flagstone_common::{Error, Fault, Lease};
use liblzma::stream::{Action, Error as Xze, Status, Stream};

use super::{Codec, Failure, Step};
use crate::source::Io;

/// The first lease; it doubles until the block's dictionary fits.
const FIRST_BYTES: u64 = 1 << 20;
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
                    self.lease.try_grow(self.lease.bytes())?;
                    // refused while the block needs still more: the next turn doubles again
                    let _ = self.stream.set_memlimit(self.lease.bytes());
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
