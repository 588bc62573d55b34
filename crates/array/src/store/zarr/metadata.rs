//! What a directory says of itself: a Zarr array, a group of them, or neither.

use std::fs;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flagstone_common::Result;
use serde_json::{Value, json};
use zarrs::array::ArrayMetadata;

use super::bounded::{Description, read_description};
use super::given::GivenLengths;
use super::spelling::{complete_v2, complete_v3, quoted_words, v3_name};
use crate::elements::dtype::DType;
use crate::store::failure::{failure, unreadable};

/// Attributes can be long; more than this is not a description of an array.
const METADATA_BYTES_MAX: u64 = 16 << 20;
/// How many arrays of a group a message names.
const MEMBERS_MAX: usize = 12;

/// What describes an array.
pub(crate) struct Described {
    pub(crate) metadata: ArrayMetadata,
    /// What stands in the file, but for what other programs spell another way.
    pub(crate) json: Value,
    /// The lengths of chunks, where they are given: in their place `metadata` has chunks of one shape.
    pub(crate) given: Option<GivenLengths>,
}

impl Described {
    /// The description that JSON is, of version 3 or 2.
    ///
    /// # Errors
    /// What no description has, as a sentence that names the member.
    pub(crate) fn new(
        mut json: Value,
        version_3: bool,
        given: Option<GivenLengths>,
    ) -> std::result::Result<Self, String> {
        match version_3 {
            true => {
                let item = item_bytes(&json);
                complete_v3(&mut json, item);
            }
            false => complete_v2(&mut json),
        }
        check_members(&json, version_3)?;
        let grid = &json["chunk_grid"];
        let inline = grid["name"] == "rectilinear" && grid["configuration"]["kind"] == "inline";
        let given = given.filter(|_| version_3 && inline);
        let mut known = json.clone();
        if given.is_some() {
            let axes = json["shape"].as_array().map_or(0, Vec::len);
            known["chunk_grid"] = json!({
                "name": "regular",
                "configuration": {"chunk_shape": vec![1; axes]},
            });
        }
        let metadata = match version_3 {
            true => serde_json::from_value(known).map(ArrayMetadata::V3),
            false => serde_json::from_value(known).map(ArrayMetadata::V2),
        };
        let metadata = metadata.map_err(|error| plain(&error.to_string()))?;
        if let ArrayMetadata::V3(metadata) = &metadata {
            let mut fields = metadata.additional_fields.iter();
            if let Some((name, _)) = fields.find(|(_, field)| field.must_understand()) {
                return Err(format!(
                    "`{name}` is an extension that is not known here, and does not say \
                     `\"must_understand\": false`"
                ));
            }
        }
        Ok(Described {
            metadata,
            json,
            given,
        })
    }
}

/// The bytes of an element by its name in version 3; 1 where that is not known.
fn item_bytes(json: &Value) -> usize {
    let name = json["data_type"].as_str().unwrap_or_default();
    let dtype = DType::ALL.into_iter().find(|&dtype| v3_name(dtype) == name);
    dtype.map_or(1, DType::size)
}

/// A member of an object, with a name for what it has to be.
type Wanted = (&'static str, fn(&Value) -> bool, &'static str);

fn is_lengths(value: &Value) -> bool {
    let list = value.as_array();
    list.is_some_and(|list| list.iter().all(Value::is_u64))
}

fn is_named(value: &Value) -> bool {
    value.is_string() || value["name"].is_string()
}

fn is_codec_or_none(value: &Value) -> bool {
    value.is_null() || is_named(value) || value["id"].is_string()
}

fn is_codecs(value: &Value) -> bool {
    let list = value.as_array();
    list.is_some_and(|list| {
        list.iter()
            .all(|codec| !codec.is_null() && is_codec_or_none(codec))
    })
}

