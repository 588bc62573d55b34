//! Records that could not be read, kept with where they were.
//!
//! A record that is left out must not be lost: somebody wants to see what it was, mend it and feed
//! it in again. A quarantine is a directory with a file per partition, and a JSON line per record:
//!
//! ```text
//! {"file":"a.json.gz","line":6,"byte":512,"error":"expected value","record":"{\"id\": ,}"}
//! ```
//!
//! A record that is not UTF-8 stands there as `record_hex`.
//!
//! A partition's file grows under another name and gets its own when the partition is done, so that
//! a task that is run again leaves each record once.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flagstone_common::{Error, Fault};

use crate::atomic::hold;
use crate::partial::{Claim, is_abandoned, remove};

/// What happens to a record that cannot be read, or that a closure refuses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BadRecords {
    /// The run ends with an error that names file, line and byte.
    #[default]
    Fail,
    /// The record is left out, and counted in the run's statistics.
    Skip,
    /// The record is left out, counted, and kept with its file, line, byte and error as a line of
    /// JSON in `part-NNNNN.jsonl` in this directory, one file per partition that has any. A
    /// directory with other files in it is refused. Give each bag and each dataframe one of its own.
    ///
    /// What was there before goes, at different times. A dataframe's quarantine appears when the
    /// run is done; one that fails leaves the earlier one as it was. Of a bag, what was there
    /// before the bag was made goes when the first of its partitions was read: a run that fails
    /// before leaves it as it was, and of one that fails later the directory holds the partitions
    /// that were done. After that, one and the same bag (and what is derived from it) replaces the
    /// file of a partition when it has read that partition to its end again, and removes it when
    /// there was nothing bad any more; files of partitions that are not read again stay, so a bag
    /// whose files have become fewer is best made anew.
    Quarantine(PathBuf),
}

/// What was wrong, and where.
#[derive(Debug, Clone, Copy)]
pub struct BadRecord<'a> {
    /// The file, if the record came from one.
    pub file: Option<&'a Path>,
    /// The line in the file's text, from 1.
    pub line: Option<u64>,
    /// The byte in the file's text at which the record starts.
    pub byte: Option<u64>,
    /// What is wrong with it.
    pub error: &'a str,
    /// The record as it was, if it is still there.
    pub record: Option<&'a [u8]>,
}

/// The quarantined records of one partition.
#[derive(Debug)]
pub struct Quarantine {
    target: PathBuf,
    growing: PathBuf,
    file: BufWriter<File>,
    done: bool,
    _claim: Claim,
}

/// Tells apart what several threads of this process write for one target.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Quarantine {
    /// Whether a directory holds nothing but quarantined records, or does not exist.
    ///
    /// # Errors
    /// [`Fault::Exists`] when there is something else in it, and what the file system says.
    pub fn check(directory: &Path) -> Result<(), Error> {
        Quarantine::parts(directory).map(drop)
    }

    /// Removes what an earlier run left.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), and nothing is removed then; what the file system says.
    pub fn sweep(directory: &Path) -> Result<(), Error> {
        for part in Quarantine::parts(directory)? {
            remove(&part).map_err(|cause| Error::os("remove", &part, cause))?;
        }
        Ok(())
    }

    /// Whether there are records of a partition.
    pub fn exists(directory: &Path, partition: u32) -> bool {
        part(directory, partition).exists()
    }

    /// Removes the records of a partition that has none any more.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove(directory: &Path, partition: u32) -> Result<(), Error> {
        let part = part(directory, partition);
        remove(&part).map_err(|cause| Error::os("remove", &part, cause))
    }

    /// The files of an earlier run, those included that grew when it was killed.
    fn parts(directory: &Path) -> Result<Vec<PathBuf>, Error> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|cause| Error::os("list", directory, cause))?,
        };
        let mut parts = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|cause| Error::os("list", directory, cause))?;
            let name = entry.file_name();
            match name.to_str() {
                Some(text) if is_part(text) => parts.push(entry.path()),
                Some(text) if text.starts_with(".part-") => {
                    let path = entry.path();
                    if grower(text).is_some_and(|pid| is_abandoned(pid, &path)) {
                        parts.push(path);
                    }
                }
                _ => {
                    let message = format!(
                        "the quarantine holds other files than quarantined records, such as \
                         {name:?}; give it a directory of its own"
                    );
                    return Err(Error::of(Fault::Exists, message).at_path(directory));
                }
            }
        }
        Ok(parts)
    }

    /// Opens the file of a partition, making the directory if need be.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(directory: &Path, partition: u32) -> Result<Quarantine, Error> {
        fs::create_dir_all(directory).map_err(|cause| Error::os("create", directory, cause))?;
        let target = part(directory, partition);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let growing = directory.join(format!(".part-{partition:05}.partial-{pid}-{number}"));
        let claim = Claim::of(&growing);
        let file = File::create(&growing).map_err(|cause| Error::os("create", &growing, cause))?;
        hold(&file);
        Ok(Quarantine {
            target,
            growing,
            file: BufWriter::new(file),
            done: false,
            _claim: claim,
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put(&mut self, record: &BadRecord<'_>) -> Result<(), Error> {
        let written = write_line(&mut self.file, record);
        written.map_err(|cause| Error::os("write", &self.growing, cause))
    }

    /// Gives the file its name, in place of what an earlier run left there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn commit(mut self) -> Result<(), Error> {
        let flushed = self.file.flush();
        flushed.map_err(|cause| Error::os("write", &self.growing, cause))?;
        let renamed = fs::rename(&self.growing, &self.target);
        renamed.map_err(|cause| Error::os("rename", &self.growing, cause))?;
        self.done = true;
        Ok(())
    }
}

