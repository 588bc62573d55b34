//! An executor for tests: a budget for the planner, threads inside tasks, blocks that go through
//! their codec on the way, and checks of what tasks declared.

pub mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use flagstone_common::{Account, Counter, Result, ScratchFile, SerialHost, TaskContext, TaskHost};
use flagstone_graph::{Block, Execute, FreezeOptions, Graph, Inputs, LayerId, Resources};

/// Runs tasks one by one; their inner loops use `threads`.
pub struct Harness {
    pub budget_bytes: u64,
    pub threads: usize,
    /// Every how many-th block is written and read back; 0 for none.
    pub round_trip: usize,
    pub counters: [AtomicU64; 5],
    /// The largest inputs + output + scratch of a task.
    pub largest_bytes: AtomicU64,
    /// Measures what tasks allocate.
    pub meter: Option<Meter>,
}

/// What a task allocates on this thread, from its beginning on.
#[derive(Clone, Copy)]
pub struct Meter {
    pub begin: fn(),
    /// The most bytes at once.
    pub peak: fn() -> u64,
}

/// What a task may allocate beside what it declared: lists of its regions, and what reads with gaps go
/// through.
const BESIDE_BYTES: u64 = 128 << 10;
/// What kernels of matrices pack into: memory that a thread keeps, a constant beside the budget.
const PACKED_BYTES: u64 = 8 << 20;
/// The layers that call them.
const PACKING: [&str; 4] = ["product", "qr", "svd", "apply-q"];
/// The same for each of its inputs.
const BESIDE_INPUT_BYTES: u64 = 1 << 10;

/// Computes on the reference executor, and on a tiny budget and a larger one with blocks that go
/// through their codec: with equal bits.
pub fn at<T: flagstone_array::Element>(array: flagstone_array::Array<T>) -> ndarray::ArrayD<T> {
    let whole = array
        .compute_with(&flagstone_graph::SerialExecutor)
        .unwrap();
    for (budget, threads, round_trip) in [(4096, 1, 2), (1 << 20, 2, 0)] {
        let mut harness = Harness::new(budget, threads);
        harness.round_trip = round_trip;
        let cut = array.compute_with(&harness).unwrap();
        let bits = |x: &ndarray::ArrayD<T>| x.iter().map(|v| v.token_bits()).collect::<Vec<_>>();
        assert_eq!(
            (cut.shape(), bits(&cut)),
            (whole.shape(), bits(&whole)),
            "{budget}"
        );
    }
    whole
}

/// 0, 1, 2 and so on, in C order.
pub fn numbers(shape: &[usize]) -> ndarray::ArrayD<i64> {
    let mut next = 0..;
    ndarray::ArrayD::from_shape_simple_fn(shape, || next.next().unwrap_or(0))
}

impl Harness {
    pub fn new(budget_bytes: u64, threads: usize) -> Self {
        Harness {
            budget_bytes,
            threads,
            round_trip: 0,
            counters: Default::default(),
            largest_bytes: AtomicU64::new(0),
            meter: None,
        }
    }

    /// Computes by way of a file: nothing but the file holds the whole result.
    pub fn stored<T: flagstone_array::Element>(
        &self,
        array: &flagstone_array::Array<T>,
    ) -> ndarray::ArrayD<T> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stored.npy");
        array.store_npy_with(self, &path).unwrap();
        flagstone_array::Array::open_npy(&path)
            .compute_with(&flagstone_graph::SerialExecutor)
            .unwrap()
    }

    pub fn counted(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }
}

struct Host<'a> {
    harness: &'a Harness,
    serial: SerialHost,
}

