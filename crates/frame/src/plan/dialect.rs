//! The dialect of SQL texts: the generic one, with an end to trying.
//!
//! The parser tries a word as a keyword first, and as a name when that fails. Where many are nested
//! and the innermost fails (`array[array[...`), it would try every combination, so what it may try
//! is a multiple of what the text has.

use std::any::TypeId;
use std::cell::Cell;

use datafusion_sql::sqlparser::ast::Expr;
use datafusion_sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};

/// How often each word and sign of a text may begin an expression that is tried.
const TRIES_PER_WORD: usize = 8;
/// The least that any text may try.
const TRIES_MIN: usize = 5_000;

/// [`GenericDialect`], of which a text may try only so much.
#[derive(Debug)]
pub(super) struct Limited {
    tries_left: Cell<usize>,
}

impl Limited {
    /// For a text of `words` words and signs.
    pub(super) fn new(words: usize) -> Self {
        let tries = TRIES_MIN.max(words.saturating_mul(TRIES_PER_WORD));
        Limited {
            tries_left: Cell::new(tries),
        }
    }
}

/// What the generic dialect answers, of all that concerns expressions, select lists and queries.
macro_rules! as_generic {
    ($($method:ident)*) => {
        $(fn $method(&self) -> bool {
            GenericDialect.$method()
        })*
    };
}

impl Dialect for Limited {
    fn dialect(&self) -> TypeId {
        GenericDialect.dialect()
    }

    fn parse_prefix(&self, _parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        match self.tries_left.get().checked_sub(1) {
            Some(left) => {
                self.tries_left.set(left);
                None
            }
            None => Some(Err(ParserError::RecursionLimitExceeded)),
        }
    }

    /// `a IS DISTINCT FROM b AND c` is `(a IS DISTINCT FROM b) AND c`: the parser takes all that follows for
    /// the second operand.
    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        use Keyword::{DISTINCT, FROM, IS, NOT};
        let negated = parser.parse_keywords(&[IS, NOT, DISTINCT, FROM]);
        if !negated && !parser.parse_keywords(&[IS, DISTINCT, FROM]) {
            return None;
        }
        let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
        let left = Box::new(left.clone());
        Some(right.map(|right| match negated {
            true => Expr::IsNotDistinctFrom(left, Box::new(right)),
            false => Expr::IsDistinctFrom(left, Box::new(right)),
        }))
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    as_generic! {
        supports_unicode_string_literal
        supports_string_escape_constant
        supports_quote_delimited_string
        supports_nested_comments
        supports_multiline_comment_hints
        supports_comment_optimizer_hint
        supports_window_function_null_treatment_arg
        supports_window_clause_named_window_reference
        supports_filter_during_aggregation
        supports_named_fn_args_with_assignment_operator
        supports_dictionary_syntax
        supports_struct_literal
        support_map_literal_syntax
        supports_array_typedef_with_brackets
        supports_data_type_signed_suffix
        supports_interval_options
        supports_bitwise_shift_operators
        supports_match_against
        supports_try_convert
        supports_comma_separated_trim
        supports_xml_expressions
        allow_extract_custom
        allow_extract_single_quotes
        supports_extract_comma_syntax
        supports_select_wildcard_except
        supports_select_wildcard_exclude
        supports_select_wildcard_replace
        supports_select_wildcard_ilike
        supports_select_wildcard_rename
        supports_select_item_multi_column_alias
        supports_empty_projections
        supports_group_by_expr
        supports_group_by_with_modifier
        supports_left_associative_joins_without_parens
        supports_parens_around_table_factor
        supports_values_as_table_factor
        supports_limit_comma
    }
}
