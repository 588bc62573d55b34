//! The shuffle: every source task cuts its partition into shards, every gather task reads one shard
//! of all sources.
//!
//! ```text
//!   scatter 0 ──┐             ┌── gather 0
//!   scatter 1 ──┼── barrier ──┼── gather 1        N + P tasks and a barrier, N + P edges,
//!   scatter 2 ──┘             └── gather 2        never N x P
//! ```
//!
//! A scatter task holds one buffer of fixed size. When it is full, its largest shard is appended to
//! a scratch file that all tasks of the shuffle share, so a task's needs are known and writes are
//! long. What travels through the graph is only where each piece lies. The barrier moves no data: it
//! collects those places. A gather task reads its pieces by (source, position), so what it sees does
//! not depend on which scatter task ran first. A task that is run again leaves pieces behind that
//! nobody reads.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::block::{Block, BlockData, Inputs};
use crate::context::{ScratchFile, TaskContext};
use crate::error::{Error, Result};
use crate::footprint::Footprint;
use crate::graph::Graph;
use crate::id::LayerId;
use crate::layer::{Deps, Layer};
use crate::shapes::OneToOne;

/// The scratch file of one shuffle, opened by the first task that overflows.
#[derive(Default)]
struct SharedFile(Mutex<Option<Box<dyn ScratchFile>>>);

impl SharedFile {
    fn append(&self, bytes: &[u8], ctx: &TaskContext<'_>) -> Result<u64> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *file {
            Some(file) => file.append(bytes),
            empty => empty.insert(ctx.scratch_file()?).append(bytes),
        }
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = file
            .as_ref()
            .ok_or_else(|| Error::invalid("the shuffle has no file"))?;
        file.read_exact_at(buffer, offset)
    }
}

/// A piece of a shard in the file.
struct Piece {
    shard: u32,
    bytes: Range<u64>,
}

/// Where the pieces of one source lie, in the order they were written.
struct Receipt(Vec<Piece>);

impl BlockData for Receipt {
    fn nbytes(&self) -> u64 {
        (self.0.capacity() * size_of::<Piece>()) as u64
    }
}

/// The receipts of all sources, in order.
struct Receipts(Vec<Arc<Receipt>>);

impl BlockData for Receipts {
    fn nbytes(&self) -> u64 {
        self.0.iter().map(|receipt| receipt.nbytes() + 16).sum()
    }
}

/// Takes a scatter task's bytes, shard by shard.
pub struct ShardWriter<'a> {
    file: &'a SharedFile,
    ctx: &'a TaskContext<'a>,
    buffers: Vec<Vec<u8>>,
    buffered: usize,
    buffer_bytes: usize,
    pieces: Vec<Piece>,
}

impl ShardWriter<'_> {
    /// How many shards there are.
    pub fn shard_count(&self) -> u32 {
        self.buffers.len() as u32
    }

    /// Appends bytes to a shard. The pieces that a gather task sees may be cut anywhere between two
    /// calls, never inside one.
    ///
    /// # Errors
    /// A shard that does not exist, bytes longer than the buffer, and those of the scratch file.
    pub fn write(&mut self, shard: u32, bytes: &[u8]) -> Result<()> {
        if bytes.len() > self.buffer_bytes {
            return Err(Error::invalid(format!(
                "{} for one shard are more than the buffer of {}",
                flagstone_memory::format_bytes(bytes.len() as u64),
                flagstone_memory::format_bytes(self.buffer_bytes as u64)
            )));
        }
        while self.buffered + bytes.len() > self.buffer_bytes {
            self.flush_largest()?;
        }
        let count = self.buffers.len();
        let buffer = self
            .buffers
            .get_mut(shard as usize)
            .ok_or_else(|| Error::invalid(format!("there is no shard {shard} of {count}")))?;
        buffer.extend_from_slice(bytes);
        self.buffered += bytes.len();
        Ok(())
    }

    fn flush_largest(&mut self) -> Result<()> {
        let largest = (0..self.buffers.len()).max_by_key(|&shard| self.buffers[shard].len());
        largest.map_or(Ok(()), |shard| self.flush(shard))
    }

    fn flush(&mut self, shard: usize) -> Result<()> {
        // the buffer is given back too: capacities of all shards together stay near the lease
        let buffer = std::mem::take(&mut self.buffers[shard]);
        if buffer.is_empty() {
            return Ok(());
        }
        let start = self.file.append(&buffer, self.ctx)?;
        let bytes = start..start + buffer.len() as u64;
        self.buffered -= buffer.len();
        self.pieces.push(Piece {
            shard: shard as u32,
            bytes,
        });
        Ok(())
    }

    fn finish(mut self) -> Result<Receipt> {
        for shard in 0..self.buffers.len() {
            self.flush(shard)?;
        }
        Ok(Receipt(self.pieces))
    }
}

