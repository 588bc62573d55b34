//! How the elements of a stored chunk become the bytes of a file, and back: a chain of codecs.
//!
//! The codecs are those of the crate `zarrs`; which file, which bytes of it and when is decided
//! here, so that every buffer is leased before it is made and nothing runs on threads that the
//! executor does not know. Compressed data claims its size; a claim that cannot be true is refused
//! before memory is asked for it.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use zarrs::array::codec::BytesCodec;
use zarrs::array::{
    ArrayBytes, ArrayToBytesCodecTraits, CodecChain, CodecMetadataOptions, CodecOptions, DataType,
    FillValue,
};
use zarrs::config::global_config;

use super::threads::alone;

/// What codecs hold beside their input and output when they decode: tables and windows.
const DECODER_BYTES: u64 = 256 << 10;
/// What codecs hold beside their input and output when they encode, at most; less for small chunks. Of
/// zstd it is known better.
const ENCODER_BYTES_MAX: u64 = 8 << 20;

/// Whether elements go to the compressors as they lie in memory.
fn is_native(chain: &CodecChain, item: usize) -> bool {
    let codec = chain.array_to_bytes_codec();
    let little = || {
        let configuration = codec.configuration_v3(&CodecMetadataOptions::default());
        let configuration = serde_json::to_value(configuration).unwrap_or_default();
        item == 1 || configuration["endian"] == "little"
    };
    cfg!(target_endian = "little")
        && chain.array_to_array_codecs().is_empty()
        && codec.as_any().is::<BytesCodec>()
        && little()
}

/// The level of a chain that compresses with zstd and nothing else.
fn zstd_level(chain: &CodecChain) -> Option<i64> {
    let [codec] = chain.bytes_to_bytes_codecs() else {
        return None;
    };
    if codec.name_v3()?.as_ref() != "zstd" {
        return None;
    }
    let configuration = codec.configuration_v3(&CodecMetadataOptions::default());
    serde_json::to_value(configuration).ok()?["level"].as_i64()
}

/// What zstd holds at most when it compresses `bytes` at a level: its tables are cut to the size of
/// the input. The numbers are those of its own tables of levels, and a test compares them.
fn zstd_encoder_bytes(level: i64, bytes: u64) -> u64 {
    const KIB: u64 = 1 << 10;
    let tables = KIB
        * match level {
            ..=-1 | 1 => 64,
            2 => 256,
            0 | 3 => 768,
            4 => 2 * KIB,
            5 | 6 => 5 * KIB / 2,
            7 | 8 => 5 * KIB,
            9 => 10 * KIB,
            10 | 11 => 20 * KIB,
            12 => 40 * KIB,
            13..=15 => 64 * KIB,
            16..=18 => 48 * KIB,
            19 => 80 * KIB,
            _ => u64::MAX / KIB,
        };
    let window = bytes.max(KIB).next_power_of_two();
    let blocks = match level {
        ..10 => (32 * KIB + 16 * bytes).min(512 * KIB),
        _ => 1312 * KIB,
    };
    tables.min(16 * window) + blocks
}

/// The codecs of an array's chunks.
#[derive(Clone)]
pub(crate) struct Packing {
    chain: Arc<CodecChain>,
    data_type: DataType,
    fill: FillValue,
    item: usize,
    native: bool,
    zstd_level: Option<i64>,
    options: CodecOptions,
}

impl Packing {
    pub(crate) fn new(
        chain: Arc<CodecChain>,
        data_type: DataType,
        fill: FillValue,
        item: usize,
    ) -> Result<Self, String> {
        let options = alone(|| global_config().codec_options())?.with_concurrent_target(1);
        Ok(Packing {
            native: is_native(&chain, item),
            zstd_level: zstd_level(&chain),
            chain,
            data_type,
            fill,
            item,
            options,
        })
    }

    /// Whether the elements lie in the file as they lie in memory, in C order.
    pub(crate) fn is_plain(&self) -> bool {
        self.native && self.chain.bytes_to_bytes_codecs().is_empty()
    }

    fn shape(&self, shape: &[usize]) -> Result<Vec<NonZeroU64>, String> {
        let length = |&length: &usize| NonZeroU64::new(length as u64);
        let shape: Option<Vec<_>> = shape.iter().map(length).collect();
        shape.ok_or_else(|| "a chunk has no elements".to_owned())
    }

    pub(super) fn unpacked_bytes(&self, shape: &[usize]) -> u64 {
        (shape.iter().product::<usize>() * self.item) as u64
    }

    /// What a packed chunk of a shape has at most.
    ///
    /// # Errors
    /// Codecs that promise nothing.
    pub(crate) fn packed_bytes_max(&self, shape: &[usize]) -> Result<u64, String> {
        let unbounded = || "its codecs promise no largest size of a chunk".to_owned();
        let shape = self.shape(shape)?;
        let size = self
            .chain
            .encoded_representation(&shape, &self.data_type, &self.fill)
            .map_err(|error| error.to_string())?;
        // compressors of other programs may add a header where ours do not
        let size = size.size().ok_or_else(unbounded)?;
        Ok(size + size / 16 + 64)
    }

