//! Chunks: the blocks of arrays.

use std::io::{self, Read, Write};
use std::marker::PhantomData;

use flagstone_graph::{Block, BlockData, Codec};
use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};

use crate::buffer::Buffer;
use crate::element::{Element, as_bytes, as_bytes_mut};

/// One cell of an array's grid, computed: elements in C order.
pub(crate) struct Chunk<T> {
    values: Buffer<T>,
    shape: Vec<usize>,
}

impl<T: Element> Chunk<T> {
    /// Wraps a buffer of as many elements as the shape has.
    pub(crate) fn new(values: Buffer<T>, shape: Vec<usize>) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        Chunk {
            values: values.into_granted(),
            shape,
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    pub(crate) fn into_values(self) -> Buffer<T> {
        self.values
    }

    pub(crate) fn view(&self) -> ArrayViewD<'_, T> {
        view(&self.values, &self.shape)
    }
}

/// A slice in C order as an array.
pub(crate) fn view<'a, T: Element>(values: &'a [T], shape: &[usize]) -> ArrayViewD<'a, T> {
    ArrayViewD::from_shape(IxDyn(shape), values).expect("the length was made from the shape")
}

/// The same, to be written.
pub(crate) fn view_mut<'a, T: Element>(
    values: &'a mut [T],
    shape: &[usize],
) -> ArrayViewMutD<'a, T> {
    ArrayViewMutD::from_shape(IxDyn(shape), values).expect("the length was made from the shape")
}

impl<T: Element> BlockData for Chunk<T> {
    fn nbytes(&self) -> u64 {
        self.values.nbytes()
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(const { &ChunkCodec::<T>(PhantomData) })
    }
}

/// A header of dimensions and one large write of the raw elements.
struct ChunkCodec<T>(PhantomData<fn() -> T>);

/// No array of this library has more axes; a larger number in a header is a damaged one.
const NDIM_MAX: u64 = 64;

impl<T: Element> Codec for ChunkCodec<T> {
    fn name(&self) -> &'static str {
        "chunk"
    }

    fn encode(&self, block: &Block, out: &mut dyn Write) -> io::Result<()> {
        let chunk: &Chunk<T> = block.downcast_ref().ok_or(io::ErrorKind::InvalidInput)?;
        let mut header = Vec::with_capacity(8 * (chunk.shape.len() + 1));
        header.extend((chunk.shape.len() as u64).to_le_bytes());
        for &length in &chunk.shape {
            header.extend((length as u64).to_le_bytes());
        }
        out.write_all(&header)?;
        out.write_all(as_bytes(&chunk.values))
    }

    fn decode(&self, input: &mut dyn Read, encoded_bytes: u64) -> io::Result<Block> {
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, "the chunk's header is damaged");
        let mut word = || -> io::Result<u64> {
            let mut bytes = [0; 8];
            input.read_exact(&mut bytes)?;
            Ok(u64::from_le_bytes(bytes))
        };
        let ndim = word()?;
        if ndim > NDIM_MAX {
            return Err(damaged());
        }
        let mut shape = Vec::with_capacity(ndim as usize);
        for _ in 0..ndim {
            shape.push(usize::try_from(word()?).map_err(|_| damaged())?);
        }
        let len = shape
            .iter()
            .try_fold(1usize, |product, &length| product.checked_mul(length))
            .ok_or_else(damaged)?;
        let expected = (len as u64)
            .checked_mul(size_of::<T>() as u64)
            .ok_or_else(damaged)?;
        if expected.checked_add(8 * (ndim + 1)) != Some(encoded_bytes) {
            return Err(damaged());
        }
        let mut values = Buffer::<T>::granted(len).map_err(io::Error::other)?;
        input.read_exact(as_bytes_mut(&mut values))?;
        Ok(Block::new(Chunk::new(values, shape)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flagstone_graph::round_trip;
    use flagstone_memory::Unlimited;

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
            let (a, b): (&Chunk<f32>, &Chunk<f32>) =
                (block.downcast_ref().unwrap(), back.downcast_ref().unwrap());
            assert_eq!(
                (a.shape(), as_bytes(a.values())),
                (b.shape(), as_bytes(b.values()))
            );
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
        for i in 0..24 {
            let mut damaged = bytes.clone();
            damaged[i] ^= 0x80;
            assert!(decode(&damaged).is_err(), "byte {i}");
        }
    }
}
