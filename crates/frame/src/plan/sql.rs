//! SQL over the records of one frame: a select list, a condition.
//!
//! Names are taken as they are written, without folding case. A member of a struct is named by its
//! dotted path, which is also its default name in the result.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion_common::{DFSchema, DataFusionError, SchemaError};
use datafusion_expr::Expr;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast::{
    Expr as Sql, FunctionArguments, SelectItem, visit_expressions,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::{Token, Tokenizer};
use flagstone_graph::{Error, Result};

use super::balance::balanced;
use super::dialect::Limited;
use super::functions::{self, Functions};
use super::literals;
use super::stack::planned;
use super::star;
use crate::error::{lower_case, plan_error};

/// How long a SQL text may be.
const SQL_BYTES_MAX: usize = 1 << 20;
/// How many words and signs a SQL text may have, beside values and commas.
const WORDS_MAX: usize = 100_000;
/// Why a text is refused in which too much is nested.
const TOO_DEEP: &str = "it goes beyond the recursion limit: too much is nested, or what must close \
     something is missing";

/// Looks at a select list before any file is read: whether it is SQL, and of rows alone.
///
/// # Errors
/// The first mistake.
pub fn check_select_list(list: &str) -> Result<()> {
    planned(|| {
        for item in parse(list, |parser| parser.parse_projection())? {
            match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    of_rows(&literals::as_texts(balanced(expr)?)?)?;
                }
                SelectItem::Wildcard(options) => star::check(&options)?,
                other => return Err(not_selected(&other)),
            }
        }
        Ok(())
    })
}

/// Looks at a condition before any file is read: whether it is SQL, and of rows alone.
///
/// # Errors
/// The first mistake.
pub fn check_condition(text: &str) -> Result<()> {
    planned(|| {
        let expr = balanced(parse(text, |parser| parser.parse_expr())?)?;
        of_rows(&literals::as_texts(expr)?)
    })
}

fn not_selected(item: &SelectItem) -> Error {
    Error::invalid(format!("{item} cannot be selected: name the columns"))
}

