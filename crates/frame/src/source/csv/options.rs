//! How delimited text is read: what differs between the files that people call CSV.

use std::collections::HashSet;

use arrow::datatypes::DataType;
use encoding_rs::{Encoding, UTF_8};
use flagstone_common::{Error, Result};

use crate::csv::ends::LINE_FEED;
use crate::csv::split::Format;
use crate::source::bad::BadRecords;

/// How delimited text is read.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvOptions {
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields that hold delimiters, line ends or quotes (doubled there).
    pub quote: Option<u8>,
    /// A byte that takes the meaning from a quote after it, inside quotes.
    pub escape: Option<u8>,
    /// Whether the first record of each file names the columns.
    pub header: bool,
    /// The columns' names, instead of the header's.
    pub names: Option<Vec<String>>,
    /// The texts that stand for null.
    pub nulls: Vec<String>,
    /// Types of columns, instead of what their values look like. A value that is not of its
    /// column's type makes the record a bad one.
    pub types: Vec<(String, DataType)>,
    /// What of these is looked for in the head of the first file, instead of what is said here.
    pub sniff: Sniff,
    /// A byte that makes a line a comment when it begins with it.
    pub comment: Option<u8>,
    /// How many lines come before the header, or before the first record where there is none.
    pub skip_lines: u64,
    /// Whether spaces and tabs around fields, and around their quotes, are no part of them.
    pub trim: bool,
    /// The encoding of the text, as the Web calls it (`latin1`), instead of UTF-8: one in which every
    /// character is a byte.
    pub encoding: Option<String>,
    /// What happens to a record with too few or too many fields, or that cannot be read.
    pub bad_records: BadRecords,
}

/// What is looked for in the head of the first file. What is found is told: see
/// [`DataFrame::notes`](crate::DataFrame::notes), and the data-quality ledger of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sniff {
    /// The delimiter: a comma, a tab, a semicolon or a bar.
    pub delimiter: bool,
    /// The quote, or that there is none; and the escape.
    pub quote: bool,
    /// Whether the first record names the columns.
    pub header: bool,
}

impl Sniff {
    /// All of them.
    pub const ALL: Sniff = Sniff {
        delimiter: true,
        quote: true,
        header: true,
    };

    pub(crate) fn any(self) -> bool {
        self.delimiter || self.quote || self.header
    }
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            header: true,
            names: None,
            nulls: vec![String::new()],
            types: Vec::new(),
            sniff: Sniff::default(),
            comment: None,
            skip_lines: 0,
            trim: false,
            encoding: None,
            bad_records: BadRecords::Fail,
        }
    }
}

impl CsvOptions {
    /// Commas, double quotes, a header.
    ///
    /// ```
    /// use flagstone_frame::CsvOptions;
    /// assert_eq!((CsvOptions::csv().delimiter, CsvOptions::csv().quote), (b',', Some(b'"')));
    /// ```
    pub fn csv() -> Self {
        Self::default()
    }

    /// Delimiter, quote and header that the head of the first file shows.
    ///
    /// ```
    /// use flagstone_frame::{CsvOptions, DataFrame};
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.csv"), "id;name\n1;ann\n2;bo\n")?;
    /// let frame = DataFrame::read_csv(dir.path().join("a.csv"), CsvOptions::sniffed());
    /// assert_eq!(frame.schema()?.fields().len(), 2);
    /// assert!(frame.notes()?[0].contains("';'"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sniffed() -> Self {
        CsvOptions {
            sniff: Sniff::ALL,
            ..Self::default()
        }
    }

    /// Tabs, a header, and no quotes: a quote is a character like others.
    ///
    /// ```
    /// use flagstone_frame::{CsvOptions, DataFrame};
    /// let dir = tempfile::tempdir()?;
    /// std::fs::write(dir.path().join("a.tsv"), "id\tname\n1\tann\n")?;
    /// let frame = DataFrame::read_csv(dir.path().join("a.tsv"), CsvOptions::tsv());
    /// assert_eq!(frame.schema()?.fields().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tsv() -> Self {
        CsvOptions {
            delimiter: b'\t',
            quote: None,
            ..Self::default()
        }
    }

    /// How most files end their lines; what ends those of a file, its head says.
    pub(crate) fn format(&self) -> Format {
        Format {
            delimiter: self.delimiter,
            quote: self.quote,
            escape: self.escape,
            line_end: LINE_FEED,
            comment: self.comment,
            trim: self.trim,
        }
    }

    /// Mistakes that would make reading meaningless.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: &str| -> Result<()> {
            Err(Error::invalid(format!("the CSV options are wrong: {what}")))
        };
        let ends = |byte: u8| matches!(byte, b'\n' | b'\r') || !byte.is_ascii();
        if ends(self.delimiter) || self.quote.is_some_and(ends) || self.escape.is_some_and(ends) {
            return wrong("delimiter, quote and escape are ASCII characters and no line ends");
        }
        if self.quote == Some(self.delimiter) || self.escape == Some(self.delimiter) {
            return wrong("the delimiter is the quote or the escape too");
        }
        let comment = |byte: u8| byte == self.delimiter || ends(byte) || self.quote == Some(byte);
        if self.comment.is_some_and(comment) {
            return wrong("a comment begins with an ASCII character of its own");
        }
        let names = self.names.iter().flatten().map(String::as_str);
        let mut seen = HashSet::new();
        for (i, name) in names.enumerate() {
            if name.is_empty() {
                return wrong(&format!(
                    "the name of column {} is empty: give it one",
                    i + 1
                ));
            }
            if !seen.insert(name) {
                return wrong(&format!(
                    "{name:?} is the name of two columns: give each its own"
                ));
            }
        }
        let mut seen = HashSet::new();
        if let Some((name, _)) = self.types.iter().find(|(name, _)| !seen.insert(name)) {
            return wrong(&format!("{name:?} is given a type twice: once is enough"));
        }
        self.encoding()?;
        if self.escape.is_some() && self.quote.is_none() {
            return wrong("an escape means something inside quotes only, and there are none");
        }
        Ok(())
    }

    /// The encoding that is not UTF-8.
    pub(crate) fn encoding(&self) -> Result<Option<&'static Encoding>> {
        let Some(label) = &self.encoding else {
            return Ok(None);
        };
        let encoding = Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            Error::invalid(format!(
                "there is no encoding {label:?}; names are those of the Web, like \"latin1\""
            ))
        })?;
        match encoding {
            _ if encoding == UTF_8 => Ok(None),
            // delimiters, quotes and line ends are found by their bytes
            _ if encoding.is_single_byte() => Ok(Some(encoding)),
            _ => {
                let name = encoding.name();
                Err(Error::invalid(format!(
                    "delimited text in {name} is not read: convert it to UTF-8 first, for example \
                     with iconv -f {name} -t UTF-8"
                )))
            }
        }
    }

    pub(crate) fn is_null(&self, text: &[u8]) -> bool {
        self.nulls.iter().any(|null| null.as_bytes() == text)
    }

    pub(crate) fn given_type(&self, name: &str) -> Option<&DataType> {
        self.types
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, data_type)| data_type)
    }
}
