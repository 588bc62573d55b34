//! How records are read, as the flags say: for every command that reads them.

use flagstone::arrow::datatypes::Schema;
use flagstone::{BadRecords, CsvOptions, DataFrame, ErrorKind, InputFormat, JsonOptions, Sniff};

use crate::args::{From, Reading};
use crate::run::{Failure, say};

/// The format of the inputs. What cannot be known is a matter of the command line.
pub(crate) fn format(inputs: &[String], reading: &Reading) -> Result<InputFormat, Failure> {
    check_inputs(inputs)?;
    let format = match reading.from {
        Some(From::Json) => InputFormat::Json,
        Some(From::Csv) => InputFormat::Csv,
        Some(From::Tsv) => InputFormat::Tsv,
        Some(From::Parquet) => InputFormat::Parquet,
        None => InputFormat::detect(inputs).map_err(|error| match error.kind() {
            ErrorKind::Invalid => {
                let lines = match reading.encoding {
                    Some(_) => ", or read its lines with --pattern",
                    None => "",
                };
                Failure::Usage(format!("{}; see --from{lines}", error.message()))
            }
            _ => Failure::Run(error),
        })?,
    };
    check_csv_flags(reading, Some(format))?;
    if reading.encoding.is_some() && !matches!(format, InputFormat::Csv | InputFormat::Tsv) {
        let message = "--encoding is for CSV and TSV, and for lines of text that --pattern reads";
        return Err(Failure::Usage(message.into()));
    }
    Ok(format)
}

pub(crate) fn check_inputs(inputs: &[String]) -> Result<(), Failure> {
    if inputs.iter().any(String::is_empty) {
        let message = "an input is the empty text: is a variable of the shell not set?";
        return Err(Failure::Usage(message.into()));
    }
    Ok(())
}

/// Flags of CSV mean nothing for other inputs: they are refused rather than ignored.
pub(crate) fn check_csv_flags(
    reading: &Reading,
    format: Option<InputFormat>,
) -> Result<(), Failure> {
    match csv_flag(reading) {
        Some(flag) if !matches!(format, Some(InputFormat::Csv | InputFormat::Tsv)) => {
            Err(Failure::Usage(format!(
                "{flag} is for CSV and TSV input, and this is neither; if it is, say --from csv"
            )))
        }
        _ => Ok(()),
    }
}

/// A flag that is given and is for CSV alone.
pub(crate) fn csv_flag(reading: &Reading) -> Option<&'static str> {
    let given = [
        ("--delimiter", reading.delimiter.is_some()),
        ("--quote", reading.quote.is_some()),
        ("--escape", reading.escape.is_some()),
        ("--no-header", reading.no_header),
        ("--names", reading.names.is_some()),
        ("--null", !reading.nulls.is_empty()),
        ("--header", reading.header),
        ("--types", !reading.types.is_empty()),
        ("--comment", reading.comment.is_some()),
        ("--skip-lines", reading.skip_lines.is_some()),
        ("--trim", reading.trim),
    ];
    given
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
}

/// The records of the inputs.
pub(crate) fn frame(
    inputs: &[String],
    reading: &Reading,
    format: InputFormat,
    bad_records: BadRecords,
) -> DataFrame {
    let plain = match format {
        InputFormat::Parquet => return DataFrame::read_parquet(inputs),
        InputFormat::Json => {
            let options = JsonOptions {
                bad_records,
                ..JsonOptions::default()
            };
            return DataFrame::read_json(inputs, options);
        }
        InputFormat::Csv => CsvOptions::csv(),
        InputFormat::Tsv => CsvOptions::tsv(),
    };
    let mut nulls = plain.nulls.clone();
    nulls.extend(reading.nulls.iter().cloned());
    let options = CsvOptions {
        delimiter: reading.delimiter.unwrap_or(plain.delimiter),
        quote: reading.quote.map_or(plain.quote, |quote| quote.0),
        escape: reading.escape,
        header: !reading.no_header,
        names: reading.names.clone(),
        nulls,
        types: reading
            .types
            .iter()
            .flat_map(|types| types.0.clone())
            .collect(),
        comment: reading.comment,
        skip_lines: reading.skip_lines.unwrap_or(0),
        trim: reading.trim,
        encoding: reading.encoding.clone(),
        // what is said is not looked for
        sniff: Sniff {
            delimiter: reading.delimiter.is_none(),
            quote: reading.quote.is_none() && reading.escape.is_none(),
            header: !reading.no_header && !reading.header && reading.names.is_none(),
        },
        bad_records,
    };
    DataFrame::read_csv(inputs, options)
}

/// Says what was found about the files, with the flag that says it, or something else, instead.
pub(crate) fn say_note(note: &str) {
    let flag = [
        ("fields are separated by ", "--delimiter"),
        ("quotes are ", "--quote"),
        ("there are no quotes", "--quote"),
        ("quotes in quotes are", "--escape"),
        ("there is no header", "--header"),
        ("names were made unique", "--names"),
    ];
    let flag = flag.into_iter().find(|(start, _)| note.starts_with(start));
    let value = note.split('\'').nth(1).map(|value| match value {
        "\\t" => "tab".to_owned(),
        other => format!("'{other}'"),
    });
    match (flag, value) {
        (Some((_, flag @ "--delimiter")), Some(value)) => {
            say(format_args!(
                "note: {note} ({flag} {value} says so too, or another)"
            ));
        }
        (Some((_, flag)), _) => say(format_args!("note: {note} ({flag} says otherwise)")),
        (None, _) => say(format_args!(
            "note: {}",
            note.replace("(`skip_lines`)", "(--skip-lines)")
        )),
    }
}

/// A table of one column whose name has another separator in it was probably meant to have more.
pub(crate) fn warn_of_one_column(reading: &Reading, schema: &Schema) {
    let [column] = &schema.fields()[..] else {
        return;
    };
    let separators = [('|', "'|'"), (';', "';'"), ('\t', "tab"), (',', "','")];
    let found = separators
        .iter()
        .find(|(separator, _)| column.name().contains(*separator));
    if let Some((_, word)) = found
        && reading.names.is_none()
    {
        say(format_args!(
            "warning: there is one column, called {:?}; if it is several, say what separates them \
             (--delimiter {word})",
            column.name()
        ));
    }
}
