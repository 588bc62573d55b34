//! Values between tasks: blocks of serde types, measured and spillable.

use std::io::{self, Read, Write};
use std::marker::PhantomData;

use flagstone_common::{Error, Lease, Result};
use flagstone_graph::{Block, BlockData, Codec, Inputs};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a value must offer to cross from one task to another.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross from one task to another",
    label = "kept between tasks here, and spilled when memory is short",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it; it must be `Send`, `Sync` and own \
            all it has (`Bag::owned` makes owned text of lines)"
)]
pub trait Portable: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Portable for T {}

/// What is given out more than once: a state that every partition begins with, an item that meets
/// several others, a value in memory that is read whenever its bag is computed.
/// Records that are only read, ordered, taken or computed need not be `Clone`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is needed more than once here, and cannot be cloned",
    label = "given out more than once",
    note = "derive `Clone` for it, or map the items to what can be cloned; a large value is cheap to \
            clone in an `Arc` (of serde's feature `rc`)"
)]
pub trait Repeated: Clone {}

impl<T: Clone> Repeated for T {}

/// A value with its measured heap.
#[derive(Debug)]
pub struct Stored<T> {
    /// The value.
    pub value: T,
    /// What it holds beside itself.
    pub heap_bytes: u64,
}

impl<T: Portable> Stored<T> {
    /// As a block.
    pub fn block(value: T, heap_bytes: u64) -> Block {
        Block::new(Stored { value, heap_bytes })
    }
}

impl<T: Portable> BlockData for Stored<T> {
    fn nbytes(&self) -> u64 {
        self.heap_bytes + size_of::<T>() as u64
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(const { &SerdeCodec::<T>(PhantomData) })
    }
}

/// Writes the measured size and the value, in bincode.
struct SerdeCodec<T>(PhantomData<fn() -> T>);

impl<T: Portable> Codec for SerdeCodec<T> {
    fn name(&self) -> &'static str {
        "bincode"
    }

    fn encode(&self, block: &Block, out: &mut dyn Write) -> io::Result<()> {
        let stored = block
            .downcast_ref::<Stored<T>>()
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut out = io::BufWriter::new(out);
        out.write_all(&stored.heap_bytes.to_le_bytes())?;
        bincode::serde::encode_into_std_write(&stored.value, &mut out, bincode::config::standard())
            .map_err(|error| match error {
                bincode::error::EncodeError::Io { inner, .. } => inner,
                other => io::Error::new(io::ErrorKind::InvalidInput, other.to_string()),
            })?;
        out.flush()
    }

    fn decode(&self, input: &mut dyn Read, _: u64) -> io::Result<Block> {
        let mut input = io::BufReader::new(input);
        let mut heap_bytes = [0; 8];
        input.read_exact(&mut heap_bytes)?;
        let config = bincode::config::standard();
        let value = bincode::serde::decode_from_std_read::<T, _, _>(&mut input, config).map_err(
            |error| match error {
                bincode::error::DecodeError::Io { inner, .. } => inner,
                other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
            },
        )?;
        Ok(Stored::block(value, u64::from_le_bytes(heap_bytes)))
    }
}

/// The value of a block, or where somebody else has the block too, a copy of it: written and read
/// again as it would be if it were spilled, so that it need not be `Clone`.
pub fn handed_over<T: Portable>(block: Block, of: &str) -> Result<T> {
    match block.take::<Stored<T>>() {
        Ok(stored) => Ok(stored.value),
        Err(block) => {
            let wrong = || Error::invalid(format!("not the block of {of}"));
            let stored = block.downcast_ref::<Stored<T>>().ok_or_else(wrong)?;
            copied(&stored.value)
        }
    }
}

/// The same of an input, with its heap; a copy's is leased.
pub fn take_or_copy<T: Portable>(
    inputs: &mut Inputs<'_>,
    i: usize,
    copies: &mut Lease,
) -> Result<(T, u64)> {
    take_or(inputs, i, |value, heap| {
        // the text that a copy is made from is no longer than what it holds
        let own = size_of::<T>() as u64;
        copies.try_grow(2 * heap + own)?;
        let copy = copied(value)?;
        copies.shrink_to(copies.bytes() - heap - own);
        Ok(copy)
    })
}

fn copied<T: Portable>(value: &T) -> Result<T> {
    let config = bincode::config::standard();
    let copy = bincode::serde::encode_to_vec(value, config)
        .map_err(|error| error.to_string())
        .and_then(|bytes| {
            let read = bincode::serde::decode_from_slice(&bytes, config);
            read.map_err(|error| error.to_string())
        });
    copy.map(|(copy, _)| copy).map_err(|error| {
        let name = std::any::type_name::<T>();
        Error::failed(format!(
            "a value of {name} is needed twice and cannot be copied as serde writes it: {error}"
        ))
    })
}

/// The value of an input and its heap, when this task is its last user; else what `copy` makes.
pub fn take_or<T: Portable>(
    inputs: &mut Inputs<'_>,
    i: usize,
    copy: impl FnOnce(&T, u64) -> Result<T>,
) -> Result<(T, u64)> {
    let block = inputs.take(i)?;
    match block.take::<Stored<T>>() {
        Ok(stored) => Ok((stored.value, stored.heap_bytes)),
        Err(block) => {
            let wrong = || Error::invalid("an input of the task has another type than its layer");
            let stored = block.downcast_ref::<Stored<T>>().ok_or_else(wrong)?;
            Ok((copy(&stored.value, stored.heap_bytes)?, stored.heap_bytes))
        }
    }
}
