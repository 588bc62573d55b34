//! Whether the first record of a file names its columns.

use flagstone_common::{Memory, Result};

use super::{RECORDS, each_record};
use crate::csv::field::kind_of;
use crate::csv::split::unquote;
use crate::schema::kind::Kind;
use crate::source::csv::look::Head;
use crate::source::csv::options::CsvOptions;

/// Whether the first record names the columns: it does unless its values are of the types that the
/// records behind it have.
pub(super) fn has_header(
    head: &Head<'_>,
    options: &CsvOptions,
    memory: &dyn Memory,
) -> Result<bool> {
    let format = options.format();
    let mut first: Option<Vec<(Kind, Vec<u8>)>> = None;
    let mut rest: Vec<Kind> = Vec::new();
    let mut records = 0;
    each_record(head, options, memory, |splitter, text, record| {
        let Some(field_count) = record else {
            return true;
        };
        let value = |i: usize| {
            let span = splitter.field(i);
            let raw = &text[span.start as usize..span.end as usize];
            let mut value = Vec::new();
            match span.quoted {
                true => unquote(raw, format, &mut value),
                false => value.extend_from_slice(raw.trim_ascii()),
            }
            let kind = match value.is_empty() || options.is_null(&value) {
                true => Kind::Null,
                false => kind_of(&with_point(&value)),
            };
            (kind, value)
        };
        records += 1;
        match &first {
            None => {
                first = Some((0..field_count).map(value).collect());
                rest = vec![Kind::Null; field_count];
            }
            Some(_) if field_count == rest.len() => {
                for (i, kind) in rest.iter_mut().enumerate() {
                    kind.merge(value(i).0);
                }
            }
            Some(_) => {}
        }
        records < RECORDS
    })?;
    let Some(first) = first else {
        return Ok(true);
    };
    let is_value = |kind: &Kind| !matches!(kind, Kind::Null | Kind::Str);
    if records == 1 {
        // names are no numbers
        return Ok(!first.iter().any(|(kind, _)| is_value(kind)));
    }
    let (mut names, mut nulls, mut values) = (0, 0, Vec::new());
    for (i, ((kind, value), rest)) in first.iter().zip(&rest).enumerate() {
        if !is_value(rest) {
            continue;
        }
        if *kind == Kind::Null {
            // an index has no name, and neither has what follows a last delimiter
            nulls += usize::from(i > 0 && i + 1 < first.len());
            continue;
        }
        let mut both = rest.clone();
        both.merge(kind.clone());
        match rest.holds(&both) || is_value(&both) && *kind != Kind::Str {
            true => values.push(value),
            false => names += 1,
        }
    }
    // years in a row are names of columns
    let numbers = values
        .iter()
        .map(|value| std::str::from_utf8(value).ok()?.parse::<i64>().ok());
    let numbers: Option<Vec<i64>> = numbers.collect();
    let are_years = numbers.is_some_and(|numbers| {
        let in_a_row = numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
        numbers.len() > 1 && in_a_row && numbers.iter().all(|n| (1800..2200).contains(n))
    });
    Ok(names > 0 || (values.is_empty() && nulls == 0) || are_years)
}

/// A number with a decimal comma as one with a point: a name is neither.
fn with_point(value: &[u8]) -> Vec<u8> {
    let mut point = value.to_vec();
    let commas: Vec<usize> = memchr::memchr_iter(b',', value).collect();
    if let [at] = commas[..]
        && value
            .first()
            .is_some_and(|&first| first == b'-' || first.is_ascii_digit())
    {
        point[at] = b'.';
    }
    point
}
