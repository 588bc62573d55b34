//! What the scheduler costs: a million empty tasks in four shapes, fusion off, two threads, with
//! order, ledger and events on. One JSON line a case:
//!
//! - `ns_per_task`: running, wall time of the whole run over its tasks
//! - `build_ns_per_task`: building the graph and freezing it
//! - `bytes_per_task`: growth of the heap at its peak, without the event rings and kept outputs
//!
//! `FLAGSTONE_BENCH_TASKS` changes the million, `FLAGSTONE_BENCH_REPEAT` the repetitions,
//! `FLAGSTONE_BENCH_SHAPE` names the one shape to run.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{
    Block, Deps, Execute, ExplicitBuilder, Footprint, FreezeOptions, Graph, Inputs, Layer, LayerId,
    Pick,
};
use flagstone_scheduler::Session;

struct Counting;

/// Whether to count: counters that two threads share would cost more than what is timed.
static COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grown(bytes: usize) {
    if COUNTING.load(Ordering::Relaxed) {
        let live = LIVE.fetch_add(bytes, Ordering::Relaxed).wrapping_add(bytes);
        // what was allocated before the counting began may be freed during it
        PEAK.fetch_max(
            if live > usize::MAX / 2 { 0 } else { live },
            Ordering::Relaxed,
        );
    }
}

// SAFETY: every call is passed to the system allocator unchanged; only sizes are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if COUNTING.load(Ordering::Relaxed) {
            LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The four shapes by index arithmetic. A task returns an empty block.
#[derive(Clone, Copy)]
enum Shape {
    Map,
    Chain,
    Tree { leaves: u32 },
    Stencil { width: u32 },
}

#[derive(Clone, Copy)]
struct Empty {
    shape: Shape,
    count: u32,
}

impl Layer for Empty {
    fn name(&self) -> &str {
        "empty"
    }

    fn task_count(&self) -> u32 {
        self.count
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        match self.shape {
            Shape::Map => {}
            Shape::Chain if task == 0 => {}
            Shape::Chain => deps.own(task - 1),
            Shape::Tree { leaves } if task < leaves => {}
            Shape::Tree { leaves } => {
                let left = (task - leaves) * 2;
                deps.own(left);
                deps.own(left + 1);
            }
            Shape::Stencil { width } if task < width => {}
            Shape::Stencil { width } => {
                let (row, column) = (task / width - 1, task % width);
                deps.own(row * width + (column + width - 1) % width);
                deps.own(row * width + column);
                deps.own(row * width + (column + 1) % width);
            }
        }
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(0)
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Ok(Block::unit())
    }
}

impl Empty {
    fn build(self) -> (Graph, LayerId) {
        let mut graph = Graph::new();
        let tasks = graph.push(self, &[]);
        (graph, self.ends(tasks)).into_outputs()
    }

    /// What is asked for: the last task, the last row, or (map) every task.
    fn ends(self, tasks: LayerId) -> (LayerId, Option<Vec<u32>>) {
        match self.shape {
            Shape::Map => (tasks, None),
            Shape::Chain | Shape::Tree { .. } => (tasks, Some(vec![self.count - 1])),
            Shape::Stencil { width } => (tasks, Some((self.count - width..self.count).collect())),
        }
    }

    /// The same tasks in an explicit layer.
    fn build_explicit(self) -> (Graph, LayerId) {
        let mut builder = ExplicitBuilder::new("explicit", Footprint::exact(0))
            .with_capacity(self.count as usize, self.edges());
        let empty = builder.function(|_, _, _| Ok(Block::unit()));
        for task in 0..self.count {
            match self.shape {
                Shape::Map => builder.task(empty, &[]),
                Shape::Chain if task == 0 => builder.task(empty, &[]),
                Shape::Chain => builder.task(empty, &[task - 1]),
                Shape::Tree { leaves } if task < leaves => builder.task(empty, &[]),
                Shape::Tree { leaves } => {
                    let left = (task - leaves) * 2;
                    builder.task(empty, &[left, left + 1])
                }
                Shape::Stencil { width } if task < width => builder.task(empty, &[]),
                Shape::Stencil { width } => {
                    let (row, column) = (task / width - 1, task % width);
                    let at = |c: u32| row * width + c % width;
                    builder.task(empty, &[at(column + width - 1), at(column), at(column + 1)])
                }
            };
        }
        let mut graph = Graph::new();
        let tasks = graph.push(builder.build(), &[]);
        (graph, self.ends(tasks)).into_outputs()
    }

    fn edges(self) -> usize {
        let count = self.count as usize;
        match self.shape {
            Shape::Map => 0,
            Shape::Chain | Shape::Tree { .. } => count,
            Shape::Stencil { .. } => count * 3,
        }
    }
}

trait IntoOutputs {
    fn into_outputs(self) -> (Graph, LayerId);
}

impl IntoOutputs for (Graph, (LayerId, Option<Vec<u32>>)) {
    fn into_outputs(mut self) -> (Graph, LayerId) {
        let (tasks, picked) = self.1;
        let output = match picked {
            None => tasks,
            Some(wanted) => self
                .0
                .push(Pick::new(wanted, Footprint::exact(0)), &[tasks]),
        };
        (self.0, output)
    }
}

