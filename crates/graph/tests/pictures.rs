//! Orders as pictures: for each of the shapes that collections make, when each task runs and what the
//! run holds at most. `orders.txt` has them; after a change that is meant, write it anew with
//! `FLAGSTONE_UPDATE=1 cargo test --workspace --test pictures`, and look at the difference.

use std::fmt::Write;
use std::path::Path;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, Deps, Footprint, FreezeOptions, Graph, Inputs, Layer, LayerId};

type Reads = dyn Fn(u32) -> Vec<(usize, u32)> + Send + Sync;

/// A layer of `count` tasks with blocks of `bytes`; `reads` gives a task's inputs, by slot.
struct Shape {
    name: &'static str,
    count: u32,
    bytes: u64,
    scratch: u64,
    reads: Box<Reads>,
}

impl Layer for Shape {
    fn name(&self) -> &str {
        self.name
    }

    fn task_count(&self) -> u32 {
        self.count
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        for (slot, index) in (self.reads)(task) {
            deps.push(slot, index);
        }
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(self.bytes).with_scratch(self.scratch)
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Ok(Block::unit())
    }
}

/// Puts graphs together.
#[derive(Default)]
struct Drawing(Graph);

impl Drawing {
    fn layer(
        &mut self,
        name: &'static str,
        (count, bytes): (u32, u64),
        inputs: &[LayerId],
        reads: impl Fn(u32) -> Vec<(usize, u32)> + Send + Sync + 'static,
    ) -> LayerId {
        let shape = Shape {
            name,
            count,
            bytes,
            scratch: 0,
            reads: Box::new(reads),
        };
        self.0.push(shape, inputs)
    }

    fn source(&mut self, name: &'static str, count: u32, bytes: u64) -> LayerId {
        self.layer(name, (count, bytes), &[], |_| Vec::new())
    }

    /// One task a task of each input.
    fn each(
        &mut self,
        name: &'static str,
        (count, bytes): (u32, u64),
        inputs: &[LayerId],
    ) -> LayerId {
        let slots = inputs.len();
        self.layer(name, (count, bytes), inputs, move |task| {
            (0..slots).map(|slot| (slot, task)).collect()
        })
    }

    /// One task that reads all of an input.
    fn all(&mut self, name: &'static str, bytes: u64, input: LayerId) -> LayerId {
        let count = self.0.layer(input).task_count();
        self.layer(name, (1, bytes), &[input], move |_| {
            (0..count).map(|task| (0, task)).collect()
        })
    }

    /// A tree over an input, down to one task.
    fn tree(&mut self, name: &'static str, bytes: u64, input: LayerId, fan_in: u32) -> LayerId {
        let mut below = input;
        loop {
            let width = self.0.layer(below).task_count();
            if width == 1 {
                return below;
            }
            let count = width.div_ceil(fan_in);
            below = self.layer(name, (count, bytes), &[below], move |task| {
                let from = task * fan_in;
                (from..(from + fan_in).min(width)).map(|i| (0, i)).collect()
            });
        }
    }
}

/// The order of what `outputs` need: a line a layer, with the rank of each of its tasks.
fn picture(drawing: &Drawing, outputs: &[LayerId]) -> String {
    let options = FreezeOptions {
        fuse: false,
        ..FreezeOptions::default()
    };
    let program = drawing.0.freeze(outputs, &options).unwrap();
    let mut lines = vec![Vec::new(); program.layer_count()];
    for task in program.tasks() {
        let (layer, index) = program.place(task);
        lines[layer].push((index, task.0));
    }
    let mut text = String::new();
    for (layer, mut ranks) in lines.into_iter().enumerate() {
        ranks.sort_unstable();
        write!(text, "{:<10}", program.layer_name(layer)).unwrap();
        for (_, rank) in ranks {
            write!(text, " {rank:>2}").unwrap();
        }
        text.push('\n');
    }
    writeln!(text, "holds at most {}", program.sequential_peak_bytes()).unwrap();
    text
}

