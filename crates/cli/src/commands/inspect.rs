//! `flagstone inspect`: what a file is, from as little of it as possible.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use flagstone::arrow::datatypes::{DataType, Field, Schema};
use flagstone::{
    ArrayFormat, BadRecords, DataFrame, InputFormat, Output, RowFormat, Session, format_bytes,
    format_count, inspect_arrow_with, inspect_npy, inspect_parquet_with, inspect_zarr, pattern_of,
    zarr_members,
};

use crate::args::Inspect;
use crate::commands::reading;
use crate::out::{escaped, print};
use crate::run::{Failure, reason, say};
use crate::signals;

pub(crate) fn run(args: &Inspect) -> Result<(), Failure> {
    let path = Path::new(&args.path);
    // what is said is not looked for
    let is_open = args.reading.from.is_none();
    if is_open && is_npy(path) {
        check_plain(args, "npy")?;
        return npy(path);
    }
    let is_directory = is_open && is_directory(path)?;
    if is_directory && ArrayFormat::of(path) == ArrayFormat::Zarr {
        check_plain(args, "Zarr")?;
        return zarr(path);
    }
    if is_directory {
        return directory(path, args);
    }
    if is_open && is_arrow(path) {
        return arrow(args, &[path.to_owned()]);
    }
    let inputs = std::slice::from_ref(&args.path);
    let format = reading::format(inputs, &args.reading)?;
    records(args, &args.path, inputs, format)
}

/// Files of records: what their footers or heads show, and with --full all rows.
fn records(
    args: &Inspect,
    called: &str,
    inputs: &[String],
    format: InputFormat,
) -> Result<(), Failure> {
    let session = session(args)?;
    let all = args
        .full
        .then(|| reading::frame(inputs, &args.reading, format, BadRecords::Skip));
    if let Some(all) = &all {
        // what all of it needs, before anything is shown
        all.check_summary_with(&session)?;
    }
    match format {
        InputFormat::Parquet => {
            let files: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
            parquet(&session, &files)?;
        }
        format => sampled(called, inputs, args, &session, format)?,
    }
    all.map_or(Ok(()), |all| full(&session, &all))
}

/// Flags that are about records mean nothing for files of another kind.
fn check_plain(args: &Inspect, what: &str) -> Result<(), Failure> {
    let flag = match reading::csv_flag(&args.reading) {
        Some(flag) => format!("{flag} is for CSV and TSV input"),
        None if args.full => "--full reads the rows of JSON, CSV, TSV and Parquet".to_owned(),
        None => return Ok(()),
    };
    let message = format!("{flag}, and {} is {what}: leave it out", args.path);
    Err(Failure::Usage(message))
}

/// How a file begins; nothing where there is none, or where looking at it would wait for somebody.
fn head(path: &Path) -> Option<[u8; 6]> {
    if !std::fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return None;
    }
    let mut head = [0; 6];
    let mut file = std::fs::File::open(path).ok()?;
    std::io::Read::read_exact(&mut file, &mut head).ok()?;
    Some(head)
}

fn is_npy(path: &Path) -> bool {
    let extension = path.extension();
    extension.is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
        || head(path).is_some_and(|head| head == *b"\x93NUMPY")
}

/// Whether files are called as Arrow files are, or begin so.
fn is_arrow(path: &Path) -> bool {
    let is_named = match Output::of_name(path) {
        Some(Output::Rows(rows)) => rows.format == RowFormat::Arrow,
        _ => false,
    };
    is_named || head(path).is_some_and(|head| head == *b"ARROW1")
}

/// Whether there is a directory; no directory if there is nothing, such as a pattern.
fn is_directory(path: &Path) -> Result<bool, Failure> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(found.is_dir()),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
                Ok(false)
            }
            _ => Err(unreadable(path, &error)),
        },
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let reason = reason(error);
    Failure::Other(format!("cannot read {}: {reason}", path.display()))
}

/// What footers, heads and, with --full, all rows are read in.
fn session(args: &Inspect) -> Result<Session, Failure> {
    let mut builder = Session::builder().cancel_token(signals::token()?);
    if let Some(bytes) = args.memory {
        builder = builder.memory_bytes(bytes);
    }
    Ok(builder.build()?)
}

