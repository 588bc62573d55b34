//! Keys with one hash, which no data is known to have.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion_common::JoinType;
use flagstone_common::{SerialHost, TaskContext};
use flagstone_exchange::{Bytes, Spool};
use flagstone_graph::ended;

use super::super::gather::{Gather, Sides};
use super::super::output::Output;
use super::super::record::Record;
use super::super::rule::JoinRule;
use crate::kernels::rows::RowCodec;

fn rule(join_type: JoinType) -> JoinRule {
    let side = |name: &str| Arc::new(Schema::new(vec![Field::new(name, DataType::Int64, true)]));
    let fields = ["l", "r"].map(|name| Field::new(name, DataType::Int64, true));
    JoinRule {
        join_type,
        keys: [Vec::new(), Vec::new()],
        key_types: [Vec::new(), Vec::new()],
        filter: None,
        schemas: [side("l"), side("r")],
        schema: Arc::new(Schema::new(fields.to_vec())),
        is_mirrored: false,
        nulls_equal: false,
        null_aware: false,
    }
}

/// A piece for each row: its key, and its number.
fn pieces(spool: &Spool, rows: &[(&str, i64)], ctx: &TaskContext<'_>) -> Vec<Bytes> {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let codec = RowCodec::new(&schema, None).unwrap();
    let piece = |&(key, number): &(&str, i64)| {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![number]));
        let row = RecordBatch::try_new(schema.clone(), vec![column]).unwrap();
        let row = codec.encode(&row).unwrap();
        let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
        let record = Record {
            hash: 5,
            matches: !key.is_empty(),
            key: key.as_bytes(),
            row: row.row(0, &mut scratch),
        };
        record.write(&mut bytes).unwrap();
        Bytes::append(spool, &bytes, 0, ctx).unwrap()
    };
    rows.iter().map(piece).collect()
}

#[test]
fn keys_of_one_hash_stay_apart_and_come_in_their_order() {
    let (host, key) = (SerialHost::new(), || String::new());
    let ctx = TaskContext::new(&host, &key);
    let spool = Spool::default();
    let left = [("b", 1), ("a", 2), ("", 3), ("b", 4), ("c", 5), ("", 6)];
    let right = [("b", 10), ("d", 20), ("b", 30), ("", 40), ("a", 50)];
    let (left, right) = (pieces(&spool, &left, &ctx), pieces(&spool, &right, &ctx));
    let sides: Sides<'_> = [left.iter().collect(), right.iter().collect()];
    let rule = rule(JoinType::Full);
    let joined = |alone: bool| {
        let mut found = Vec::new();
        let mut give = |batch: RecordBatch| {
            let column = |at: usize| {
                let column = batch.column(at).as_any().downcast_ref::<Int64Array>();
                column.unwrap().iter().collect::<Vec<_>>()
            };
            found.extend(column(0).into_iter().zip(column(1)));
            Ok(())
        };
        let mut output = Output::new(&rule, false, &ctx, &mut give).unwrap();
        let gather = Gather {
            rule: &rule,
            ctx: &ctx,
        };
        let flow = match alone {
            true => gather.keys_alone(&spool, &sides, &mut output),
            false => gather.shard(&spool, &sides, 0, &mut output),
        };
        ended(flow).unwrap();
        output.finish().unwrap();
        found
    };
    let expected = [
        (Some(3), None),
        (Some(6), None),
        (None, Some(40)),
        (Some(2), Some(50)),
        (Some(1), Some(10)),
        (Some(1), Some(30)),
        (Some(4), Some(10)),
        (Some(4), Some(30)),
        (Some(5), None),
        (None, Some(20)),
    ];
    assert_eq!(joined(true), expected);
    assert_eq!(joined(false), expected);
}
