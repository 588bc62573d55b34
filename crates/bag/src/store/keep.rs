//! Partitions that are kept for later computations, of any size.
//!
//! A partition's items are one block while they are few; a block comes back as a whole, so one that
//! is a large part of the budget could never be used again. What is more is written by the task that
//! makes it, a piece at a time, and the block says where.

use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use flagstone_common::{Result, TaskContext};
use flagstone_graph::{Block, BlockData, Codec, Footprint};

use super::held::Held;
use super::{READING_BYTES, Store, WRITING_BYTES};
use crate::chain::{Flow, Run, Sink, Stage, Step};
use flagstone_exchange::heap_bytes;
use flagstone_exchange::{Bytes, Spool};
use flagstone_exchange::{Portable, Repeated, Stored};

/// A block of items holds so much whatever the budget.
const BLOCK_BYTES: u64 = 1 << 20;
/// And no more than this, however much is free.
const BLOCK_BYTES_MAX: u64 = 32 << 20;

/// What reading a kept partition takes beside its block.
pub(crate) const KEPT_READING_BYTES: u64 = READING_BYTES;

/// The file of a kept bag. Blocks on disk name it by a number: what is spilled of a partition is only
/// where its items lie.
pub(crate) struct File {
    number: u64,
    spool: Arc<Spool>,
}

/// The files of kept bags that somebody still holds.
static FILES: Mutex<Vec<(u64, Weak<Spool>)>> = Mutex::new(Vec::new());

impl File {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (number, spool) = (NEXT.fetch_add(1, Ordering::Relaxed), Arc::default());
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|(_, spool)| spool.strong_count() > 0);
        files.push((number, Arc::downgrade(&spool)));
        File { number, spool }
    }

    fn find(number: u64) -> Option<Arc<Spool>> {
        let files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        let found = files.iter().find(|(known, _)| *known == number)?;
        found.1.upgrade()
    }
}

/// A partition whose items were written.
pub(crate) struct Written<T> {
    file: u64,
    spool: Arc<Spool>,
    pieces: Vec<Bytes>,
    item: PhantomData<fn() -> T>,
}

impl<T: Portable + Repeated> Written<T> {
    /// The items, to be read by a task.
    pub(crate) fn store(&self, ctx: &TaskContext<'_>) -> Result<Store<T>> {
        Store::of_pieces(&self.spool, self.pieces.clone(), ctx)
    }
}

impl<T: Portable> BlockData for Written<T> {
    fn nbytes(&self) -> u64 {
        (size_of::<Self>() + self.pieces.capacity() * size_of::<Bytes>()) as u64
    }

    fn codec(&self) -> Option<&'static dyn Codec> {
        Some(const { &Places::<T>(PhantomData) })
    }
}

/// Writes where the items lie.
struct Places<T>(PhantomData<fn() -> T>);

impl<T: Portable> Codec for Places<T> {
    fn name(&self) -> &'static str {
        "places"
    }

    fn encode(&self, block: &Block, out: &mut dyn Write) -> io::Result<()> {
        let written = block
            .downcast_ref::<Written<T>>()
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut out = io::BufWriter::new(out);
        let places = (written.file, &written.pieces);
        bincode::serde::encode_into_std_write(places, &mut out, bincode::config::standard())
            .map_err(io::Error::other)?;
        out.flush()
    }

    fn decode(&self, input: &mut dyn Read, _: u64) -> io::Result<Block> {
        let mut input = io::BufReader::new(input);
        let config = bincode::config::standard();
        let (file, pieces): (u64, Vec<Bytes>) =
            bincode::serde::decode_from_std_read(&mut input, config)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let spool =
            File::find(file).ok_or_else(|| io::Error::other("the file of a kept bag is gone"))?;
        Ok(Block::new(Written::<T> {
            file,
            spool,
            pieces,
            item: PhantomData,
        }))
    }
}

/// The sink of [`Bag::collect`](crate::Bag::collect) where the items are kept, not handed over.
pub(crate) struct Keep {
    pub(crate) step: Step,
    pub(crate) file: Arc<File>,
}

/// The items so far.
pub(crate) enum Keeping<T> {
    Held { items: Held<T>, bytes_max: u64 },
    Written(Store<T>),
}

/// How large a block may get: what no task of the plan needs may be taken, in parts.
fn bytes_max(ctx: &TaskContext<'_>) -> u64 {
    (ctx.headroom_bytes() / 8).clamp(BLOCK_BYTES, BLOCK_BYTES_MAX)
}

impl<S, T> Sink<S> for Keep
where
    S: for<'a> Stage<Item<'a> = T>,
    T: Portable + Repeated,
{
    type State = Keeping<T>;

    fn step(&self) -> Step {
        self.step
    }

    fn start(&self, run: &Run<'_>) -> Result<Keeping<T>> {
        Ok(Keeping::Held {
            items: Held::default(),
            bytes_max: bytes_max(run.ctx()),
        })
    }

    fn push(&self, state: &mut Keeping<T>, item: T, run: &Run<'_>) -> Flow {
        if let Keeping::Held { items, bytes_max } = state {
            let heap = heap_bytes(&item);
            // beside it there has to be room to write it all
            if items.make_room(heap, *bytes_max, run) && run.ctx().reserve(WRITING_BYTES).is_ok() {
                items.push_into_room(item, heap);
                return Ok(());
            }
            let held = std::mem::take(items);
            let mut store = Store::written(&self.file.spool, run.ctx())?;
            for item in held.into_items() {
                store.push(item, run.ctx())?;
            }
            store.push(item, run.ctx())?;
            *state = Keeping::Written(store);
            return Ok(());
        }
        if let Keeping::Written(store) = state {
            store.push(item, run.ctx())?;
        }
        Ok(())
    }

    fn finish(&self, state: Keeping<T>, run: &Run<'_>) -> Result<Block> {
        match state {
            Keeping::Held { items, .. } => {
                let heap = items.heap_bytes + (items.items.capacity() * size_of::<T>()) as u64;
                Ok(Stored::block(items.items, heap))
            }
            Keeping::Written(mut store) => {
                store.seal(run.ctx())?;
                Ok(Block::new(Written::<T> {
                    file: self.file.number,
                    spool: Arc::clone(&self.file.spool),
                    pieces: store.into_pieces(),
                    item: PhantomData,
                }))
            }
        }
    }

    fn output(&self) -> Footprint {
        Footprint::estimated(BLOCK_BYTES).with_scratch(BLOCK_BYTES + 2 * WRITING_BYTES)
    }
}
