//! What the head of a file shows of how it is written: delimiter, quote, and whether it has a header.
//!
//! Candidates are tried on the head, and the one wins under which most records have the same number
//! of fields, more than one; what was said in the options wins where nothing is better. A guess may
//! be wrong: what differs from the options is told, and every part of it can be said instead.

use std::collections::BTreeMap;

use flagstone_common::{Memory, Result};

use super::look::Head;
use super::options::CsvOptions;
use crate::csv::ends;
use crate::csv::split::{Format, Record, Splitter};

mod header;

use header::has_header;

/// So many records are looked at.
const RECORDS: usize = 300;
/// So many records in a hundred must have the same number of fields.
const SHARE_LEAST: usize = 75;
/// So many records must be broken by quotes for quotes to be letters.
const BROKEN_LEAST: usize = 3;
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// What was found.
#[derive(Debug, Clone)]
pub(super) struct Sniffed {
    pub(super) options: CsvOptions,
    pub(super) notes: Vec<String>,
}

/// A head as one candidate reads it.
#[derive(Debug, Clone, Copy, Default)]
struct Read {
    records: usize,
    /// The number of fields of the first record.
    first: usize,
    /// The number of fields that most records have, and how many in a hundred have it.
    fields: usize,
    share: usize,
    /// Fields in quotes.
    quoted: usize,
    /// Quotes that do not close, or are followed by text.
    broken: usize,
}

impl Read {
    fn is_table(&self) -> bool {
        self.fields > 1 && self.share >= SHARE_LEAST && self.broken == 0
    }
}

/// Finds what the options leave open.
pub(super) fn sniff(head: &Head<'_>, given: &CsvOptions, memory: &dyn Memory) -> Result<Sniffed> {
    let mut options = given.clone();
    let mut notes = Vec::new();
    let sniffs = std::mem::take(&mut options.sniff);
    let mut best: Option<(Read, CsvOptions)> = None;
    for delimiter in delimiters(head, given, sniffs.delimiter) {
        let mut plain: Option<Read> = None;
        for candidate in quotes(&options, delimiter, sniffs.quote) {
            if candidate.check().is_err() {
                continue;
            }
            let read = read(head, &candidate, memory)?;
            // the first is what was said
            let plain = plain.get_or_insert(read);
            if !read.is_table() || !is_natural(&read, plain, &candidate, given) {
                continue;
            }
            // a table in one column of a table has no header of its own
            if delimiter != given.delimiter && read.first != read.fields {
                continue;
            }
            // a few records of another width are no reason to prefer fewer columns; quotes that are
            // there are quotes
            let rank = |read: &Read| (read.share / 5, read.fields, read.quoted > 0);
            if best
                .as_ref()
                .is_none_or(|(known, _)| rank(&read) > rank(known))
            {
                best = Some((read, candidate));
            }
        }
    }
    if let Some((_, found)) = best {
        options = found;
    }
    let name = head.path.display();
    if options.delimiter != given.delimiter {
        let delimiter = char::from(options.delimiter);
        notes.push(format!(
            "fields are separated by {delimiter:?}, as the head of {name} shows"
        ));
    }
    if options.quote != given.quote {
        notes.push(match options.quote {
            Some(quote) => format!(
                "quotes are {:?}, as the head of {name} shows",
                char::from(quote)
            ),
            None => format!("there are no quotes around fields, as the head of {name} shows"),
        });
    }
    if options.escape != given.escape {
        notes.push(format!(
            "quotes in quotes are escaped by a backslash, as the head of {name} shows"
        ));
    }
    if sniffs.header && given.names.is_none() {
        options.header = has_header(head, &options, memory)?;
        if options.header != given.header {
            notes.push(format!(
                "there is no header, as the head of {name} shows: columns are numbered"
            ));
        }
    }
    Ok(Sniffed { options, notes })
}

