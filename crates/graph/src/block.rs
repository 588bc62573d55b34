//! Blocks: the erased values that tasks return, hold in memory, spill and reload.

use std::any::{Any, type_name};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use flagstone_common::{Error, Memory, Result};

/// What a value must offer to live between tasks. The scheduler knows no more of it.
pub trait BlockData: Any + Send + Sync {
    /// The heap bytes that dropping this value would give back, counting every allocation once.
    fn nbytes(&self) -> u64;

    /// How to write the value to disk and read it back; `None` keeps it resident until released.
    fn codec(&self) -> Option<&'static dyn Codec> {
        None
    }
}

/// Writes a block to disk and reads the same bits back.
pub trait Codec: Send + Sync {
    /// A short name for traces and errors: `"chunk"`, `"ipc"`.
    fn name(&self) -> &'static str;

    /// Writes the block. Large buffers should be written with one call: nothing copies them.
    /// What the codec allocates beside must be small and constant.
    ///
    /// # Errors
    /// Only those of `out`, or `InvalidInput` for a block of another type.
    fn encode(&self, block: &Block, out: &mut dyn Write) -> io::Result<()>;

    /// Reads a block back from the `encoded_bytes` that `input` holds. The memory of the result is
    /// leased by the caller.
    ///
    /// # Errors
    /// Those of `input`, and `InvalidData` for bytes that `encode` did not write.
    fn decode(&self, input: &mut dyn Read, encoded_bytes: u64) -> io::Result<Block>;
}

/// A shared, immutable value of a task. Cloning shares; the last holder owns ([`Block::take`]).
#[derive(Clone)]
pub struct Block(Arc<dyn BlockData>);

impl Block {
    /// Erases a value.
    pub fn new<T: BlockData>(value: T) -> Self {
        Block(Arc::new(value))
    }

    /// The bytes this block holds.
    #[inline]
    pub fn nbytes(&self) -> u64 {
        self.0.nbytes()
    }

    /// How the block is spilled, if it can be.
    pub fn codec(&self) -> Option<&'static dyn Codec> {
        self.0.codec()
    }

    /// The value, if it is a `T`.
    pub fn downcast_ref<T: BlockData>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref()
    }

    /// The value, shared, if it is a `T`.
    ///
    /// # Errors
    /// The block itself when it holds another type.
    pub fn downcast<T: BlockData>(self) -> std::result::Result<Arc<T>, Block> {
        if self.downcast_ref::<T>().is_none() {
            return Err(self);
        }
        let any: Arc<dyn Any + Send + Sync> = self.0;
        Ok(any.downcast().expect("the type was checked above"))
    }

    /// The value itself when this is the last holder of a `T`: the block was *donated*, and the
    /// task may work in place.
    ///
    /// # Errors
    /// The block itself when others hold it too, or when it holds another type.
    pub fn take<T: BlockData>(self) -> std::result::Result<T, Block> {
        let shared = self.downcast::<T>()?;
        Arc::try_unwrap(shared).map_err(|shared| Block(shared))
    }

    /// Whether nobody else holds this block.
    #[inline]
    pub fn is_last_holder(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// A block without content, for tasks that only have an effect.
    pub fn unit() -> Self {
        Block::new(Unit)
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Block({})",
            flagstone_common::format_bytes(self.nbytes())
        )
    }
}

/// The content of a block without content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit;

impl BlockData for Unit {
    fn nbytes(&self) -> u64 {
        0
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(&UnitCodec)
    }
}

struct UnitCodec;

impl Codec for UnitCodec {
    fn name(&self) -> &'static str {
        "unit"
    }

    fn encode(&self, _: &Block, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn decode(&self, _: &mut dyn Read, _: u64) -> io::Result<Block> {
        Ok(Block::unit())
    }
}

/// Any value as a block, with its bytes said by the caller. It cannot be spilled.
#[derive(Debug, Clone)]
pub struct Value<T> {
    /// The value.
    pub value: T,
    /// What it holds on the heap, in bytes.
    pub heap_bytes: u64,
}

impl<T: Send + Sync + 'static> BlockData for Value<T> {
    fn nbytes(&self) -> u64 {
        self.heap_bytes + size_of::<T>() as u64
    }
}

impl Block {
    /// Wraps a value without heap of its own; see [`Value`].
    pub fn value<T: Send + Sync + 'static>(value: T) -> Self {
        Block::new(Value {
            value,
            heap_bytes: 0,
        })
    }

    /// The value put in by [`Block::value`].
    pub fn value_ref<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.downcast_ref::<Value<T>>().map(|value| &value.value)
    }
}

/// The blocks that a task reads, in the order in which its layer named them.
pub struct Inputs<'a> {
    blocks: &'a mut [Option<Block>],
    owned: Owned,
}

/// Which inputs a task may take out for good.
#[derive(Clone, Copy)]
enum Owned {
    All,
    /// The one at this place, if there is any.
    One(Option<usize>),
}

