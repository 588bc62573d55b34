//! Zarr arrays, versions 2 and 3: directories of compressed chunks, read and written lazily.
//!
//! Numbers are exchanged exactly with other implementations of the format: blosc, zstd and gzip,
//! shards, fill values, chunks of many lengths, either byte order and either order of axes are
//! read. What is not, is refused by name when the array is opened.

pub(crate) mod bounded;
pub(crate) mod boxes;
pub(crate) mod chunks;
pub(crate) mod given;
pub(crate) mod group;
pub(crate) mod inspect;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod metadata;
pub(crate) mod open;
pub(crate) mod opened;
pub(crate) mod options;
pub(crate) mod packing;
pub(crate) mod read;
pub(crate) mod refusal;
pub(crate) mod shards;
pub(crate) mod spelling;
pub(crate) mod stored;
pub(crate) mod threads;
pub(crate) mod write;