fn check_members(json: &Value, version_3: bool) -> std::result::Result<(), String> {
    const LENGTHS: &str = "a list of lengths";
    const NAMED: &str = "a name, or an object with a name";
    let v3: [Wanted; 6] = [
        ("shape", is_lengths, LENGTHS),
        ("data_type", is_named, NAMED),
        ("chunk_grid", is_named, NAMED),
        ("chunk_key_encoding", is_named, NAMED),
        ("fill_value", |_| true, "an element"),
        (
            "codecs",
            is_codecs,
            "a list of codecs, each an object with a name",
        ),
    ];
    let v2: [Wanted; 6] = [
        ("shape", is_lengths, LENGTHS),
        ("chunks", is_lengths, LENGTHS),
        ("dtype", |_| true, "a type"),
        (
            "compressor",
            is_codec_or_none,
            "null, or an object with an id",
        ),
        ("fill_value", |_| true, "an element"),
        ("order", Value::is_string, "\"C\" or \"F\""),
    ];
    for (name, fits, what) in if version_3 { v3 } else { v2 } {
        match json.get(name) {
            None => return Err(format!("it has no `{name}`")),
            Some(value) if !fits(value) => {
                return Err(format!("its `{name}` is not {what}: {}", short(value)));
            }
            Some(_) => {}
        }
    }
    let filters = &json["filters"];
    match version_3 || filters.is_null() || is_codecs(filters) {
        true => Ok(()),
        false => Err(format!(
            "its `filters` are no list of codecs: {}",
            short(filters)
        )),
    }
}

/// A value in a message.
pub(super) fn short(value: &Value) -> String {
    const CHARACTERS_MAX: usize = 120;
    let text = value.to_string();
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A library's message, unless it speaks of its own types.
pub(super) fn plain(message: &str) -> String {
    let of_types = [
        "untagged enum",
        "::",
        "Configuration",
        "Metadata",
        "variant",
    ];
    match of_types.iter().any(|word| message.contains(word)) {
        true => "a member has a form that the format does not have".to_owned(),
        false => message.to_owned(),
    }
}

/// Reads a file that describes something.
///
/// # Errors
/// A file that cannot be read, is longer than a description, or is none.
pub(super) fn read_json(path: &Path) -> Result<Option<Description>> {
    let failed = |error: io::Error| unreadable(path, error);
    let mut file = match flagstone_io::open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let length = file.metadata().map_err(failed)?.len();
    if length > METADATA_BYTES_MAX {
        let message = format!("its {length} bytes are more than a description of an array has");
        return Err(failure(path, &message, None));
    }
    let parsed = match read_description(BufReader::new(&file)) {
        Err(error) if error.is_io() => return Err(failed(error.into())),
        // Python's writers have words for what JSON cannot say
        Err(error) if error.is_syntax() => {
            let mut text = Vec::new();
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            file.take(METADATA_BYTES_MAX)
                .read_to_end(&mut text)
                .map_err(failed)?;
            read_description(&quoted_words(&text)[..]).map_err(|_| error)
        }
        parsed => parsed,
    };
    parsed.map(Some).map_err(|error| {
        let message = match error.is_data() {
            true => format!("it does not describe a Zarr array: {error}"),
            false => format!("it is not JSON: {error}"),
        };
        failure(path, &message, None)
    })
}

/// Reads the description of the array in a directory, of version 3 or 2 of the format.
///
/// # Errors
/// A directory that is missing or holds something else; of a group, with the arrays in it.
pub(crate) fn describe(path: &Path) -> Result<Described> {
    let parse = |read: Description, name: &str| {
        Described::new(read.json, name == "zarr.json", read.given).map_err(|message| {
            let message = format!("it does not describe a Zarr array: {message}");
            failure(&path.join(name), &message, None)
        })
    };
    if let Some(read) = read_json(&path.join("zarr.json"))? {
        return match read.json["node_type"] == "group" {
            true => Err(is_group(path)),
            false => parse(read, "zarr.json"),
        };
    }
    if let Some(read) = read_json(&path.join(".zarray"))? {
        return parse(read, ".zarray");
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

fn is_group(path: &Path) -> flagstone_common::Error {
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
