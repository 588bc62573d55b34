//! From what the user wrote to a list of files.
//!
//! A pattern that matches nothing, a file that is missing and a file that may not be read are
//! errors *here*, before any work starts, and name the pattern or the file.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flagstone_common::{Error, Fault};

use crate::compression::{Compression, HEAD_LEN};
use crate::decode::{Needed, fill};
use crate::natural::compare_paths;
use crate::source::{LocalFs, Source};

/// One file to read. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    path: Arc<Path>,
    len: u64,
    compression: Compression,
    needed: Needed,
}

impl InputFile {
    /// Where it is, to be kept.
    pub fn shared_path(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    /// Looks at one file: its length, and its compression from name and first bytes.
    ///
    /// # Errors
    /// [`Fault::NotFound`], [`Fault::PermissionDenied`], [`Fault::NotAFile`], and
    /// [`Fault::Corrupt`] when the name promises another compression than the bytes have.
    pub fn look(path: &Path, source: &dyn Source) -> Result<InputFile, Error> {
        let stat = source
            .stat(path)
            .map_err(|cause| Error::os("read", path, cause))?;
        if stat.is_dir {
            let message = format!(
                "it is a directory; write {}/* to read the files in it",
                crate::glob::pattern_of(path)
            );
            return Err(Error::of(Fault::NotAFile, message).at_path(path));
        }
        if stat.is_special {
            let message = "it is a pipe or a device, not a regular file; copy it to a file first";
            return Err(Error::of(Fault::NotAFile, message).at_path(path));
        }
        let file = source
            .open(path)
            .map_err(|cause| Error::os("read", path, cause))?;
        let mut head = [0; HEAD_LEN];
        let unreadable = |cause| Error::os("read", path, cause);
        let filled = fill(&*file, 0, &mut head).map_err(unreadable)?;
        let compression = Compression::detect(path, &head[..filled])?;
        let needed = Needed::of(compression, &*file).map_err(unreadable)?;
        Ok(InputFile {
            path: path.into(),
            len: file.len(),
            compression,
            needed,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes it has on disk.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How it is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// What the tables and windows of its decoder take, as far as its head tells and readers have
    /// met.
    pub fn decoder_bytes(&self) -> u64 {
        self.needed.bytes()
    }

    pub(crate) fn needed(&self) -> &Needed {
        &self.needed
    }

    /// Whether a reader can start at any byte of it.
    pub fn is_splittable(&self) -> bool {
        self.compression == Compression::None
    }
}

/// The local files that paths and patterns name; see [`expand_in`].
///
/// # Errors
/// Those of [`expand_in`].
pub fn expand<P: AsRef<Path>>(
    patterns: impl IntoIterator<Item = P>,
) -> Result<Vec<InputFile>, Error> {
    expand_in(&LocalFs, patterns)
}

/// The files that paths and patterns name.
///
/// A path that exists is taken as it is, even with `*` in its name. Otherwise `*`, `?`, `[...]` and
/// `**` match as in a shell (hidden files only when the dot is written), sorted with digits as
/// numbers. Patterns keep the order they were given in. A file that several patterns or paths name,
/// in whatever way its directory is written, comes once, where it was named first: otherwise it
/// would be read twice, and nobody would see it. Who wants it twice concatenates two collections.
/// Links with different names are different files.
///
/// # Errors
/// For no pattern, a pattern that matches nothing, and as [`InputFile::look`] for every single file.
pub fn expand_in<P: AsRef<Path>>(
    source: &dyn Source,
    patterns: impl IntoIterator<Item = P>,
) -> Result<Vec<InputFile>, Error> {
    let mut files = Vec::new();
    named(source, patterns, |pattern, path| {
        files.push(match pattern {
            None => InputFile::look(&path, source)?,
            Some(text) => look_matched(text, path, source)?,
        });
        Ok(())
    })?;
    Ok(files)
}

/// The local paths that paths and patterns name, in the order of [`expand`], without opening any:
/// for readers that may need the first few only, and look at a file when they come to it.
///
/// # Errors
/// For no pattern, a pattern that matches nothing and for a missing file.
pub fn expand_names<P: AsRef<Path>>(
    patterns: impl IntoIterator<Item = P>,
) -> Result<Vec<PathBuf>, Error> {
    let mut names = Vec::new();
    named(&LocalFs, patterns, |pattern, path| {
        if pattern.is_none() {
            let found = LocalFs.stat(&path);
            found.map_err(|cause| Error::os("read", &path, cause))?;
        }
        names.push(path);
        Ok(())
    })?;
    Ok(names)
}

/// Calls `each` with every path that is named, once, and the pattern that it matches.
fn named<P: AsRef<Path>>(
    source: &dyn Source,
    patterns: impl IntoIterator<Item = P>,
    mut each: impl FnMut(Option<&str>, PathBuf) -> Result<(), Error>,
) -> Result<(), Error> {
    let patterns: Vec<P> = patterns.into_iter().collect();
    if patterns.is_empty() {
        return Err(nothing_named());
    }
    let mut known = Known::default();
    for pattern in &patterns {
        let pattern = pattern.as_ref();
        let (text, paths) = match matches(source, pattern)? {
            Some((text, paths)) => (Some(text), paths),
            None => (None, vec![pattern.to_owned()]),
        };
        let mut own = HashSet::new();
        for path in paths {
            // one pattern alone names no file twice
            if patterns.len() > 1 {
                let name = known.name(source, &path);
                if known.names.contains(&name) {
                    continue;
                }
                own.insert(name);
            }
            each(text, path)?;
        }
        known.names.extend(own);
    }
    Ok(())
}

/// The files that were named so far.
#[derive(Default)]
struct Known {
    names: HashSet<PathBuf>,
    /// Directories as they were written, and as they are.
    directories: HashMap<PathBuf, PathBuf>,
}

impl Known {
    /// One name for all ways to write a file's directory.
    fn name(&mut self, source: &dyn Source, path: &Path) -> PathBuf {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return path.to_owned();
        };
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        if let Some(directory) = self.directories.get(parent) {
            return directory.join(name);
        }
        let directory = source.canonical(parent);
        let named = directory.join(name);
        self.directories.insert(parent.to_owned(), directory);
        named
    }
}

/// What a pattern matches, in order; `None` for a plain path.
fn matches<'p>(
    source: &dyn Source,
    pattern: &'p Path,
) -> Result<Option<(&'p str, Vec<PathBuf>)>, Error> {
    let text = pattern
        .to_str()
        .filter(|text| text.contains(['*', '?', '[']));
    let Some(text) = text.filter(|_| source.stat(pattern).is_err()) else {
        return Ok(None);
    };
    let mut paths = source.glob(text)?;
    if paths.is_empty() {
        let hint = why_nothing_matches(source, pattern);
        let message = format!("no file matches the pattern {text:?}; {hint}");
        return Err(Error::of(Fault::NotFound, message));
    }
    paths.sort_by(|a, b| compare_paths(a, b));
    Ok(Some((text, paths)))
}

fn nothing_named() -> Error {
    let message = "no file is named: the list of paths is empty; give a path or a pattern like \
                   \"logs/*.gz\"";
    Error::of(Fault::NotFound, message)
}

/// The first directory on the way that is not there, or where the search began.
fn why_nothing_matches(source: &dyn Source, pattern: &Path) -> String {
    let mut way = PathBuf::new();
    for component in pattern.components() {
        let name = component.as_os_str().to_string_lossy();
        if name.contains(['*', '?', '[']) {
            break;
        }
        way.push(component);
        if way != pattern && source.stat(&way).is_err() {
            return format!("{} does not exist{}", way.display(), seen_from(pattern));
        }
    }
    match way.as_os_str().is_empty() {
        true => format!(
            "the search began in the working directory{}",
            named_cwd(": ")
        ),
        false => format!("{} has none{}", way.display(), seen_from(pattern)),
    }
}

/// A relative path means another file in another directory.
fn seen_from(pattern: &Path) -> String {
    match pattern.is_relative() {
        true => named_cwd(", seen from "),
        false => String::new(),
    }
}

fn named_cwd(before: &str) -> String {
    let here = std::env::current_dir();
    here.map_or_else(
        |_| String::new(),
        |here| format!("{before}{}", here.display()),
    )
}

fn look_matched(pattern: &str, path: PathBuf, source: &dyn Source) -> Result<InputFile, Error> {
    InputFile::look(&path, source).map_err(|error| match error.fault() {
        Some(Fault::NotAFile) => {
            let message = format!(
                "the pattern {pattern:?} matches it, and it is not a file; narrow the pattern"
            );
            Error::of(Fault::NotAFile, message).at_path(&path)
        }
        _ => error,
    })
}
