//! What files hold, from their footers: in tasks of an executor, within its budget.

mod arrow;
mod parquet;

use ::arrow::datatypes::{Schema, SchemaRef};
use flagstone_common::{Error, Memory, Result, TaskContext};
use flagstone_graph::{Block, BlockData, Deps, Execute, Footprint, Graph, Inputs, Layer};
use flagstone_io::{InputFile, IntoPaths};

pub use self::arrow::{ArrowInfo, inspect_arrow, inspect_arrow_with};
pub use self::parquet::{ParquetInfo, inspect_parquet, inspect_parquet_with};

/// What the footer of a file says, and of several files together.
trait Footer: Clone + Send + Sync + Sized + 'static {
    /// The name of the layer that reads footers.
    const LAYER: &'static str;
    /// What it is called when no file was named.
    const FORMAT: &'static str;

    /// About how many bytes reading it will take.
    fn estimate(file: &InputFile) -> u64;

    /// Reads the footer of a file. What it takes is leased before it is read, and before it is decoded.
    fn read(file: &InputFile, memory: &dyn Memory) -> Result<Self>;

    /// Adds what a further file says.
    fn add(&mut self, next: &Self);

    /// The schema of the first file.
    fn schema(&mut self) -> &mut SchemaRef;
}

fn inspect<F: Footer>(paths: impl IntoPaths, execute: &dyn Execute) -> Result<F> {
    let files = flagstone_io::expand(paths.into_paths())?;
    let mut graph = Graph::new();
    let estimates = files.iter().map(F::estimate).collect();
    let footers = FooterLayer::<F> {
        files,
        estimates,
        footer: std::marker::PhantomData,
    };
    let layer = graph.push(footers, &[]);
    let blocks = execute.execute(&graph, &[layer])?;
    let mut whole: Option<F> = None;
    for block in blocks.iter().flatten() {
        let Some(Shown { footer, .. }) = block.downcast_ref::<Shown<F>>() else {
            continue;
        };
        match &mut whole {
            Some(whole) => whole.add(footer),
            whole => *whole = Some(footer.clone()),
        }
    }
    whole.ok_or_else(|| Error::invalid(format!("no {} file was named: name one", F::FORMAT)))
}

/// What is kept of a footer; the schema of the first file only.
struct Shown<F> {
    footer: F,
    heap_bytes: u64,
}

impl<F: Footer> BlockData for Shown<F> {
    fn nbytes(&self) -> u64 {
        size_of::<Shown<F>>() as u64 + self.heap_bytes
    }
}

struct FooterLayer<F> {
    files: Vec<InputFile>,
    /// What each will take.
    estimates: Vec<u64>,
    footer: std::marker::PhantomData<fn() -> F>,
}

impl<F: Footer> Layer for FooterLayer<F> {
    fn name(&self) -> &str {
        F::LAYER
    }

    fn task_count(&self) -> u32 {
        self.files.len() as u32
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, task: u32) -> Footprint {
        // a part of it becomes the schema
        let bytes = self.estimates[task as usize];
        let schema = if task == 0 { bytes / 4 } else { 0 };
        Footprint::estimated(schema + (1 << 10))
            .with_scratch(bytes)
            .resident()
    }

    fn run(&self, task: u32, _: Inputs<'_>, ctx: &TaskContext<'_>) -> Result<Block> {
        let mut footer = F::read(&self.files[task as usize], ctx.memory())?;
        let mut heap_bytes = 256;
        let schema = footer.schema();
        if task == 0 {
            heap_bytes += schema.fields.size() as u64;
        } else {
            *schema = Schema::empty().into();
        }
        Ok(Block::new(Shown { footer, heap_bytes }))
    }
}
