//! Decompression of files of any size through buffers of fixed size.
//!
//! The four formats differ in how a stream ends, what may follow it and how much memory it needs;
//! each codec answers one question, [`Codec::step`], and the loop around them is the same: keep
//! compressed bytes in a leased buffer, hand them on, know at every moment which byte of the file
//! comes next, and insist that the file ends where a stream may end.

mod bzip2;
mod gzip;
mod needed;
mod xz;
mod zstd;

use std::io::Read;

use flagstone_common::{Error, Fault, Lease, NeedsMemory};

use crate::compression::Compression;
use crate::files::InputFile;
use crate::source::{Io, ReadAt};

pub(crate) use gzip::{Header, check_trailer, parse_header};
pub(crate) use needed::{Needed, fill};

/// How many compressed bytes are read at once.
pub(crate) const INPUT_BYTES: usize = 256 << 10;

/// One format.
pub(crate) trait Codec {
    /// Takes bytes from the front of `input` and puts bytes at the front of `output`.
    ///
    /// `last` says that nothing follows `input`. A step that neither consumes nor produces asks for
    /// more input than it was given.
    fn step(
        &mut self,
        input: &[u8],
        last: bool,
        output: &mut [u8],
        io: &Io<'_>,
    ) -> Result<Step, Failure>;

    /// Whether the file may end here.
    fn may_end(&self) -> bool;
}

/// What a step did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Step {
    pub(crate) consumed: usize,
    pub(crate) produced: usize,
}

/// Why a step failed.
pub(crate) enum Failure {
    /// The bytes are wrong, this many into the input of the step.
    Corrupt { consumed: usize, why: String },
    /// A window or table could not be leased, with which the decoder takes so many bytes.
    NeedsMemory {
        needs: NeedsMemory,
        decoder_bytes: u64,
    },
}

/// The bytes of a file, decompressed while they are read. Reads plain files as well.
///
/// Holds a lease for its input buffer and for the tables and windows of the decoder.
pub struct DecompressingReader<'a> {
    io: Io<'a>,
    name: InputFile,
    file: Box<dyn ReadAt>,
    codec: Option<Box<dyn Codec>>,
    input: Vec<u8>,
    /// `input[start..end]` has not been decoded yet.
    start: usize,
    end: usize,
    /// Where in the file `input[end]` would be.
    position: u64,
    at_end: bool,
    _lease: Lease,
}

impl<'a> DecompressingReader<'a> {
    /// Opens a file at its start.
    ///
    /// # Errors
    /// When the file cannot be opened, or the buffers cannot be leased.
    pub fn open(file: &InputFile, io: &Io<'a>) -> Result<Self, Error> {
        let opened = io
            .source
            .open(file.path())
            .map_err(|cause| Error::os("read", file.path(), cause))?;
        Self::over(file, opened, io)
    }

    pub(crate) fn over(
        file: &InputFile,
        opened: Box<dyn ReadAt>,
        io: &Io<'a>,
    ) -> Result<Self, Error> {
        let input_bytes = match file.compression() {
            Compression::None => 0,
            _ => (opened.len() + 64).min(INPUT_BYTES as u64) as usize,
        };
        let lease = io.memory.reserve(input_bytes as u64)?;
        let codec: Option<Box<dyn Codec>> = match file.compression() {
            Compression::None => None,
            Compression::Gzip => Some(Box::new(gzip::Gzip::new(io)?)),
            Compression::Zstd => Some(Box::new(zstd::Zstd::new(io)?)),
            Compression::Bzip2 => Some(Box::new(bzip2::Bzip2::new(io)?)),
            Compression::Xz => Some(Box::new(xz::Xz::new(io)?)),
        };
        Ok(DecompressingReader {
            io: *io,
            name: file.clone(),
            file: opened,
            codec,
            input: vec![0; input_bytes],
            start: 0,
            end: 0,
            position: 0,
            at_end: false,
            _lease: lease,
        })
    }

    /// Reads some decompressed bytes; 0 only at the end or for an empty buffer.
    ///
    /// # Errors
    /// [`Fault::Truncated`] and [`Fault::Corrupt`] with the offset in the compressed file,
    /// [`ErrorKind::Cancelled`](flagstone_common::ErrorKind::Cancelled), [`ErrorKind::NeedsMemory`](flagstone_common::ErrorKind::NeedsMemory), and what the file system says.
    pub fn read_bytes(&mut self, output: &mut [u8]) -> Result<usize, Error> {
        let Some(codec) = &mut self.codec else {
            let read = self
                .io
                .read_at(&*self.file, self.name.path(), self.position, output)?;
            self.position += read as u64;
            return Ok(read);
        };
        if output.is_empty() {
            return Ok(0);
        }
        let mut wants_more = false;
        loop {
            if !self.at_end && (self.start == self.end || wants_more) {
                self.input.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
                if self.end == self.input.len() {
                    return Err(Error::of(
                        Fault::Corrupt,
                        format!("a header is longer than {} bytes", self.input.len()),
                    )
                    .at_path(self.name.path())
                    .at_offset(self.position - self.end as u64));
                }
                let room = &mut self.input[self.end..];
                let read = self
                    .io
                    .read_at(&*self.file, self.name.path(), self.position, room)?;
                self.at_end = read == 0;
                self.end += read;
                self.position += read as u64;
            }
            let input = &self.input[self.start..self.end];
            let here = self.position - input.len() as u64;
            if input.is_empty() && self.at_end && codec.may_end() {
                return Ok(0);
            }
            let step = codec
                .step(input, self.at_end, output, &self.io)
                .map_err(|fault| {
                    match fault {
                        Failure::NeedsMemory {
                            needs,
                            decoder_bytes,
                        } => {
                            self.name.needed().note(decoder_bytes);
                            Error::from(needs)
                        }
                        Failure::Corrupt { consumed, why } => {
                            Error::of(Fault::Corrupt, why).at_offset(here + consumed as u64)
                        }
                    }
                    .at_path(self.name.path())
                })?;
            self.start += step.consumed;
            if step.produced > 0 {
                return Ok(step.produced);
            }
            wants_more = step.consumed == 0;
            if wants_more && self.at_end && !(input.is_empty() && codec.may_end()) {
                let message = format!(
                    "the {} stream is truncated: the file ends after {} bytes, in the middle of it",
                    self.name.compression().name(),
                    self.position
                );
                return Err(Error::of(Fault::Truncated, message)
                    .at_path(self.name.path())
                    .at_offset(self.position));
            }
        }
    }
}

impl Read for DecompressingReader<'_> {
    fn read(&mut self, output: &mut [u8]) -> std::io::Result<usize> {
        Ok(self.read_bytes(output)?)
    }
}
