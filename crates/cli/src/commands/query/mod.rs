//! `flagstone query`: statements of SQL, and the shell for them.

mod shell;
mod show;
mod table;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use flagstone::{
    Analysis, DataFrame, Explanation, InputFormat, Output, OutputOptions, Session, SqlContext,
    Statement,
};

use self::show::{Target, View};
use crate::args::Query;
use crate::commands::summary::{self, Present};
use crate::out::print;
use crate::reports::Files;
use crate::run::{Failure, explained, explaining, reason, say, with_session};

pub(crate) fn run(args: &Query) -> Result<(), Failure> {
    let Some(text) = text(args)? else {
        return shell::run(args);
    };
    let statements = statements(&mut context(args)?, &text)?;
    let view = View::new(args)?;
    let rows = statements.iter();
    let rows = rows.filter(|statement| matches!(statement, Statement::Rows(_)));
    if let (Target::Files(..), false) = (&view.target, rows.count() == 1) {
        return usage(
            "--to is about the rows of one query: leave it out, or write COPY (SELECT ...) TO 'x.parquet'",
        );
    }
    let output = args.output();
    let files = Files {
        inputs: Vec::new(),
        output: output.as_ref(),
        quarantine: None,
    };
    with_session(&args.common, &files, |session| {
        let mut statements = statements.into_iter();
        statements.try_for_each(|statement| perform(statement, session, args, &view))
    })
}

/// What a statement wants to be done.
fn perform(
    statement: Statement,
    session: &Session,
    args: &Query,
    view: &View,
) -> Result<(), Failure> {
    match statement {
        Statement::Rows(frame) => view.show(&frame, session, args),
        Statement::Explain {
            frame,
            analyze: false,
        } => {
            let (plan, explanation) = explanation(&frame, session, view)?;
            explained(&plan, &explanation)
        }
        Statement::Explain {
            frame,
            analyze: true,
        } => {
            let plan = frame.explain_with(session)?;
            let rows = frame.count_with(session)?;
            let analysis = Analysis::new(session.last_stats());
            print(format_args!("{plan}\n{analysis}"))?;
            show::say_rows(rows as usize, false, " that are not shown");
            Ok(())
        }
        Statement::Describe(frame) => {
            let columns = show::columns(&*frame.planned_schema_with(session)?)?;
            view.show_batch(&columns)
        }
        Statement::Write { frame, to, output } => {
            let output = output.with_options(OutputOptions {
                overwrite: args.overwrite,
                keep_partial: args.keep_partial,
            });
            write(&frame, session, &to, &output)
        }
        Statement::Done(what) => {
            say(format_args!("{what}"));
            Ok(())
        }
    }
}

fn write(frame: &DataFrame, session: &Session, to: &Path, output: &Output) -> Result<(), Failure> {
    let before = Present::at(to);
    let report = frame.write_with(session, to, output)?;
    summary::say_all(to, session, &report, before);
    Ok(())
}

pub(crate) fn explain(args: &Query) -> Result<(), Failure> {
    let Some(text) = text(args)? else {
        return usage(NO_QUERY);
    };
    let statements = statements(&mut context(args)?, &text)?;
    let view = View::new(args)?;
    let mut frames = statements
        .into_iter()
        .filter_map(|statement| match statement {
            Statement::Rows(frame)
            | Statement::Explain { frame, .. }
            | Statement::Write { frame, .. } => Some(frame),
            Statement::Describe(_) | Statement::Done(_) => None,
        });
    let (Some(frame), None) = (frames.next(), frames.next()) else {
        return usage("explain query is about one query: leave the others out");
    };
    let session = explaining(&args.common, args.output().as_ref())?;
    let (plan, explanation) = explanation(&frame, &session, &view)?;
    explained(&plan, &explanation)
}

/// The plan of a query whose rows go where they are to be seen, and what it takes.
fn explanation(
    frame: &DataFrame,
    session: &Session,
    view: &View,
) -> Result<(String, Explanation), Failure> {
    let (plan, explanation) = match &view.target {
        Target::Files(to, output) => (
            frame.explain_write_with(session, output)?,
            session.explain_write(frame, to, output)?,
        ),
        Target::Text(format) => {
            let output = Output::Rows(flagstone::RowOptions::new(*format));
            (
                frame.explain_write_with(session, &output)?,
                session.explain_write(frame, "standard output", &output)?,
            )
        }
        Target::Table | Target::Vertical => {
            let shown = frame.head(view.rows.saturating_add(1));
            (shown.explain_with(session)?, session.explain(&shown)?)
        }
    };
    Ok((format!("{plan}\n"), explanation))
}

fn usage<T>(message: &str) -> Result<T, Failure> {
    Err(Failure::Usage(message.to_owned()))
}

/// The tables that have names.
fn context(args: &Query) -> Result<SqlContext, Failure> {
    let mut context = SqlContext::new();
    for (name, pattern) in &args.tables {
        let format = InputFormat::detect([pattern])?;
        let frame = DataFrame::read([pattern], format);
        if context.register(name, frame).is_some() {
            let message = format!("--table names {name} twice: give each table a name of its own");
            return Err(Failure::Usage(message));
        }
    }
    Ok(context)
}

/// What the statements of a text want to be done.
fn statements(context: &mut SqlContext, text: &str) -> Result<Vec<Statement>, Failure> {
    let parsed = SqlContext::statements(text)?;
    if parsed.is_empty() {
        return usage(NO_QUERY);
    }
    let statements = parsed.into_iter().map(|parsed| context.execute(parsed));
    Ok(statements.collect::<Result<_, _>>()?)
}

const NO_QUERY: &str = "there is no query: write it in quotes (\"SELECT * FROM 'x.parquet'\"), or name a file of it \
     with -f";

/// The text of the query: from the command line, a file, or standard input; none where a person sits at
/// that.
fn text(args: &Query) -> Result<Option<String>, Failure> {
    let read = |called: &Path, mut from: Box<dyn Read>| {
        let mut text = String::new();
        let read = from.read_to_string(&mut text);
        read.map_err(|error| {
            Failure::Other(format!(
                "cannot read {}: {}",
                called.display(),
                reason(&error)
            ))
        })?;
        Ok(Some(text))
    };
    match (&args.statement, &args.file) {
        (Some(text), None) => Ok(Some(text.clone())),
        (None, Some(path)) => {
            let file = File::open(path).map_err(|error| {
                Failure::Other(format!(
                    "cannot open {}: {}",
                    path.display(),
                    reason(&error)
                ))
            })?;
            read(path, Box::new(file))
        }
        (None, None) if !io::stdin().is_terminal() => {
            read(Path::new("standard input"), Box::new(io::stdin()))
        }
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Failure::Usage(
            "there are two queries, one on the command line and one in a file: leave one out"
                .into(),
        )),
    }
}
