//! Turning the errors of libraries into ours. The crate's error is the graph's: a mistake in how a
//! frame was built and a task's failure reach the user by the same road.

use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use flagstone_graph::{Error, ErrorKind};
use parquet::errors::ParquetError;

/// A plan that DataFusion refuses: wrong names or types. Only the first line, without its advice
/// to file a bug there.
pub(crate) fn plan_error(error: DataFusionError) -> Error {
    let message = error.strip_backtrace();
    let message = message.trim_start_matches("Error during planning: ");
    let message = message.trim_start_matches("Schema error: ");
    Error::invalid(message.trim_end().trim_end_matches('.').to_owned()).with_source(error)
}

/// An expression or decoder that failed on data.
pub(crate) fn arrow_error(error: ArrowError) -> Error {
    Error::failed(error)
}

pub(crate) fn run_error(error: DataFusionError) -> Error {
    let message = error.strip_backtrace();
    Error::new(ErrorKind::Failed, message).with_source(error)
}

/// A file that could not be read or written below the library stays what it was.
pub(crate) fn parquet_error(error: ParquetError) -> Error {
    let ParquetError::External(inner) = &error else {
        return Error::failed(error);
    };
    match inner.downcast_ref::<std::io::Error>() {
        Some(cause) => {
            let (kind, message) = (kind_of(cause), cause.to_string());
            Error::new(kind, message).with_source(error)
        }
        None => Error::failed(error),
    }
}

/// A refusal of memory stays one, so that the task is run again alone; a full disk stays one too.
pub(crate) fn io_error(error: flagstone_io::Error) -> Error {
    if let Some(needs) = error.needs_memory() {
        return Error::needs_memory(needs);
    }
    if error.is_cancelled() {
        return Error::cancelled();
    }
    Error::failed(error)
}

pub(crate) fn file_error(what: &str, path: &std::path::Path, error: std::io::Error) -> Error {
    Error::new(
        kind_of(&error),
        format!("cannot {what} {}: {error}", path.display()),
    )
    .with_source(error)
}

fn kind_of(error: &std::io::Error) -> ErrorKind {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::OutOfDisk,
        _ => ErrorKind::Failed,
    }
}
