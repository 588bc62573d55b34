//! Rows beside what their groups come to, and rows of extremes.

use flagstone_frame::{DataFrame, arg_max, arg_min, col, sum};
use flagstone_graph::SerialExecutor;

use crate::common;
use crate::typed::table;

#[test]
fn rows_have_what_their_groups_come_to_and_extremes_name_their_rows() {
    let frame = table(2, 4, 3);
    let most = arg_max(col("t"), col("n")).alias("most");
    let least = arg_min(col("t"), col("n")).alias("least");
    let groups = frame.groupby(["k"]).agg([most, least]);
    let expected = "SELECT k, first_value(t ORDER BY n DESC) AS most, first_value(t ORDER BY n) AS least \
                    FROM t GROUP BY k ORDER BY k";
    let expected = DataFrame::sql(expected, [("t", &frame)]);
    let run = |frame: &DataFrame| common::rows(&frame.compute_with(&SerialExecutor).unwrap());
    assert_eq!(run(&groups), run(&expected));
    let all = frame
        .groupby(["k"])
        .transform([sum(col("n")).alias("total")]);
    let expected = "SELECT k, t, n, sum(n) OVER (PARTITION BY k) AS total FROM t";
    assert_eq!(run(&all), run(&DataFrame::sql(expected, [("t", &frame)])));
}
