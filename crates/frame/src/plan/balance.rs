//! Long chains of `and` and `or` as shallow trees.
//!
//! `a or b or c or ...` is parsed into a tree as deep as it is long, and whoever walks, copies,
//! drops or evaluates it uses as many calls. The terms of a chain of one of these operators may be
//! grouped in any way, so they are grouped by halves: four thousand are twelve deep. Chains of other
//! operators may not (sums of floats would be rounded in another order): they have a limit, and so
//! has the depth of the whole, wherever in it the chains stand: in a function, a case, a cast.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Expr as Sql, Value, Visit, VisitMut, Visitor, VisitorMut,
};
use flagstone_common::{Error, Result, format_count};

/// How many terms a condition may have.
pub(crate) const TERMS_MAX: usize = 10_000;
/// How many operators of another kind may stand in a row.
pub(crate) const OPERATORS_MAX: usize = 500;
/// How deep an expression may be: one such row, and what the parser takes in parentheses around it.
const DEPTH_MAX: usize = OPERATORS_MAX + 100;

/// The expression with its chains balanced.
///
/// # Errors
/// More than [`TERMS_MAX`] terms, more than [`OPERATORS_MAX`] operators in a row, or an expression
/// that is too deep all the same.
pub(crate) fn balanced(expr: Sql) -> Result<Sql> {
    let balanced = Balance::default().of(expr)?;
    match balanced.visit(&mut Depth(0)) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(balanced),
    }
}

fn too_deep() -> Error {
    Error::invalid(format!(
        "the expression is more than {DEPTH_MAX} operators deep, and cannot be planned: put parts \
         of it in columns of their own"
    ))
}

/// How deep the part at hand is.
struct Depth(usize);

impl Visitor for Depth {
    type Break = Error;

    fn pre_visit_expr(&mut self, _: &Sql) -> ControlFlow<Error> {
        self.0 += 1;
        match self.0 > DEPTH_MAX {
            true => ControlFlow::Break(too_deep()),
            false => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, _: &Sql) -> ControlFlow<Error> {
        self.0 -= 1;
        ControlFlow::Continue(())
    }
}

#[derive(Default)]
struct Balance {
    terms: usize,
    /// How many expressions that are no chains are around the one at hand.
    depth: usize,
}

impl Balance {
    fn of(&mut self, mut expr: Sql) -> Result<Sql> {
        if matches!(expr, Sql::BinaryOp { .. }) {
            return self.chain(expr);
        }
        if self.depth > DEPTH_MAX {
            return Err(too_deep());
        }
        self.depth += 1;
        let mut parts = Parts {
            balance: self,
            depth: 0,
            part: None,
        };
        let visited = VisitMut::visit(&mut expr, &mut parts);
        self.depth -= 1;
        match visited {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(expr),
        }
    }

    /// Takes the left spine of an expression apart, without recursion, and puts it together again.
    fn chain(&mut self, mut expr: Sql) -> Result<Sql> {
        let mut right = Vec::new();
        while let Sql::BinaryOp {
            left,
            op,
            right: last,
            ..
        } = expr
        {
            right.push((op, *last));
            expr = *left;
        }
        let first = expr;
        let is_logical =
            |op: &BinaryOperator| matches!(op, BinaryOperator::And | BinaryOperator::Or);
        let others = right.iter().filter(|(op, _)| !is_logical(op)).count();
        if others > OPERATORS_MAX {
            return Err(Error::invalid(format!(
                "{} stand in a row, and at most {OPERATORS_MAX} may: put parts of it in columns of \
                 their own, or in parentheses",
                format_count(others as u64, "operator")
            )));
        }
        self.terms += right.len();
        if self.terms > TERMS_MAX {
            return Err(Error::invalid(format!(
                "the condition has more than {TERMS_MAX} terms: list the values with IN (...), or \
                 filter in several steps"
            )));
        }
        // from left to right: operands of one operator are gathered, others are applied at once
        let mut gathered = vec![self.of(first)?];
        let mut gathering: Option<BinaryOperator> = None;
        for (op, operand) in right.into_iter().rev() {
            let operand = self.of(operand)?;
            if gathering.as_ref() != Some(&op) {
                let whole = halves(gathered, gathering.take());
                gathered = vec![whole];
                if !is_logical(&op) {
                    gathered = vec![binary(gathered.remove(0), op, operand)];
                    continue;
                }
                gathering = Some(op);
            }
            gathered.push(operand);
        }
        Ok(halves(gathered, gathering))
    }
}

/// Balances the parts that stand directly in an expression: each is taken out before the visitor
/// goes into it, and put back behind it.
struct Parts<'b> {
    balance: &'b mut Balance,
    depth: usize,
    part: Option<Sql>,
}

impl VisitorMut for Parts<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Sql) -> ControlFlow<Error> {
        self.depth += 1;
        if self.depth == 2 {
            let part = std::mem::replace(expr, Sql::value(Value::Null));
            match self.balance.of(part) {
                Ok(part) => self.part = Some(part),
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Sql) -> ControlFlow<Error> {
        if let Some(part) = self.part.take() {
            *expr = part;
        }
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// One tree of the operands of a chain, as deep as their number has bits.
fn halves(mut operands: Vec<Sql>, op: Option<BinaryOperator>) -> Sql {
    if operands.len() <= 1 {
        return operands
            .pop()
            .unwrap_or_else(|| Sql::value(Value::Boolean(true)));
    }
    let op = op.unwrap_or(BinaryOperator::And);
    let right = operands.split_off(operands.len() / 2);
    binary(
        halves(operands, Some(op.clone())),
        op.clone(),
        halves(right, Some(op)),
    )
}

fn binary(left: Sql, op: BinaryOperator, right: Sql) -> Sql {
    Sql::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_sql::sqlparser::dialect::GenericDialect;
    use datafusion_sql::sqlparser::parser::Parser;

    fn parse(text: &str) -> Sql {
        let dialect = GenericDialect {};
        let mut parser = Parser::new(&dialect).try_with_sql(text).unwrap();
        parser.parse_expr().unwrap()
    }

    fn depth(expr: &Sql) -> usize {
        match expr {
            Sql::BinaryOp { left, right, .. } => 1 + depth(left).max(depth(right)),
            Sql::Nested(inner) => 1 + depth(inner),
            _ => 1,
        }
    }

    #[test]
    fn terms_keep_their_order_and_operators_their_operands() {
        for (text, terms) in [
            ("a and b and c and d", "a AND b AND c AND d"),
            ("a or b and c or d", "a OR b AND c OR d"),
            ("a + b - c * d > e", "a + b - c * d > e"),
            ("(a or b or c) and d", "(a OR b OR c) AND d"),
        ] {
            assert_eq!(balanced(parse(text)).unwrap().to_string(), terms);
        }
    }

    #[test]
    fn long_chains_are_shallow_and_have_limits() {
        let long = |count: usize, op: &str| {
            let terms: Vec<String> = (0..count).map(|i| format!("a = {i}")).collect();
            super::super::stack::planned(|| balanced(parse(&terms.join(op))))
        };
        assert!(depth(&long(4000, " or ").unwrap()) < 20);
        assert!(depth(&long(4000, " and ").unwrap()) < 20);
        let error = long(TERMS_MAX + 2, " or ").unwrap_err();
        assert!(error.message().contains("more than 10000 terms"), "{error}");
        let sum = vec!["a"; OPERATORS_MAX + 2].join(" + ");
        let error = super::super::stack::planned(|| balanced(parse(&sum))).unwrap_err();
        assert!(
            error.message().contains("501 operators stand in a row"),
            "{error}"
        );
    }
}
