//! What format files have: by their names, and where these do not say, by their heads.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flagstone_common::{Error, Fault, Memory, Result, Unlimited};
use flagstone_io::{
    BlockReader, ByteRange, InputFile, IntoPaths, Io, LineLimit, ReadOptions, expand,
};

use crate::csv::ends::LINE_FEED;
use crate::csv::split::{Format, Record, Splitter};
use crate::error::file_error;
use crate::json::Sampler;
use crate::schema::kind::Kind;

/// The formats that frames are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFormat {
    /// JSON lines.
    Json,
    /// Comma-separated text.
    Csv,
    /// Tab-separated text.
    Tsv,
    /// Parquet.
    Parquet,
}

/// How much of a file is looked at.
const HEAD_BYTES: usize = 64 << 10;

impl InputFormat {
    /// The format that a file's name says, behind the extension of a compressed file.
    ///
    /// ```
    /// use flagstone_frame::InputFormat;
    /// assert_eq!(InputFormat::of_name("a.json.gz"), Some(InputFormat::Json));
    /// assert_eq!(InputFormat::of_name("a"), None);
    /// ```
    pub fn of_name(name: impl AsRef<Path>) -> Option<InputFormat> {
        let name = name.as_ref().file_name()?.to_str()?.to_ascii_lowercase();
        let plain = [".gz", ".zst", ".bz2", ".xz"]
            .iter()
            .find_map(|extension| name.strip_suffix(extension))
            .unwrap_or(&name);
        match Path::new(plain).extension()?.to_str()? {
            "json" | "jsonl" | "ndjson" => Some(InputFormat::Json),
            "csv" => Some(InputFormat::Csv),
            "tsv" | "tab" => Some(InputFormat::Tsv),
            "parquet" => Some(InputFormat::Parquet),
            _ => None,
        }
    }

    /// The format of the files that patterns name: what the patterns say (`*.json.gz`), what the
    /// names of the files say (`logs/*.gz`), what the heads of the files show.
    ///
    /// ```
    /// use flagstone_frame::InputFormat;
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("data"), "{\"a\":1}\n")?;
    /// assert_eq!(InputFormat::detect(dir.path().join("data"))?, InputFormat::Json);
    /// assert_eq!(InputFormat::detect("*.csv.gz")?, InputFormat::Csv);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Files that cannot be found or read, and those of formats that are known and not read (Arrow, npy);
    /// files of different formats, and a file that shows none:
    /// these two have the kind `Invalid`.
    pub fn detect(patterns: impl IntoPaths) -> Result<InputFormat> {
        let mut found: Option<(InputFormat, String)> = None;
        let mut add = |format: InputFormat, name: &Path| {
            let name = name.display().to_string();
            match &found {
                Some((known, first)) if *known != format => Err(Error::invalid(format!(
                    "{name} and {first} have different formats: convert them one format at a time"
                ))),
                Some(_) => Ok(()),
                None => {
                    found = Some((format, name));
                    Ok(())
                }
            }
        };
        for pattern in &patterns.into_paths() {
            if let Some(format) = InputFormat::of_name(pattern) {
                add(format, pattern)?;
                continue;
            }
            for file in expand([pattern])? {
                let format = match InputFormat::of_name(file.path()) {
                    Some(format) => Some(format),
                    None if file.is_empty() => continue,
                    None => of_head(&file)?,
                };
                let Some(format) = format else {
                    return Err(Error::invalid(format!(
                        "neither the name nor the head of {} says its format: name it (json, csv, \
                         tsv or parquet)",
                        file.path().display()
                    )));
                };
                add(format, file.path())?;
            }
        }
        found
            .map(|(format, _)| format)
            .ok_or_else(|| Error::invalid("no input has a format: name it"))
    }
}

