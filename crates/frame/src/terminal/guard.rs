//! What a run may not write over: its own inputs, and its output with its bad records.

use std::path::{Path, PathBuf};

use flagstone_common::{Error, Result};
use flagstone_io::identity;

use crate::frame::DataFrame;

/// A file that the frame reads and that lies in `directory`, if there is one.
fn file_in(frame: &DataFrame, directory: &Path) -> Result<Option<PathBuf>> {
    for source in frame.node.leaves().iter().filter_map(|leaf| leaf.source()) {
        if let Some(file) = source.file_in(directory)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Refuses an output that would replace an input.
pub(crate) fn check_inputs(frame: &DataFrame, path: &Path) -> Result<()> {
    let Some(input) = file_in(frame, path)? else {
        return Ok(());
    };
    let message = format!(
        "the output {} would replace its own input {}; choose another name",
        path.display(),
        input.display()
    );
    Err(Error::invalid(message))
}

/// Refuses bad records that would replace an input.
pub(super) fn check_kept(frame: &DataFrame, kept: &Path) -> Result<()> {
    let Some(input) = file_in(frame, kept)? else {
        return Ok(());
    };
    let message = format!(
        "the bad records that are kept in {} would replace the input {}; name another directory for \
         them",
        kept.display(),
        input.display()
    );
    Err(Error::invalid(message))
}

/// Refuses bad records in the place of the output, and one of both in the other: the one that gets its
/// name last would take the other with it.
pub(super) fn check_quarantine(kept: &Path, path: &Path) -> Result<()> {
    let (own, output) = (identity(kept), identity(path));
    if !own.starts_with(&output) && !output.starts_with(&own) {
        return Ok(());
    }
    let message = format!(
        "the output {} and the bad records in {} would take the place of each other; name a directory \
         for them beside it",
        path.display(),
        kept.display()
    );
    Err(Error::invalid(message))
}
