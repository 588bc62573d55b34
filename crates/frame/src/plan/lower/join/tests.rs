//! Joins that only plans of SQL have: marks, `NOT IN`, nulls that equal each other.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion_common::{Column, JoinType, NullEquality};
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};
use flagstone_common::{ErrorKind, Result};
use flagstone_graph::{Execute, Graph, SerialExecutor};

use crate::ops::collect::Collect;
use crate::partition::Partition;
use crate::plan::logical::FrameTable;
use crate::plan::lower::lower;
use crate::source::batches::BatchSource;

/// One column, `k`, in two partitions; how large it is may be hidden by a limit.
fn table(name: &str, values: &[Option<i64>], is_told: bool) -> LogicalPlan {
    let batch = |values: &[Option<i64>]| {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("k", column, true)]).unwrap()
    };
    let (first, second) = values.split_at(values.len() / 2);
    let batches = vec![batch(first), batch(second)];
    let schema = batches[0].schema();
    let source = Arc::new(BatchSource { schema, batches });
    let scan = LogicalPlanBuilder::scan(
        name,
        Arc::new(FrameTable {
            source,
            is_open: false,
        }),
        None,
    );
    let scan = scan.unwrap();
    let limited = match is_told {
        true => Ok(scan),
        false => scan.limit(0, Some(1 << 20)),
    };
    limited.unwrap().build().unwrap()
}

#[derive(Clone)]
struct Asked {
    join_type: JoinType,
    filter: Option<Expr>,
    nulls: NullEquality,
    null_aware: bool,
}

/// The rows in the order of texts: the same ones if sides are large, and if each is small.
fn joined(left: &[Option<i64>], right: &[Option<i64>], asked: Asked) -> Result<Vec<Vec<String>>> {
    let large = joined_as(left, right, asked.clone(), (false, false));
    for told in [(true, false), (false, true)] {
        let small = joined_as(left, right, asked.clone(), told);
        assert_eq!(small.is_ok(), large.is_ok());
        if let (Ok(small), Ok(large)) = (small, &large) {
            assert_eq!(&small, large);
        }
    }
    large
}

fn joined_as(
    left: &[Option<i64>],
    right: &[Option<i64>],
    asked: Asked,
    told: (bool, bool),
) -> Result<Vec<Vec<String>>> {
    let keys = |name: &str| vec![Column::new(Some(name), "k")];
    let plan = LogicalPlanBuilder::from(table("l", left, told.0))
        .join_detailed_with_options(
            table("r", right, told.1),
            asked.join_type,
            (keys("l"), keys("r")),
            asked.filter,
            asked.nulls,
            asked.null_aware,
        )
        .and_then(LogicalPlanBuilder::build)
        .unwrap();
    let pipeline = lower(&plan, false)?;
    let schema = pipeline.schema.clone();
    let mut graph = Graph::new();
    let rows = pipeline.push(&mut graph, Arc::new(Collect { schema }))?;
    let blocks = SerialExecutor.execute(&graph, &[rows])?;
    let partitions = blocks[0].iter().map(|block| {
        let partition = block.downcast_ref::<Partition>();
        partition.unwrap().batches.clone()
    });
    let batches: Vec<RecordBatch> = partitions.flatten().collect();
    let mut rows = Vec::new();
    for batch in &batches {
        let text = |column: &ArrayRef, row| {
            arrow::util::display::array_value_to_string(column, row).unwrap()
        };
        let row = |row| batch.columns().iter().map(|c| text(c, row)).collect();
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows.sort();
    Ok(rows)
}

const NOTHING: NullEquality = NullEquality::NullEqualsNothing;

fn not_in(left: &[Option<i64>], right: &[Option<i64>]) -> Vec<Vec<String>> {
    let asked = Asked {
        join_type: JoinType::LeftAnti,
        filter: None,
        nulls: NOTHING,
        null_aware: true,
    };
    joined(left, right, asked).unwrap()
}

#[test]
fn not_in_gives_nothing_that_a_null_might_equal() {
    let left = [Some(1), None, Some(2), Some(3)];
    assert_eq!(not_in(&left, &[Some(2), Some(9)]), [["1"], ["3"]]);
    assert!(not_in(&left, &[Some(2), None]).is_empty());
    // in nothing is nothing, not even a null
    assert_eq!(not_in(&left, &[]), [[""], ["1"], ["2"], ["3"]]);
}

#[test]
fn not_in_with_a_condition_is_refused() {
    let asked = Asked {
        join_type: JoinType::LeftAnti,
        filter: Some(col("l.k").gt(lit(1i64))),
        nulls: NOTHING,
        null_aware: true,
    };
    let error = joined(&[Some(1)], &[Some(1)], asked).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("NOT IN"), "{error}");
}

#[test]
fn marks_say_which_rows_have_a_partner() {
    let (left, right) = ([Some(1), None, Some(2), Some(3)], [Some(2), Some(3), None]);
    let marked = |join_type, filter| {
        let asked = Asked {
            join_type,
            filter,
            nulls: NOTHING,
            null_aware: false,
        };
        joined(&left, &right, asked).unwrap()
    };
    assert_eq!(
        marked(JoinType::LeftMark, None),
        [["", "false"], ["1", "false"], ["2", "true"], ["3", "true"]]
    );
    let less = (col("l.k") + col("r.k")).lt(lit(5i64));
    assert_eq!(
        marked(JoinType::LeftMark, Some(less.clone())),
        [["", "false"], ["1", "false"], ["2", "true"], ["3", "false"]]
    );
    assert_eq!(
        marked(JoinType::RightMark, Some(less)),
        [["", "false"], ["2", "true"], ["3", "false"]]
    );
}

#[test]
fn nulls_equal_each_other_where_a_plan_says_so() {
    let (left, right) = ([Some(1), None, Some(2)], [None, Some(2), None]);
    let rows = |join_type| {
        let asked = Asked {
            join_type,
            filter: None,
            nulls: NullEquality::NullEqualsNull,
            null_aware: false,
        };
        joined(&left, &right, asked).unwrap()
    };
    assert_eq!(rows(JoinType::LeftSemi), [[""], ["2"]]);
    assert_eq!(rows(JoinType::LeftAnti), [["1"]]);
    assert_eq!(rows(JoinType::Inner), [["", ""], ["", ""], ["2", "2"]]);
}