/// What `--full` adds: all rows are read.
fn full(session: &Session, frame: &DataFrame) -> Result<(), Failure> {
    const SHOWN: usize = 60;
    let summary = frame.summary_with(session)?;
    let mut out = format!("all {}:\n", format_count(summary.rows, "row"));
    let short = |text: &str| {
        let text = escaped(text);
        match text.char_indices().nth(SHOWN) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    };
    for column in &summary.columns {
        let range = match &column.range {
            Some((least, most)) => format!(", {} to {}", short(least), short(most)),
            None => String::new(),
        };
        let nulls = format_count(column.nulls, "null");
        let _ = writeln!(
            out,
            "  {}: {}, {nulls}{range}",
            escaped(&column.name),
            column.data_type
        );
    }
    print(format_args!("{out}"))?;
    let stats = session.stats();
    for (source, quality) in &stats.sources {
        if quality.skipped > 0 {
            say(format_args!("{source}: {quality}"));
        }
    }
    Ok(())
}

fn npy(path: &Path) -> Result<(), Failure> {
    let info = inspect_npy(path)?;
    let order = if info.fortran_order { "Fortran" } else { "C" };
    print(format_args!(
        "{}: npy\ndtype     {}\nshape     {:?}\norder     {order}\ndata      {}\n",
        path.display(),
        info.descr,
        info.shape,
        format_bytes(info.data_bytes)
    ))
}

/// An array, or the arrays of a group.
fn zarr(path: &Path) -> Result<(), Failure> {
    let members = zarr_members(path);
    if !members.is_empty() {
        return print(format_args!(
            "{}: Zarr group\nmembers   {}\n",
            path.display(),
            members.join(", ")
        ));
    }
    let info = inspect_zarr(path)?;
    let mut lines = format!(
        "{}: Zarr v{}\ndtype     {}\nshape     {:?}\nchunks    {:?}\n",
        path.display(),
        info.version,
        info.dtype,
        info.shape,
        info.chunks
    );
    if let Some(shards) = &info.shards {
        lines.push_str(&format!("shards    {shards:?}\n"));
    }
    let codecs = match info.codecs.is_empty() {
        true => "none".to_owned(),
        false => info.codecs.join(", "),
    };
    let elements: u64 = info.shape.iter().map(|&length| length as u64).product();
    lines.push_str(&format!(
        "files     {} at most\ncodecs    {codecs}\nfill      {}\ndata      {} uncompressed\n",
        info.file_count,
        info.fill_value,
        format_bytes(elements * info.dtype.size() as u64)
    ));
    print(format_args!("{lines}"))
}

/// The files of a directory as one collection: what `convert` writes, or a mess of others.
fn directory(path: &Path, args: &Inspect) -> Result<(), Failure> {
    let reading = &args.reading;
    let failed = |error| {
        let reason = reason(&error);
        Failure::Other(format!("cannot list {}: {reason}", path.display()))
    };
    // files by the format that their names say; others, such as a README, stand aside
    let (mut formats, mut others) = (Vec::<(Kind, Vec<PathBuf>)>::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        // through links, as reading them goes
        let is_file = match std::fs::metadata(&entry) {
            Ok(meta) => meta.is_file(),
            // a link to nothing
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(unreadable(&entry, &error)),
        };
        if !is_file || name.starts_with(['.', '_']) {
            continue;
        }
        let kind = match InputFormat::of_name(&entry) {
            None if is_arrow(&entry) => Some(Kind::Arrow),
            format => format.map(Kind::Records),
        };
        match kind {
            None => others.push(entry),
            Some(kind) => match formats.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, files)) => files.push(entry),
                None => formats.push((kind, vec![entry])),
            },
        }
    }
    let mut files = match formats.as_mut_slice() {
        [] => others,
        [(_, files)] => std::mem::take(files),
        _ => {
            let kinds = formats.iter().map(|(kind, files)| {
                let count = format_count(files.len() as u64, "file");
                match kind {
                    Kind::Records(format) => format!("{count} of {format:?}"),
                    Kind::Arrow => format!("{count} of Arrow"),
                }
            });
            return Err(Failure::Other(format!(
                "{} holds files of several formats ({}): name those of one, such as '{}/*.json'",
                path.display(),
                kinds.collect::<Vec<_>>().join(", "),
                pattern_of(path)
            )));
        }
    };
    if files.is_empty() {
        return Err(Failure::Other(format!(
            "{} holds no files: name those that are below it",
            path.display()
        )));
    }
    files.sort();
    let inputs: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    match formats.as_slice() {
        [(Kind::Arrow, _)] => return arrow(args, &files),
        [(Kind::Records(InputFormat::Parquet), _)] => {
            return records(args, &args.path, &inputs, InputFormat::Parquet);
        }
        _ => {}
    }
    let format = reading::format(&inputs, reading)?;
    records(args, &path.display().to_string(), &inputs, format)
}

