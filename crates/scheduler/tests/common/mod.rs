//! Random graphs of vectors, whose results depend on every edge and every bit.

use std::io::{self, Read, Write};

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{
    Block, BlockData, Codec, Deps, Footprint, Graph, Inputs, Layer, LayerId, Pick,
};

/// A block of numbers with a codec.
pub(crate) struct Numbers(pub(crate) Vec<u64>);

impl BlockData for Numbers {
    fn nbytes(&self) -> u64 {
        self.0.len() as u64 * 8
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(&NumbersCodec)
    }
}

struct NumbersCodec;

impl Codec for NumbersCodec {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn encode(&self, block: &Block, out: &mut dyn Write) -> io::Result<()> {
        let numbers = block
            .downcast_ref::<Numbers>()
            .ok_or(io::ErrorKind::InvalidInput)?;
        numbers
            .0
            .iter()
            .try_for_each(|number| out.write_all(&number.to_le_bytes()))
    }

    fn decode(&self, input: &mut dyn Read, encoded_bytes: u64) -> io::Result<Block> {
        let mut numbers = Vec::with_capacity(encoded_bytes as usize / 8);
        let mut word = [0; 8];
        for _ in 0..encoded_bytes / 8 {
            input.read_exact(&mut word)?;
            numbers.push(u64::from_le_bytes(word));
        }
        Ok(Block::new(Numbers(numbers)))
    }
}

/// A small deterministic generator, so that a failing seed can be named.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

/// A layer of tasks with random dependencies on lower tasks and random sizes.
pub(crate) struct RandomLayer {
    deps: Vec<Vec<u32>>,
    lengths: Vec<u64>,
    scratch: Vec<u64>,
    reuse: Vec<bool>,
}

impl RandomLayer {
    pub(crate) fn new(seed: u64, tasks: u32) -> Self {
        let mut random = Random(seed);
        let mut layer = RandomLayer {
            deps: vec![],
            lengths: vec![],
            scratch: vec![],
            reuse: vec![],
        };
        for task in 0..tasks {
            let fan_in = if task == 0 {
                0
            } else {
                random.below(4.min(u64::from(task)) + 1)
            };
            let window = 1 + random.below(u64::from(task) + 1);
            let deps: Vec<u32> = (0..fan_in)
                .map(|_| task - 1 - random.below(window.min(u64::from(task))) as u32)
                .collect();
            layer.reuse.push(!deps.is_empty() && random.below(3) == 0);
            layer.deps.push(deps);
            layer.lengths.push(1 + random.below(400));
            layer.scratch.push(random.below(2000));
        }
        layer
    }
}

impl Layer for RandomLayer {
    fn name(&self) -> &str {
        "random"
    }

    fn task_count(&self) -> u32 {
        self.deps.len() as u32
    }

    fn deps(&self, task: u32, deps: &mut Deps<'_>) {
        self.deps[task as usize]
            .iter()
            .for_each(|&dep| deps.own(dep));
    }

    fn footprint(&self, task: u32) -> Footprint {
        let footprint = Footprint::exact(self.lengths[task as usize] * 8)
            .with_scratch(self.scratch[task as usize]);
        if self.reuse[task as usize] {
            footprint.reusing(0)
        } else {
            footprint
        }
    }

    fn run(&self, task: u32, mut inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let _scratch = ctx.reserve(self.scratch[task as usize])?;
        let length = self.lengths[task as usize];
        let mut numbers: Vec<u64> = (0..length).map(|i| i ^ u64::from(task)).collect();
        for i in 0..inputs.len() {
            // donated inputs are taken by value, as layers that work in place do
            let block = inputs.take(i)?;
            let read = |input: &[u64], numbers: &mut Vec<u64>| {
                for (k, number) in numbers.iter_mut().enumerate() {
                    *number = number
                        .rotate_left(7)
                        .wrapping_mul(0x0100_0000_01b3)
                        .wrapping_add(input[k % input.len()]);
                }
            };
            match block.take::<Numbers>() {
                Ok(own) => read(&own.0, &mut numbers),
                Err(shared) => {
                    let shared = shared
                        .downcast_ref::<Numbers>()
                        .expect("blocks are numbers");
                    read(&shared.0, &mut numbers);
                }
            }
        }
        Ok(Block::new(Numbers(numbers)))
    }
}

/// A graph whose outputs are a few random tasks.
pub(crate) fn random_graph(seed: u64, tasks: u32) -> (Graph, Vec<LayerId>) {
    let mut random = Random(seed ^ 0xabcd);
    let mut graph = Graph::new();
    let layer = graph.push(RandomLayer::new(seed, tasks), &[]);
    let wanted: Vec<u32> = (0..1 + random.below(4))
        .map(|_| random.below(u64::from(tasks)) as u32)
        .collect();
    let wanted = wanted.into_iter().chain([tasks - 1]).collect();
    let picked = graph.push(Pick::new(wanted, Footprint::exact(3200)), &[layer]);
    (graph, vec![picked])
}

/// The bits of a result.
pub(crate) fn bits(blocks: &[Vec<Block>]) -> Vec<Vec<Vec<u64>>> {
    let numbers = |block: &Block| block.downcast_ref::<Numbers>().expect("numbers").0.clone();
    blocks
        .iter()
        .map(|layer| layer.iter().map(numbers).collect())
        .collect()
}