fn of_head(file: &InputFile) -> Result<Option<InputFormat>> {
    let mut magic = [0; 6];
    let failed = |error| file_error("read", file.path(), error);
    let mut raw = File::open(file.path()).map_err(failed)?;
    if raw.read_exact(&mut magic).is_ok() {
        if magic.starts_with(b"PAR1") {
            return Ok(Some(InputFormat::Parquet));
        }
        if let Some(what) = not_read(&magic) {
            let message = format!("{} is {what}", file.path().display());
            return Err(Error::new(flagstone_common::ErrorKind::Failed, message));
        }
    }
    // one head at a time: a constant that the session's own charge covers
    let memory = Unlimited::new();
    let options = ReadOptions {
        block_bytes: HEAD_BYTES,
        whole_file_bytes: 0,
        line_limit: LineLimit::Fail(16 * HEAD_BYTES as u64),
        ..ReadOptions::default()
    };
    let io = Io::new(&memory);
    let range = ByteRange::whole(file.clone());
    let mut reader = BlockReader::open(&range, &options, &io)?;
    match reader.next_block() {
        Ok(block) => block.map_or(Ok(None), |block| of_text(block.bytes, &memory)),
        Err(error) if error.fault() == Some(Fault::LineTooLong) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Files that are known by how they begin, and that frames are not read from.
fn not_read(magic: &[u8; 6]) -> Option<&'static str> {
    match magic {
        b"ARROW1" => Some(
            "an Arrow IPC file: these are written and inspected, and not read yet; write Parquet in \
             its place, or make it Parquet with pyarrow",
        ),
        [b'F', b'E', b'A', b'1', ..] => Some(
            "a Feather file of the first version, which is not read: make it Parquet with pyarrow",
        ),
        [0xff, 0xff, 0xff, 0xff, ..] => {
            Some("an Arrow stream, which is not read: make it Parquet with pyarrow")
        }
        b"\x93NUMPY" => Some("an npy file: it holds an array, and no records"),
        _ => None,
    }
}

fn of_text(head: &[u8], memory: &dyn Memory) -> Result<Option<InputFormat>> {
    let blank = |line: &&[u8]| line.trim_ascii().is_empty();
    let first = head.split(|&byte| byte == b'\n').find(|line| !blank(line));
    let Some(first) = first.filter(|line| std::str::from_utf8(line).is_ok()) else {
        return Ok(None);
    };
    if matches!(first.trim_ascii().first(), Some(b'{' | b'[')) {
        let kind = Sampler::default().kind_of(first);
        return Ok((kind != Kind::Null).then_some(InputFormat::Json));
    }
    for (delimiter, quote, format) in [
        (b'\t', None, InputFormat::Tsv),
        (b',', Some(b'"'), InputFormat::Csv),
    ] {
        let format_of = Format {
            delimiter,
            quote,
            escape: None,
            line_end: LINE_FEED,
            comment: None,
            trim: false,
        };
        if is_table(head, format_of, memory)? {
            return Ok(Some(format));
        }
    }
    Ok(None)
}

/// Whether there are several records, all of the same number of fields, and more than one.
fn is_table(head: &[u8], format: Format, memory: &dyn Memory) -> Result<bool> {
    let mut splitter = Splitter::new(memory)?;
    splitter.begin(head, format)?;
    let (mut fields, mut records) = (0, 0);
    while let Some(record) = splitter.next(head, format, fields.max(1))? {
        let Record::Fields {
            field_count,
            start,
            end,
        } = record
        else {
            break;
        };
        if head[start..end].trim_ascii().is_empty() {
            continue;
        }
        if records > 0 && field_count != fields {
            return Ok(false);
        }
        fields = field_count;
        records += 1;
    }
    Ok(fields > 1 && records > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_follow_from_names_behind_compression() {
        let formats = [
            ("a/2015-01-*.json.gz", Some(InputFormat::Json)),
            ("x.NDJSON.zst", Some(InputFormat::Json)),
            ("t.tsv", Some(InputFormat::Tsv)),
            ("t.csv.bz2", Some(InputFormat::Csv)),
            ("p.parquet", Some(InputFormat::Parquet)),
            ("noise", None),
            ("a.gz", None),
        ];
        for (name, format) in formats {
            assert_eq!(InputFormat::of_name(name), format, "{name}");
        }
        assert!(InputFormat::detect(["a.json", "b.csv"]).is_err());
    }

    #[test]
    fn heads_show_what_names_do_not_say() {
        for (text, format) in [
            ("\n{\"a\":1}\n{\"a\":2}\n", Some(InputFormat::Json)),
            ("[1,2]\n", Some(InputFormat::Json)),
            ("a,b\n1,\"x,y\"\n", Some(InputFormat::Csv)),
            ("a\tb\n1,5\t2\n", Some(InputFormat::Tsv)),
            ("[Sun Dec 04] [error] it failed, twice\n", None),
            ("plain words\nand more\n", None),
            ("a,b\n1,2,3\n", None),
            ("caf\u{e9}", None),
        ] {
            assert_eq!(
                of_text(text.as_bytes(), &Unlimited::new()).unwrap(),
                format,
                "{text}"
            );
        }
    }
}
