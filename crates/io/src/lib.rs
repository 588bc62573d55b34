//! Bytes in and out for all collections.
//!
//! Every reader of Flagstone (text, JSON, CSV, and whatever comes) needs the same five things, and
//! each of them is easy to get almost right: the files that a pattern names, in a defined order;
//! decompression that reads *every* member and says where a broken stream broke; byte ranges that
//! give each line to exactly one reader; buffers that stay within their lease however long a line
//! is; and output that appears whole or not at all. They are done here once, without any type of
//! a graph or a collection.
//!
//! ```text
//! patterns --expand--> InputFile --split_files--> ByteRange --BlockReader--> blocks of whole lines
//!                                          DecompressingReader --> any `Read` consumer
//! AtomicFile / AtomicDir --commit--> the name that the user asked for
//! ```
//!
//! What a reader may use is in one value, [`Io`]: the memory to lease buffers from, counters of
//! the bytes that pass, the question whether to stop, and the [`Source`] that opens paths.
//!
//! # Invariants
//! 1. A line belongs to exactly one range: the one in which it *starts* ([`ByteRange`]).
//! 2. Every buffer that grows with the data is leased before it is allocated, and no buffer grows
//!    past the line limit.
//! 3. A compressed stream that ends early is an error, whatever came out of it before.
//! 4. Whether a file is decompressed whole or streamed changes no byte and no error.
//! 5. Nothing is ever removed except what this crate wrote, or what the user asked to overwrite.
//!
//! ```
//! use flagstone_io::{BlockReader, ByteRange, Io, ReadOptions, expand};
//! use flagstone_common::Unlimited;
//!
//! let dir = tempfile::tempdir()?;
//! std::fs::write(dir.path().join("a.txt"), "one\r\ntwo\n\nfour")?;
//! let files = expand([dir.path().join("*.txt")])?;
//!
//! let memory = Unlimited::new();
//! let range = ByteRange::whole(files[0].clone());
//! let mut reader = BlockReader::open(&range, &ReadOptions::default(), &Io::new(&memory))?;
//! let mut text = Vec::new();
//! while let Some(block) = reader.next_block()? {
//!     text.extend_from_slice(block.bytes);
//! }
//! assert_eq!(text, b"one\r\ntwo\n\nfour");
//! drop(reader);
//! assert_eq!(memory.granted_bytes(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod glob;
mod identity;
mod source;

mod binary;
mod compression;
mod files;
mod natural;
mod pack;
mod paths;
mod range;
mod regular;

mod decode;
mod whole;

mod blocks;
mod delimiter;
mod numbers;
mod options;
mod quiet;

mod atomic;
mod count;
mod direct;
mod origin;
mod partial;
mod quarantine;

pub use atomic::{AtomicDir, AtomicFile, OutputOptions};
pub use binary::binary;
pub use blocks::{Block, BlockReader};
pub use compression::Compression;
pub use count::{Counters, CountingWriter, IoCounters};
pub use decode::DecompressingReader;
pub use delimiter::{ByteOrder, DELIMITER_BYTES_MAX, Delimiter};
pub use direct::{DIRECT_BLOCK_BYTES, DirectFile};
pub use files::{InputFile, expand, expand_in, expand_names};
pub use glob::pattern_of;
pub use identity::identity;
pub use natural::compare_paths;
pub use numbers::LineNumbers;
pub use options::{LineLimit, ReadOptions};
pub use origin::{AskOrigin, LazyOrigin};
pub use pack::PackedFile;
pub use partial::remove_unfinished;
pub use paths::IntoPaths;
pub use quarantine::{BadRecord, BadRecords, Quarantine};
pub use range::{ByteRange, split_files};
pub use regular::{open_regular, regular};
pub use source::{Cancelled, Io, LocalFs, ReadAt, Source, Stat};
