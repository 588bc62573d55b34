//! Bags to files: lines of text, and JSON lines.
//!
//! Every partition writes files of its own into a directory that nobody sees yet; when all are
//! done, small neighbours are joined, the files are named in the order of the items, and the
//! directory gets its name. So the output is whole or not there, no file is empty, and reading the
//! files in the order of their names gives the items in their order.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flagstone_common::{Counter, Error, ErrorKind, Result};
use flagstone_graph::{Block, Execute, Footprint, Graph};
use flagstone_io::{AtomicDir, Compression, OutputOptions, PackedFile};
use serde::Serialize;

use crate::bag::Bag;
use crate::chain::{Flow, Run, Sink, Stage, Step};
use crate::ops::piece::{PIECE_BYTES, Piece};
use flagstone_exchange::Stored;

/// How text files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilesOptions {
    /// Gzip, zstd, or none; the files' names say so.
    pub compression: Compression,
    /// About how much text a file has, before compression.
    pub target_bytes: u64,
    /// Replace an existing output, and what becomes of an unfinished one.
    pub output: OutputOptions,
}

impl Default for FilesOptions {
    fn default() -> Self {
        FilesOptions {
            compression: Compression::None,
            target_bytes: 128 << 20,
            output: OutputOptions::default(),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesWritten {
    /// The files, in the order of their items.
    pub files: Vec<PathBuf>,
    /// How many items.
    pub rows: u64,
    /// What the files take on disk.
    pub bytes: u64,
}

impl<S: Stage> Bag<S> {
    /// Computes the bag and writes every item as a line of text, into files of even size in a
    /// directory that appears when all of them are complete.
    ///
    /// An item that has a line end in it is an error, since it would be read back as two.
    ///
    /// ```
    /// # use flagstone_bag::{Bag, FilesOptions};
    /// # use flagstone_graph::SerialExecutor;
    /// let dir = tempfile::tempdir()?;
    /// let out = dir.path().join("numbers");
    /// let lines = Bag::range(0..1000, 4).map(|n| n.to_string());
    /// let written = lines.to_textfiles(&SerialExecutor, &out, &FilesOptions::default())?;
    /// assert_eq!((written.rows, written.files), (1000, vec![out.join("part-00000.txt")]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// An output that exists, a disk that is full, and whatever computing meets.
    #[track_caller]
    pub fn to_textfiles(
        &self,
        executor: &(impl Execute + ?Sized),
        directory: impl AsRef<Path>,
        options: &FilesOptions,
    ) -> Result<FilesWritten>
    where
        for<'a> S::Item<'a>: AsRef<str>,
    {
        let encode = |item: S::Item<'_>, out: &mut Piece| {
            let text = item.as_ref();
            if text.contains('\n') || text.ends_with('\r') {
                return Err("the text has a line end in it, and would be read as two".to_owned());
            }
            out.write_all(text.as_bytes())
                .map_err(|error| error.to_string())
        };
        self.write_files(
            executor,
            directory.as_ref(),
            options,
            "to_textfiles",
            "txt",
            encode,
        )
    }

    /// Computes the bag and writes every item as a line of JSON, as [`Bag::to_textfiles`] does.
    ///
    /// ```
    /// # use flagstone_bag::Bag;
    /// # use flagstone_graph::SerialExecutor;
    /// use flagstone_bag::FilesOptions;
    /// let dir = tempfile::tempdir()?;
    /// let out = dir.path().join("out");
    /// Bag::range(0..2, 1).to_json(&SerialExecutor, &out, &FilesOptions::default())?;
    /// assert_eq!(std::fs::read_dir(&out)?.count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// An item that cannot be JSON, and those of `to_textfiles`.
    #[track_caller]
    pub fn to_json(
        &self,
        executor: &(impl Execute + ?Sized),
        directory: impl AsRef<Path>,
        options: &FilesOptions,
    ) -> Result<FilesWritten>
    where
        for<'a> S::Item<'a>: Serialize,
    {
        let encode = |item: S::Item<'_>, out: &mut Piece| {
            serde_json::to_writer(out, &item).map_err(|error| error.to_string())
        };
        self.write_files(
            executor,
            directory.as_ref(),
            options,
            "to_json",
            "json",
            encode,
        )
    }

    #[track_caller]
    fn write_files<F>(
        &self,
        executor: &(impl Execute + ?Sized),
        directory: &Path,
        options: &FilesOptions,
        name: &'static str,
        extension: &'static str,
        encode: F,
    ) -> Result<FilesWritten>
    where
        F: for<'a> Fn(S::Item<'a>, &mut Piece) -> std::result::Result<(), String>
            + Send
            + Sync
            + 'static,
    {
        let step = Step {
            name,
            location: Location::caller(),
        };
        PackedFile::check(options.compression, directory)?;
        // before anything runs: nobody computes for an hour to learn that the output exists
        let output = AtomicDir::create(directory, options.output)?;
        let mut graph = Graph::new();
        let writing = Writing {
            encode,
            directory: output.path().to_owned(),
            options: *options,
            step,
        };
        let layer = self.lower_into(&mut graph, Arc::new(writing))?;
        let blocks = executor
            .execute(&graph, &[layer])?
            .pop()
            .unwrap_or_default();
        let mut parts = Vec::new();
        for block in &blocks {
            let written = block.downcast_ref::<Stored<Vec<Part>>>();
            let written = written.ok_or_else(|| Error::invalid("not the block of a sink"))?;
            parts.extend_from_slice(&written.value);
        }
        let extension = match options.compression {
            Compression::Gzip => format!("{extension}.gz"),
            Compression::Zstd => format!("{extension}.zst"),
            _ => extension.to_owned(),
        };
        let names = join_parts(output.path(), &parts, options.target_bytes, &extension)?;
        let bytes = names.iter().map(|name| {
            let path = output.path().join(name);
            fs::metadata(&path).map_or(0, |metadata| metadata.len())
        });
        let bytes = bytes.sum();
        let target = output.target().to_owned();
        output.commit()?;
        Ok(FilesWritten {
            files: names.into_iter().map(|name| target.join(name)).collect(),
            rows: parts.iter().map(|(_, rows, _)| rows).sum(),
            bytes,
        })
    }
}

