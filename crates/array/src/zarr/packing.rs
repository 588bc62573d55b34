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

/// What codecs hold beside their input and output when they decode: tables and windows.
const DECODER_BYTES: u64 = 256 << 10;
/// The same when they encode, at most; less for small chunks.
const ENCODER_BYTES_MAX: u64 = 8 << 20;

fn is_plain(chain: &CodecChain, item: usize) -> bool {
    let codec = chain.array_to_bytes_codec();
    let little = || {
        let configuration = codec.configuration_v3(&CodecMetadataOptions::default());
        let configuration = serde_json::to_value(configuration).unwrap_or_default();
        item == 1 || configuration["endian"] == "little"
    };
    cfg!(target_endian = "little")
        && chain.array_to_array_codecs().is_empty()
        && chain.bytes_to_bytes_codecs().is_empty()
        && codec.as_any().is::<BytesCodec>()
        && little()
}

/// The codecs of an array's chunks.
#[derive(Clone)]
pub(crate) struct Packing {
    chain: Arc<CodecChain>,
    data_type: DataType,
    fill: FillValue,
    item: usize,
    plain: bool,
    options: CodecOptions,
}

impl Packing {
    pub(crate) fn new(
        chain: Arc<CodecChain>,
        data_type: DataType,
        fill: FillValue,
        item: usize,
    ) -> Self {
        let options = global_config().codec_options().with_concurrent_target(1);
        Packing {
            plain: is_plain(&chain, item),
            chain,
            data_type,
            fill,
            item,
            options,
        }
    }

    /// Whether the elements lie in the file as they lie in memory, in C order.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    fn shape(&self, shape: &[usize]) -> Result<Vec<NonZeroU64>, String> {
        let length = |&length: &usize| NonZeroU64::new(length as u64);
        let shape: Option<Vec<_>> = shape.iter().map(length).collect();
        shape.ok_or_else(|| "a chunk has no elements".to_owned())
    }

    fn unpacked_bytes(&self, shape: &[usize]) -> u64 {
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
        let compressed = match self.chain.bytes_to_bytes_codecs().len() {
            0 => 0,
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
