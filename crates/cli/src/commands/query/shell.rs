//! The shell: statements of SQL that a person types, one after the other.
//!
//! A statement ends with a semicolon, and may take several lines. Ctrl-C stops a query that runs, or
//! drops what was typed; the shell goes on. What is typed is kept for the next time.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use flagstone::{RowFormat, SqlContext};
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::show::{self, Target, View};
use super::{context, perform, statements};
use crate::args::Query;
use crate::out::print;
use crate::reports::Files;
use crate::run::{Failure, reason, say, with_session};
use crate::signals;

const PROMPT: &str = "flagstone> ";

const HELP: &str = "\
statements end with ; and may take several lines: SELECT, VALUES, WITH, EXPLAIN [ANALYZE], DESCRIBE,
CREATE VIEW, DROP VIEW, COPY ... TO, SHOW TABLES; files are tables, in quotes: FROM 'x.parquet'
.tables           the tables and views
.schema [NAME]    the columns of a table, or of all
.mode MODE        how rows are shown: table, vertical, csv, json
.rows N           how many rows a table or list shows
.read FILE        the statements of a file
.help             this
.quit             ends the shell, as Ctrl-D does
";

/// The commands that are no SQL.
const COMMANDS: [&str; 7] = [
    ".tables", ".schema", ".mode", ".rows", ".read", ".help", ".quit",
];

pub(super) fn run(args: &Query) -> Result<(), Failure> {
    let mut shell = Shell {
        args,
        context: context(args)?,
        view: View::new(args)?,
    };
    if matches!(shell.view.target, Target::Files(..)) {
        return super::usage(
            "--to is about one query, and none was given: write COPY (SELECT ...) TO 'x.parquet' in the shell",
        );
    }
    let cannot =
        |error: ReadlineError| Failure::Other(format!("cannot read the terminal: {error}"));
    let config = Config::builder().auto_add_history(true).build();
    let mut editor = Editor::with_config(config).map_err(cannot)?;
    editor.set_helper(Some(Typing {
        names: Vec::new(),
        files: FilenameCompleter::new(),
    }));
    let history = history();
    if let Some(path) = &history {
        // there is none the first time
        let _ = editor.load_history(path);
    }
    say(format_args!(
        "type statements that end with ;, .help for more, Ctrl-D to leave"
    ));
    loop {
        if let Some(typing) = editor.helper_mut() {
            typing.names = shell.names();
        }
        let text = match editor.readline(PROMPT) {
            Ok(text) => text,
            // what was typed is dropped
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(cannot(error)),
        };
        signals::renew()?;
        match shell.line(text.trim()) {
            Ok(Next::Line) => {}
            Ok(Next::End) => break,
            Err(failure) => say(format_args!("{failure}")),
        }
    }
    if let Some(path) = &history {
        keep(&mut editor, path);
    }
    Ok(())
}

/// Where what was typed is kept: in the user's directory for such state.
fn history() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = state.filter(|path| path.is_absolute()).or_else(|| {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
        Some(Path::new(&home).join(".local/state"))
    })?;
    Some(state.join("flagstone").join("history"))
}

fn keep(editor: &mut Editor<Typing, FileHistory>, path: &Path) {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let kept = made.map_err(ReadlineError::from);
    if let Err(error) = kept.and_then(|()| editor.save_history(path)) {
        say(format_args!(
            "warning: what was typed is not kept in {}: {error}",
            path.display()
        ));
    }
}

struct Shell<'a> {
    args: &'a Query,
    context: SqlContext,
    view: View,
}

enum Next {
    Line,
    End,
}