/// Gives a gather task its shard.
pub struct ShardReader<'a> {
    file: &'a SharedFile,
    receipts: &'a Receipts,
    shard: u32,
    ctx: &'a TaskContext<'a>,
}

impl ShardReader<'_> {
    /// The bytes of the whole shard.
    pub fn byte_count(&self) -> u64 {
        self.pieces()
            .map(|(_, piece)| piece.bytes.end - piece.bytes.start)
            .sum()
    }

    fn pieces(&self) -> impl Iterator<Item = (u32, &Piece)> + '_ {
        let of = |(source, receipt)| (source as u32, receipt);
        self.receipts
            .0
            .iter()
            .enumerate()
            .map(of)
            .flat_map(|(source, receipt): (u32, &Arc<Receipt>)| {
                receipt.0.iter().map(move |piece| (source, piece))
            })
            .filter(|(_, piece)| piece.shard == self.shard)
    }

    /// Calls `each` with the source task and every piece, by (source, position).
    ///
    /// # Errors
    /// Those of the scratch file, of `each`, and memory for one piece.
    pub fn for_each(&self, each: &mut dyn FnMut(u32, &[u8]) -> Result<()>) -> Result<()> {
        let mut buffer = Vec::new();
        let mut lease = self.ctx.reserve(0)?;
        for (source, piece) in self.pieces() {
            self.ctx.check_cancelled()?;
            let len = (piece.bytes.end - piece.bytes.start) as usize;
            lease.ensure(len as u64)?;
            buffer.resize(len, 0);
            self.file.read(&mut buffer, piece.bytes.start)?;
            each(source, &buffer)?;
        }
        Ok(())
    }
}

/// Collects the receipts: no data passes here.
struct Barrier {
    sources: u32,
}

impl Layer for Barrier {
    fn name(&self) -> &str {
        "barrier"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.range(0, 0..self.sources);
    }

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::estimated(u64::from(self.sources) * 64).resident()
    }

    fn run(&self, _: u32, mut inputs: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        let receipt = |i| {
            let receipt = inputs.take(i)?.downcast::<Receipt>();
            receipt.map_err(|_| Error::invalid("a scatter task returned no receipt"))
        };
        (0..self.sources as usize)
            .map(receipt)
            .collect::<Result<_>>()
            .map(Receipts)
            .map(Block::new)
    }
}

struct Gather<F, S> {
    name: String,
    shards: u32,
    file: Arc<SharedFile>,
    size: S,
    run: F,
}

impl<F, S> Layer for Gather<F, S>
where
    F: Fn(u32, &ShardReader<'_>, &TaskContext<'_>) -> Result<Block> + Send + Sync,
    S: Fn(u32) -> Footprint + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn task_count(&self) -> u32 {
        self.shards
    }

    fn deps(&self, _: u32, deps: &mut Deps<'_>) {
        deps.push(0, 0);
    }

    fn footprint(&self, shard: u32) -> Footprint {
        (self.size)(shard)
    }

    fn run(&self, shard: u32, inputs: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let receipts = inputs.get::<Receipts>(0)?;
        (self.run)(
            shard,
            &ShardReader {
                file: &self.file,
                receipts,
                shard,
                ctx,
            },
            ctx,
        )
    }
}