fn delimiters(head: &Head<'_>, given: &CsvOptions, sniffs: bool) -> Vec<u8> {
    if !sniffs {
        return vec![given.delimiter];
    }
    let others = DELIMITERS.into_iter().filter(|&d| d != given.delimiter);
    let mut all: Vec<u8> = std::iter::once(given.delimiter).chain(others).collect();
    // a comma between digits alone is that of a number
    let text = head.text;
    let is_decimal = |at: usize| {
        let digit = |at: Option<usize>| {
            at.and_then(|at| text.get(at))
                .is_some_and(u8::is_ascii_digit)
        };
        digit(at.checked_sub(1)) && digit(Some(at + 1))
    };
    let mut commas = memchr::memchr_iter(b',', text).peekable();
    if text.contains(&b';') && commas.peek().is_some() && commas.all(is_decimal) {
        all.retain(|&delimiter| delimiter != b',');
    }
    all
}

/// The ways to quote that are tried: what is said, then others.
fn quotes(given: &CsvOptions, delimiter: u8, sniffs: bool) -> Vec<CsvOptions> {
    let plain = CsvOptions {
        delimiter,
        ..given.clone()
    };
    if !sniffs {
        return vec![plain];
    }
    let with = |quote, escape| CsvOptions {
        quote,
        escape,
        ..plain.clone()
    };
    let mut all = vec![
        plain.clone(),
        with(Some(b'"'), given.escape),
        with(Some(b'"'), Some(b'\\')),
        with(Some(b'\''), given.escape),
        with(None, None),
    ];
    all.dedup();
    all
}

/// Whether there is a reason for the candidate's quotes, where they are not those that were said.
fn is_natural(read: &Read, plain: &Read, candidate: &CsvOptions, given: &CsvOptions) -> bool {
    if candidate.quote == given.quote && candidate.escape == given.escape {
        return true;
    }
    match candidate.quote {
        // an apostrophe is a letter: only where every record has fields in them, but for a header
        Some(b'\'') => read.quoted + 1 >= read.records,
        Some(_) => read.quoted > 0,
        // one quote that is not closed is a mistake in the file, which an error is to show; several,
        // and none that is right, are letters
        None => plain.broken >= BROKEN_LEAST && plain.quoted == 0,
    }
}

fn read(head: &Head<'_>, options: &CsvOptions, memory: &dyn Memory) -> Result<Read> {
    let mut read = Read::default();
    let mut widths = BTreeMap::<usize, usize>::new();
    each_record(head, options, memory, |splitter, _, record| {
        match record {
            None => read.broken += 1,
            Some(field_count) => {
                if read.records == 0 {
                    read.first = field_count;
                }
                read.records += 1;
                *widths.entry(field_count).or_default() += 1;
                let quoted = (0..field_count).filter(|&i| splitter.field(i).quoted);
                read.quoted += quoted.count();
            }
        }
        read.records < RECORDS
    })?;
    let most = widths
        .into_iter()
        .max_by_key(|&(fields, count)| (count, fields));
    if let Some((fields, count)) = most {
        (read.fields, read.share) = (fields, 100 * count / read.records.max(1));
    }
    Ok(read)
}

