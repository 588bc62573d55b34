//! Listing the files that a pattern names.
//!
//! One component after the other: what has no special character is looked up, `**` descends, and
//! anything else is matched against the names in a directory by the `glob` crate. (Its own walk
//! panics at a name that is not UTF-8.) Names come in order; a hidden one only when it is named.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use flagstone_common::{Error, Fault};
use glob::{MatchOptions, Pattern};

/// One component of a pattern.
enum Part {
    /// A root, `.`, `..` or a plain name.
    Literal(PathBuf),
    /// `**`: any number of directories, none included.
    Descend,
    Matches(Pattern),
}

/// The paths that match, in order.
pub(crate) fn list(pattern: &str) -> Result<Vec<PathBuf>, Error> {
    let wrong = |error: glob::PatternError| {
        let message = format!(
            "the pattern {pattern:?} is wrong at character {}: {}",
            error.pos, error.msg
        );
        Error::of(Fault::Pattern, message)
    };
    // mistakes anywhere in it are told with their place in the whole
    Pattern::new(pattern).map_err(wrong)?;
    let parts = Path::new(pattern).components().map(|component| {
        let text = component.as_os_str().to_string_lossy();
        Ok(match component {
            Component::Normal(_) if text == "**" => Part::Descend,
            Component::Normal(_) if text.contains(['*', '?', '[']) => {
                Part::Matches(Pattern::new(&text).map_err(wrong)?)
            }
            other => Part::Literal(other.as_os_str().into()),
        })
    });
    let parts = parts.collect::<Result<Vec<Part>, Error>>()?;
    let mut found = Vec::new();
    walk(PathBuf::new(), &parts, &mut found)?;
    found.dedup();
    Ok(found)
}

/// A path as a pattern that matches it alone: brackets and stars of its name mean themselves.
pub fn pattern_of(path: &Path) -> String {
    let mut out = String::new();
    for c in path.display().to_string().chars() {
        match c {
            '*' | '?' | '[' | ']' => {
                out.push('[');
                out.push(c);
                out.push(']');
            }
            c => out.push(c),
        }
    }
    out
}

/// Appends what `parts` name below `at`. The recursion is as deep as the pattern and, for `**`, as
/// the directories.
fn walk(at: PathBuf, parts: &[Part], found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let Some((part, rest)) = parts.split_first() else {
        found.push(at);
        return Ok(());
    };
    match part {
        Part::Literal(name) => {
            let path = at.join(name);
            // a name that ends the pattern must exist; in between, the next step finds out
            if !rest.is_empty() || look(&path, fs::symlink_metadata(&path))?.is_some() {
                walk(path, rest, found)?;
            }
        }
        Part::Descend => {
            walk(at.clone(), rest, found)?;
            for (name, is_dir) in names(&at)? {
                if is_dir && !name.starts_with('.') {
                    walk(at.join(name), parts, found)?;
                }
            }
        }
        Part::Matches(pattern) => {
            let options = MatchOptions {
                require_literal_leading_dot: true,
                ..MatchOptions::new()
            };
            let entries = read_dir(&at)?;
            let mut paths: Vec<PathBuf> = Vec::new();
            for entry in entries {
                let name = entry.file_name();
                // a byte that is not UTF-8 is some character to a pattern
                if pattern.matches_with(&name.to_string_lossy(), options) {
                    paths.push(at.join(name));
                }
            }
            paths.sort_unstable();
            for path in paths {
                if rest.is_empty()
                    || look(&path, fs::metadata(&path))?.is_some_and(|found| found.is_dir())
                {
                    walk(path, rest, found)?;
                }
            }
        }
    }
    Ok(())
}

/// What is at a path, if there is anything; a link that leads in a circle is nothing. What cannot be
/// looked at may well be a file that was meant, so it is an error, not left out.
fn look(path: &Path, found: io::Result<fs::Metadata>) -> Result<Option<fs::Metadata>, Error> {
    match found {
        Err(error) if is_nothing(&error) || error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
        found => found
            .map(Some)
            .map_err(|cause| Error::os("read", path, cause)),
    }
}

fn is_nothing(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    kinds.contains(&error.kind())
}

/// The directories below `at` that are not links: links could lead in circles.
fn names(at: &Path) -> Result<Vec<(String, bool)>, Error> {
    let mut names = Vec::new();
    for entry in read_dir(at)? {
        let kind = entry.file_type();
        let kind = kind.map_err(|cause| Error::os("list", &entry.path(), cause))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push((name, kind.is_dir()));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The entries of a directory; none where there is no directory.
fn read_dir(at: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    let here = match at.as_os_str().is_empty() {
        true => Path::new("."),
        false => at,
    };
    let failed = |cause| Error::os("list", here, cause);
    let entries = match fs::read_dir(here) {
        Err(error) if is_nothing(&error) => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    entries.map(|entry| entry.map_err(failed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for path in [
            "a/1.json",
            "a/2.json",
            "a/.3.json",
            "a/b/4.json",
            "c/5.json",
            "6.json",
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(dir.path().join(OsStr::from_bytes(b"a/\xff.json")), "").unwrap();
        dir
    }

    fn found(dir: &Path, pattern: &str) -> Vec<PathBuf> {
        let pattern = format!("{}/{pattern}", dir.display());
        let found = list(&pattern).unwrap();
        let below = |path: PathBuf| path.strip_prefix(dir).unwrap().to_owned();
        found.into_iter().map(below).collect()
    }

    #[test]
    fn names_come_in_order_and_hidden_ones_only_by_name() {
        let dir = tree();
        let odd = PathBuf::from(OsStr::from_bytes(b"a/\xff.json"));
        let one = |text: &str| PathBuf::from(text);
        assert_eq!(
            found(dir.path(), "a/*.json"),
            [one("a/1.json"), one("a/2.json"), odd.clone()]
        );
        assert_eq!(found(dir.path(), "a/.*.json"), [one("a/.3.json")]);
        assert_eq!(found(dir.path(), "?/[45].json"), [one("c/5.json")]);
        assert_eq!(found(dir.path(), "a/1.json"), [one("a/1.json")]);
        assert!(found(dir.path(), "nowhere/*.json").is_empty());
        let all = found(dir.path(), "**/*.json");
        assert_eq!(
            all,
            [
                one("6.json"),
                one("a/1.json"),
                one("a/2.json"),
                odd,
                one("a/b/4.json"),
                one("c/5.json")
            ]
        );
    }

    #[test]
    fn what_cannot_be_looked_at_is_an_error_and_not_left_out() {
        let dir = tree();
        std::os::unix::fs::symlink("circle", dir.path().join("circle")).unwrap();
        assert_eq!(found(dir.path(), "c*/5.json"), [PathBuf::from("c/5.json")]);
        let long = "x".repeat(300);
        let error = list(&format!("{}/[c]/{long}", dir.path().display())).unwrap_err();
        assert!(error.to_string().contains("File name too long"), "{error}");
    }

    #[test]
    fn a_pattern_that_is_wrong_says_where() {
        let error = list("a/[b.json").unwrap_err();
        assert!(error.to_string().contains("character 2"), "{error}");
    }
}