/// A file of a partition: its name, its rows, and its bytes before compression.
type Part = (String, u64, u64);

struct Writing<F> {
    encode: F,
    directory: PathBuf,
    options: FilesOptions,
    step: Step,
}

/// The files of a partition so far, and what is not yet in one of them.
pub(crate) struct Files {
    parts: Vec<Part>,
    open: Option<(String, PackedFile)>,
    /// Rows of the open file, and of the piece.
    rows: u64,
    disk_bytes: u64,
    piece: Piece,
}

impl Files {
    /// Ends the open file.
    fn close(&mut self) -> Result<()> {
        if let Some((name, file)) = self.open.take() {
            let bytes = file.bytes();
            self.disk_bytes += file.finish()?;
            let rows = std::mem::take(&mut self.rows);
            self.parts.push((name, rows, bytes));
        }
        Ok(())
    }
}

impl<F> Writing<F> {
    /// Writes the piece; a file that is long enough ends with it.
    fn write(&self, files: &mut Files, run: &Run<'_>) -> Result<()> {
        if files.piece.bytes().is_empty() {
            return Ok(());
        }
        let (_, file) = match &mut files.open {
            Some(open) => open,
            none => {
                let name = format!(".{:05}-{:05}", run.partition(), files.parts.len());
                let path = self.directory.join(&name);
                let memory = run.ctx().memory();
                let file = PackedFile::create(&path, self.options.compression, memory);
                none.insert((name, file?))
            }
        };
        file.write(files.piece.bytes())?;
        files.piece.clear();
        if file.bytes() >= self.options.target_bytes {
            files.close()?;
        }
        run.ctx().check_cancelled()
    }
}

