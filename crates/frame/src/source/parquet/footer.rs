//! Footers: what is in a file, checked before anything is decoded by it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Fields, Schema, TimeUnit};
use flagstone_common::{Error, Lease, Memory, Result};
use flagstone_io::InputFile;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::annotations;
use super::thrift::{self, Wrong};
use parquet::schema::types::Type;

use super::trouble::{caught, caught_parquet, refused};
use crate::error::{file_error, parquet_error};
use crate::schema::shape::{map_fields, without_members};

/// The length of the footer and the magic bytes, at the end of a file.
const TAIL_BYTES: u64 = 8;
/// So much of a footer's length is leased before it is decoded: names, statistics and places take
/// more in memory than in the file.
const DECODED_TIMES: u64 = 4;
/// A row group, or an element of the schema, beside what it points to.
const ITEM_BYTES: u64 = 128;

/// What a footer takes in all, decoded, checked and made a schema of, for its length: measured for
/// columns of numbers and short texts, whose places and statistics are mostly what it holds.
const TAKEN_TIMES: u64 = 16;

/// What opening a file will take, from the length of its footer; for a file that is none, little.
/// It is an estimate: what is leased follows from what the footer holds.
pub(crate) fn estimate(file: &InputFile) -> u64 {
    let mut tail = [0; TAIL_BYTES as usize];
    let start = file.len().checked_sub(TAIL_BYTES);
    let read = start.and_then(|start| {
        let file = File::open(file.path()).ok()?;
        file.read_exact_at(&mut tail, start).ok()
    });
    let len = match (read, tail) {
        (Some(()), [a, b, c, d, b'P', b'A', b'R', b'1']) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    };
    // one that claims more than the file has is told when it is opened
    let len = Some(u64::from(len)).filter(|&len| len <= file.len());
    TAKEN_TIMES * len.unwrap_or(0) + (16 << 10)
}

/// How the times of the old type of 96 bits are read: they have nanoseconds, and years that
/// nanoseconds of 64 bits do not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldTimes {
    Nanoseconds,
    Microseconds,
}

/// A file that is open, with its footer.
pub(crate) struct Opened {
    pub(super) file: File,
    pub(super) metadata: ArrowReaderMetadata,
    /// The columns as a frame has them.
    pub(crate) fields: Fields,
    /// Leaf columns of times of 96 bits that are read as nanoseconds.
    pub(super) old_times: Vec<usize>,
    /// Bytes of the footer, in the file and decoded.
    pub(super) bytes: u64,
    pub(super) _lease: Lease,
}

impl Opened {
    /// The columns as they are decoded: their leaves are those of the file.
    pub(crate) fn stored(&self) -> &Schema {
        self.metadata.schema()
    }

    pub(crate) fn parquet(&self) -> &Arc<ParquetMetaData> {
        self.metadata.metadata()
    }
}

/// Opens a file and decodes its footer.
pub(crate) fn open(path: &Path, times: OldTimes, memory: &dyn Memory) -> Result<Opened> {
    let file = File::open(path).map_err(|error| file_error("read", path, error))?;
    let footer_place = || "its footer".to_owned();
    let failed = |error| file_error("read", path, error);
    let len = file.metadata().map_err(failed)?.len();
    let mut lease = memory.reserve(0)?;
    let damaged = |reason: String| caught(path, footer_place, || Err(Error::failed(reason)));
    if len < TAIL_BYTES + 4 {
        return damaged(format!("{len} bytes are no Parquet file"));
    }
    let mut tail = [0; TAIL_BYTES as usize];
    file.read_exact_at(&mut tail, len - TAIL_BYTES)
        .map_err(failed)?;
    let [a, b, c, d, magic @ ..] = tail;
    match &magic {
        b"PAR1" => {}
        b"PARE" => return Err(refused(path, ENCRYPTED)),
        _ => return damaged("it does not end as Parquet files do".to_owned()),
    }
    let footer_len = u64::from(u32::from_le_bytes([a, b, c, d]));
    if footer_len > len - TAIL_BYTES {
        return damaged(format!(
            "it says that it has {footer_len} bytes, and the file has {len}"
        ));
    }
    lease
        .ensure(DECODED_TIMES * footer_len)
        .map_err(|needs| footer_too_large(path, footer_len, needs.into()))?;
    let mut footer = vec![0; footer_len as usize];
    let start = len - TAIL_BYTES - footer_len;
    file.read_exact_at(&mut footer, start).map_err(failed)?;
    let said = match thrift::footer(&footer) {
        Ok(said) => said,
        Err(Wrong::Short) => return damaged("it claims to have more than its bytes".to_owned()),
        Err(Wrong::Broken) => return damaged("its bytes are none of a footer".to_owned()),
    };
    if said.is_encrypted {
        return Err(refused(path, ENCRYPTED));
    }
    lease
        .ensure(DECODED_TIMES * footer_len + said.items.saturating_mul(ITEM_BYTES))
        .map_err(|needs| footer_too_large(path, footer_len, needs.into()))?;
    let parquet = caught_parquet(path, footer_place, || {
        ParquetMetaDataReader::decode_metadata(&footer)
    })?;
    drop(footer);
    lease.ensure(footer_len + 2 * parquet.memory_size() as u64)?;
    let parquet = caught(path, footer_place, || mend(parquet))?;
    if let Some(name) = without_leaves(parquet.file_metadata().schema_descr().root_schema()) {
        let what = format!(
            "its column {name:?} is a group without members, which is not supported: write the \
             file again without it"
        );
        return Err(refused(path, &what));
    }
    caught(path, footer_place, || check(&parquet, start))?;
    let bytes = footer_len + 2 * parquet.memory_size() as u64;
    let parquet = Arc::new(parquet);
    let (metadata, fields, old_times) = caught(path, footer_place, || columns(parquet, times))?;
    Ok(Opened {
        file,
        metadata,
        fields,
        old_times,
        bytes,
        _lease: lease,
    })
}

