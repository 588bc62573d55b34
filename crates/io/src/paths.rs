//! What readers take: one path or pattern, or several.

use std::path::{Path, PathBuf};

/// One path or pattern, or a list of them, in the order given. Patterns may have `*`, `?`, `[...]`
/// and `**`.
///
/// ```
/// use flagstone_io::IntoPaths;
///
/// assert_eq!("logs/*.gz".into_paths().len(), 1);
/// assert_eq!(["a.csv", "b.csv"].into_paths().len(), 2);
/// assert_eq!(vec![std::path::PathBuf::from("a.csv")].into_paths().len(), 1);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no path and no list of paths",
    note = "give text, a `Path`, a `PathBuf`, or an array, slice or `Vec` of these; collect an \
            iterator into a `Vec` first"
)]
pub trait IntoPaths {
    /// The paths and patterns.
    fn into_paths(self) -> Vec<PathBuf>;
}

macro_rules! one_path {
    ($($path:ty),*) => {
        $(impl IntoPaths for $path {
            fn into_paths(self) -> Vec<PathBuf> {
                vec![PathBuf::from(self)]
            }
        })*
    };
}

one_path!(
    &str,
    String,
    &String,
    &Path,
    PathBuf,
    &std::ffi::OsStr,
    std::ffi::OsString
);

impl IntoPaths for &PathBuf {
    fn into_paths(self) -> Vec<PathBuf> {
        vec![self.clone()]
    }
}

fn each<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Vec<PathBuf> {
    let owned = |path: P| path.as_ref().to_owned();
    paths.into_iter().map(owned).collect()
}

impl<P: AsRef<Path>, const N: usize> IntoPaths for [P; N] {
    fn into_paths(self) -> Vec<PathBuf> {
        each(self)
    }
}

impl<P: AsRef<Path>, const N: usize> IntoPaths for &[P; N] {
    fn into_paths(self) -> Vec<PathBuf> {
        each(self)
    }
}

impl<P: AsRef<Path>> IntoPaths for &[P] {
    fn into_paths(self) -> Vec<PathBuf> {
        each(self)
    }
}

impl<P: AsRef<Path>> IntoPaths for Vec<P> {
    fn into_paths(self) -> Vec<PathBuf> {
        each(self)
    }
}

impl<P: AsRef<Path>> IntoPaths for &Vec<P> {
    fn into_paths(self) -> Vec<PathBuf> {
        each(self)
    }
}