/// Every shape, with what it is.
fn pictures() -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let mut draw = |title, make: &dyn Fn(&mut Drawing) -> Vec<LayerId>| {
        let mut drawing = Drawing::default();
        let outputs = make(&mut drawing);
        all.push((title, picture(&drawing, &outputs)));
    };
    draw("a map over six blocks that a sink writes", &|d| {
        let x = d.source("read", 6, 10);
        let y = d.each("map", (6, 10), &[x]);
        vec![d.each("write", (6, 0), &[y])]
    });
    draw("a long chain of one block", &|d| {
        let mut x = d.source("read", 1, 10);
        for name in ["a", "b", "c", "d"] {
            x = d.each(name, (1, 10), &[x]);
        }
        vec![x]
    });
    draw("a sum of sixteen blocks, two by two", &|d| {
        let x = d.source("read", 16, 10);
        vec![d.tree("add", 1, x, 2)]
    });
    draw("a sum of sixteen blocks, four by four", &|d| {
        let x = d.source("read", 16, 10);
        vec![d.tree("add", 1, x, 4)]
    });
    draw("a sum whose states are as large as its blocks", &|d| {
        let x = d.source("read", 8, 10);
        vec![d.tree("add", 10, x, 2)]
    });
    draw("a sum of blocks that are mapped first", &|d| {
        let x = d.source("read", 8, 10);
        let y = d.each("map", (8, 10), &[x]);
        vec![d.tree("add", 1, y, 4)]
    });
    draw("two operands, block by block", &|d| {
        let (a, b) = (d.source("a", 5, 10), d.source("b", 5, 10));
        let c = d.each("add", (5, 10), &[a, b]);
        vec![d.each("write", (5, 0), &[c])]
    });
    draw("two results of one pass", &|d| {
        let x = d.source("read", 6, 10);
        let (least, sum) = (d.each("min", (6, 1), &[x]), d.each("sum", (6, 1), &[x]));
        vec![d.tree("least", 1, least, 8), d.tree("total", 1, sum, 8)]
    });
    draw("x - mean(x): the blocks wait for their mean", &|d| {
        let x = d.source("read", 6, 10);
        let mean = d.all("mean", 1, x);
        let y = d.layer("centre", (6, 10), &[x, mean], |task| {
            vec![(0, task), (1, 0)]
        });
        vec![d.each("write", (6, 0), &[y])]
    });
    draw("x - mean(x), read twice", &|d| {
        let (x, again) = (d.source("read", 6, 10), d.source("again", 6, 10));
        let mean = d.all("mean", 1, x);
        let reads = |task| vec![(0, task), (1, 0)];
        let y = d.layer("centre", (6, 10), &[again, mean], reads);
        vec![d.each("write", (6, 0), &[y])]
    });
    draw("a small table joined to every block", &|d| {
        let (x, table) = (d.source("read", 5, 10), d.source("table", 1, 30));
        let y = d.layer("join", (5, 10), &[x, table], |task| vec![(0, task), (1, 0)]);
        vec![d.each("write", (5, 0), &[y])]
    });
    for (title, edge) in [
        ("a product of two by two blocks", 2),
        ("a product of three by three blocks", 3),
    ] {
        draw(title, &|d| {
            let (a, b) = (
                d.source("a", edge * edge, 10),
                d.source("b", edge * edge, 10),
            );
            let reads = move |task| {
                let (i, j) = (task / edge, task % edge);
                let left = (0..edge).map(|k| (0, i * edge + k));
                left.chain((0..edge).map(|k| (1, k * edge + j))).collect()
            };
            let c = d.layer("dot", (edge * edge, 10), &[a, b], reads);
            vec![d.each("write", (edge * edge, 0), &[c])]
        });
    }
    draw("A.T A of four blocks of rows", &|d| {
        let a = d.source("a", 4, 10);
        let part = d.each("a.t a", (4, 5), &[a]);
        vec![d.tree("add", 5, part, 2)]
    });
    draw("every block with its neighbours", &|d| {
        let x = d.source("read", 7, 10);
        let near = |task: u32| {
            (task.saturating_sub(1)..(task + 2).min(7))
                .map(|i| (0, i))
                .collect()
        };
        let y = d.layer("overlap", (7, 10), &[x], near);
        vec![d.each("write", (7, 0), &[y])]
    });
    draw("neighbours of neighbours", &|d| {
        let x = d.source("read", 6, 10);
        let near = |task: u32| -> Vec<(usize, u32)> {
            (task.saturating_sub(1)..(task + 2).min(6))
                .map(|i| (0, i))
                .collect()
        };
        let y = d.layer("once", (6, 10), &[x], near);
        let z = d.layer("twice", (6, 10), &[y], near);
        vec![d.each("write", (6, 0), &[z])]
    });
    draw("neighbours on a grid of four by four", &|d| {
        let x = d.source("read", 16, 10);
        let cross = |task: u32| {
            let (i, j) = (task / 4, task % 4);
            let mut reads = vec![(0, task)];
            let steps = [
                (i > 0, 4, false),
                (i < 3, 4, true),
                (j > 0, 1, false),
                (j < 3, 1, true),
            ];
            for (inside, step, up) in steps {
                if inside {
                    reads.push((0, if up { task + step } else { task - step }));
                }
            }
            reads
        };
        let y = d.layer("stencil", (16, 10), &[x], cross);
        vec![d.each("write", (16, 0), &[y])]
    });
    draw("x + x.T on a grid of three by three", &|d| {
        let x = d.source("read", 9, 10);
        let turned = |task: u32| vec![(0, task), (0, task % 3 * 3 + task / 3)];
        let y = d.layer("add", (9, 10), &[x], turned);
        vec![d.each("write", (9, 0), &[y])]
    });
    draw("rows to columns: every output reads every input", &|d| {
        let x = d.source("read", 4, 10);
        let y = d.layer("join", (4, 10), &[x], |_| (0..4).map(|i| (0, i)).collect());
        vec![d.each("write", (4, 0), &[y])]
    });
    draw("rows to columns by pieces", &|d| {
        let x = d.source("read", 4, 12);
        let piece = d.layer("split", (16, 3), &[x], |task| vec![(0, task / 4)]);
        let y = d.layer("join", (4, 12), &[piece], |task| {
            (0..4).map(|row| (0, row * 4 + task)).collect()
        });
        vec![d.each("write", (4, 0), &[y])]
    });
    draw("six blocks to four of other lengths", &|d| {
        let x = d.source("read", 6, 10);
        let y = d.layer("rechunk", (4, 15), &[x], |task| {
            (task * 3 / 2..(task * 3 + 4) / 2).map(|i| (0, i)).collect()
        });
        vec![d.each("write", (4, 0), &[y])]
    });
    draw("a running sum", &|d| {
        let x = d.source("read", 6, 10);
        let sum = d.each("sum", (6, 1), &[x]);
        let before = d.layer("before", (6, 1), &[sum], |task| {
            (0..task).map(|i| (0, i)).collect()
        });
        let y = d.each("scan", (6, 10), &[x, before]);
        vec![d.each("write", (6, 0), &[y])]
    });
    draw("keys: scatter, exchange, gather", &|d| {
        let x = d.source("read", 5, 10);
        let scattered = d.each("scatter", (5, 1), &[x]);
        let exchange = d.all("exchange", 1, scattered);
        vec![d.layer("gather", (3, 5), &[exchange], |_| vec![(0, 0)])]
    });
    draw("a sort: sampled, cut, merged", &|d| {
        let x = d.source("read", 6, 10);
        let sample = d.each("sample", (6, 1), &[x]);
        let cuts = d.all("cuts", 1, sample);
        let again = d.source("again", 6, 10);
        let run = d.layer("run", (6, 2), &[again, cuts], |task| {
            vec![(0, task), (1, 0)]
        });
        let merge = d.layer("merge", (3, 20), &[run], |_| {
            (0..6).map(|i| (0, i)).collect()
        });
        vec![d.each("write", (3, 0), &[merge])]
    });
    draw("QR of a tall matrix: down the tree and up again", &|d| {
        let x = d.source("read", 4, 10);
        let leaf = d.each("factor", (4, 11), &[x]);
        let tail = d.each("tail", (4, 1), &[leaf]);
        let top = d.all("top", 5, tail);
        let spread = d.layer("spread", (4, 1), &[top], |_| vec![(0, 0)]);
        let q = d.each("apply", (4, 10), &[leaf, spread]);
        vec![d.each("write", (4, 0), &[q])]
    });
    draw("one block of a hundred is wanted", &|d| {
        let x = d.source("read", 100, 10);
        let y = d.each("map", (100, 10), &[x]);
        vec![d.layer("pick", (1, 10), &[y], |_| vec![(0, 42)])]
    });
    draw("a large result and a small one", &|d| {
        let x = d.source("read", 6, 10);
        let sum = d.each("sum", (6, 1), &[x]);
        vec![d.each("keep", (6, 10), &[x]), d.tree("total", 1, sum, 4)]
    });
    draw("a block that grows before it shrinks", &|d| {
        let x = d.source("read", 4, 1);
        let large = d.each("decode", (4, 40), &[x]);
        let small = d.each("select", (4, 2), &[large]);
        vec![d.tree("add", 2, small, 2)]
    });
    draw("two independent jobs of different size", &|d| {
        let (large, small) = (d.source("large", 3, 50), d.source("small", 3, 5));
        vec![d.tree("first", 1, large, 2), d.tree("second", 1, small, 2)]
    });
    draw("a concatenation of two sources, summed", &|d| {
        let (a, b) = (d.source("a", 3, 10), d.source("b", 3, 10));
        let both = d.layer("concat", (6, 10), &[a, b], |task| match task < 3 {
            true => vec![(0, task)],
            false => vec![(1, task - 3)],
        });
        vec![d.tree("add", 1, both, 2)]
    });
    draw("a diamond of two ways", &|d| {
        let x = d.source("read", 3, 10);
        let (left, right) = (d.each("left", (3, 20), &[x]), d.each("right", (3, 2), &[x]));
        vec![d.each("meet", (3, 1), &[left, right])]
    });
    draw("batches of products, each summed", &|d| {
        let (a, b) = (d.source("a", 6, 10), d.source("b", 6, 10));
        let c = d.each("dot", (6, 10), &[a, b]);
        let sum = d.layer("sum", (2, 1), &[c], |task| {
            (task * 3..task * 3 + 3).map(|i| (0, i)).collect()
        });
        vec![d.all("total", 1, sum)]
    });
    all
}

#[test]
fn orders_are_as_they_are_drawn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/orders.txt");
    let pictures = pictures();
    assert!(pictures.len() >= 30);
    let found: String = pictures
        .iter()
        .map(|(title, picture)| format!("== {title}\n{picture}\n"))
        .collect();
    if std::env::var_os("FLAGSTONE_UPDATE").is_some() {
        std::fs::write(&path, &found).unwrap();
        return;
    }
    let drawn = std::fs::read_to_string(&path).unwrap();
    for (found, drawn) in found.split("== ").zip(drawn.split("== ")) {
        assert_eq!(found, drawn, "another order than tests/orders.txt has");
    }
    assert_eq!(found.len(), drawn.len());
}
