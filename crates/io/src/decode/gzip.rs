//! gzip: members one after the other, each with a header, a deflate stream and a checksum.

use flagstone_common::{Error, Lease};
use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Crc;

use super::{Codec, Failure, Step};
use crate::source::Io;

/// What zlib-rs allocates for one inflate: state, window and padding, measured and rounded up.
pub(super) const INFLATE_BYTES: u64 = 96 << 10;

/// Decodes every member; zero bytes may follow the last one, as tapes and `gzip` have it.
pub(super) struct Gzip {
    inflate: Decompress,
    state: State,
    crc: Crc,
    produced: u32,
    members: u64,
    _lease: Lease,
}

#[derive(PartialEq, Eq)]
enum State {
    /// Before a member, or at the end.
    Between,
    Body,
    Trailer,
    /// In zero bytes after the last member.
    Padding,
}

impl Gzip {
    pub(super) fn new(io: &Io<'_>) -> Result<Self, Error> {
        let lease = io.memory.reserve(INFLATE_BYTES)?;
        Ok(Gzip {
            inflate: Decompress::new(false),
            state: State::Between,
            crc: Crc::new(),
            produced: 0,
            members: 0,
            _lease: lease,
        })
    }
}

impl Codec for Gzip {
    fn may_end(&self) -> bool {
        matches!(self.state, State::Between | State::Padding)
    }

    fn step(
        &mut self,
        input: &[u8],
        _last: bool,
        output: &mut [u8],
        _io: &Io<'_>,
    ) -> Result<Step, Failure> {
        match self.state {
            State::Between if self.members > 0 && input.first() == Some(&0) => {
                self.state = State::Padding;
                Ok(Step {
                    consumed: 1,
                    produced: 0,
                })
            }
            State::Padding => match input.iter().position(|&byte| byte != 0) {
                None => Ok(Step {
                    consumed: input.len(),
                    produced: 0,
                }),
                Some(at) => Err(corrupt(at, "there are other bytes after the gzip data")),
            },
            State::Between => {
                let consumed = match parse_header(input) {
                    Header::Complete(len) => len,
                    Header::Incomplete => {
                        return Ok(Step::default());
                    }
                    Header::Wrong(_) if self.members > 0 => {
                        return Err(corrupt(0, "there are other bytes after the gzip data"));
                    }
                    Header::Wrong(why) => return Err(corrupt(0, why)),
                };
                self.inflate.reset(false);
                self.crc = Crc::new();
                self.produced = 0;
                self.members += 1;
                self.state = State::Body;
                Ok(Step {
                    consumed,
                    produced: 0,
                })
            }
            State::Body => {
                let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
                let result = self
                    .inflate
                    .decompress(input, output, FlushDecompress::None);
                let consumed = (self.inflate.total_in() - before_in) as usize;
                let produced = (self.inflate.total_out() - before_out) as usize;
                let status = result.map_err(|_| {
                    corrupt(consumed, "the deflate stream in the gzip data is damaged")
                })?;
                self.crc.update(&output[..produced]);
                self.produced = self.produced.wrapping_add(produced as u32);
                if status == Status::StreamEnd {
                    self.state = State::Trailer;
                }
                Ok(Step { consumed, produced })
            }
            State::Trailer => {
                let Some(trailer) = input.first_chunk::<8>() else {
                    return Ok(Step::default());
                };
                check_trailer(trailer, self.crc.sum(), self.produced)
                    .map_err(|why| corrupt(0, why))?;
                self.state = State::Between;
                Ok(Step {
                    consumed: 8,
                    produced: 0,
                })
            }
        }
    }
}

fn corrupt(consumed: usize, why: &str) -> Failure {
    Failure::Corrupt {
        consumed,
        why: why.to_owned(),
    }
}

/// What the start of a member looks like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// A header of this many bytes.
    Complete(usize),
    /// The start of a header.
    Incomplete,
    /// Not a header.
    Wrong(&'static str),
}

/// Parses a member's header (RFC 1952).
pub(crate) fn parse_header(input: &[u8]) -> Header {
    const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
    if input.iter().zip(MAGIC).any(|(&byte, magic)| byte != magic) {
        return Header::Wrong("this is not gzip data");
    }
    let Some(&flags) = input.get(3) else {
        return Header::Incomplete;
    };
    if flags & 0xe0 != 0 {
        return Header::Wrong("the gzip header has flags that nobody has defined");
    }
    let mut at = 10;
    if flags & 4 != 0 {
        let Some(len) = input.get(at..at + 2) else {
            return Header::Incomplete;
        };
        at += 2 + usize::from(u16::from_le_bytes([len[0], len[1]]));
    }
    // a file name, then a comment, each ended by a zero
    for flag in [8, 16] {
        if flags & flag != 0 {
            let Some(rest) = input.get(at..) else {
                return Header::Incomplete;
            };
            let Some(len) = memchr::memchr(0, rest) else {
                return Header::Incomplete;
            };
            at += len + 1;
        }
    }
    if flags & 2 != 0 {
        let Some(sum) = input.get(at..at + 2) else {
            return Header::Incomplete;
        };
        let mut crc = Crc::new();
        crc.update(&input[..at]);
        if u16::from_le_bytes([sum[0], sum[1]]) != crc.sum() as u16 {
            return Header::Wrong("the checksum of the gzip header is wrong");
        }
        at += 2;
    }
    if at <= input.len() {
        Header::Complete(at)
    } else {
        Header::Incomplete
    }
}

/// Compares a member's last eight bytes with what was decoded.
pub(crate) fn check_trailer(trailer: &[u8; 8], crc: u32, len: u32) -> Result<(), &'static str> {
    let [a, b, c, d, e, f, g, h] = *trailer;
    if u32::from_le_bytes([a, b, c, d]) != crc {
        return Err("the checksum of the gzip data is wrong");
    }
    if u32::from_le_bytes([e, f, g, h]) != len {
        return Err("the length at the end of the gzip data is wrong");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_with_every_optional_part_are_measured() {
        let mut header = vec![0x1f, 0x8b, 8, 4 | 8 | 16 | 2, 0, 0, 0, 0, 0, 3];
        header.extend([3, 0, 1, 2, 3]);
        header.extend(b"name\0comment\0");
        let mut crc = Crc::new();
        crc.update(&header);
        header.extend((crc.sum() as u16).to_le_bytes());
        for cut in 0..header.len() {
            assert_eq!(parse_header(&header[..cut]), Header::Incomplete, "{cut}");
        }
        assert_eq!(parse_header(&header), Header::Complete(header.len()));
        *header.last_mut().unwrap() ^= 1;
        assert!(matches!(parse_header(&header), Header::Wrong(_)));
        assert!(matches!(parse_header(b"{"), Header::Wrong(_)));
    }
}
