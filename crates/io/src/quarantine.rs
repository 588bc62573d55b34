//! Records that could not be read, kept with where they were.
//!
//! A record that is left out must not be lost: somebody wants to see what it was, mend it and feed
//! it in again. A quarantine is a directory with a file per partition, and a JSON line per record:
//!
//! ```text
//! {"file":"a.json.gz","line":6,"byte":512,"error":"expected value","record":"{\"id\": ,}"}
//! ```
//!
//! A partition's file grows under another name and gets its own when the partition is done, so that
//! a task that is run again leaves each record once.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

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
}

/// Tells apart what several threads of this process write for one target.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Quarantine {
    /// Opens the file of a partition, making the directory if need be.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(directory: &Path, partition: u32) -> Result<Quarantine, Error> {
        fs::create_dir_all(directory).map_err(|cause| Error::os("create", directory, cause))?;
        let target = directory.join(format!("part-{partition:05}.jsonl"));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let growing = directory.join(format!(".part-{partition:05}.partial-{pid}-{number}"));
        let file = File::create(&growing).map_err(|cause| Error::os("create", &growing, cause))?;
        let file = BufWriter::new(file);
        let done = false;
        Ok(Quarantine {
            target,
            growing,
            file,
            done,
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put(&mut self, record: &BadRecord<'_>) -> Result<(), Error> {
        let line = json_line(record);
        let written = self.file.write_all(line.as_bytes());
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

impl Drop for Quarantine {
    fn drop(&mut self) {
        if !self.done {
            // nobody is left to tell
            let _ = fs::remove_file(&self.growing);
        }
    }
}

fn json_line(record: &BadRecord<'_>) -> String {
    let mut line = String::from("{");
    if let Some(file) = record.file {
        line += "\"file\":";
        push_string(&mut line, &file.to_string_lossy());
        line.push(',');
    }
    for (name, number) in [("line", record.line), ("byte", record.byte)] {
        if let Some(number) = number {
            line += &format!("\"{name}\":{number},");
        }
    }
    line += "\"error\":";
    push_string(&mut line, record.error);
    if let Some(bytes) = record.record {
        line += ",\"record\":";
        push_string(&mut line, &String::from_utf8_lossy(bytes));
    }
    line += "}\n";
    line
}

/// A JSON string.
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
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
        let expected = "{\"file\":\"a\\\"b.json\",\"line\":6,\"byte\":512,\"error\":\"no\\nvalue\",\
                        \"record\":\"{\\\"id\\\":\\t,}\\\\ \\u0001 \u{e9} \u{fffd}\"}\n";
        assert_eq!(json_line(&record("no\nvalue")), expected);
        let bare = BadRecord {
            file: None,
            line: None,
            byte: None,
            error: "x",
            record: None,
        };
        assert_eq!(json_line(&bare), "{\"error\":\"x\"}\n");
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
