//! A small gzip file at once: half again as fast as streaming it.
//!
//! A gzip file ends with the length of its last member. When that is small and the file turns out
//! to be a single member, one call decodes all of it, without a window to maintain. Whatever looks
//! unusual (several members, a wrong length, damage, no memory for the whole) goes through the
//! streaming decoder instead, over the bytes already in memory: so both ways give the same bytes
//! and the same errors.

use std::io;

use flagstone_common::{Error, Lease};
use libdeflate_sys as sys;

use crate::decode::{DecompressingReader, Header, check_trailer, parse_header};
use crate::files::InputFile;
use crate::source::{Io, ReadAt};

/// deflate cannot make more than this many bytes of one.
const RATIO_MAX: u64 = 1032;

/// What came of the attempt.
pub(crate) enum Whole<'a> {
    /// The file, decoded.
    Decoded { text: Vec<u8>, lease: Lease },
    /// Read it in blocks.
    Stream(DecompressingReader<'a>),
}

/// Opens a gzip file, decoding it at once when it and its text are no longer than `limit_bytes`.
pub(crate) fn open_gzip<'a>(
    file: &InputFile,
    opened: Box<dyn ReadAt>,
    limit_bytes: u64,
    io: &Io<'a>,
) -> Result<Whole<'a>, Error> {
    let len = opened.len();
    if !(18..=limit_bytes).contains(&len) {
        return DecompressingReader::over(file, opened, io).map(Whole::Stream);
    }
    let mut tail = [0; 4];
    let tail_read = io.read_at(&*opened, file.path(), len - 4, &mut tail)?;
    let text_len = u64::from(u32::from_le_bytes(tail));
    let plausible = tail_read == 4 && text_len <= limit_bytes && text_len <= len * RATIO_MAX;
    let lease = plausible.then(|| whole(len + text_len, io)).flatten();
    let Some(mut lease) = lease else {
        return DecompressingReader::over(file, opened, io).map(Whole::Stream);
    };
    let mut bytes = vec![0; len as usize];
    let mut filled = 0;
    // the last four bytes are here already, and are not read and counted again
    while filled < bytes.len() - 4 {
        let end = bytes.len() - 4;
        let read = io.read_at(
            &*opened,
            file.path(),
            filled as u64,
            &mut bytes[filled..end],
        )?;
        if read == 0 {
            return DecompressingReader::over(file, opened, io).map(Whole::Stream);
        }
        filled += read;
    }
    bytes[filled..].copy_from_slice(&tail);
    if let Some(text) = decode(&bytes, text_len as usize) {
        drop(bytes);
        lease.shrink_to(text_len);
        return Ok(Whole::Decoded { text, lease });
    }
    lease.shrink_to(len);
    let opened = Box::new(Prefetched {
        bytes,
        _lease: lease,
    });
    // these bytes were counted when they were read
    DecompressingReader::over(file, opened, &io.counters(&())).map(Whole::Stream)
}

/// A lease for decoding at once, if a part is left for whoever takes the lines: they were told of a
/// block, not of the whole.
fn whole(bytes: u64, io: &Io<'_>) -> Option<Lease> {
    // dropped at once: only to see that it could be had
    io.memory.reserve(bytes.saturating_mul(2)).ok().map(drop)?;
    io.memory.reserve(bytes).ok()
}

/// Decodes a file that is one member (and zero bytes after it, perhaps); `None` for any other.
fn decode(bytes: &[u8], text_len: usize) -> Option<Vec<u8>> {
    let Header::Complete(start) = parse_header(bytes) else {
        return None;
    };
    let mut text = Vec::with_capacity(text_len);
    let (consumed, produced) = Decoder::new()?.decode(&bytes[start..], &mut text)?;
    let trailer = bytes[start + consumed..].first_chunk::<8>()?;
    let padding = &bytes[start + consumed + 8..];
    let fits = produced == text_len
        && check_trailer(trailer, libdeflater::crc32(&text), text_len as u32).is_ok()
        && padding.iter().all(|&byte| byte == 0);
    fits.then_some(text)
}

/// libdeflate's decoder. Its safe wrapper hides how much input a stream took, which is what tells
/// one member from two.
struct Decoder(*mut sys::libdeflate_decompressor);

impl Decoder {
    fn new() -> Option<Decoder> {
        // SAFETY: no preconditions; a null result is turned into None and never used.
        let decoder = unsafe { sys::libdeflate_alloc_decompressor() };
        (!decoder.is_null()).then_some(Decoder(decoder))
    }

    /// Appends one deflate stream to `output`, within its capacity; how much it consumed and
    /// produced. (The capacity is not zeroed first: that would cost as much as a tenth of decoding.)
    fn decode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Option<(usize, usize)> {
        let (mut consumed, mut produced) = (0, 0);
        let room = output.spare_capacity_mut();
        // SAFETY: self.0 is a live decoder that only we use (&mut self); both pointers are valid
        // for the lengths given with them (the decoder writes `room` and never reads what it has
        // not written); input and output cannot overlap, being & and &mut.
        let result = unsafe {
            sys::libdeflate_deflate_decompress_ex(
                self.0,
                input.as_ptr().cast(),
                input.len(),
                room.as_mut_ptr().cast(),
                room.len(),
                &mut consumed,
                &mut produced,
            )
        };
        if result != sys::libdeflate_result_LIBDEFLATE_SUCCESS {
            return None;
        }
        assert!(produced <= room.len(), "the decoder wrote past its buffer");
        let len = output.len() + produced;
        // SAFETY: the decoder succeeded, so it has written the first `produced` bytes of the room.
        unsafe { output.set_len(len) };
        Some((consumed, produced))
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, freed once, here.
        unsafe { sys::libdeflate_free_decompressor(self.0) }
    }
}

/// A file that is in memory already.
struct Prefetched {
    bytes: Vec<u8>,
    _lease: Lease,
}

impl ReadAt for Prefetched {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.bytes.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}
