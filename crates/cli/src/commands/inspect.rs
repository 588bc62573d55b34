//! `flagstone inspect`: what a file is, from as little of it as possible.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use flagstone::arrow::datatypes::{DataType, Field, Schema};
use flagstone::{
    ArrayFormat, BadRecords, InputFormat, Session, format_bytes, format_count, inspect_npy,
    inspect_parquet_with, inspect_zarr, pattern_of, zarr_members,
};

use crate::args::Inspect;
use crate::commands::reading;
use crate::out::{escaped, print};
use crate::run::{Failure, reason, say};
use crate::signals;

pub(crate) fn run(args: &Inspect) -> Result<(), Failure> {
    let path = Path::new(&args.path);
    let is_npy = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
    if is_npy && args.reading.from.is_none() {
        if let Some(flag) = reading::csv_flag(&args.reading) {
            let message = format!("{flag} is for CSV and TSV input, and {} is npy", args.path);
            return Err(Failure::Usage(message));
        }
        return npy(path);
    }
    let is_directory = args.reading.from.is_none() && is_directory(path)?;
    if is_directory && ArrayFormat::of(path) == ArrayFormat::Zarr {
        return zarr(path);
    }
    if is_directory {
        return directory(path, args);
    }
    let inputs = std::slice::from_ref(&args.path);
    match reading::format(inputs, &args.reading)? {
        InputFormat::Parquet => {
            let session = session(args)?;
            parquet(&session, &[PathBuf::from(&args.path)])?;
            full(args, &session, inputs, InputFormat::Parquet)
        }
        format => {
            let session = session(args)?;
            sampled(&args.path, inputs, args, &session, format)?;
            full(args, &session, inputs, format)
        }
    }
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
fn full(
    args: &Inspect,
    session: &Session,
    inputs: &[String],
    format: InputFormat,
) -> Result<(), Failure> {
    const SHOWN: usize = 60;
    if !args.full {
        return Ok(());
    }
    let frame = reading::frame(inputs, &args.reading, format, BadRecords::Skip);
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
    let (mut formats, mut others) = (Vec::<(InputFormat, Vec<PathBuf>)>::new(), Vec::new());
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
        match InputFormat::of_name(&entry) {
            None => others.push(entry),
            Some(format) => match formats.iter_mut().find(|(known, _)| *known == format) {
                Some((_, files)) => files.push(entry),
                None => formats.push((format, vec![entry])),
            },
        }
    }
    let mut files = match formats.as_mut_slice() {
        [] => others,
        [(_, files)] => std::mem::take(files),
        _ => {
            let kinds = formats.iter().map(|(format, files)| {
                let count = format_count(files.len() as u64, "file");
                format!("{count} of {format:?}")
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
    let session = session(args)?;
    if let [(InputFormat::Parquet, _)] = formats.as_slice() {
        parquet(&session, &files)?;
        return full(args, &session, &inputs, InputFormat::Parquet);
    }
    let format = reading::format(&inputs, reading)?;
    sampled(&path.display().to_string(), &inputs, args, &session, format)?;
    full(args, &session, &inputs, format)
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