impl Shell<'_> {
    fn names(&self) -> Vec<String> {
        self.context
            .tables()
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    /// What was typed: a command, or statements.
    fn line(&mut self, text: &str) -> Result<Next, Failure> {
        if !text.starts_with('.') {
            if !text.is_empty() {
                self.statements(text)?;
            }
            return Ok(Next::Line);
        }
        let (command, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        match (command, rest) {
            (".quit" | ".exit", "") => return Ok(Next::End),
            (".help", "") => print(HELP)?,
            (".tables", "") => print(
                self.names()
                    .iter()
                    .map(|name| format!("{name}\n"))
                    .collect::<String>(),
            )?,
            (".schema", "") => {
                for name in self.names() {
                    print(format_args!("{name}\n"))?;
                    self.describe(&name)?;
                }
            }
            (".schema", name) => self.describe(name)?,
            (".mode", mode) => self.view.target = mode_of(mode)?,
            (".rows", rows) => {
                self.view.rows = rows.parse().map_err(|_| {
                    Failure::Other(format!(
                        ".rows is followed by a number, and {rows:?} is none"
                    ))
                })?;
            }
            (".read", path) if !path.is_empty() => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::Other(format!("cannot read {path}: {}", reason(&error)))
                })?;
                self.statements(&text)?;
            }
            _ => {
                return Err(Failure::Other(format!(
                    "{text:?} is no command: .help names those that there are"
                )));
            }
        }
        Ok(Next::Line)
    }

    fn statements(&mut self, text: &str) -> Result<(), Failure> {
        let statements = statements(&mut self.context, text)?;
        self.with_session(|shell, session| {
            let mut statements = statements.into_iter();
            statements
                .try_for_each(|statement| perform(statement, session, shell.args, &shell.view))
        })
    }

    fn describe(&self, name: &str) -> Result<(), Failure> {
        let table = self.context.tables().find(|(known, _)| *known == name);
        let Some((_, frame)) = table else {
            let names = self.names().join(", ");
            return Err(Failure::Other(format!(
                "there is no table {name}; there are: {names}. DESCRIBE '{name}'; tells of a file"
            )));
        };
        self.with_session(|shell, session| {
            let columns = show::columns(&*frame.planned_schema_with(session)?)?;
            shell.view.show_batch(&columns)
        })
    }

    /// A session of its own for what is asked: a cancelled one does nothing more.
    fn with_session(
        &self,
        work: impl FnOnce(&Self, &flagstone::Session) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let files = Files {
            inputs: Vec::new(),
            output: None,
            quarantine: None,
        };
        with_session(&self.args.common, &files, |session| work(self, session))
    }
}

fn mode_of(mode: &str) -> Result<Target, Failure> {
    Ok(match mode {
        "table" => Target::Table,
        "vertical" => Target::Vertical,
        "csv" => Target::Text(RowFormat::Csv),
        "json" => Target::Text(RowFormat::Json),
        other => {
            return Err(Failure::Other(format!(
                "{other:?} is no way to show rows: there are table, vertical, csv and json"
            )));
        }
    })
}

/// What helps while a statement is typed.
struct Typing {
    names: Vec<String>,
    files: FilenameCompleter,
}

impl Validator for Typing {
    /// A statement goes on until its semicolon.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let is_whole = text.is_empty() || text.starts_with('.') || SqlContext::is_complete(text);
        Ok(match is_whole {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Completer for Typing {
    type Candidate = Pair;

    /// Files within quotes, commands behind a dot, names of tables elsewhere.
    fn complete(
        &self,
        line: &str,
        place: usize,
        context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..place];
        if before.matches('\'').count() % 2 == 1 {
            let (start, files) = self.files.complete(line, place, context)?;
            let quote = before.rfind('\'').map_or(0, |quote| quote + 1);
            return Ok((start.max(quote), files));
        }
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        let start = before.trim_end_matches(is_name).len();
        let begun = &before[start..];
        let commands = COMMANDS.iter().filter(|_| start == 0).copied();
        let words = commands.chain(self.names.iter().map(String::as_str));
        let words = words.filter(|word| !begun.is_empty() && word.starts_with(begun));
        let pairs = words.map(|word| Pair {
            display: word.to_owned(),
            replacement: word.to_owned(),
        });
        Ok((start, pairs.collect()))
    }
}

impl Hinter for Typing {
    type Hint = String;
}

impl Highlighter for Typing {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Helper for Typing {}