/// Refuses what is about many rows: aggregates, windows and subqueries.
pub(super) fn of_rows(expr: &Sql) -> Result<()> {
    let functions = Functions::new();
    let found = visit_expressions(expr, |part| {
        let what = match part {
            Sql::Subquery(_) | Sql::InSubquery { .. } | Sql::Exists { .. } => "a subquery",
            Sql::Function(call) if matches!(call.args, FunctionArguments::Subquery(_)) => {
                "a subquery"
            }
            Sql::Function(call) if call.over.is_some() => "a window function",
            Sql::Function(call) if functions.has_aggregate(&call.name.to_string()) => {
                "an aggregate of many rows"
            }
            Sql::Function(call) => match functions::misused(call, &functions) {
                Some(error) => return ControlFlow::Break(error),
                None => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        ControlFlow::Break(Error::invalid(format!(
            "{part} is {what}, but what is selected or asked for here follows from one row"
        )))
    });
    match found {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The expressions of `a, b.c AS x, count + 1`.
pub(crate) fn select_list(list: &str, schema: &DFSchema) -> Result<Vec<Expr>> {
    let items = parse(list, |parser| parser.parse_projection())?;
    let mut exprs = Vec::new();
    for item in items {
        match item {
            SelectItem::Wildcard(options) => exprs.extend(star::columns(options, schema)?),
            SelectItem::ExprWithAlias { expr, alias } => {
                exprs.push(to_expr(expr, schema)?.alias(alias.value));
            }
            SelectItem::UnnamedExpr(expr) => {
                let name = default_name(&expr);
                exprs.push(to_expr(expr, schema)?.alias(name));
            }
            other => return Err(not_selected(&other)),
        }
    }
    let mut names = HashSet::new();
    for expr in &exprs {
        let name = expr.qualified_name().1;
        if !names.insert(name.clone()) {
            let message = format!("two columns would be called {name:?}: rename one with AS");
            return Err(Error::invalid(message));
        }
    }
    Ok(exprs)
}

/// The expression of a `where` text.
pub(crate) fn condition(text: &str, schema: &DFSchema) -> Result<Expr> {
    to_expr(parse(text, |parser| parser.parse_expr())?, schema)
}

fn parse<T>(
    text: &str,
    body: impl FnOnce(&mut Parser<'_>) -> std::result::Result<T, ParserError>,
) -> Result<T> {
    let wrong = |error: &dyn std::fmt::Display| {
        let reason = error.to_string();
        let reason = lower_case(reason.trim_start_matches("sql parser error: "));
        Error::invalid(format!(
            "the SQL text {:?} is wrong: {reason}",
            start_of(text)
        ))
    };
    let words = words_of(text).map_err(|e| wrong(&e))?;
    let dialect = Limited::new(words);
    let mut parser = Parser::new(&dialect)
        .try_with_sql(text)
        .map_err(|e| wrong(&e))?;
    let parsed = body(&mut parser).map_err(|error| match error {
        ParserError::RecursionLimitExceeded => wrong(&TOO_DEEP),
        error => wrong(&error),
    })?;
    match &parser.peek_token_ref().token {
        Token::EOF => Ok(parsed),
        token => Err(wrong(&format!("{token} was not expected"))),
    }
}

/// A text of usual length whole, of another its start.
fn start_of(text: &str) -> String {
    const SHOWN: usize = 400;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The dotted path for a column or member, the text for anything else.
fn default_name(expr: &Sql) -> String {
    match expr {
        Sql::Identifier(name) => name.value.clone(),
        Sql::CompoundIdentifier(names) => names
            .iter()
            .map(|name| name.value.as_str())
            .collect::<Vec<_>>()
            .join("."),
        other => other.to_string(),
    }
}

pub(super) fn to_expr(expr: Sql, schema: &DFSchema) -> Result<Expr> {
    // a name alone is a column, whatever is missing; one among others may be a text
    let may_be_text = !matches!(expr, Sql::Identifier(_) | Sql::CompoundIdentifier(_));
    let expr = functions::with_parts_of_dates(literals::as_texts(balanced(expr)?)?);
    of_rows(&expr)?;
    let provider = Functions::new();
    let options = ParserOptions {
        enable_ident_normalization: false,
        map_string_types_to_utf8view: false,
        ..ParserOptions::new()
    };
    let expr = SqlToRel::new_with_options(&provider, options)
        .sql_to_expr(expr, schema, &mut PlannerContext::new())
        .map_err(|error| match may_be_text {
            true => with_quotes(error),
            false => plan_error(error),
        })?;
    functions::with_formats(literals::as_numbers(expr, schema)?, schema)
}

/// A name that is no column may be a text without its quotes.
fn with_quotes(error: DataFusionError) -> Error {
    let unknown = match error.find_root() {
        DataFusionError::SchemaError(what, _) => match &**what {
            SchemaError::FieldNotFound { field, .. } => Some(field.name.clone()),
            _ => None,
        },
        _ => None,
    };
    let error = plan_error(error);
    match unknown {
        Some(name) if !name.contains('\'') => {
            let message = format!("{}; if it is text, quote it: '{name}'", error.message());
            error.with_message(message)
        }
        _ => error,
    }
}

/// How many words and signs a text has. Refuses those that would take the parser, or what it makes,
/// too far.
fn words_of(text: &str) -> std::result::Result<usize, String> {
    let bytes = text.len();
    if bytes > SQL_BYTES_MAX {
        return Err(format!(
            "it has {bytes} bytes, and at most {SQL_BYTES_MAX} can be planned"
        ));
    }
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else {
        // the parser tells what is wrong
        return Ok(0);
    };
    let is_value = |token: &Token| {
        matches!(
            token,
            Token::Comma | Token::Whitespace(_) | Token::Number(..) | Token::SingleQuotedString(_)
        )
    };
    let signs = || tokens.iter().filter(|t| !matches!(t, Token::Whitespace(_)));
    if signs().zip(signs().skip(1)).any(begins_subquery) {
        return Err(
            "it holds a subquery, but what is selected or asked for here follows from one row"
                .to_owned(),
        );
    }
    let words = tokens.iter().filter(|token| !is_value(token)).count();
    match words > WORDS_MAX {
        true => Err(format!(
            "it has {words} words and signs, and at most {WORDS_MAX} can be planned: list values \
             with IN (...)"
        )),
        false => Ok(tokens.len()),
    }
}

/// Whether a query begins here. Such texts are refused before they are parsed, as their own grammar is
/// another that tries without end.
fn begins_subquery((open, word): (&Token, &Token)) -> bool {
    let Token::Word(word) = word else {
        return false;
    };
    *open == Token::LParen && matches!(word.keyword, Keyword::SELECT | Keyword::WITH)
}