const ENCRYPTED: &str = "it is encrypted, or some of its columns are, which is not supported: \
                         decrypt it first";

fn footer_too_large(path: &Path, len: u64, error: Error) -> Error {
    let message = format!(
        "{}: its footer has {}: {}",
        path.display(),
        flagstone_common::format_bytes(len),
        error.message()
    );
    error.with_message(message)
}

/// Some writers say 0 where they mean that there is no dictionary.
fn mend(parquet: ParquetMetaData) -> Result<ParquetMetaData> {
    let groups = parquet.row_groups().iter();
    let mut offsets = groups.flat_map(|group| group.columns());
    let none = |offset: Option<i64>| offset.is_some_and(|offset| offset < 4);
    if !offsets.any(|column| none(column.dictionary_page_offset())) {
        return Ok(parquet);
    }
    let mut builder = parquet.into_builder();
    let mut groups = Vec::new();
    for group in builder.take_row_groups() {
        let mut columns = Vec::with_capacity(group.num_columns());
        for column in group.columns() {
            let column = column.clone();
            columns.push(match none(column.dictionary_page_offset()) {
                true => {
                    let column = column.into_builder().set_dictionary_page_offset(None);
                    column.build().map_err(parquet_error)?
                }
                false => column,
            });
        }
        let group = group.into_builder().set_column_metadata(columns);
        groups.push(group.build().map_err(parquet_error)?);
    }
    Ok(builder.set_row_groups(groups).build())
}

/// Refuses a footer that contradicts itself or the file. `end`: where the data ends.
fn check(parquet: &ParquetMetaData, end: u64) -> Result<()> {
    let wrong = |what: String| Err(Error::failed(what));
    let mut rows = 0i64;
    for (i, group) in parquet.row_groups().iter().enumerate() {
        let count = group.num_rows();
        if count < 0 {
            return wrong(format!("row group {i} has {count} rows"));
        }
        rows = rows.saturating_add(count);
        for column in group.columns() {
            let start = column.dictionary_page_offset();
            let start = start.unwrap_or(column.data_page_offset());
            let len = column.compressed_size();
            let last = start.checked_add(len).filter(|&last| last as u64 <= end);
            let name = || column.column_path().parts().join(" > ");
            if start < 0 || len < 0 || column.uncompressed_size() < 0 || last.is_none() {
                return wrong(format!(
                    "row group {i}, column {:?} lies from byte {start} for {len} bytes, and the \
                     data ends at {end}",
                    name()
                ));
            }
            let flat = column.column_descr().max_rep_level() == 0;
            if flat && column.num_values() != count {
                return wrong(format!(
                    "row group {i} has {count} rows, and its column {:?} {} values",
                    name(),
                    column.num_values()
                ));
            }
        }
    }
    let said = parquet.file_metadata().num_rows();
    match said == rows {
        true => Ok(()),
        false => wrong(format!(
            "it says that the file has {said} rows, and its row groups have {rows}"
        )),
    }
}

/// A group that has no columns in the file: decoders pass over it without a word.
fn without_leaves(group: &Type) -> Option<String> {
    group.get_fields().iter().find_map(|field| {
        let is_bare = field.is_group() && field.get_fields().is_empty();
        match is_bare {
            true => Some(field.name().to_owned()),
            false if field.is_group() => {
                without_leaves(field).map(|below| format!("{} > {below}", field.name()))
            }
            false => None,
        }
    })
}

/// How the columns are decoded, and what they are in a frame.
fn columns(
    parquet: Arc<ParquetMetaData>,
    times: OldTimes,
) -> Result<(ArrowReaderMetadata, Fields, Vec<usize>)> {
    let of = |options| {
        ArrowReaderMetadata::try_new(Arc::clone(&parquet), options).map_err(parquet_error)
    };
    let metadata = of(ArrowReaderOptions::default())?;
    let descriptor = parquet.file_metadata().schema_descr();
    let is_old = |leaf: usize| {
        leaf < descriptor.num_columns()
            && descriptor.column(leaf).physical_type() == PhysicalType::INT96
    };
    let (mut leaf, mut old_times) = (0, Vec::new());
    let read = map_fields(metadata.schema().fields(), &mut |field| {
        if field.data_type().is_nested() {
            return field;
        }
        leaf += 1;
        match field.data_type() {
            DataType::Timestamp(TimeUnit::Nanosecond, zone) if is_old(leaf - 1) => {
                if times == OldTimes::Nanoseconds {
                    old_times.push(leaf - 1);
                    return field;
                }
                let zone = zone.clone();
                field.with_data_type(DataType::Timestamp(TimeUnit::Microsecond, zone))
            }
            // one dictionary for every page: its values are read instead
            DataType::Dictionary(_, values) => {
                let values = values.as_ref().clone();
                field.with_data_type(values)
            }
            _ => field,
        }
    });
    if leaf != descriptor.num_columns() {
        let message = format!(
            "its {} columns are read as {leaf}, so they cannot be told apart",
            descriptor.num_columns()
        );
        return Err(Error::failed(message));
    }
    let metadata = match read == *metadata.schema().fields() {
        true => metadata,
        false => {
            let schema = Schema::new_with_metadata(read, metadata.schema().metadata().clone());
            of(ArrowReaderOptions::default().with_schema(Arc::new(schema)))?
        }
    };
    let fields = annotations::read(metadata.schema().fields(), descriptor);
    Ok((metadata, without_members(&fields), old_times))
}
