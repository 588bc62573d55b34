//! A directory to run the program in, and what a run left there.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// What a screen holds: 24 lines of 80 characters.
const SCREEN: (usize, usize) = (24, 80);

/// One run that ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// What it said on standard error, without the tokens of keys: `(in the task multiply-7094e6[0])`.
    /// They differ from run to run.
    pub(crate) fn err_without_tokens(&self) -> String {
        let mut out = String::new();
        for word in self.err.split_inclusive(' ') {
            match (word.rsplit_once('-'), word.find('[')) {
                (Some((name, _)), Some(at)) if word.trim_end().ends_with("])") => {
                    out.push_str(name);
                    out.push_str(&word[at..]);
                }
                _ => out.push_str(word),
            }
        }
        out
    }

    /// The run ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self
    }

    /// The run ended with this code and a message of one screen that has all of these words.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "out: {}\nerr: {}",
            self.out,
            self.err
        );
        let rows: usize = self
            .err
            .lines()
            .map(|line| line.chars().count() / SCREEN.1 + 1)
            .sum();
        assert!((1..=SCREEN.0).contains(&rows), "{rows} rows:\n{}", self.err);
        assert!(
            !self.err.contains("RUST_BACKTRACE"),
            "a panic: {}",
            self.err
        );
        for word in words {
            assert!(
                self.err.contains(word),
                "{word:?} is missing in: {}",
                self.err
            );
        }
        self
    }
}

/// A directory that the program runs in.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Folder {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// `count` records, one a line: `{"id":0,"name":"n0","at":{"x":0.5}}`.
    pub(crate) fn records(&self, name: &str, count: usize) -> PathBuf {
        self.write(name, records(count))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flagstone"));
        command.args(arguments).current_dir(self.dir.path());
        // who asks for traces of panics gets more than what a user reads
        command.env_remove("RUST_BACKTRACE");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        finish(self.start(arguments))
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The names in the directory, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut names: Vec<_> = fs::read_dir(self.dir.path()).unwrap().map(name).collect();
        names.sort();
        names
    }

    /// Runs, and expects that it fails and leaves the directory as it was.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[&str], words: &[&str]) -> Ran {
        let before = self.names();
        let ran = self.run(arguments).failed(code, words);
        assert_eq!(self.names(), before, "{}", ran.err);
        ran
    }

    /// The rows that `inspect` counts in a directory of Parquet files.
    #[track_caller]
    pub(crate) fn rows(&self, name: &str) -> u64 {
        let out = self.run(&["inspect", name]).ok().out;
        let head = out.lines().next().unwrap_or_default();
        let words: Vec<_> = head.split_whitespace().collect();
        // "1 row," or "2 rows,", not "1 row group,"
        let is_rows = |word: &&str| matches!(word.trim_end_matches(','), "row" | "rows");
        let at = (words.iter().zip(words.iter().skip(1)))
            .position(|(word, next)| is_rows(word) && !next.starts_with("group"))
            .unwrap();
        words[at - 1].parse().unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }
}

/// Waits for a process, at most a minute: nothing may hang.
pub(crate) fn finish(mut child: Child) -> Ran {
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("the program hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn records(count: usize) -> String {
    (0..count)
        .map(|i| format!("{{\"id\":{i},\"name\":\"n{i}\",\"at\":{{\"x\":{i}.5}}}}\n"))
        .collect()
}

/// Bytes as a gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A square matrix of `f64` as npy: `a[i][j] = (i * 7 + j * 3 + seed) % 11`.
pub(crate) fn matrix(path: &Path, side: usize, seed: usize) {
    let mut header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({side}, {side}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = std::io::BufWriter::new(File::create(path).unwrap());
    file.write_all(b"\x93NUMPY\x01\x00").unwrap();
    file.write_all(&(header.len() as u16).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    for i in 0..side {
        for j in 0..side {
            let value = ((i * 7 + j * 3 + seed) % 11) as f64;
            file.write_all(&value.to_le_bytes()).unwrap();
        }
    }
    file.flush().unwrap();
}

/// The numbers from 0 on in this shape, of `f64` as npy.
pub(crate) fn npy(path: &Path, shape: &[usize]) {
    let lengths: String = shape.iter().map(|length| format!("{length},")).collect();
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({lengths}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    for i in 0..shape.iter().product() {
        bytes.extend((i as f64).to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}
