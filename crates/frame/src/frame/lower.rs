//! From a frame to layers: its files listed, its plan made, and pushed into a graph.

use std::sync::Arc;

use arrow::array::RecordBatch;
use flagstone_common::{Error, ErrorKind, Result};
use flagstone_graph::{Block, Execute, Graph, LayerId, Lower, Planner, Resources, SerialExecutor};

use super::DataFrame;
use crate::ops::collect::Collect;
use crate::ops::pipeline::Pipeline;
use crate::plan::opened::Opened;
use crate::plan::stack::planned;
use crate::plan::{logical, lower};
use crate::source::open::FrameSource;
use crate::terminal::{self, Output};

impl Lower for DataFrame {
    type Output = RecordBatch;

    const SHARES: bool = false;

    fn planner<'a>(&'a self, executor: &'a dyn Execute) -> Result<Planner<'a>> {
        Ok(Box::new(move |graph, resources| {
            Ok(vec![self.build_collected(graph, executor, resources)?])
        }))
    }

    fn read(&self, blocks: &mut dyn Iterator<Item = Vec<Block>>) -> Result<RecordBatch> {
        let batch = terminal::batch_of(blocks);
        batch.ok_or_else(|| Error::bug("a dataframe has no block"))
    }

    fn compute_with(&self, executor: &dyn Execute) -> Result<RecordBatch> {
        self.compute_with(executor)
    }
}

impl DataFrame {
    /// The frame's sources, their files listed and their heads looked at.
    pub(super) fn open(&self, execute: &dyn Execute) -> Result<Opened> {
        Opened::open(&self.node, execute)
    }

    /// The frame's sources, for a plan that follows.
    ///
    /// When the session's budget is a little too small even to look at the heads of the files, they are
    /// looked at one by one outside of it, once: the plan that follows then says the budget that all of
    /// it needs, rather than the user climbing there by one refusal after the other. Heads that need
    /// more are refused. The window of a decoder is no part of that: what a head does not fill of it
    /// is never touched, and takes no memory.
    pub(crate) fn open_planned(&self, execute: &dyn Execute) -> Result<Opened> {
        const OUTSIDE_BYTES_MAX: u64 = 16 << 20;
        let decoders = || {
            let leaves = self.node.leaves();
            let sources = leaves.iter().filter_map(|leaf| leaf.source());
            sources.map(FrameSource::decoder_bytes).max().unwrap_or(0)
        };
        let is_little = |error: &Error| {
            let smallest = error.smallest_budget().unwrap_or(u64::MAX);
            let few = |window| smallest <= OUTSIDE_BYTES_MAX.saturating_add(window);
            error.kind() == ErrorKind::Budget && (few(0) || few(decoders()))
        };
        match self.open(execute) {
            Err(error) if is_little(&error) => self.open(&SerialExecutor),
            opened => opened,
        }
    }

    /// The frame over its sources, ready to run.
    pub(crate) fn lower(&self, execute: &dyn Execute) -> Result<Pipeline> {
        self.lower_over(&self.open_planned(execute)?)
    }

    /// The frame over sources that are open, ready to run.
    pub(crate) fn lower_over(&self, opened: &Opened) -> Result<Pipeline> {
        self.lowered(opened, false)
    }

    fn lowered(&self, opened: &Opened, strict: bool) -> Result<Pipeline> {
        let node = &*self.node;
        planned(|| {
            let plan = logical::checked(node, opened)?;
            lower::lower(&plan, strict).map_err(|error| node.locate(error))
        })
        .map_err(|error| node.locate(error))
    }

    /// Pushes the layers that compute this frame; the last one has a block of type
    /// [`Partition`](crate::Partition) for each partition.
    ///
    /// The schema is the one that the sampled heads of the files show: a graph that is built
    /// cannot widen it. A partition that has more fails, and names the place. The terminals of the
    /// frame widen; so does a schema that is given with the options of reading.
    ///
    /// ```
    /// use flagstone_graph::{Execute, Graph, SerialExecutor};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let mut graph = Graph::new();
    /// let layer = frame.build(&mut graph, &SerialExecutor)?;
    /// let blocks = SerialExecutor.execute(&graph, &[layer])?;
    /// let rows = blocks[0][0].downcast_ref::<flagstone_frame::Partition>().expect("rows");
    /// assert_eq!(rows.row_count(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake, with its source line.
    pub fn build(&self, graph: &mut Graph, execute: &dyn Execute) -> Result<LayerId> {
        let pipeline = self.lowered(&self.open_planned(execute)?, true)?;
        let schema = pipeline.schema.clone();
        pipeline.push(graph, Arc::new(Collect { schema }))
    }

    /// Pushes the layers that [`compute_with`](Self::compute_with) would run first, so that their needs
    /// can be certified before it does. They are not to be run themselves: the terminal looks again
    /// where the files hold more than their heads showed.
    ///
    /// ```
    /// use flagstone_graph::{Execute, Graph, SerialExecutor};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let mut graph = Graph::new();
    /// let layer = frame.build_collected(&mut graph, &SerialExecutor, SerialExecutor.resources())?;
    /// assert_eq!(graph.layer(layer).task_count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake, with its source line.
    pub fn build_collected(
        &self,
        graph: &mut Graph,
        execute: &dyn Execute,
        resources: Resources,
    ) -> Result<LayerId> {
        terminal::build_collected(self, graph, execute, resources)
    }

    /// Pushes the layer that writes this frame's rows as they come, so that its needs can be
    /// certified before [`write_with`](Self::write_with) runs. It is not to be run itself: the
    /// files are put together from what it writes.
    ///
    /// ```
    /// use flagstone_frame::Output;
    /// use flagstone_graph::{Graph, SerialExecutor};
    /// # let dir = tempfile::tempdir()?;
    /// # std::fs::write(dir.path().join("a.csv"), "a,b\n1,xa\n2,xa\n3,y\n")?;
    /// # let frame = flagstone_frame::DataFrame::read_csv(dir.path().join("a.csv"), Default::default());
    /// // a: 1, 2, 3; b: "xa", "xa", "y"
    /// let mut graph = Graph::new();
    /// let output = Output::Parquet(Default::default());
    /// let layer = frame.build_write(&mut graph, &SerialExecutor, &output)?;
    /// assert_eq!(graph.layer(layer).task_count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first mistake, with its source line.
    pub fn build_write(
        &self,
        graph: &mut Graph,
        execute: &dyn Execute,
        output: &Output,
    ) -> Result<LayerId> {
        terminal::build_write(self, graph, execute, output)
    }
}