impl Graph {
    /// Shuffles the blocks of `input` into `shards` blocks.
    ///
    /// `scatter` cuts one block; it holds `buffer_bytes` beside what it leases itself. `gather` makes
    /// one block of one shard; `size` is what it needs.
    #[expect(clippy::too_many_arguments, reason = "one call makes three layers")]
    pub fn shuffle(
        &mut self,
        name: &str,
        input: LayerId,
        shards: u32,
        buffer_bytes: u64,
        scatter: impl Fn(u32, Inputs<'_>, &TaskContext<'_>, &mut ShardWriter<'_>) -> Result<()>
        + Send
        + Sync
        + 'static,
        size: impl Fn(u32) -> Footprint + Send + Sync + 'static,
        gather: impl Fn(u32, &ShardReader<'_>, &TaskContext<'_>) -> Result<Block>
        + Send
        + Sync
        + 'static,
    ) -> LayerId {
        let sources = self.layer(input).task_count();
        let file = Arc::new(SharedFile::default());
        let shared = Arc::clone(&file);
        // growing buffers may hold twice what is in them
        let footprint = Footprint::estimated(1024)
            .with_scratch(2 * buffer_bytes)
            .resident();
        let scatter = OneToOne::new(
            format!("{name}-scatter"),
            sources,
            move |_| footprint,
            move |source, inputs, ctx| {
                let _lease = ctx.reserve(2 * buffer_bytes)?;
                let mut writer = ShardWriter {
                    file: &shared,
                    ctx,
                    buffers: (0..shards).map(|_| Vec::new()).collect(),
                    buffered: 0,
                    buffer_bytes: buffer_bytes as usize,
                    pieces: Vec::new(),
                };
                scatter(source, inputs, ctx, &mut writer)?;
                writer.finish().map(Block::new)
            },
        );
        let scattered = self.push(scatter, &[input]);
        let barrier = self.push(Barrier { sources }, &[scattered]);
        let name = format!("{name}-gather");
        self.push(
            Gather {
                name,
                shards,
                file,
                size,
                run: gather,
            },
            &[barrier],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Execute, FreezeOptions, SerialExecutor};

    /// Sends every number to the shard of its remainder; gathers (source, number) pairs.
    fn remainders(sources: u32, shards: u32, buffer_bytes: u64) -> (Graph, LayerId) {
        let mut graph = Graph::new();
        let numbers = graph.push(
            OneToOne::source(
                "numbers",
                sources,
                |_| Footprint::exact(8).resident(),
                |task, _, _| Ok(Block::value(u64::from(task))),
            ),
            &[],
        );
        let gathered = graph.shuffle(
            "remainders",
            numbers,
            shards,
            buffer_bytes,
            move |_, inputs, _, writer| {
                let start = *inputs.value::<u64>(0)? * 100;
                (start..start + 100).try_for_each(|number| {
                    writer.write((number % u64::from(shards)) as u32, &number.to_le_bytes())
                })
            },
            |_| Footprint::estimated(1 << 10).resident(),
            |_, reader, _| {
                let mut pairs = Vec::new();
                reader.for_each(&mut |source, bytes| {
                    let number = |b: &[u8]| b.try_into().map(u64::from_le_bytes).unwrap_or(0);
                    pairs.extend(bytes.chunks(8).map(|b| (source, number(b))));
                    Ok(())
                })?;
                assert_eq!(reader.byte_count(), pairs.len() as u64 * 8);
                Ok(Block::value(pairs))
            },
        );
        (graph, gathered)
    }

    #[test]
    fn every_row_arrives_once_by_source_and_position_whatever_the_buffer() {
        for buffer_bytes in [8, 64, 100_000] {
            let (graph, gathered) = remainders(5, 7, buffer_bytes);
            let blocks = SerialExecutor.execute(&graph, &[gathered]).unwrap();
            for (shard, block) in blocks[0].iter().enumerate() {
                let expected: Vec<(u32, u64)> = (0..500u64)
                    .filter(|number| number % 7 == shard as u64)
                    .map(|number| ((number / 100) as u32, number))
                    .collect();
                assert_eq!(block.value_ref::<Vec<(u32, u64)>>(), Some(&expected));
            }
        }
    }

    #[test]
    fn tasks_and_edges_grow_with_the_sum_never_with_the_product() {
        let (graph, gathered) = remainders(300, 200, 800);
        let options = FreezeOptions {
            fuse: false,
            ..FreezeOptions::default()
        };
        let program = graph.freeze(&[gathered], &options).unwrap();
        // numbers, scatter, barrier, gather
        assert_eq!(program.task_count(), 300 + 300 + 1 + 200);
        assert_eq!(program.edge_count(), 300 + 300 + 200);
    }

    #[test]
    fn what_does_not_fit_the_buffer_is_an_error() {
        let (graph, gathered) = remainders(1, 2, 7);
        let error = SerialExecutor.execute(&graph, &[gathered]).err().unwrap();
        assert!(error.message().contains("more than the buffer"), "{error}");
    }
}