fn part(directory: &Path, partition: u32) -> PathBuf {
    directory.join(format!("part-{partition:05}.jsonl"))
}

/// The process that writes `.part-00007.partial-PID-NUMBER`.
fn grower(name: &str) -> Option<u32> {
    let (_, of) = name.strip_prefix(".part-")?.split_once(".partial-")?;
    let (pid, number) = of.split_once('-')?;
    number.parse::<u64>().ok()?;
    pid.parse().ok()
}

/// `part-00007.jsonl`.
fn is_part(name: &str) -> bool {
    let number = name.strip_prefix("part-");
    let number = number.and_then(|name| name.strip_suffix(".jsonl"));
    number.is_some_and(|digits| digits.len() >= 5 && digits.bytes().all(|b| b.is_ascii_digit()))
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        if !self.done {
            // nobody is left to tell
            let _ = fs::remove_file(&self.growing);
        }
    }
}

/// Writes straight through: a record may be as long as a line may be.
fn write_line(out: &mut impl Write, record: &BadRecord<'_>) -> std::io::Result<()> {
    out.write_all(b"{")?;
    if let Some(file) = record.file {
        out.write_all(b"\"file\":")?;
        serde_json::to_writer(&mut *out, &file.to_string_lossy())?;
        out.write_all(b",")?;
    }
    for (name, number) in [("line", record.line), ("byte", record.byte)] {
        if let Some(number) = number {
            write!(out, "\"{name}\":{number},")?;
        }
    }
    out.write_all(b"\"error\":")?;
    serde_json::to_writer(&mut *out, record.error)?;
    match record
        .record
        .map(|bytes| (bytes, std::str::from_utf8(bytes)))
    {
        Some((_, Ok(text))) => {
            out.write_all(b",\"record\":")?;
            serde_json::to_writer(&mut *out, text)?;
        }
        Some((bytes, Err(_))) => {
            out.write_all(b",\"record_hex\":\"")?;
            bytes
                .iter()
                .try_for_each(|byte| write!(out, "{byte:02x}"))?;
            out.write_all(b"\"")?;
        }
        None => {}
    }
    out.write_all(b"}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(error: &str) -> BadRecord<'_> {
        BadRecord {
            file: Some(Path::new("a\"b.json")),
            line: Some(6),
            byte: Some(512),
            error,
            record: Some(b"{\"id\":\t,}\\ \x01 \xc3\xa9 \xff"),
        }
    }

    #[test]
    fn a_record_is_one_line_of_json() {
        let line = |record: &BadRecord<'_>| {
            let mut out = Vec::new();
            write_line(&mut out, record).unwrap();
            String::from_utf8(out).unwrap()
        };
        let whole = BadRecord {
            record: Some("{\"id\":\t,}\\ \u{1} \u{e9}".as_bytes()),
            ..record("no\nvalue")
        };
        let parsed: serde_json::Value = serde_json::from_str(&line(&whole)).unwrap();
        let expected = serde_json::json!({
            "file": "a\"b.json", "line": 6, "byte": 512, "error": "no\nvalue",
            "record": "{\"id\":\t,}\\ \u{1} \u{e9}",
        });
        assert_eq!(parsed, expected);
        assert_eq!(line(&whole).matches('\n').count(), 1);
        let broken = BadRecord {
            record: Some(b"a\xff\n"),
            ..record("x")
        };
        assert!(line(&broken).ends_with("\"error\":\"x\",\"record_hex\":\"61ff0a\"}\n"));
        let bare = BadRecord {
            file: None,
            line: None,
            byte: None,
            error: "x",
            record: None,
        };
        assert_eq!(line(&bare), "{\"error\":\"x\"}\n");
    }

    #[test]
    fn only_what_an_earlier_run_left_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("q");
        Quarantine::sweep(&directory).unwrap();
        for partition in [0, 7, 123_456] {
            let mut quarantine = Quarantine::open(&directory, partition).unwrap();
            quarantine.put(&record("x")).unwrap();
            quarantine.commit().unwrap();
        }
        let other = directory.join("part-1.jsonl");
        fs::write(&other, "").unwrap();
        for refused in [Quarantine::check(&directory), Quarantine::sweep(&directory)] {
            let error = refused.unwrap_err();
            assert_eq!(error.fault(), Some(Fault::Exists));
            assert!(error.to_string().contains("part-1.jsonl"), "{error}");
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 4);
        fs::remove_file(other).unwrap();
        Quarantine::sweep(&directory).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_run_left_half_done_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("q");
        let mut growing = Quarantine::open(&directory, 7).unwrap();
        growing.put(&record("x")).unwrap();
        // a process that is gone; our own number, of an earlier process; one whose file is locked
        // from elsewhere; one that lives; and no process at all
        let gone = 0x7fff_fff0;
        let own = std::process::id();
        let left = |name: String| {
            fs::write(directory.join(&name), "{}").unwrap();
            name
        };
        left(format!(".part-00007.partial-{gone}-0"));
        left(format!(".part-00003.partial-{own}-{}", u64::MAX));
        let locked = left(format!(".part-00002.partial-{gone}-1"));
        let lock = File::open(directory.join(&locked)).unwrap();
        lock.try_lock_shared().unwrap();
        let mut kept = [
            locked,
            left(".part-00001.partial-1-0".into()),
            left(".part-00001.partial-x".into()),
        ]
        .to_vec();
        let name = growing
            .growing
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        kept.push(name);
        kept.sort();
        Quarantine::check(&directory).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 6);
        Quarantine::sweep(&directory).unwrap();
        let names = fs::read_dir(&directory).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, kept);
        drop(lock);
        growing.commit().unwrap();
        assert!(Quarantine::exists(&directory, 7) && !Quarantine::exists(&directory, 1));
        Quarantine::sweep(&directory).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        Quarantine::remove(&directory, 7).unwrap();
    }

    #[test]
    fn a_file_has_its_name_when_it_is_complete_and_replaces_an_older_one() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("q");
        let names = || -> Vec<String> {
            let entries = fs::read_dir(&directory).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        for error in ["first", "second"] {
            let mut quarantine = Quarantine::open(&directory, 7).unwrap();
            quarantine.put(&record(error)).unwrap();
            quarantine.commit().unwrap();
        }
        let mut dropped = Quarantine::open(&directory, 8).unwrap();
        dropped.put(&record("third")).unwrap();
        drop(dropped);
        assert_eq!(names(), ["part-00007.jsonl"]);
        let text = fs::read_to_string(directory.join("part-00007.jsonl")).unwrap();
        assert!(text.contains("second") && !text.contains("first"));
        assert_eq!(text.lines().count(), 1);
    }
}
