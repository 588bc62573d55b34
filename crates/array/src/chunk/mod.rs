//! Chunks: the blocks of arrays.

pub(crate) mod buffer;
pub(crate) mod mapped;

use std::io::{self, Read, Write};
use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::{Block, BlockData, Codec, Inputs};
use ndarray::{ArrayViewD, IxDyn};

use crate::elements::bytes::{from_bytes, sanitise};
use crate::elements::dtype::DType;
use crate::elements::element::Element;
use crate::grid::shape::NDIM_MAX;
use buffer::Buffer;

/// One cell of an array's grid, computed: elements in C order.
pub(crate) struct Chunk {
    /// Aligned for any element.
    values: Buffer<u8>,
    dtype: DType,
    shape: Vec<usize>,
}

impl Chunk {
    /// Wraps a buffer of as many elements as the shape has.
    pub(crate) fn new<T: Element>(values: Buffer<T>, shape: Vec<usize>) -> Self {
        Chunk::from_buffer(values.into_bytes(), T::DTYPE, shape)
    }

    /// A chunk of bytes, which are elements of this type.
    pub(crate) fn from_buffer(values: Buffer<u8>, dtype: DType, shape: Vec<usize>) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>() * dtype.size());
        Chunk {
            values: values.into_granted(),
            dtype,
            shape,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.values
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Where the bytes start, for writing while nobody else holds the chunk.
    pub(crate) fn start_mut(&mut self) -> *mut u8 {
        self.values.start()
    }

    /// Gives the memory of some bytes back before the rest; see [`Buffer::give_back`].
    ///
    /// # Safety
    /// Nobody reads these bytes any more: they are zeros from then on.
    pub(crate) unsafe fn give_back(&self, bytes: std::ops::Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { self.values.give_back(bytes) };
    }

    pub(crate) fn into_buffer(self) -> Buffer<u8> {
        self.values
    }

    /// The elements.
    ///
    /// # Errors
    /// When they are of another type.
    pub(crate) fn values<T: Element>(&self) -> Result<&[T]> {
        self.check::<T>()?;
        Ok(from_bytes(&self.values))
    }

    /// The elements, given away.
    ///
    /// # Errors
    /// When they are of another type.
    pub(crate) fn into_values<T: Element>(self) -> Result<Buffer<T>> {
        self.check::<T>()?;
        Ok(self.values.into_elements())
    }

    fn check<T: Element>(&self) -> Result<()> {
        if self.dtype == T::DTYPE {
            return Ok(());
        }
        let (holds, wanted) = (self.dtype, T::DTYPE);
        Err(Error::invalid(format!(
            "a chunk holds {holds}, not {wanted}"
        )))
    }

    /// Refuses to be anything but a chunk of this type and shape.
    ///
    /// # Errors
    /// The sentence that says what it is.
    pub(crate) fn check_is(&self, dtype: DType, shape: &[usize]) -> Result<()> {
        match self.is(dtype, shape) {
            true => Ok(()),
            false => Err(Error::invalid(self.instead_of(dtype, shape))),
        }
    }

    fn is(&self, dtype: DType, shape: &[usize]) -> bool {
        self.dtype == dtype && self.shape == shape
    }

    fn instead_of(&self, dtype: DType, shape: &[usize]) -> String {
        format!(
            "a chunk of {} in the shape {:?} was given for one of {dtype} in {shape:?}",
            self.dtype, self.shape
        )
    }

    /// The chunk of this type and shape that a block is. Layers take their inputs by this or by
    /// [`Chunk::input`] alone: kernels write and read by the shape that the plan says.
    ///
    /// # Errors
    /// A block of anything else, or of another type or shape.
    pub(crate) fn of(block: Block, dtype: DType, shape: &[usize]) -> Result<Arc<Chunk>> {
        let wrong = |_| Error::bug("a block that is not a chunk was given for one");
        let chunk = block.downcast::<Chunk>().map_err(wrong)?;
        match chunk.is(dtype, shape) {
            true => Ok(chunk),
            false => Err(Error::bug(chunk.instead_of(dtype, shape))),
        }
    }

    /// The chunk of this type and shape that a task was given as its `i`-th input.
    ///
    /// # Errors
    /// A block of something else, of another type or shape, and an input that was taken before.
    pub(crate) fn input<'i>(
        inputs: &'i Inputs<'_>,
        i: usize,
        dtype: DType,
        shape: &[usize],
    ) -> Result<&'i Chunk> {
        let wrong = || Error::bug("a block that is not a chunk was given for one");
        let chunk: &Chunk = inputs.block(i)?.downcast_ref().ok_or_else(wrong)?;
        match chunk.is(dtype, shape) {
            true => Ok(chunk),
            false => Err(Error::bug(chunk.instead_of(dtype, shape))),
        }
    }

    pub(crate) fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        let values = self.values()?;
        let view = ArrayViewD::from_shape(IxDyn(&self.shape), values);
        Ok(view.expect("the length was made from the shape"))
    }
}

