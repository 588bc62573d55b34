//! Where a reader of a range may begin, so that it finds the delimiters that a reader of the whole
//! file would find.
//!
//! Any byte will do for a newline. Of delimiters that can share bytes, like two newlines, a run of
//! three or more is cut from its start: who begins in its middle would cut it elsewhere, and a line
//! would be lost or seen twice. So it looks back to a place that no delimiter reaches across.

use flagstone_common::Error;

use crate::delimiter::Delimiter;
use crate::range::ByteRange;
use crate::source::{Io, ReadAt};

/// Where a reader of a range begins: early enough to see whether a line starts exactly at the
/// range's start, and where no delimiter begins before and ends after.
pub(crate) fn quiet_place(
    range: &ByteRange,
    file: &dyn ReadAt,
    delimiter: &Delimiter,
    io: &Io<'_>,
) -> Result<u64, Error> {
    let len = delimiter.len() as u64;
    let mut place = range.start.saturating_sub(len);
    if !delimiter.may_overlap() {
        return Ok(place);
    }
    // of a run of delimiters that share bytes, only the first is one for sure: looks back for a
    // place that none of them reaches across
    let (mut quiet, mut window_bytes) = (0, 4 << 10);
    while place > 0 {
        let from = place.saturating_sub(window_bytes);
        let _lease = io.memory.reserve(place + len - from)?;
        let mut window = vec![0; (place + len - from) as usize];
        let mut filled = 0;
        while filled < window.len() {
            let at = from + filled as u64;
            match io.read_at(file, range.file.path(), at, &mut window[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        for at in (from..place).rev() {
            let rest = window.get((at - from) as usize..filled).unwrap_or_default();
            quiet = if rest.starts_with(delimiter.bytes()) {
                0
            } else {
                quiet + 1
            };
            if quiet == len - 1 {
                return Ok(at + quiet);
            }
        }
        place = from;
        window_bytes = (window_bytes * 2).min(1 << 20);
    }
    Ok(0)
}
