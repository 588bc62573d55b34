//! Zstandard: frames one after the other, each of which names the window it needs.

use std::io;

use flagstone_common::{Error, Fault, Lease};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use super::{Codec, Failure, Step, fill};
use crate::source::{Io, ReadAt};

/// The decoder beside its window: context, entropy tables, one block in and one out, rounded up.
const FIXED_BYTES: u64 = 576 << 10;
/// The library knows no larger window.
const WINDOW_LOG_MAX: u32 = if cfg!(target_pointer_width = "64") {
    31
} else {
    30
};
/// So many skippable frames are passed over for the head of a file: writers put one before a frame.
const SKIPPED_MAX: usize = 16;

/// Decodes every frame. The window of a frame is leased when its header is seen.
pub(super) struct Zstd {
    context: DCtx<'static>,
    between: bool,
    lease: Lease,
}

impl Zstd {
    pub(super) fn new(io: &Io<'_>) -> Result<Self, Error> {
        let lease = io.memory.reserve(FIXED_BYTES)?;
        let failed = || Error::of(Fault::Io, "the zstd library could not make a decoder");
        let mut context = DCtx::try_create().ok_or_else(failed)?;
        // the lease is the limit, not the library's default of 128 MiB
        context
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
            .map_err(|_| failed())?;
        Ok(Zstd {
            context,
            between: true,
            lease,
        })
    }
}

impl Codec for Zstd {
    fn may_end(&self) -> bool {
        self.between
    }

    fn step(
        &mut self,
        input: &[u8],
        last: bool,
        output: &mut [u8],
        _io: &Io<'_>,
    ) -> Result<Step, Failure> {
        if self.between {
            match window_bytes(input) {
                Some(window) => {
                    let decoder_bytes = FIXED_BYTES + window;
                    let leased = self.lease.ensure(decoder_bytes);
                    leased.map_err(|needs| Failure::NeedsMemory {
                        needs,
                        decoder_bytes,
                    })?;
                }
                None if !last => return Ok(Step::default()),
                // too short for a header: the decoder says whether it could be the start of one
                None => {}
            }
        }
        let mut source = InBuffer::around(input);
        let mut target = OutBuffer::around(output);
        let result = self.context.decompress_stream(&mut target, &mut source);
        let (consumed, produced) = (source.pos, target.pos());
        let left = result.map_err(|code| Failure::Corrupt {
            consumed,
            why: format!(
                "the zstd data is damaged: {}",
                get_error_name(code).to_lowercase()
            ),
        })?;
        // 0 says that a frame was decoded and handed out whole
        self.between = left == 0;
        Ok(Step { consumed, produced })
    }
}

/// What a decoder takes for the first frame of a file.
pub(super) fn decoder_bytes(file: &dyn ReadAt) -> io::Result<u64> {
    let mut at = 0;
    for _ in 0..SKIPPED_MAX {
        let mut head = [0; 18];
        let filled = fill(file, at, &mut head)?;
        let head = &head[..filled];
        match skippable_len(head) {
            Some(len) => at += len,
            None => return Ok(FIXED_BYTES + window_bytes(head).unwrap_or(0)),
        }
    }
    Ok(FIXED_BYTES)
}

/// How long the frame at the start of `input` is, if it is one to be skipped (RFC 8878, 3.1.2).
fn skippable_len(input: &[u8]) -> Option<u64> {
    let [a, b, c, d, rest @ ..] = input.first_chunk::<8>()?;
    let is_skippable = u32::from_le_bytes([*a, *b, *c, *d]) & !0xf == 0x184d_2a50;
    is_skippable.then(|| 8 + u64::from(u32::from_le_bytes(*rest)))
}

/// How large a window the frame at the start of `input` needs (RFC 8878, 3.1.1.1); 0 for a
/// skippable frame and for bytes that the decoder will refuse.
fn window_bytes(input: &[u8]) -> Option<u64> {
    let magic = u32::from_le_bytes(*input.first_chunk::<4>()?);
    if magic != 0xfd2f_b528 {
        return Some(0);
    }
    let descriptor = *input.get(4)?;
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let window = *input.get(5)?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(known(base + base / 8 * u64::from(window & 7)));
    }
    let at = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_len = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let field = input.get(at..at + size_len)?;
    let mut bytes = [0; 8];
    bytes[..size_len].copy_from_slice(field);
    let size = u64::from_le_bytes(bytes);
    Some(known(if size_len == 2 { size + 256 } else { size }))
}

/// A window that is too large for the library is none: it refuses the frame.
fn known(window: u64) -> u64 {
    match window <= 1 << WINDOW_LOG_MAX {
        true => window,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_read_from_the_header() {
        let text = vec![7u8; 100_000];
        let single = zstd::bulk::compress(&text, 3).unwrap();
        assert_eq!(window_bytes(&single), Some(100_000));
        // a streamed frame does not know its size and names the window of its level
        let streamed = zstd::stream::encode_all(&text[..], 3).unwrap();
        assert_eq!(window_bytes(&streamed), Some(2 << 20));
        assert_eq!(window_bytes(&single[..4]), None);
        assert_eq!(window_bytes(b"abcdef"), Some(0));
        // a damaged size is the decoder's to refuse
        let damaged = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0xf0];
        assert_eq!(window_bytes(&damaged), Some(0));
    }
}