impl BlockData for Chunk {
    fn nbytes(&self) -> u64 {
        self.values.nbytes()
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(&ChunkCodec)
    }
}

/// A header of type and dimensions, and one large write of the raw elements.
struct ChunkCodec;

impl Codec for ChunkCodec {
    fn name(&self) -> &'static str {
        "chunk"
    }

    fn encode(&self, block: &Block, out: &mut dyn Write) -> io::Result<()> {
        let chunk: &Chunk = block.downcast_ref().ok_or(io::ErrorKind::InvalidInput)?;
        let number = DType::ALL.iter().position(|&dtype| dtype == chunk.dtype);
        let number = number.ok_or(io::ErrorKind::InvalidInput)?;
        let mut header = Vec::with_capacity(8 * (chunk.shape.len() + 2));
        header.extend((number as u64).to_le_bytes());
        header.extend((chunk.shape.len() as u64).to_le_bytes());
        for &length in &chunk.shape {
            header.extend((length as u64).to_le_bytes());
        }
        out.write_all(&header)?;
        out.write_all(&chunk.values)
    }

    fn decode(&self, input: &mut dyn Read, encoded_bytes: u64) -> io::Result<Block> {
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, "the chunk's header is damaged");
        let mut word = || -> io::Result<u64> {
            let mut bytes = [0; 8];
            input.read_exact(&mut bytes)?;
            Ok(u64::from_le_bytes(bytes))
        };
        let number = usize::try_from(word()?).map_err(|_| damaged())?;
        let dtype = *DType::ALL.get(number).ok_or_else(damaged)?;
        let ndim = word()?;
        // a larger number in a header is a damaged one
        if ndim > NDIM_MAX as u64 {
            return Err(damaged());
        }
        let mut shape = Vec::with_capacity(ndim as usize);
        for _ in 0..ndim {
            shape.push(usize::try_from(word()?).map_err(|_| damaged())?);
        }
        let len = shape
            .iter()
            .try_fold(dtype.size(), |product, &length| product.checked_mul(length))
            .ok_or_else(damaged)?;
        if (len as u64).checked_add(8 * (ndim + 2)) != Some(encoded_bytes) {
            return Err(damaged());
        }
        let mut values = Buffer::<u8>::granted(len).map_err(io::Error::other)?;
        input.read_exact(&mut values)?;
        sanitise(dtype, &mut values);
        Ok(Block::new(Chunk::from_buffer(values, dtype, shape)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flagstone_common::Unlimited;
    use flagstone_graph::round_trip;

    fn chunk(shape: &[usize]) -> Block {
        let mut values = Buffer::<f32>::granted(shape.iter().product()).unwrap();
        values
            .iter_mut()
            .enumerate()
            .for_each(|(i, value)| *value = i as f32 / 3.0);
        Block::new(Chunk::new(values, shape.to_vec()))
    }

    #[test]
    fn chunks_read_back_with_the_same_bits() {
        for shape in [&[3, 5][..], &[], &[0, 4], &[300, 401]] {
            let block = chunk(shape);
            let back = round_trip(&block, &Unlimited::new()).unwrap();
            let (a, b): (&Chunk, &Chunk) =
                (block.downcast_ref().unwrap(), back.downcast_ref().unwrap());
            assert_eq!((&a.shape, a.bytes()), (&b.shape, b.bytes()));
        }
    }

    #[test]
    fn damaged_headers_are_errors() {
        let block = chunk(&[2, 3]);
        let mut bytes = Vec::new();
        block.codec().unwrap().encode(&block, &mut bytes).unwrap();
        let decode = |bytes: &[u8]| {
            block
                .codec()
                .unwrap()
                .decode(&mut &bytes[..], bytes.len() as u64)
        };
        assert!(decode(&bytes).is_ok());
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        for i in 0..32 {
            let mut damaged = bytes.clone();
            damaged[i] ^= 0x80;
            assert!(decode(&damaged).is_err(), "byte {i}");
        }
    }
}
