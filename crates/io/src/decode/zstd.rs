//! Zstandard: frames one after the other, each of which names the window it needs.

use flagstone_common::{Error, Fault, Lease};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use super::{Codec, Failure, Step};
use crate::source::Io;

/// The decoder beside its window: context, entropy tables, one block in and one out, rounded up.
const FIXED_BYTES: u64 = 576 << 10;

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
        let largest = if cfg!(target_pointer_width = "64") {
            31
        } else {
            30
        };
        context
            .set_parameter(DParameter::WindowLogMax(largest))
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
                Some(window) => self.lease.ensure(FIXED_BYTES.saturating_add(window))?,
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
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let at = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_len = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let field = input.get(at..at + size_len)?;
    let mut bytes = [0; 8];
    bytes[..size_len].copy_from_slice(field);
    let size = u64::from_le_bytes(bytes);
    Some(if size_len == 2 { size + 256 } else { size })
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
    }
}
