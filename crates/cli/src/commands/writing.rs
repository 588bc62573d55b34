//! What is written where, as the flags say.

use std::path::Path;

use flagstone::{
    Output, ParquetCompression, ParquetOptions, RowCompression, RowFormat, RowOptions,
};

use crate::args::{self, Compression, Format};
use crate::run::Failure;

/// Whether a name ends as files do of a format, or of a compression, that is not written.
fn is_strange(to: &Path) -> bool {
    const STRANGE: [&str; 9] = [
        "zst", "gz", "bz2", "xz", "zip", "txt", "avro", "orc", "xlsx",
    ];
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    let extension = name.rsplit_once('.').map_or("", |(_, end)| end);
    Output::of_name(to).is_none() && STRANGE.contains(&extension)
}

/// The output, as the flags say, and where they do not, its name.
pub(crate) fn output(
    output: &args::Output,
    writing: &args::Writing,
    format: Option<Format>,
) -> Result<Output, Failure> {
    let named = Output::of_name(&output.to);
    if format.is_none() && is_strange(&output.to) {
        return Err(Failure::Usage(format!(
            "--to {}: files that are called so are not written; choose a name that ends in .parquet, .csv, \
             .tsv, .json or .arrow (text also with .zst), or say --format for a directory of this name",
            output.to.display()
        )));
    }
    let named_rows = match named {
        Some(Output::Rows(rows)) => Some(rows),
        Some(Output::Parquet(_)) | None => None,
    };
    let format = match format {
        Some(Format::Parquet) => None,
        Some(Format::Csv) => Some(RowFormat::Csv),
        Some(Format::Json) => Some(RowFormat::Json),
        Some(Format::Arrow) => Some(RowFormat::Arrow),
        None => named_rows.as_ref().map(|rows| rows.format),
    };
    let Some(format) = format else {
        let compression = match writing.compression {
            None | Some(Compression::Zstd) => ParquetCompression::Zstd,
            Some(Compression::Snappy) => ParquetCompression::Snappy,
            Some(Compression::None) => ParquetCompression::None,
        };
        return Ok(Output::Parquet(ParquetOptions {
            compression,
            target_bytes: writing.partition_bytes,
            overwrite: output.overwrite,
            keep_partial: output.keep_partial,
        }));
    };
    let plain = RowOptions::new(format);
    let named = named_rows.as_ref().unwrap_or(&plain);
    let compression = match writing.compression {
        Some(Compression::Zstd) => RowCompression::Zstd,
        Some(Compression::None) => RowCompression::None,
        None => named.compression,
        Some(Compression::Snappy) => {
            let message = "only Parquet is compressed with snappy; say --compression zstd or none";
            return Err(Failure::Usage(message.into()));
        }
    };
    Ok(Output::Rows(RowOptions {
        compression,
        target_bytes: writing.partition_bytes,
        overwrite: output.overwrite,
        keep_partial: output.keep_partial,
        delimiter: named.delimiter,
        ..plain
    }))
}
