//! What a directory says of itself: a Zarr array, a group of them, or neither.

use std::fs;
use std::io;
use std::path::Path;

use flagstone_graph::Result;
use serde_json::Value;
use zarrs::array::ArrayMetadata;

use crate::source::{failure, unreadable};

/// Attributes can be long; more than this is not a description of an array.
const METADATA_BYTES_MAX: u64 = 64 << 20;
/// How many arrays of a group a message names.
const MEMBERS_MAX: usize = 12;

/// What describes an array.
pub(crate) struct Described {
    pub(crate) metadata: ArrayMetadata,
    /// The same as it stands in the file.
    pub(crate) json: Value,
}

fn read_json(path: &Path) -> Result<Option<Value>> {
    let failed = |error: io::Error| unreadable(path, error);
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if length > METADATA_BYTES_MAX {
        let message = format!("its {length} bytes are more than a description of an array has");
        return Err(failure(path, &message, None));
    }
    let text = fs::read(path).map_err(failed)?;
    let parsed = serde_json::from_slice(&text);
    parsed
        .map(Some)
        .map_err(|error| failure(path, &format!("it is not JSON: {error}"), None))
}

/// Reads the description of the array in a directory, of version 3 or 2 of the format.
///
/// # Errors
/// A directory that is missing or holds something else; of a group, with the arrays in it.
pub(crate) fn describe(path: &Path) -> Result<Described> {
    let parse = |json: Value, name: &str| {
        let parsed = match name {
            "zarr.json" => serde_json::from_value(json.clone()).map(ArrayMetadata::V3),
            _ => serde_json::from_value(json.clone()).map(ArrayMetadata::V2),
        };
        let metadata = parsed.map_err(|error| {
            let message = format!("it does not describe a Zarr array: {error}");
            failure(&path.join(name), &message, None)
        })?;
        Ok(Described { metadata, json })
    };
    if let Some(json) = read_json(&path.join("zarr.json"))? {
        return match json["node_type"] == "group" {
            true => Err(is_group(path)),
            false => parse(json, "zarr.json"),
        };
    }
    if let Some(json) = read_json(&path.join(".zarray"))? {
        return parse(json, ".zarray");
    }
    match fs::metadata(path) {
        Err(error) => Err(unreadable(path, error)),
        Ok(_) if path.join(".zgroup").exists() => Err(is_group(path)),
        Ok(_) => {
            let message = "it is not a Zarr array: neither zarr.json nor .zarray is in it";
            Err(failure(path, message, None))
        }
    }
}

fn is_group(path: &Path) -> flagstone_graph::Error {
    let mut members = members(path);
    let more = members.len().saturating_sub(MEMBERS_MAX);
    members.truncate(MEMBERS_MAX);
    let mut message = match members.is_empty() {
        true => "it is a Zarr group without arrays".to_owned(),
        false => format!(
            "it is a Zarr group; name one of its members: {}",
            members.join(", ")
        ),
    };
    if more > 0 {
        message.push_str(&format!(" and {more} more"));
    }
    failure(path, &message, None)
}

/// The names of the arrays and groups in a group, in order.
pub(crate) fn members(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| {
            let path = entry.path();
            let mut described = ["zarr.json", ".zarray", ".zgroup"].into_iter();
            described.any(|name| path.join(name).exists())
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