/// What the files of a directory are, as their names say.
#[derive(PartialEq)]
enum Kind {
    Records(InputFormat),
    Arrow,
}

fn arrow(args: &Inspect, files: &[PathBuf]) -> Result<(), Failure> {
    check_plain(args, "Arrow")?;
    let info = inspect_arrow_with(files, &session(args)?)?;
    print(format_args!(
        "Arrow: {}, {}, {}, {}\ncodecs    {}\n{}",
        format_count(info.files as u64, "file"),
        batches(info.batches),
        format_count(info.rows, "row"),
        format_bytes(info.bytes),
        info.codecs.join(", "),
        tree(&info.schema)
    ))
}

fn batches(count: usize) -> String {
    match count {
        1 => "1 batch".to_owned(),
        count => format!("{count} batches"),
    }
}

fn parquet(session: &Session, patterns: &[PathBuf]) -> Result<(), Failure> {
    let info = inspect_parquet_with(patterns, session)?;
    print(format_args!(
        "Parquet: {}, {}, {}, {} ({} uncompressed)\ncodecs    {}\n{}",
        format_count(info.files as u64, "file"),
        format_count(info.row_groups as u64, "row group"),
        format_count(info.rows as u64, "row"),
        format_bytes(info.bytes),
        format_bytes(info.uncompressed_bytes),
        info.codecs.join(", "),
        tree(&info.schema)
    ))
}

/// Text files: their sizes, and the schema that their heads show.
fn sampled(
    called: &str,
    inputs: &[String],
    args: &Inspect,
    session: &Session,
    format: InputFormat,
) -> Result<(), Failure> {
    let reading = &args.reading;
    let frame = reading::frame(inputs, reading, format, BadRecords::Fail);
    let schema = match args.full {
        // a run follows, which says what all of it needs
        true => frame.planned_schema_with(session)?,
        false => frame.schema_with(session)?,
    };
    let files = flagstone::list_files(inputs)?;
    let bytes: u64 = files.iter().map(|(_, len)| len).sum();
    print(format_args!(
        "{called}: {}, {}\ncolumns, as far as the heads of the files show them:\n{}",
        format_count(files.len() as u64, "file"),
        format_bytes(bytes),
        tree(&schema)
    ))?;
    for note in frame.notes_with(session)? {
        reading::say_note(&note);
    }
    if format != InputFormat::Json {
        reading::warn_of_one_column(reading, &schema);
    }
    Ok(())
}

/// A line a field, members below their structs.
fn tree(schema: &Schema) -> String {
    let mut out = String::new();
    for field in schema.fields() {
        branch(&mut out, field, 1);
    }
    out
}

fn branch(out: &mut String, field: &Field, depth: usize) {
    let (mut data_type, mut lists) = (field.data_type(), String::new());
    while let DataType::List(item) = data_type {
        lists.push_str("list of ");
        data_type = item.data_type();
    }
    let pad = "  ".repeat(depth);
    // a `String` takes whatever is written to it
    let _ = match data_type {
        DataType::Struct(_) => writeln!(out, "{pad}{}: {lists}struct", escaped(field.name())),
        other => writeln!(out, "{pad}{}: {lists}{other}", escaped(field.name())),
    };
    if let DataType::Struct(fields) = data_type {
        for field in fields {
            branch(out, field, depth + 1);
        }
    }
}
