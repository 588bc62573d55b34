//! Which file a path means, whether it exists or not.

use std::path::{Path, PathBuf};

/// The path by which a file is known, whether it exists or not: absolute and without links, as far as
/// there is something; what is missing stands behind it as it is written. Two paths of one file are
/// equal, and what will be made in a directory is seen to be in it.
///
/// ```
/// use flagstone_io::identity;
/// let dir = tempfile::tempdir()?;
/// let out = dir.path().join("out");
/// assert_eq!(identity(&dir.path().join("./out")), identity(&out));
/// assert!(identity(&out.join("new/part")).starts_with(identity(&out)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn identity(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut known = path;
    loop {
        let here = match known.as_os_str().is_empty() {
            true => Path::new("."),
            false => known,
        };
        if let Ok(whole) = here.canonicalize() {
            return missing
                .iter()
                .rev()
                .fold(whole, |path, name| path.join(name));
        }
        match (known.parent(), known.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name);
                known = parent;
            }
            // `..` of what does not exist
            _ => return path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_one_file_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
        for other in ["out", "./out", "link/out", "link/link/out", "out/"] {
            let other = dir.path().join(other);
            assert_eq!(identity(&other), identity(&out), "{}", other.display());
        }
        let inside = identity(&dir.path().join("link/out/new/part"));
        assert!(inside.starts_with(identity(&out)), "{}", inside.display());
        assert!(!identity(&dir.path().join("outer")).starts_with(identity(&out)));
        assert!(identity(Path::new("no-such-file")).is_absolute());
        assert_eq!(identity(Path::new("no/../such")), Path::new("no/../such"));
    }
}
