//! Every function over every kind of frame, against plain loops.

use flagstone_frame::DataFrame;
use flagstone_graph::SerialExecutor;

use super::oracle::{Cell, Order, Row, Spec, Units, cells, frame, frames_of, partitions, rows};

type Function = (&'static str, fn(&[Row], &[usize]) -> Cell);

fn values<T>(part: &[Row], rows: &[usize], of: fn(&Row) -> Option<T>) -> Vec<T> {
    rows.iter().filter_map(|&row| of(&part[row])).collect()
}

/// What functions make of the rows of a frame.
const OF_FRAMES: [Function; 16] = [
    ("sum(v)", |part, rows| {
        let values = values(part, rows, |row| row.v);
        values.into_iter().reduce(|a, b| a + b).into()
    }),
    ("sum(f)", |part, rows| {
        let values = values(part, rows, |row| row.f);
        values.into_iter().reduce(|a, b| a + b).into()
    }),
    ("avg(v)", |part, rows| {
        let values = values(part, rows, |row| row.v);
        let sum: i64 = values.iter().sum();
        (!values.is_empty())
            .then(|| sum as f64 / values.len() as f64)
            .into()
    }),
    ("count(v)", |part, rows| {
        Cell::Int(values(part, rows, |row| row.v).len() as i64)
    }),
    ("count(*)", |_, rows| Cell::Int(rows.len() as i64)),
    ("min(v)", |part, rows| {
        values(part, rows, |row| row.v).into_iter().min().into()
    }),
    ("max(t)", |part, rows| {
        values(part, rows, |row| row.t.clone())
            .into_iter()
            .max()
            .into()
    }),
    ("max(f)", |part, rows| {
        let values = values(part, rows, |row| row.f);
        values.into_iter().reduce(f64::max).into()
    }),
    ("sum(v) FILTER (WHERE v > 0)", |part, rows| {
        let values = values(part, rows, |row| row.v.filter(|&v| v > 0));
        values.into_iter().reduce(|a, b| a + b).into()
    }),
    ("first_value(t)", |part, rows| {
        rows.first().and_then(|&row| part[row].t.clone()).into()
    }),
    ("last_value(v)", |part, rows| {
        rows.last().and_then(|&row| part[row].v).into()
    }),
    ("nth_value(id, 3)", |part, rows| {
        rows.get(2).map(|&row| part[row].id).into()
    }),
    ("nth_value(id, -2)", |part, rows| {
        let place = rows.len().checked_sub(2);
        place.map(|place| part[rows[place]].id).into()
    }),
    ("first_value(v) IGNORE NULLS", |part, rows| {
        values(part, rows, |row| row.v).first().copied().into()
    }),
    ("last_value(t) IGNORE NULLS", |part, rows| {
        values(part, rows, |row| row.t.clone())
            .last()
            .cloned()
            .into()
    }),
    ("min(v + id)", |part, rows| {
        values(part, rows, |row| row.v.map(|v| v + row.id))
            .into_iter()
            .min()
            .into()
    }),
];

fn compared(text: &str, table: &DataFrame, expected: &[(String, Vec<Cell>)]) {
    let found = DataFrame::sql(text, [("t", table)])
        .compute_with(&SerialExecutor)
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    for (name, cells_expected) in expected {
        assert_eq!(&cells(&found, name), cells_expected, "{name} of {text}");
    }
}

fn checked(rows: &[Row], table: &DataFrame, order: Order, spec: Spec) {
    let over = format!("(PARTITION BY k ORDER BY {} {})", order.text(), spec.text());
    let parts = partitions(rows, order);
    let ids = parts.iter().flatten().map(|row| Cell::Int(row.id));
    let mut expected = vec![("id".to_owned(), ids.collect())];
    let mut columns = vec!["id".to_owned()];
    let frames: Vec<_> = parts
        .iter()
        .map(|part| frames_of(part, order, spec))
        .collect();
    for (at, (function, of)) in OF_FRAMES.into_iter().enumerate() {
        columns.push(format!("{function} OVER {over} AS c{at}"));
        let parts = parts.iter().zip(&frames);
        let cells = parts.flat_map(|(part, frames)| frames.iter().map(|frame| of(part, frame)));
        expected.push((format!("c{at}"), cells.collect()));
    }
    let text = format!("SELECT {} FROM t", columns.join(", "));
    compared(&text, table, &expected);
}

const ORDERS: [Order; 4] = [
    Order {
        descending: false,
        nulls_first: false,
    },
    Order {
        descending: true,
        nulls_first: true,
    },
    Order {
        descending: false,
        nulls_first: true,
    },
    Order {
        descending: true,
        nulls_first: false,
    },
];

#[test]
fn functions_over_frames_are_those_of_loops() {
    let edges = [None, Some(-70), Some(-3), Some(0), Some(2), Some(40)];
    let (few, many) = (rows(300, 4, 25, 7), rows(700, 2, 400, 8));
    let (few_frame, many_frame) = (frame(&few, 3), frame(&many, 2));
    let mut at = 0;
    for units in [Units::Rows, Units::Range, Units::Groups] {
        for start in edges {
            for end in edges {
                let is_backward = start.unwrap_or(-100) > end.unwrap_or(100);
                if is_backward {
                    continue;
                }
                at += 1;
                let spec = Spec { units, start, end };
                checked(&few, &few_frame, ORDERS[at % 4], spec);
                if at % 5 == 0 {
                    checked(&many, &many_frame, ORDERS[at / 5 % 4], spec);
                }
            }
        }
    }
}

#[test]
fn places_in_a_window_are_those_of_loops() {
    let rows = rows(500, 5, 12, 3);
    let table = frame(&rows, 4);
    for order in ORDERS {
        let over = format!("OVER (PARTITION BY k ORDER BY {})", order.text());
        let parts = partitions(&rows, order);
        let mut expected: Vec<(String, Vec<Cell>)> = Vec::new();
        let mut columns = Vec::new();
        let mut add = |function: &str, of: &dyn Fn(&[Row], usize) -> Cell| {
            let name = format!("c{}", columns.len());
            columns.push(format!("{function} {over} AS {name}"));
            let cells = parts.iter();
            let cells = cells.flat_map(|part| (0..part.len()).map(move |row| of(part, row)));
            expected.push((name, cells.collect()));
        };
        let peers = |part: &[Row], row: usize| {
            let is_peer = |other: &Row| order.compare(other, &part[row]).is_eq();
            let first = part.iter().position(is_peer).unwrap();
            let last = part.iter().rposition(is_peer).unwrap();
            (first, last)
        };
        add("row_number()", &|_, row| Cell::Int(row as i64 + 1));
        add("rank()", &|part, row| {
            Cell::Int(peers(part, row).0 as i64 + 1)
        });
        add("dense_rank()", &|part, row| {
            let before = part[..=row].windows(2);
            let new = before.filter(|two| order.compare(&two[0], &two[1]).is_ne());
            Cell::Int(new.count() as i64 + 1)
        });
        add("percent_rank()", &|part, row| {
            let others = (part.len() - 1).max(1);
            Cell::Float(peers(part, row).0 as f64 / others as f64)
        });
        add("cume_dist()", &|part, row| {
            Cell::Float((peers(part, row).1 + 1) as f64 / part.len() as f64)
        });
        for tiles in [1, 4, 7, 1000] {
            add(&format!("ntile({tiles})"), &move |part, row| {
                let mut left = row;
                for tile in 0..tiles {
                    let len = part.len() / tiles + usize::from(tile < part.len() % tiles);
                    if left < len {
                        return Cell::Int(tile as i64 + 1);
                    }
                    left -= len;
                }
                panic!("a row is in no tile")
            });
        }
        for away in [0i64, 1, 3, 90, 5000] {
            add(&format!("lag(v, {away})"), &move |part, row| {
                let other = row.checked_sub(away as usize);
                other.and_then(|other| part[other].v).into()
            });
            add(
                &format!("lead(t, {away}, 'none')"),
                &move |part, row| match part.get(row + away as usize) {
                    Some(other) => other.t.clone().into(),
                    None => Cell::Text("none".to_owned()),
                },
            );
            if away == 0 {
                continue;
            }
            let place = away as usize - 1;
            add(
                &format!("lag(v, {away}) IGNORE NULLS"),
                &move |part, row| {
                    let mut before = part[..row].iter().rev().filter_map(|other| other.v);
                    before.nth(place).into()
                },
            );
            add(
                &format!("lead(v, {away}, 7) IGNORE NULLS"),
                &move |part, row| {
                    let mut behind = part[row + 1..].iter().filter_map(|other| other.v);
                    Cell::Int(behind.nth(place).unwrap_or(7))
                },
            );
        }
        let text = format!("SELECT {} FROM t", columns.join(", "));
        compared(&text, &table, &expected);
    }
}

#[test]
fn a_window_may_be_empty_or_all_rows() {
    let none = frame(&[], 1);
    let text =
        "SELECT id, sum(v) OVER (PARTITION BY k ORDER BY o) AS s, row_number() OVER () AS n FROM t";
    let found = DataFrame::sql(text, [("t", &none)]);
    assert_eq!(found.compute_with(&SerialExecutor).unwrap().num_rows(), 0);
    let rows = rows(400, 3, 10, 5);
    let table = frame(&rows, 3);
    let sum: i64 = rows.iter().filter_map(|row| row.v).sum();
    let ids = rows.iter().map(|row| Cell::Int(row.id)).collect();
    let numbers = (1..=400).map(Cell::Int).collect();
    let text = "SELECT id, row_number() OVER () AS n, sum(v) OVER () AS s FROM t";
    let expected = [
        ("id".to_owned(), ids),
        ("n".to_owned(), numbers),
        ("s".to_owned(), vec![Cell::Int(sum); 400]),
    ];
    compared(text, &table, &expected);
    // nothing of the rows is read
    let numbers = (1..=400).map(Cell::Int).collect();
    let text = "SELECT row_number() OVER () AS n FROM t";
    compared(text, &table, &[("n".to_owned(), numbers)]);
}

#[test]
fn a_sum_of_few_floats_is_one_from_the_left() {
    let mut rows = rows(2000, 3, 900, 11);
    for (at, row) in rows.iter_mut().enumerate() {
        row.f = row.f.map(|f| f / 7.0 + 1e9 / (at + 1) as f64);
    }
    let order = ORDERS[0];
    let table = frame(&rows, 2);
    let parts = partitions(&rows, order);
    for (spec, start) in [("6 PRECEDING", Some(-6)), ("UNBOUNDED PRECEDING", None)] {
        let text = format!(
            "SELECT sum(f) OVER (PARTITION BY k ORDER BY o ROWS BETWEEN {spec} AND CURRENT ROW) AS s FROM t"
        );
        let sums = parts.iter().flat_map(|part| {
            (0..part.len()).map(move |row| {
                let from = start.map_or(0, |start: i64| row.saturating_sub(-start as usize));
                let values = part[from..=row].iter().filter_map(|row| row.f);
                values.reduce(|a, b| a + b).into()
            })
        });
        compared(&text, &table, &[("s".to_owned(), sums.collect())]);
    }
}