/// Joins neighbours that are small together, and names the files in their order.
fn join_parts(
    directory: &Path,
    parts: &[Part],
    target_bytes: u64,
    extension: &str,
) -> Result<Vec<String>> {
    let mut joined: Vec<(PathBuf, u64)> = Vec::new();
    for (name, _, bytes) in parts {
        let path = directory.join(name);
        match joined.last_mut() {
            // every format's reader reads on where another file of it was appended
            Some((last, filled)) if *filled + bytes <= target_bytes => {
                append(last, &path).map_err(|error| file_error(&path, &error))?;
                *filled += bytes;
            }
            _ => joined.push((path, *bytes)),
        }
    }
    let mut names = Vec::new();
    for (number, (path, _)) in joined.into_iter().enumerate() {
        let name = format!("part-{number:05}.{extension}");
        let named = fs::rename(&path, directory.join(&name));
        named.map_err(|error| file_error(&path, &error))?;
        names.push(name);
    }
    Ok(names)
}

fn append(to: &Path, from: &Path) -> io::Result<()> {
    let mut to = OpenOptions::new().append(true).open(to)?;
    let mut part = File::open(from)?;
    // where the system copies it does not go on by itself; both files know how far it came
    while let Err(error) = io::copy(&mut part, &mut to) {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    fs::remove_file(from)
}

fn file_error(path: &Path, error: &io::Error) -> Error {
    let message = format!(
        "cannot put the output together at {}: {error}",
        path.display()
    );
    Error::new(ErrorKind::of_io(error.kind()), message)
}

impl<S, F> Sink<S> for Arc<Writing<F>>
where
    S: Stage,
    F: for<'a> Fn(S::Item<'a>, &mut Piece) -> std::result::Result<(), String>
        + Send
        + Sync
        + 'static,
{
    type State = Files;

    fn step(&self) -> Step {
        self.step
    }

    fn start(&self, run: &Run<'_>) -> Result<Files> {
        Ok(Files {
            parts: Vec::new(),
            open: None,
            rows: 0,
            disk_bytes: 0,
            piece: Piece::new(run.ctx())?,
        })
    }

    fn push(&self, files: &mut Files, item: S::Item<'_>, run: &Run<'_>) -> Flow {
        let encoded = (self.encode)(item, &mut files.piece);
        let encoded = encoded.and_then(|()| files.piece.end_line());
        if let Err(what) = encoded {
            if let Some(needs) = files.piece.refused() {
                let place = run.place();
                let message = format!("{} had no room for {place}: {needs}", self.step.name);
                return Err(Error::needs_memory(needs).with_message(message).into());
            }
            let message = format!("{} failed on {}: {what}", self.step.name, run.place());
            let error = Error::failed(message).with_location(self.step.location);
            return Err(error.into());
        }
        files.rows += 1;
        if files.piece.bytes().len() >= PIECE_BYTES {
            self.write(files, run)?;
        }
        Ok(())
    }

    fn finish(&self, mut files: Files, run: &Run<'_>) -> Result<Block> {
        self.write(&mut files, run)?;
        files.close()?;
        let rows = files.parts.iter().map(|(_, rows, _)| rows).sum();
        run.ctx().count(Counter::RowsOut, rows);
        run.ctx().count(Counter::BytesWritten, files.disk_bytes);
        let heap = files.parts.len() as u64 * (size_of::<Part>() as u64 + 64);
        Ok(Stored::block(files.parts, heap))
    }

    fn output(&self) -> Footprint {
        let packing = match self.options.compression {
            Compression::Zstd => 7 << 20,
            _ => 512 << 10,
        };
        Footprint::estimated(1 << 10).with_scratch(packing)
    }
}
