//! Descriptions on disk: of new arrays and of the groups they are in.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use flagstone_common::Result;
use serde_json::{Value, json};

use super::metadata::read_json;
use super::options::ZarrVersion;
use crate::store::storing::files::write_failed;

fn write_json(path: &Path, json: &Value) -> Result<()> {
    let mut text = format!("{json:#}");
    text.push('\n');
    fs::write(path, text).map_err(|error| write_failed(&path.display().to_string(), error))
}

/// Writes what describes an array into its directory.
pub(crate) fn write_description(
    directory: &Path,
    version: ZarrVersion,
    json: &Value,
) -> Result<()> {
    match version {
        ZarrVersion::V3 => write_json(&directory.join("zarr.json"), json),
        ZarrVersion::V2 => {
            write_json(&directory.join(".zarray"), json)?;
            write_json(&directory.join(".zattrs"), &json!({}))
        }
    }
}

/// Whether a name in a directory is that of a Zarr array's own files.
pub(crate) fn is_ours(name: &OsStr, is_file: bool) -> bool {
    let name = name.to_string_lossy();
    let key = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_digit() || c == '.');
    match is_file {
        true => matches!(&*name, "zarr.json" | ".zarray" | ".zattrs" | "c") || key(&name),
        false => name == "c" || key(&name),
    }
}

/// Makes a directory a Zarr group, with every directory above it that does not exist yet: arrays
/// can then be stored at paths inside it. A group that is there stays as it is.
///
/// ```
/// use flagstone_array::{ZarrVersion, create_zarr_group, zarr_members};
///
/// let dir = tempfile::tempdir()?;
/// create_zarr_group(dir.path().join("run/first"), ZarrVersion::V3)?;
/// create_zarr_group(dir.path().join("run"), ZarrVersion::V3)?;
/// assert_eq!(zarr_members(dir.path().join("run")), ["first"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A directory that cannot be made, and one that is an array.
pub fn create_zarr_group(path: impl AsRef<Path>, version: ZarrVersion) -> Result<()> {
    let path = path.as_ref();
    let failed = |error| write_failed(&path.display().to_string(), error);
    fs::create_dir_all(path).map_err(failed)?;
    let group = match version {
        ZarrVersion::V3 => (
            "zarr.json",
            json!({"zarr_format": 3, "node_type": "group", "attributes": {}}),
        ),
        ZarrVersion::V2 => (".zgroup", json!({"zarr_format": 2})),
    };
    let described = path.join(group.0);
    // what cannot be looked at may be there, and is not written over
    if path.join(".zarray").try_exists().map_err(failed)? {
        let error = std::io::Error::other("it is an array, not a group");
        return Err(failed(error));
    }
    if described.try_exists().map_err(failed)? {
        let read = read_json(&described)?;
        return match read.is_some_and(|read| read.json["node_type"] == "array") {
            true => Err(failed(std::io::Error::other("it is an array, not a group"))),
            false => Ok(()),
        };
    }
    write_json(&described, &group.1)
}