    /// What decoding a chunk of a shape holds beside the packed bytes, with the result.
    pub(crate) fn unpack_bytes(&self, shape: &[usize]) -> Result<u64, String> {
        let (packed, unpacked) = (self.packed_bytes_max(shape)?, self.unpacked_bytes(shape));
        let compressed = match self.chain.bytes_to_bytes_codecs().len() {
            0 => 0,
            1 => DECODER_BYTES.min(16 * unpacked + 4096),
            _ => DECODER_BYTES.min(16 * unpacked + 4096) + packed,
        };
        // a gzip decoder does not know the size before, and doubles what it holds
        let transposed = unpacked * self.chain.array_to_array_codecs().len().min(1) as u64;
        Ok(unpacked + unpacked / 2 + transposed + compressed)
    }

    /// What encoding a chunk of a shape holds beside the elements, with the result.
    pub(crate) fn pack_bytes(&self, shape: &[usize]) -> Result<u64, String> {
        if self.is_plain() {
            return Ok(0);
        }
        let (packed, unpacked) = (self.packed_bytes_max(shape)?, self.unpacked_bytes(shape));
        if let (true, Some(level)) = (self.native, self.zstd_level) {
            return Ok(packed + zstd_encoder_bytes(level, unpacked));
        }
        let compressed = match self.chain.bytes_to_bytes_codecs().len() {
            0 => 0,
            // a vector that grows may hold twice what is in it
            _ => packed + ENCODER_BYTES_MAX.min(4 * unpacked + (64 << 10)),
        };
        let transposed = unpacked * self.chain.array_to_array_codecs().len().min(1) as u64;
        Ok(packed + unpacked + transposed + compressed)
    }

    /// The elements of a packed chunk, in C order.
    ///
    /// # Errors
    /// Damage, as a sentence.
    pub(crate) fn unpack(&self, packed: Vec<u8>, shape: &[usize]) -> Result<Vec<u8>, String> {
        let most = self.packed_bytes_max(shape)?;
        if let Some(claimed) = self.claimed_bytes(&packed).filter(|&claim| claim > most) {
            return Err(format!(
                "it claims to hold {claimed} bytes where there are at most {most}"
            ));
        }
        let elements = self
            .chain
            .decode(
                Cow::Owned(packed),
                &self.shape(shape)?,
                &self.data_type,
                &self.fill,
                &self.options,
            )
            .and_then(|bytes| Ok(bytes.into_fixed()?.into_owned()))
            .map_err(|error| error.to_string())?;
        let expected = self.unpacked_bytes(shape);
        match elements.len() as u64 == expected {
            true => Ok(elements),
            false => Err(format!("it holds {} bytes, not {expected}", elements.len())),
        }
    }

    /// What compressed data says of itself, for the outermost codec.
    fn claimed_bytes(&self, packed: &[u8]) -> Option<u64> {
        match self
            .chain
            .bytes_to_bytes_codecs()
            .last()?
            .name_v3()?
            .as_ref()
        {
            "zstd" => zstd::zstd_safe::get_frame_content_size(packed).ok()?,
            "blosc" => {
                let bytes = packed.get(4..8)?.try_into().ok()?;
                Some(u32::from_le_bytes(bytes).into())
            }
            _ => None,
        }
    }

    /// Packs a chunk's elements.
    ///
    /// # Errors
    /// Those of the codecs, as a sentence.
    pub(crate) fn pack<'a>(
        &self,
        elements: &'a [u8],
        shape: &[usize],
    ) -> Result<Cow<'a, [u8]>, String> {
        if self.is_plain() {
            return Ok(Cow::Borrowed(elements));
        }
        let bytes = ArrayBytes::new_flen(Cow::Borrowed(elements));
        let shape = self.shape(shape)?;
        self.chain
            .encode(bytes, &shape, &self.data_type, &self.fill, &self.options)
            .map_err(|error| error.to_string())
    }

    /// The element that is not stored.
    pub(crate) fn fill(&self) -> &[u8] {
        self.fill.as_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use zstd::zstd_safe::{CCtx, CParameter};

    use super::*;

    #[test]
    fn zstd_holds_what_is_said_at_most() {
        for bytes in [
            100,
            1 << 10,
            (16 << 10) + 8,
            1 << 17,
            (1 << 17) + 8,
            (1 << 19) + 8,
        ] {
            let source: Vec<u8> = (0..bytes as u64)
                .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57) as u8)
                .collect();
            let mut packed = vec![0; bytes + bytes / 64 + 64];
            for level in [
                -5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 17, 19, 22,
            ] {
                let mut context = CCtx::create();
                let set = context.set_parameter(CParameter::CompressionLevel(level));
                set.map_err(zstd::zstd_safe::get_error_name).unwrap();
                let length = context.compress2(&mut packed[..], &source);
                assert!(length.is_ok());
                let (held, said) = (
                    context.sizeof() as u64,
                    zstd_encoder_bytes(level.into(), bytes as u64),
                );
                assert!(held <= said, "{bytes} at level {level}: {held} > {said}");
            }
        }
    }
}
