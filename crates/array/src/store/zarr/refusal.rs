//! Why a description is not that of an array here.

use serde_json::Value;
use zarrs::array::{ArrayCreateError, Codec};

use super::metadata::{plain, short};

/// Why a description is not that of an array here: the member with its value, in the words of the
/// format.
pub(super) fn refused(error: &ArrayCreateError, json: &Value, version: u8) -> String {
    let part = |v3: &str, v2: &str| {
        let name = if version == 3 { v3 } else { v2 };
        (name.to_owned(), short(&json[name]))
    };
    let (name, value) = match error {
        ArrayCreateError::CodecsCreateError(_) | ArrayCreateError::UnsupportedZarrV2Array(_) => {
            return refused_codecs(json, version);
        }
        ArrayCreateError::DataTypeCreateError(_) => part("data_type", "dtype"),
        ArrayCreateError::InvalidFillValueMetadata { .. } => {
            let (_, dtype) = part("data_type", "dtype");
            let value = short(&json["fill_value"]);
            return format!("its `fill_value` {value} is no element of type {dtype}");
        }
        ArrayCreateError::ChunkGridCreateError(_)
        | ArrayCreateError::InvalidChunkGridDimensionality(..) => part("chunk_grid", "chunks"),
        ArrayCreateError::ChunkKeyEncodingCreateError(_) => {
            part("chunk_key_encoding", "dimension_separator")
        }
        error => return plain(&error.to_string()),
    };
    format!("its `{name}` is not supported: {value}")
}

/// The first codec that is not known, or has a configuration that it does not know.
fn refused_codecs(json: &Value, version: u8) -> String {
    if version == 2 {
        return format!(
            "its codecs are not supported: compressor {}, filters {}",
            short(&json["compressor"]),
            short(&json["filters"])
        );
    }
    let list = json["codecs"].as_array().map_or(&[][..], Vec::as_slice);
    let unknown = list.iter().find(|codec| {
        let metadata: serde_json::Result<zarrs::metadata::v3::MetadataV3> =
            serde_json::from_value((*codec).clone());
        !metadata.is_ok_and(|metadata| Codec::from_metadata(&metadata).is_ok())
    });
    match unknown {
        Some(codec) => format!("its codec is not supported: {}", short(codec)),
        None => format!(
            "its codecs do not make bytes of elements: {}",
            short(&json["codecs"])
        ),
    }
}