struct Measured {
    build_ns: f64,
    run_ns: f64,
    bytes: f64,
    tasks: usize,
    edges: usize,
}

/// Builds and runs once, timed and not counted; then once more, counted and not timed.
fn measure(session: &Session, build: &dyn Fn() -> (Graph, LayerId)) -> Result<Measured> {
    let options = FreezeOptions {
        fuse: false,
        ..FreezeOptions::default()
    };
    let start = Instant::now();
    let (graph, output) = build();
    let program = graph.freeze(&[output], &options)?;
    let build_ns = start.elapsed().as_nanos() as f64;
    let (tasks, edges) = (program.task_count(), program.edge_count());
    let start = Instant::now();
    run(session, program)?;
    let run_ns = start.elapsed().as_nanos() as f64;
    drop(graph);
    let (graph, output) = build();
    LIVE.store(0, Ordering::Relaxed);
    PEAK.store(0, Ordering::Relaxed);
    COUNTING.store(true, Ordering::Relaxed);
    run(session, session.freeze(&graph, &[output])?)?;
    COUNTING.store(false, Ordering::Relaxed);
    let bytes = PEAK.load(Ordering::Relaxed);
    Ok(Measured {
        build_ns: build_ns / tasks as f64,
        run_ns: run_ns / tasks as f64,
        bytes: bytes as f64 / tasks as f64,
        tasks,
        edges,
    })
}

fn run(session: &Session, program: flagstone_graph::Program) -> Result<()> {
    let mut delivered = 0usize;
    session.run_each(program, &mut |_, _, _| {
        delivered += 1;
        Ok(())
    })?;
    assert!(delivered > 0, "nothing was delivered");
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<()> {
    let number = |name: &str, default: u32| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let count = number("FLAGSTONE_BENCH_TASKS", 1_000_000).max(4000);
    let repeat = number("FLAGSTONE_BENCH_REPEAT", 5).max(1);
    let leaves = count.div_ceil(2).next_power_of_two().clamp(2, 1 << 19);
    let shapes = [
        (
            "map",
            Empty {
                shape: Shape::Map,
                count,
            },
        ),
        (
            "chain",
            Empty {
                shape: Shape::Chain,
                count,
            },
        ),
        (
            "tree",
            Empty {
                shape: Shape::Tree { leaves },
                count: 2 * leaves - 1,
            },
        ),
        (
            "stencil",
            Empty {
                shape: Shape::Stencil { width: 1000 },
                count: count / 1000 * 1000,
            },
        ),
    ];
    let only = std::env::var("FLAGSTONE_BENCH_SHAPE").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let session = Session::builder()
        .memory("2 GiB")
        .threads(2)
        .fuse(false)
        .build()?;
    // the event rings reach their bound before anything is measured
    for _ in 0..2 {
        measure(&session, &|| shapes[0].1.build())?;
    }
    for explicit in [false, true] {
        for (name, shape) in shapes.into_iter().filter(|shape| wanted(shape.0)) {
            let build = || {
                if explicit {
                    shape.build_explicit()
                } else {
                    shape.build()
                }
            };
            let mut runs = Vec::new();
            for _ in 0..repeat {
                runs.push(measure(&session, &build)?);
            }
            let field = |get: &dyn Fn(&Measured) -> f64| {
                median(&mut runs.iter().map(get).collect::<Vec<_>>())
            };
            println!(
                "{{\"bench\":\"scheduler\",\"shape\":\"{name}\",\"graph\":\"{}\",\"tasks\":{},\
                 \"edges_per_task\":{:.3},\"ns_per_task\":{:.1},\"build_ns_per_task\":{:.1},\
                 \"bytes_per_task\":{:.1},\"threads\":2,\"repeat\":{repeat}}}",
                if explicit { "explicit" } else { "arithmetic" },
                runs[0].tasks,
                runs[0].edges as f64 / runs[0].tasks as f64,
                field(&|m| m.run_ns),
                field(&|m| m.build_ns),
                field(&|m| m.bytes),
            );
        }
    }
    plain_csr(count);
    let _ = session.resources();
    Ok(())
}

/// The floor: dependencies of the stencil written into two plain vectors, nothing else.
fn plain_csr(count: u32) {
    let width = 1000;
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let mut offsets = Vec::with_capacity(count as usize + 1);
        let mut edges = Vec::with_capacity(count as usize * 3);
        offsets.push(0u32);
        for task in 0..count {
            if task >= width {
                let (row, column) = (task / width - 1, task % width);
                for step in [width - 1, 0, 1] {
                    edges.push(row * width + (column + step) % width);
                }
            }
            offsets.push(edges.len() as u32);
        }
        std::hint::black_box((&offsets, &edges));
        times.push(start.elapsed().as_nanos() as f64 / f64::from(count));
    }
    println!(
        "{{\"bench\":\"scheduler\",\"shape\":\"stencil\",\"graph\":\"plain CSR\",\"tasks\":{count},\
         \"edges_per_task\":3,\"build_ns_per_task\":{:.1}}}",
        median(&mut times)
    );
}
