//! An array never replaces what it is computed from.
//!
//! Reads and writes of one run come in any order, so a store over its own input would read what it
//! wrote; and an output that is put in the place of an input takes away what cannot be made again.
//! Both are refused before anything is written.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flagstone_common::{Error, ErrorKind, Result};

use crate::expr::node::{Node, Op};

/// The file or directory that an operation reads.
fn read_by(node: &Node) -> Option<&Path> {
    match &node.op {
        Op::Source(source) => source.path(),
        Op::Layer { lower, .. } => lower.path(),
        _ => None,
    }
}

/// A path as the file system has it, whether or not its last part exists.
fn place(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().or_else(|| {
        let parent = match path.parent()? {
            parent if parent.as_os_str().is_empty() => Path::new("."),
            parent => parent,
        };
        Some(parent.canonicalize().ok()?.join(path.file_name()?))
    })
}

/// Whether two paths are names of one file.
fn is_same_file(a: &Path, b: &Path) -> bool {
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Refuses to store an array where it, or a part of it, is read from; `in_place` says that the
/// target is written where it stands.
///
/// # Errors
/// The sentence that names both.
pub(super) fn check(node: &Node, target: &Path, in_place: bool) -> Result<()> {
    let Some(wanted) = place(target) else {
        // the store itself says what is wrong with it
        return Ok(());
    };
    let mut seen: HashSet<*const Node> = HashSet::new();
    let mut stack = vec![node];
    while let Some(next) = stack.pop() {
        if !seen.insert(std::ptr::from_ref(next)) {
            continue;
        }
        stack.extend(next.inputs().iter().rev().map(|input| &**input));
        let Some(input) = read_by(next) else {
            continue;
        };
        let Some(read) = place(input) else {
            continue;
        };
        let meets = read.starts_with(&wanted)
            || wanted.starts_with(&read)
            || in_place && is_same_file(&read, &wanted);
        if !meets {
            continue;
        }
        let (target, input) = (target.display(), input.display());
        let message = match in_place {
            true => format!(
                "cannot write to a region of {target}: the array is computed from {input}, which \
                 is read while the region is written; store the array under another name first, \
                 and write the region from there"
            ),
            false => format!(
                "{target} would replace its own input {input}; store the array under another name"
            ),
        };
        return Err(Error::new(ErrorKind::Invalid, message).with_location(node.location));
    }
    Ok(())
}
