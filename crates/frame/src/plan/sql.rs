//! SQL over the records of one frame: a select list, a condition.
//!
//! Names are taken as they are written, without folding case. A member of a struct is named by its
//! dotted path, which is also its default name in the result.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion_common::{DFSchema, DataFusionError, SchemaError};
use datafusion_expr::{Expr, SortExpr};
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast::{
    Expr as Sql, FunctionArguments, OrderByExpr, SelectItem, Statement, visit_expressions,
};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use flagstone_common::{Error, Result};

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

/// What a text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// About one row: no query is in it.
    Expressions,
    Query,
}

/// Looks at a select list before any file is read: whether it is SQL, and of rows alone.
///
/// ```
/// use flagstone_frame::check_select_list;
/// assert!(check_select_list("id, upper(name) AS name").is_ok());
/// assert!(check_select_list("sum(id)").is_err());
/// assert!(check_select_list("id,").is_err());
/// ```
///
/// # Errors
/// The first mistake.
pub fn check_select_list(list: &str) -> Result<()> {
    planned(|| {
        for item in parse_list(list)? {
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
/// ```
/// use flagstone_frame::check_condition;
/// assert!(check_condition("id > 1 and name like 'a%'").is_ok());
/// assert!(check_condition("id >").is_err());
/// ```
///
/// # Errors
/// The first mistake.
pub fn check_condition(text: &str) -> Result<()> {
    planned(|| {
        let expr = balanced(parse_condition(text)?)?;
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
            "{part} is {what}, but what is selected or asked for here follows from one row: \
             leave it out"
        )))
    });
    match found {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The expressions of `a, b.c AS x, count + 1`.
pub(crate) fn select_list(list: &str, schema: &DFSchema) -> Result<Vec<Expr>> {
    let mut exprs = Vec::new();
    for item in parse_list(list)? {
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
        if name.is_empty() && !schema.fields().iter().any(|field| field.name().is_empty()) {
            let message = "a column would be called by the empty text: give it a name with AS";
            return Err(Error::invalid(message));
        }
        if !names.insert(name.clone()) {
            let message = format!("two columns would be called {name:?}: rename one with AS");
            return Err(Error::invalid(message));
        }
    }
    Ok(exprs)
}

/// The expression of a `where` text.
pub(crate) fn condition(text: &str, schema: &DFSchema) -> Result<Expr> {
    to_expr(parse_condition(text)?, schema)
}

/// The items of a select list, none of them empty.
fn parse_list(list: &str) -> Result<Vec<SelectItem>> {
    let tokens = tokens_of(list, Holds::Expressions)?;
    if let Some(reason) = empty_item(&tokens) {
        return Err(wrong(list, &reason));
    }
    parse_tokens(list, tokens, |parser| parser.parse_projection())
}

/// The one statement of a text; it may end in semicolons.
pub(super) fn parse_statement(text: &str) -> Result<Statement> {
    let tokens = tokens_of(text, Holds::Query)?;
    parse_tokens(text, tokens, |parser| {
        let statement = parser.parse_statement()?;
        while parser.consume_token(&Token::SemiColon) {}
        Ok(statement)
    })
}

/// The statements of a text, with semicolons between them.
pub(super) fn parse_statements(text: &str) -> Result<Vec<Statement>> {
    let tokens = tokens_of(text, Holds::Query)?;
    parse_tokens(text, tokens, |parser| {
        let mut statements = Vec::new();
        loop {
            let mut is_apart = statements.is_empty();
            while parser.consume_token(&Token::SemiColon) {
                is_apart = true;
            }
            if parser.peek_token_ref().token == Token::EOF || !is_apart {
                return Ok(statements);
            }
            statements.push(parser.parse_statement()?);
        }
    })
}

/// Whether the last sign of a text is a semicolon, beside spaces and comments.
pub(crate) fn is_complete(text: &str) -> bool {
    let tokens = Tokenizer::new(&Limited::new(0), text).tokenize();
    let last = tokens.ok().and_then(|tokens| {
        let mut signs = tokens.into_iter().rev();
        signs.find(|token| !matches!(token, Token::Whitespace(_)))
    });
    last == Some(Token::SemiColon)
}

/// The keys of `a, b.c DESC NULLS FIRST`; nulls are last unless it is said otherwise.
pub(crate) fn sort_keys(text: &str, schema: &DFSchema) -> Result<Vec<SortExpr>> {
    let key = |key: OrderByExpr| {
        let OrderByExpr {
            expr,
            options,
            with_fill: None,
        } = key
        else {
            return Err(wrong(text, &"WITH FILL is not known"));
        };
        let ascending = options.asc.unwrap_or(true);
        let nulls_first = options.nulls_first.unwrap_or(false);
        Ok(to_expr(expr, schema)?.sort(ascending, nulls_first))
    };
    parse_keys(text)?.into_iter().map(key).collect()
}

fn parse_keys(text: &str) -> Result<Vec<OrderByExpr>> {
    let tokens = tokens_of(text, Holds::Expressions)?;
    if let Some(reason) = empty_item(&tokens) {
        return Err(wrong(text, &reason));
    }
    parse_tokens(text, tokens, |parser| {
        parser.parse_comma_separated(Parser::parse_order_by_expr)
    })
}

/// Looks at a list of sort keys before any file is read: whether it is SQL, and of rows alone.
///
/// ```
/// use flagstone_frame::check_sort_keys;
/// assert!(check_sort_keys("id, at DESC NULLS FIRST").is_ok());
/// assert!(check_sort_keys("id DOWN").is_err());
/// ```
///
/// # Errors
/// The first mistake.
pub fn check_sort_keys(text: &str) -> Result<()> {
    planned(|| {
        for key in parse_keys(text)? {
            of_rows(&literals::as_texts(balanced(key.expr)?)?)?;
        }
        Ok(())
    })
}

fn parse_condition(text: &str) -> Result<Sql> {
    parse_tokens(text, tokens_of(text, Holds::Expressions)?, |parser| {
        parser.parse_expr()
    })
}

fn parse_tokens<T>(
    text: &str,
    tokens: Vec<TokenWithSpan>,
    body: impl FnOnce(&mut Parser<'_>) -> std::result::Result<T, ParserError>,
) -> Result<T> {
    let dialect = Limited::new(tokens.len());
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
    let parsed = body(&mut parser).map_err(|error| match error {
        ParserError::RecursionLimitExceeded => wrong(text, &TOO_DEEP),
        error => wrong(text, &error),
    })?;
    match &parser.peek_token_ref().token {
        Token::EOF => Ok(parsed),
        token => Err(wrong(text, &format!("{token} was not expected"))),
    }
}

fn wrong(text: &str, reason: &dyn std::fmt::Display) -> Error {
    let reason = reason.to_string();
    let reason = lower_case(reason.trim_start_matches("sql parser error: "));
    Error::invalid(format!(
        "the SQL text {:?} is wrong: {reason}",
        start_of(text)
    ))
}

/// Why a list is refused in which a comma has nothing on one of its sides: what was left out there is not
/// known, and to read the list without it would give other columns than were meant.
fn empty_item(tokens: &[TokenWithSpan]) -> Option<String> {
    let signs = tokens.iter().map(|token| &token.token);
    let mut signs = signs.filter(|token| !matches!(token, Token::Whitespace(_)));
    let mut before: Option<&Token> = None;
    loop {
        let sign = signs.next();
        let is_end = sign.is_none_or(|sign| *sign == Token::EOF);
        let is_comma = |token: Option<&Token>| token == Some(&Token::Comma);
        match before {
            None if is_end => {
                return Some("it names no column: name some, or take all of them with *".into());
            }
            None if is_comma(sign) => {
                return Some(
                    "no column is named before its first comma: name it, or leave the comma out"
                        .into(),
                );
            }
            Some(Token::Comma) if is_end || is_comma(sign) => {
                let place = if is_end {
                    "its last comma"
                } else {
                    "one of its commas"
                };
                return Some(format!(
                    "no column is named behind {place}: name it, or leave the comma out"
                ));
            }
            _ if is_end => return None,
            _ => before = sign,
        }
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
    let mut expr = literals::as_texts(balanced(expr)?)?;
    functions::with_parts_of_dates(&mut expr);
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

/// The words and signs of a text. Refuses those that would take the parser, or what it makes, too far.
fn tokens_of(text: &str, holds: Holds) -> Result<Vec<TokenWithSpan>> {
    let bytes = text.len();
    if bytes > SQL_BYTES_MAX {
        let reason = format!(
            "it has {bytes} bytes, and at most {SQL_BYTES_MAX} can be planned: put a condition on \
             fewer values"
        );
        return Err(wrong(text, &reason));
    }
    // how texts are cut into words has no part in how often they are tried
    let dialect = Limited::new(0);
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location();
    let tokens = tokens.map_err(|error| wrong(text, &error))?;
    let is_value = |token: &Token| {
        matches!(
            token,
            Token::Comma | Token::Whitespace(_) | Token::Number(..) | Token::SingleQuotedString(_)
        )
    };
    let all = || tokens.iter().map(|token| &token.token);
    let signs = || all().filter(|token| !matches!(token, Token::Whitespace(_)));
    if holds == Holds::Expressions && signs().zip(signs().skip(1)).any(begins_subquery) {
        let reason = "it holds a subquery, but what is selected or asked for here follows from one row: leave it \
             out";
        return Err(wrong(text, &reason));
    }
    let words = all().filter(|token| !is_value(token)).count();
    if words > WORDS_MAX {
        let reason = format!(
            "it has {words} words and signs, and at most {WORDS_MAX} can be planned: list values \
             with IN (...)"
        );
        return Err(wrong(text, &reason));
    }
    Ok(tokens)
}

/// Whether a query begins here. Such texts are refused before they are parsed, as their own grammar is
/// another that tries without end.
fn begins_subquery((open, word): (&Token, &Token)) -> bool {
    let Token::Word(word) = word else {
        return false;
    };
    *open == Token::LParen && matches!(word.keyword, Keyword::SELECT | Keyword::WITH)
}
