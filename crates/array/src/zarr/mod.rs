//! Zarr arrays, versions 2 and 3: directories of compressed chunks, read and written lazily.
//!
//! Numbers are exchanged exactly with other implementations of the format: blosc, zstd and gzip,
//! shards, fill values, chunks of many lengths, either byte order and either order of axes are
//! read. What is not, is refused by name when the array is opened.

mod bounded;
mod boxes;
mod chunks;
mod given;
mod group;
mod inspect;
mod lock;
mod metadata;
mod open;
mod options;
mod packing;
mod read;
mod shards;
mod spelling;
mod stored;
mod threads;
mod write;

pub use group::create_zarr_group;
pub(crate) use group::{is_ours, write_description};
pub use inspect::{ZarrInfo, inspect_zarr, zarr_members};
pub use options::{ZarrCompression, ZarrOptions, ZarrVersion};
pub(crate) use stored::Stored;
pub(crate) use write::ZarrSink;
