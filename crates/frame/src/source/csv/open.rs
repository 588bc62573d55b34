//! From files of delimited text to a source: their heads propose the columns.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use flagstone_common::{Error, Result, TaskContext};
use flagstone_graph::{Block, Deps, Execute, Footprint, Graph, Inputs, IoBytes, Layer};
use flagstone_io::{
    ByteOrder, ByteRange, Compression, DecompressingReader, InputFile, Io, ReadOptions,
};

use super::look::{Head, Look, Seen, look};
use super::sniff::{Sniffed, sniff};
use super::{CsvOptions, CsvSource, Sniff};
use crate::csv::ends::CARRIAGE_RETURN;
use crate::json::Mixing;
use crate::schema::kind::Kind;
use crate::source::open::{HEADS_MAX, Mixed, partition};

/// All heads together are about this long.
const SAMPLE_BYTES: u64 = 64 << 20;
/// The head of a file is not longer than this, unless its first record is.
const HEAD_BYTES: u64 = 512 << 10;
/// A first record that is longer than this is none.
const FIRST_RECORD_BYTES_MAX: usize = 64 << 20;

/// Lists nothing, reads the heads: the source of some files.
pub(crate) fn open(
    files: &[InputFile],
    options: &CsvOptions,
    execute: &dyn Execute,
) -> Result<CsvSource> {
    let Sniffed {
        ref options,
        mut notes,
    } = sniffed(files, options, execute)?;
    let (mut all, mut mixed) = (None::<(Vec<(String, Kind)>, Mixing)>, Mixed::new());
    let mut returns = HashSet::new();
    for (file, block) in sample(files, options, execute)? {
        let Some(Some(seen)) = block.value_ref::<Option<Seen>>() else {
            continue;
        };
        let Seen {
            columns: seen,
            mut mixing,
            line_end,
            notes: told,
        } = seen.clone();
        for note in told {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if line_end == CARRIAGE_RETURN {
            returns.insert(file.shared_path());
        }
        let (columns, known) = all.get_or_insert_with(|| (nulls(&seen), Mixing::default()));
        let same =
            columns.len() == seen.len() && columns.iter().zip(&seen).all(|(a, b)| a.0 == b.0);
        if !same {
            return Err(other_columns(file.path(), &seen, columns));
        }
        let before = Kind::Struct(columns.clone());
        known.file(&before, &Kind::Struct(seen.clone()), &mut mixing);
        for ((_, known), (_, kind)) in columns.iter_mut().zip(seen) {
            known.merge(kind);
        }
        // a type that is given is no surprise
        mixing
            .columns
            .retain(|w| options.given_type(&w.path).is_none());
        if !mixing.columns.is_empty() {
            mixed.insert(file.path().to_owned(), mixing.columns);
        }
    }
    let mut columns = all.map(|(columns, _)| columns).unwrap_or_default();
    for (name, kind) in &mut columns {
        if let Some(given) = options.given_type(name) {
            *kind = Kind::nearest_of_text(given);
        }
    }
    let known: HashSet<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let mut given = options.types.iter();
    if let Some((unknown, _)) = given.find(|(name, _)| !known.contains(name.as_str())) {
        let columns: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!(
            "a type is given for the column {unknown:?}, which is not there: {}",
            listed(&columns)
        );
        return Err(Error::invalid(message));
    }
    let partitions = Arc::new(partition(files));
    let found = super::Found { returns, notes };
    Ok(CsvSource::new(
        partitions,
        columns,
        mixed,
        found,
        options.clone(),
    ))
}

/// The options with what they leave open found in the head of the first file.
fn sniffed(files: &[InputFile], options: &CsvOptions, execute: &dyn Execute) -> Result<Sniffed> {
    let first = files.iter().find(|file| !file.is_empty());
    if let Some(first) = first.filter(|_| options.sniff.any()) {
        let blocks = sample(std::slice::from_ref(first), options, execute)?;
        let found = blocks
            .first()
            .and_then(|(_, block)| block.value_ref::<Sniffed>());
        if let Some(found) = found {
            return Ok(found.clone());
        }
    }
    let mut options = options.clone();
    options.sniff = Sniff::default();
    Ok(Sniffed {
        options,
        notes: Vec::new(),
    })
}

/// The columns with nothing seen in them.
fn nulls(columns: &[(String, Kind)]) -> Vec<(String, Kind)> {
    let null = |(name, _): &(String, Kind)| (name.clone(), Kind::Null);
    columns.iter().map(null).collect()
}

fn other_columns(path: &Path, seen: &[(String, Kind)], columns: &[(String, Kind)]) -> Error {
    const SHOWN: usize = 20;
    let names = |columns: &[(String, Kind)]| {
        let shown = columns.iter().take(SHOWN).map(|(name, _)| name.as_str());
        let shown = shown.collect::<Vec<_>>().join(", ");
        match columns.len().saturating_sub(SHOWN) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    };
    Error::invalid(format!(
        "{} has other columns ({}) than the files before it ({}): read them as frames of their own",
        path.display(),
        names(seen),
        names(columns)
    ))
}

/// What the heads of all files that are not empty show.
fn sample(
    files: &[InputFile],
    options: &CsvOptions,
    execute: &dyn Execute,
) -> Result<Vec<(InputFile, Block)>> {
    let files: Vec<InputFile> = files
        .iter()
        .filter(|file| !file.is_empty())
        .cloned()
        .collect();
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let head_bytes = (SAMPLE_BYTES / files.len() as u64).clamp(16 << 10, HEAD_BYTES);
    let mut heads = Vec::with_capacity(files.len());
    for files in files.chunks(HEADS_MAX) {
        let mut graph = Graph::new();
        let sample = SampleLayer {
            files: files.to_vec(),
            head_bytes,
            options: options.clone(),
        };
        let layer = graph.push(sample, &[]);
        let blocks = execute.execute(&graph, &[layer])?;
        heads.extend(files.iter().cloned().zip(blocks.into_iter().flatten()));
    }
    Ok(heads)
}

/// How long the mark at the start of a text is.
fn without_mark(head: &[u8], path: &Path) -> Result<usize> {
    if ByteOrder::of_mark(head).is_some() {
        let message = "this is UTF-16 text; convert it to UTF-8 first, for example with iconv -f \
                       UTF-16 -t UTF-8";
        return Err(Error::failed(format!("{}:1: {message}", path.display())));
    }
    let mark = b"\xef\xbb\xbf";
    Ok(if head.starts_with(mark) {
        mark.len()
    } else {
        0
    })
}

struct SampleLayer {
    files: Vec<InputFile>,
    head_bytes: u64,
    options: CsvOptions,
}

impl SampleLayer {
    /// What reading heads takes is what a reader of such blocks takes.
    fn reading(&self) -> ReadOptions {
        ReadOptions {
            block_bytes: self.head_bytes as usize,
            whole_file_bytes: 0,
            ..ReadOptions::default()
        }
    }
}

impl Layer for SampleLayer {
    fn name(&self) -> &str {
        "sample-csv"
    }

    fn task_count(&self) -> u32 {
        self.files.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        let range = ByteRange::whole(self.files[task as usize].clone());
        let reader = self.reading().lease_bytes_max(&range);
        Footprint::bounded(1 << 16)
            .with_scratch(reader + self.head_bytes + (2 << 20))
            .resident()
    }

    fn assumption(&self) -> Option<String> {
        Some("no record is longer than 1 MiB".into())
    }

    fn run(&self, task: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let file = &self.files[task as usize];
        // what is looked at here is counted when it is read
        let io = Io::of_task(ctx).uncounted();
        let mut reader = DecompressingReader::open(file, &io)?;
        let (mut text, mut filled) = (Vec::<u8>::new(), 0);
        let mut lease = ctx.reserve(0)?;
        let mut wanted = self.head_bytes as usize;
        if file.compression() == Compression::None && file.len() < self.head_bytes {
            // one more, so that its end is seen
            wanted = file.len() as usize + 1;
        }
        loop {
            // both are here while it grows; and then the kinds of its values
            lease.ensure((text.len() + 5 * wanted) as u64)?;
            text.resize(wanted, 0);
            while filled < wanted {
                ctx.check_cancelled()?;
                match reader.read_bytes(&mut text[filled..])? {
                    0 => break,
                    read => filled += read,
                }
            }
            let is_whole = filled < wanted;
            let mark = without_mark(&text[..filled], file.path())?;
            let head = Head {
                text: &text[mark..filled],
                offset: mark as u64,
                is_whole,
                path: file.path(),
            };
            if self.options.sniff.any() {
                return Ok(Block::value(sniff(&head, &self.options, ctx.memory())?));
            }
            match look(&head, &self.options, ctx.memory())? {
                Look::Seen(seen) => return Ok(Block::value(Some(seen))),
                Look::Nothing if is_whole => return Ok(Block::value(None::<Seen>)),
                _ if filled >= FIRST_RECORD_BYTES_MAX => {
                    let limit = flagstone_common::format_bytes(FIRST_RECORD_BYTES_MAX as u64);
                    return Err(Error::failed(format!(
                        "{}:1: the first record does not end within {limit}: is a quote in it not \
                         closed?",
                        file.path().display()
                    )));
                }
                // blank lines, or a record that goes on: looked at again when there is twice as much
                Look::Nothing | Look::Open => wanted = 2 * filled,
            }
        }
    }

    fn io_bytes(&self, _: u32) -> IoBytes {
        // it is read again, and counted then
        IoBytes::default()
    }
}

/// The columns that there are, or the first of them.
fn listed(columns: &[&str]) -> String {
    const SHOWN: usize = 20;
    let shown = columns[..columns.len().min(SHOWN)].join(", ");
    match columns.len().checked_sub(SHOWN) {
        None | Some(0) => format!("there are {shown}"),
        Some(more) => format!("there are {shown} and {more} more"),
    }
}
