//! The block of a tee: one block per branch.
//!
//! It waits for the slowest of its branches to pick its part, which can take until the trees of the
//! other branches are done; so it can be spilled like any block. Its parts have codecs of types
//! that it does not know: their codecs are numbered as they are first met, and the numbers stand
//! in the file. That is enough because a process reads back only what it wrote itself.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use flagstone_graph::{Block, BlockData, Codec};

/// One block per branch.
pub(super) struct TeeBlock(pub(super) Vec<Block>);

impl BlockData for TeeBlock {
    fn nbytes(&self) -> u64 {
        let parts = (self.0.len() * size_of::<Block>()) as u64;
        parts + self.0.iter().map(Block::nbytes).sum::<u64>()
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        let all = self.0.iter().all(|block| block.codec().is_some());
        all.then_some(&TeeCodec as &dyn Codec)
    }
}

/// The codecs met so far; a part's codec is written as its place here.
static CODECS: Mutex<Vec<&'static dyn Codec>> = Mutex::new(Vec::new());

fn number_of(codec: &'static dyn Codec) -> u32 {
    let mut codecs = CODECS.lock().unwrap_or_else(PoisonError::into_inner);
    // equal address and equal methods: the same codec, whatever it is called
    #[allow(
        ambiguous_wide_pointer_comparisons,
        reason = "a codec met twice may have two numbers"
    )]
    let place = codecs.iter().position(|&known| std::ptr::eq(known, codec));
    place.unwrap_or_else(|| {
        codecs.push(codec);
        codecs.len() - 1
    }) as u32
}

fn codec_of(number: u32) -> io::Result<&'static dyn Codec> {
    let codecs = CODECS.lock().unwrap_or_else(PoisonError::into_inner);
    codecs
        .get(number as usize)
        .copied()
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

struct TeeCodec;

impl Codec for TeeCodec {
    fn name(&self) -> &'static str {
        "branches"
    }

    fn encode(&self, block: &Block, out: &mut dyn Write) -> io::Result<()> {
        let parts = block
            .downcast_ref::<TeeBlock>()
            .ok_or(io::ErrorKind::InvalidInput)?;
        out.write_all(&(parts.0.len() as u32).to_le_bytes())?;
        for part in &parts.0 {
            let codec = part.codec().ok_or(io::ErrorKind::InvalidInput)?;
            // a part's length stands before it: encoded twice rather than held in memory
            let mut len = Length(0);
            codec.encode(part, &mut len)?;
            out.write_all(&number_of(codec).to_le_bytes())?;
            out.write_all(&len.0.to_le_bytes())?;
            codec.encode(part, out)?;
        }
        Ok(())
    }

    fn decode(&self, input: &mut dyn Read, _: u64) -> io::Result<Block> {
        let count = u32::from_le_bytes(array(input)?);
        let mut parts = Vec::new();
        for _ in 0..count {
            let codec = codec_of(u32::from_le_bytes(array(input)?))?;
            let len = u64::from_le_bytes(array(input)?);
            // a part cannot read into the next one, and leaves nothing of its own
            let mut part = (&mut *input).take(len);
            parts.push(codec.decode(&mut part, len)?);
            io::copy(&mut part, &mut io::sink())?;
        }
        Ok(Block::new(TeeBlock(parts)))
    }
}

fn array<const N: usize>(input: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Counts what is written.
struct Length(u64);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flagstone_common::Unlimited;
    use flagstone_graph::round_trip;

    use super::*;
    use flagstone_exchange::Stored;

    #[test]
    fn parts_of_different_types_come_back_in_order() {
        let words = vec!["a".to_owned(), "b".repeat(100_000)];
        let parts = vec![
            Stored::block(words.clone(), 100_100),
            Block::unit(),
            Stored::block(7u64, 0),
            Stored::block(vec![(1u8, 2u64)], 16),
        ];
        let block = Block::new(TeeBlock(parts));
        let memory = Unlimited::new();
        let back = round_trip(&block, &memory).unwrap();
        assert_eq!(back.nbytes(), block.nbytes());
        let back = back.downcast_ref::<TeeBlock>().unwrap();
        assert_eq!(
            back.0[0]
                .downcast_ref::<Stored<Vec<String>>>()
                .unwrap()
                .value,
            words
        );
        assert_eq!(back.0[2].downcast_ref::<Stored<u64>>().unwrap().value, 7);
        assert_eq!(
            back.0[3]
                .downcast_ref::<Stored<Vec<(u8, u64)>>>()
                .unwrap()
                .value,
            [(1, 2)]
        );
    }

    #[test]
    fn a_part_that_cannot_be_spilled_keeps_the_whole_resident() {
        let block = Block::new(TeeBlock(vec![Stored::block(1u64, 0), Block::value(1u64)]));
        assert!(block.codec().is_none());
    }
}