impl TaskHost for Host<'_> {
    fn account(&self) -> Arc<dyn Account> {
        self.serial.account()
    }

    fn is_cancelled(&self) -> bool {
        false
    }

    fn count(&self, counter: Counter, amount: u64) {
        self.harness.counters[counter as usize].fetch_add(amount, Ordering::Relaxed);
    }

    fn for_each_index(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        if self.harness.threads == 1 || count < 2 {
            return (0..count).for_each(body);
        }
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.harness.threads {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            break;
                        }
                        body(index);
                    }
                });
            }
        });
    }

    fn parallelism(&self) -> usize {
        self.harness.threads
    }

    fn scratch_file(&self) -> Result<Box<dyn ScratchFile>> {
        self.serial.scratch_file()
    }
}

impl Execute for Harness {
    fn resources(&self) -> Resources {
        Resources {
            budget_bytes: self.budget_bytes,
            threads: self.threads,
        }
    }

    fn execute(&self, graph: &Graph, outputs: &[LayerId]) -> Result<Vec<Vec<Block>>> {
        let options = FreezeOptions {
            fuse: true,
            fused_bytes_max: self.budget_bytes,
        };
        let program = graph.freeze(outputs, &options)?;
        let host = Host {
            harness: self,
            serial: SerialHost::new(),
        };
        let mut uses: Vec<u32> = program
            .tasks()
            .map(|task| program.use_count(task))
            .collect();
        let mut blocks: Vec<Option<Block>> = vec![None; program.task_count()];
        for task in program.tasks() {
            let mut inputs = Vec::new();
            let mut input_bytes = 0;
            let footprint = program.footprint(task);
            for (position, &dep) in program.dependencies(task).iter().enumerate() {
                uses[dep.index()] -= 1;
                let donated = uses[dep.index()] == 0;
                let block = match donated {
                    true => blocks[dep.index()].take(),
                    false => blocks[dep.index()].clone(),
                };
                let bytes = block.as_ref().map_or(0, Block::nbytes);
                let reused = donated && footprint.reuse == Some(position as u16);
                input_bytes += if reused { 0 } else { bytes };
                inputs.push(block);
            }
            let bytes = input_bytes + footprint.own_bytes();
            let before = self.largest_bytes.fetch_max(bytes, Ordering::Relaxed);
            if bytes > before && std::env::var_os("FLAGSTONE_TEST_SIZES").is_some() {
                eprintln!("{}: {input_bytes} + {footprint:?}", program.key(task));
            }
            let key = || program.key(task).to_string();
            let context = TaskContext::new(&host, &key);
            if let Some(meter) = self.meter {
                (meter.begin)();
            }
            let block = program
                .run(task, Inputs::new(&mut inputs), &context)
                .map_err(|error| program.locate(error, task))?;
            if let Some(meter) = self.meter {
                let name = program.key(task).to_string();
                let packs = PACKING.iter().any(|packing| name.contains(packing));
                let packed = if packs { PACKED_BYTES } else { 0 };
                let beside = BESIDE_BYTES + inputs.len() as u64 * BESIDE_INPUT_BYTES + packed;
                let (peak, declared) = ((meter.peak)(), footprint.own_bytes());
                assert!(
                    peak <= declared + beside,
                    "{} took {peak} and declared {footprint:?}",
                    program.key(task)
                );
            }
            assert!(
                block.nbytes() <= footprint.output_bytes,
                "{}",
                program.key(task)
            );
            let spill = self.round_trip > 0
                && task.index() % self.round_trip == 0
                && block.codec().is_some();
            let block = match spill {
                true => flagstone_graph::round_trip(&block, host.serial.memory()).unwrap(),
                false => block,
            };
            if uses[task.index()] > 0 {
                blocks[task.index()] = Some(block);
            }
        }
        let take = |layer: &Vec<flagstone_graph::TaskId>| {
            layer
                .iter()
                .map(|task| blocks[task.index()].clone().unwrap())
                .collect()
        };
        Ok(program.outputs().iter().map(take).collect())
    }
}

/// A directory for many small stores: in memory where the system has that, as syncing is not what
/// is tested.
pub fn quick_directory() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}