impl<'a> Inputs<'a> {
    /// Wraps the blocks of one task.
    #[inline]
    pub fn new(blocks: &'a mut [Option<Block>]) -> Self {
        Inputs {
            blocks,
            owned: Owned::All,
        }
    }

    /// Wraps blocks that the executor keeps, all but the one at `donated`: what the task takes of
    /// the others is shared, and they are there when the task has to run again.
    #[inline]
    pub fn lent(blocks: &'a mut [Option<Block>], donated: Option<usize>) -> Self {
        Inputs {
            blocks,
            owned: Owned::One(donated),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The `i`-th input as a `T`.
    ///
    /// # Errors
    /// When it holds another type (a bug of the layer that connects the two) or was taken before.
    pub fn get<T: BlockData>(&self, i: usize) -> Result<&T> {
        self.blocks
            .get(i)
            .and_then(Option::as_ref)
            .and_then(Block::downcast_ref)
            .ok_or_else(|| not_an_input(i, type_name::<T>()))
    }

    /// The `i`-th input as a block.
    ///
    /// # Errors
    /// When it was taken before or does not exist.
    pub fn block(&self, i: usize) -> Result<&Block> {
        let block = self.blocks.get(i).and_then(Option::as_ref);
        block.ok_or_else(|| not_an_input(i, "a block that was not taken yet"))
    }

    /// The value put in by [`Block::value`] as the `i`-th input.
    ///
    /// # Errors
    /// When it holds another type, or was taken before.
    pub fn value<T: Send + Sync + 'static>(&self, i: usize) -> Result<&T> {
        self.get::<Value<T>>(i).map(|value| &value.value)
    }

    /// Takes the `i`-th input out. When this task was its last consumer, [`Block::take`] on it
    /// gives the value itself.
    ///
    /// # Errors
    /// When it was taken before or does not exist.
    pub fn take(&mut self, i: usize) -> Result<Block> {
        let is_owned = match self.owned {
            Owned::All => true,
            Owned::One(owned) => owned == Some(i),
        };
        let block = self.blocks.get_mut(i);
        let block = match is_owned {
            true => block.and_then(Option::take),
            false => block.and_then(|block| block.clone()),
        };
        block.ok_or_else(|| not_an_input(i, "a block that was not taken yet"))
    }

    /// Splits the inputs: the first `mid` here, the rest in the returned value.
    pub fn split_at(self, mid: usize) -> (Inputs<'a>, Inputs<'a>) {
        let (head, tail) = self.blocks.split_at_mut(mid);
        let tail_owned = match self.owned {
            Owned::All => Owned::All,
            Owned::One(owned) => Owned::One(owned.and_then(|i| i.checked_sub(mid))),
        };
        let head = Inputs {
            blocks: head,
            owned: self.owned,
        };
        let tail = Inputs {
            blocks: tail,
            owned: tail_owned,
        };
        (head, tail)
    }
}

fn not_an_input(position: usize, wanted: &str) -> Error {
    Error::invalid(format!("input {position} of the task is not {wanted}"))
}

/// Encodes a block into memory and decodes it again: what tests of codecs call.
///
/// # Errors
/// Those of the codec, and `Unsupported` for a block without one.
pub fn round_trip(block: &Block, memory: &dyn Memory) -> io::Result<Block> {
    let codec = block.codec().ok_or(io::ErrorKind::Unsupported)?;
    let _lease = memory
        .reserve(2 * block.nbytes())
        .map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    codec.encode(block, &mut bytes)?;
    let decoded = codec.decode(&mut bytes.as_slice(), bytes.len() as u64)?;
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_holder_takes_the_value() {
        let block = Block::value(7u32);
        let other = block.clone();
        let block = block.take::<Value<u32>>().unwrap_err();
        drop(other);
        assert_eq!(block.take::<Value<u32>>().unwrap().value, 7);
    }

    #[test]
    fn lent_blocks_stay_and_the_donated_one_goes() {
        let mut blocks = [0u32, 1, 2, 3].map(|value| Some(Block::value(value)));
        let (mut head, mut tail) = Inputs::lent(&mut blocks, Some(2)).split_at(1);
        for (inputs, i, donated) in [(&mut head, 0, false), (&mut tail, 0, false)] {
            let block = inputs.take(i).unwrap();
            assert_eq!(block.take::<Value<u32>>().is_ok(), donated);
        }
        assert_eq!(tail.take(1).unwrap().take::<Value<u32>>().unwrap().value, 2);
        assert!(tail.take(1).is_err());
        assert!(tail.take(2).unwrap().take::<Value<u32>>().is_err());
        assert_eq!(
            blocks.map(|block| block.is_some()),
            [true, true, false, true]
        );
    }

    #[test]
    fn a_wrong_type_is_an_error_that_names_it() {
        let mut blocks = [Some(Block::value(1u8))];
        let mut inputs = Inputs::new(&mut blocks);
        let message = inputs.get::<Value<String>>(0).unwrap_err().to_string();
        assert!(message.contains("String"), "{message}");
        inputs.take(0).unwrap();
        assert!(inputs.take(0).is_err());
        assert!(inputs.get::<Value<u8>>(1).is_err());
    }
}
