//! What the head of a delimited file says: names and kinds of its columns.

use flagstone_graph::Result;
use flagstone_memory::Memory;

use super::options::CsvOptions;
use crate::csv::column::kind_of;
use crate::csv::split::{Record, Splitter, unquote};
use crate::json::Mixing;
use crate::schema::kind::Kind;

/// The names and kinds of the columns at the head of a file, and which of them are mixed.
pub(crate) type Columns = (Vec<(String, Kind)>, Mixing);

/// Looks at the head of a file; nothing where there is no record.
pub(crate) fn look(
    head: &[u8],
    options: &CsvOptions,
    memory: &dyn Memory,
) -> Result<Option<Columns>> {
    let (mut columns, mut mixing): (Option<Vec<(String, Kind)>>, _) = (None, Mixing::default());
    let format = options.format();
    let mut splitter = Splitter::new(memory)?;
    let mut unquoted = Vec::new();
    let mut expected = 1;
    // columns with an empty text in quotes
    let mut texts: Vec<bool> = Vec::new();
    splitter.begin(head, format)?;
    while let Some(record) = splitter.next(head, format, expected)? {
        let Record::Fields {
            start,
            end,
            field_count,
        } = record
        else {
            if matches!(record, Record::Open { .. }) {
                break;
            }
            continue;
        };
        let mut field = |i: usize| {
            let span = splitter.field(i);
            let raw = &head[span.start as usize..span.end as usize];
            unquoted.clear();
            if span.quoted {
                unquote(raw, format, &mut unquoted);
            } else {
                unquoted.extend_from_slice(raw);
            }
            (String::from_utf8_lossy(&unquoted).into_owned(), span.quoted)
        };
        if head[start..end].trim_ascii().is_empty() {
            continue;
        }
        let Some(columns) = &mut columns else {
            let names = (0..field_count).map(|i| {
                let name = if options.header {
                    field(i).0
                } else {
                    String::new()
                };
                (name, Kind::Null)
            });
            columns = Some(name_columns(names.collect(), options));
            expected = field_count;
            if options.header {
                continue;
            }
            // the first record has values: look at it as at the others
            splitter.begin(head, format)?;
            continue;
        };
        if field_count != columns.len() || std::str::from_utf8(&head[start..end]).is_err() {
            continue;
        }
        for (i, (name, kind)) in columns.iter_mut().enumerate() {
            let (text, quoted) = field(i);
            if quoted && text.is_empty() {
                texts.resize(texts.len().max(i + 1), false);
                texts[i] = true;
            } else if !options.is_null(text.as_bytes()) {
                let seen = kind_of(text.as_bytes());
                mixing.value(name, kind, &seen, start as u64);
                kind.merge(seen);
            }
        }
    }
    // quotes around nothing say text, when no value says otherwise
    for ((_, kind), _) in columns
        .iter_mut()
        .flatten()
        .zip(texts)
        .filter(|(_, text)| *text)
    {
        if *kind == Kind::Null {
            *kind = Kind::Str;
        }
    }
    Ok(columns.map(|columns| (columns, mixing)))
}

/// Gives every column a name of its own.
fn name_columns(mut columns: Vec<(String, Kind)>, options: &CsvOptions) -> Vec<(String, Kind)> {
    for (i, name) in options
        .names
        .iter()
        .flatten()
        .enumerate()
        .take(columns.len())
    {
        columns[i].0.clone_from(name);
    }
    for i in 0..columns.len() {
        if columns[i].0.is_empty() {
            columns[i].0 = format!("column_{}", i + 1);
        }
        let base = columns[i].0.clone();
        let mut copy = 1;
        while columns[..i].iter().any(|(name, _)| *name == columns[i].0) {
            copy += 1;
            columns[i].0 = format!("{base}_{copy}");
        }
    }
    columns
}