/// Calls `each` with the number of fields of every record of the head, or nothing for a broken one,
/// until it has seen enough.
fn each_record(
    head: &Head<'_>,
    options: &CsvOptions,
    memory: &dyn Memory,
    mut each: impl FnMut(&Splitter, &[u8], Option<usize>) -> bool,
) -> Result<()> {
    let mut format: Format = options.format();
    format.line_end = ends::of_head(head.text, format);
    let first = ends::after_lines(head.text, options.skip_lines, format.line_end);
    let text = &head.text[first.unwrap_or(head.text.len())..];
    let mut splitter = Splitter::new(memory)?;
    splitter.begin(text, format)?;
    while let Some(record) = splitter.next(text, format, 1)? {
        let more = match record {
            Record::Fields {
                start,
                end,
                field_count,
            } => {
                if end == text.len() && !head.is_whole {
                    return Ok(()); // cut off where the head is
                }
                if text[start..end].trim_ascii().is_empty() {
                    continue;
                }
                each(&splitter, text, Some(field_count))
            }
            Record::Comment { .. } => continue,
            Record::Broken { end, .. } if end == text.len() && !head.is_whole => return Ok(()),
            Record::Broken { .. } => each(&splitter, text, None),
            // a record that goes on behind the head is none that is broken
            Record::Open { start } => {
                let long = ends::lines(&text[start..], format.line_end) > 50;
                if head.is_whole || long {
                    each(&splitter, text, None);
                }
                return Ok(());
            }
        };
        if !more {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flagstone_common::Unlimited;

    fn found(text: &str, given: CsvOptions) -> String {
        let head = Head {
            text: text.as_bytes(),
            offset: 0,
            is_whole: true,
            path: std::path::Path::new("a.csv"),
        };
        let given = CsvOptions {
            sniff: super::super::Sniff::ALL,
            ..given
        };
        let found = sniff(&head, &given, &Unlimited::new()).unwrap().options;
        let name = |byte: Option<u8>| byte.map_or("-".to_owned(), |b| char::from(b).to_string());
        format!(
            "{} {} {} {}",
            char::from(found.delimiter),
            name(found.quote),
            name(found.escape),
            if found.header { "header" } else { "none" }
        )
    }

    #[test]
    fn heads_show_how_files_are_written() {
        for (text, wanted) in [
            ("a,b\n1,2\n3,4\n", ", \" - header"),
            ("a;b\n1,5;2\n3;4,25\n", "; \" - header"),
            ("1,5;2,5\n3,5;4,25\n", "; \" - none"),
            ("a|b|c\n1|2|x, y\n3|4|z\n", "| \" - header"),
            ("a\tb\n1\t2\n", "\t \" - header"),
            ("a,b\n\"x;y;z\",2\n\"p\",4\n", ", \" - header"),
            ("a,b\n\"x \\\"q\\\" y\",2\n\"p\",4\n", ", \" \\ header"),
            ("a,b\n'x, y',2\n'p',4\n'q',4\n", ", ' - header"),
            (
                "a,b\n\"x\" in,2\n\"y\" in,3\n\"z\" in,4\np,4\n",
                ", - - header",
            ),
            ("a,b\n\"x\" in,2\np,4\n", ", \" - header"),
            ("a,b\nx,\"2\np,4\n", ", \" - header"),
            ("a,b\nit's,2\n'tis,4\n", ", \" - header"),
            ("x,1\ny,2\n", ", \" - none"),
            ("name,city\nann,bonn\n", ", \" - header"),
            ("1,2,3\n", ", \" - none"),
            ("a,b,c\n", ", \" - header"),
            ("land,2019,2020,2021\nx,1,2,3\ny,4,5,6\n", ", \" - header"),
            ("2006-01-01,5\n2006-01-02,6\n", ", \" - none"),
            ("day,n\n2006-01-01,5\n", ", \" - header"),
            ("x,,y\nz,1.5,w\n", ", \" - none"),
            (",name,city\n0,ann,bonn\n", ", \" - header"),
            ("one column\nand words; here\n", ", \" - header"),
            ("", ", \" - header"),
        ] {
            assert_eq!(found(text, CsvOptions::csv()), wanted, "{text:?}");
        }
        let bad = format!("id,tags\n{}100,a|b|c|d,extra\n", "7,a7|b|c|d\n".repeat(400));
        let one = format!("tags\n{}", "a7|b|c|d\n".repeat(400));
        for text in [bad.replacen("7,", "100,a|b|c|d,extra\n7,", 1), bad, one] {
            assert_eq!(
                found(&text, CsvOptions::csv()),
                ", \" - header",
                "{text:.60}"
            );
        }
        for (text, wanted) in [
            ("a\tb\n\"x\"\t2\n\"y\"\t3\n", "\t \" - header"),
            ("a\tb\n\"x\" he said\t2\ny\t3\n", "\t - - header"),
            ("a,b\n1,2\n", ", - - header"),
        ] {
            assert_eq!(found(text, CsvOptions::tsv()), wanted, "{text:?}");
        }
    }
}
