//! Headers that have another number of fields than all records behind them.
//!
//! Programs that write the names of rows write no name for them, and some end every line with a
//! delimiter, or only the header. Such tables are read, and it is told how; others that differ are
//! told too, and their records are bad ones. A single record says nothing, nor does a header of one
//! field: that may be a title.

use flagstone_common::{Result, format_count};

use crate::csv::split::{Format, Record, Splitter};

/// So many records of another number of fields are no mistake in one of them.
const RECORDS_MIN: usize = 2;

/// How a header stands to the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// It has a name for every field, as far as is known.
    Fits,
    /// The first column has no name.
    LacksFirst,
    /// The last column has no name, and no values.
    LacksLast,
    /// It ends with an empty name that no record has a field for.
    HasLast,
    /// So many fields of so many.
    Differs(usize, usize),
}

impl Header {
    /// Compares the first record of a head with those behind it.
    pub(super) fn of(
        text: &[u8],
        is_whole: bool,
        format: Format,
        splitter: &mut Splitter,
    ) -> Result<Header> {
        let (mut names, mut last_name_is_empty) = (0, false);
        let (mut fields, mut records, mut last_is_empty) = (0, 0, true);
        splitter.begin(text, format)?;
        while let Some(record) = splitter.next(text, format, fields.max(names).max(1))? {
            let (start, end, field_count) = match record {
                Record::Fields {
                    start,
                    end,
                    field_count,
                } => (start, end, field_count),
                Record::Comment { .. } => continue,
                Record::Broken { .. } if names > 0 => continue,
                _ => break,
            };
            if end == text.len() && !is_whole {
                break; // it is cut off where the head is
            }
            if text[start..end].trim_ascii().is_empty() {
                continue;
            }
            let last = splitter.field(field_count - 1);
            let is_empty = !last.quoted
                && text[last.start as usize..last.end as usize]
                    .trim_ascii()
                    .is_empty();
            if names == 0 {
                (names, last_name_is_empty) = (field_count, is_empty);
                continue;
            }
            if field_count == names || (records > 0 && field_count != fields) {
                return Ok(Header::Fits);
            }
            fields = field_count;
            records += 1;
            last_is_empty &= is_empty;
        }
        Ok(match fields {
            _ if records < RECORDS_MIN => Header::Fits,
            _ if fields == names + 1 && last_is_empty => Header::LacksLast,
            _ if fields == names + 1 && names > 1 => Header::LacksFirst,
            _ if fields + 1 == names && last_name_is_empty => Header::HasLast,
            _ => Header::Differs(names, fields),
        })
    }

    /// Gives every column of the records a name, maybe an empty one, and tells what was done.
    pub(super) fn mend(self, names: &mut Vec<String>) -> Option<String> {
        let (before, what) = match self {
            Header::Fits => return None,
            Header::LacksFirst => {
                names.insert(0, String::new());
                (names.len() - 1, "the first column is one without a name")
            }
            Header::LacksLast => {
                names.push(String::new());
                (
                    names.len() - 1,
                    "the last column is one without a name and values",
                )
            }
            Header::HasLast => {
                names.pop();
                let what = "the last name, which is empty, is left out";
                return Some(differs(names.len() + 1, names.len(), what));
            }
            Header::Differs(names, fields) => {
                let what = "they are bad records, unless lines before the header are to be \
                            skipped (`skip_lines`)";
                return Some(differs(names, fields, what));
            }
        };
        Some(differs(before, names.len(), what))
    }
}

fn differs(names: usize, fields: usize, what: &str) -> String {
    format!(
        "the header has {} and the records have {fields}: {what}",
        format_count(names as u64, "field")
    )
}
