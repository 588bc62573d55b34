//! Rows as a table that fits the terminal, or as a list of values.

use comfy_table::{CellAlignment, ContentArrangement, Table};
use flagstone::arrow::array::RecordBatch;
use flagstone::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::out::escaped;
use crate::run::Failure;

/// No value is shown longer than this where others need the room.
const NARROW: usize = 14;
const WIDE: usize = 60;
/// What is drawn around a value.
const FRAME: usize = 3;

/// How wide what is printed may be: a terminal's width, or enough where there is none.
pub(crate) fn width() -> usize {
    terminal_size::terminal_size().map_or(200, |(width, _)| usize::from(width.0))
}

/// The rows as a table, and how many columns had no room in it.
pub(crate) fn table(rows: &RecordBatch, width: usize) -> Result<(String, usize), Failure> {
    let columns = columns(rows)?;
    let natural = |column: &Column, longest: usize| {
        let texts = column.texts.iter().chain([&column.name, &column.data_type]);
        let longest_text = texts.map(|text| text.chars().count()).max().unwrap_or(0);
        longest_text.min(longest) + FRAME
    };
    let total = |longest: usize| columns.iter().map(|c| natural(c, longest)).sum::<usize>() + 1;
    let longest = match total(WIDE) <= width {
        true => WIDE,
        false => NARROW,
    };
    let (mut shown, mut used) = (0, 1);
    for column in &columns {
        used += natural(column, longest);
        if used > width && shown > 0 {
            break;
        }
        shown += 1;
    }
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled);
    let head = columns.iter().take(shown).map(|column| {
        let (name, data_type) = (cut(&column.name, longest), cut(&column.data_type, longest));
        format!("{name}\n{data_type}")
    });
    table.set_header(head);
    for row in 0..rows.num_rows() {
        let cells = columns.iter().take(shown);
        table.add_row(cells.map(|column| cut(&column.texts[row], longest)));
    }
    for (at, column) in columns.iter().take(shown).enumerate() {
        if let (true, Some(own)) = (column.is_number, table.column_mut(at)) {
            own.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok((format!("{table}\n"), columns.len() - shown))
}

/// The rows one after the other, a line a value.
pub(crate) fn vertical(rows: &RecordBatch) -> Result<String, Failure> {
    let columns = columns(rows)?;
    let longest = columns.iter().map(|column| column.name.chars().count());
    let longest = longest.max().unwrap_or(0);
    let mut out = String::new();
    for row in 0..rows.num_rows() {
        out.push_str(&format!("row {}\n", row + 1));
        for column in &columns {
            let pad = longest - column.name.chars().count();
            out.push_str(&format!(
                "  {}{} {}\n",
                column.name,
                " ".repeat(pad),
                column.texts[row]
            ));
        }
    }
    Ok(out)
}

struct Column {
    name: String,
    data_type: String,
    is_number: bool,
    texts: Vec<String>,
}

fn columns(rows: &RecordBatch) -> Result<Vec<Column>, Failure> {
    let options = FormatOptions::new().with_null("NULL");
    let failed =
        |error: &dyn std::fmt::Display| Failure::Other(format!("cannot show a value: {error}"));
    let schema = rows.schema();
    let columns = rows.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| {
        let format = ArrayFormatter::try_new(column, &options).map_err(|e| failed(&e))?;
        let text = |row| {
            let text = format.value(row).try_to_string().map_err(|e| failed(&e))?;
            Ok(escaped(&text))
        };
        Ok(Column {
            name: escaped(field.name()),
            data_type: escaped(&field.data_type().to_string()),
            is_number: field.data_type().is_numeric(),
            texts: (0..rows.num_rows())
                .map(text)
                .collect::<Result<_, Failure>>()?,
        })
    });
    columns.collect()
}

/// A text of so many characters at most.
fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(longest.saturating_sub(1)).collect();
            format!("{kept}…")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flagstone::arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_table_is_no_wider_than_it_may_be() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(100), "a\nb".into()]));
        let columns = (0..9).map(|i| (format!("column_{i}"), texts.clone()));
        let columns = [("id".to_owned(), ids)].into_iter().chain(columns);
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        for width in [40, 80, 200] {
            let (text, hidden) = table(&rows, width).unwrap();
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= width, "{width}: {longest}\n{text}");
            assert!(
                hidden < 10 && (hidden > 0) == (width < 200),
                "{width}: {hidden}"
            );
            assert!(text.contains("NULL") && text.contains("…") && text.contains("a\\nb"));
        }
        let list = vertical(&rows).unwrap();
        assert_eq!(list.lines().count(), 2 * 11);
        assert!(list.contains(&"x".repeat(100)));
    }
}
