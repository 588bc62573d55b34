//! How delimited text is read: what differs between the files that people call CSV.

use arrow::datatypes::DataType;
use flagstone_graph::{Error, Result};

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
    /// What happens to a record with too few or too many fields, or that cannot be read.
    pub bad_records: BadRecords,
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
            bad_records: BadRecords::Fail,
        }
    }
}

impl CsvOptions {
    /// Commas, double quotes, a header.
    pub fn csv() -> Self {
        Self::default()
    }

    /// Tabs, a header, and no quotes: a quote is a character like others.
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
        }
    }

    /// Mistakes that would make reading meaningless.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::invalid(format!("the CSV options are wrong: {what}")));
        let ends = |byte: u8| matches!(byte, b'\n' | b'\r') || !byte.is_ascii();
        if ends(self.delimiter) || self.quote.is_some_and(ends) || self.escape.is_some_and(ends) {
            return wrong("delimiter, quote and escape are ASCII characters and no line ends");
        }
        if self.quote == Some(self.delimiter) || self.escape == Some(self.delimiter) {
            return wrong("the delimiter is the quote or the escape too");
        }
        if self.escape.is_some() && self.quote.is_none() {
            return wrong("an escape means something inside quotes only, and there are none");
        }
        Ok(())
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
