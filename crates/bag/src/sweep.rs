//! Quarantines of a run: what an earlier run left in them goes before the first record is put.
//!
//! A bag is run by whoever computes it, task by task, and nobody tells it when a run begins. But
//! what one run computes is one graph: so each graph has a list of the directories that were swept
//! for it, and the first task that could put a record into one sweeps it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use flagstone_graph::{Block, Deps, Error, Footprint, Graph, Inputs, Layer, Result, TaskContext};
use flagstone_io::Quarantine;

use crate::keyed::PerGraph;
use crate::run::io_error;
use crate::stage::Stage;

/// The quarantines of a chain.
#[derive(Clone, Default)]
pub(crate) struct Sweeps {
    directories: Vec<PathBuf>,
    swept: Option<Arc<Swept>>,
}

/// The directories that were swept for a graph.
type Swept = Mutex<HashSet<PathBuf>>;

impl Sweeps {
    /// Those of a chain that is being lowered; refuses a directory with other files in it.
    pub(crate) fn of(stage: &impl Stage, graph: &mut Graph) -> Result<Sweeps> {
        static GRAPHS: LazyLock<(Arc<()>, PerGraph<Swept>)> = LazyLock::new(Default::default);
        let mut directories = Vec::new();
        stage.quarantines(&mut directories);
        if directories.is_empty() {
            return Ok(Sweeps::default());
        }
        for directory in &directories {
            Quarantine::check(directory).map_err(io_error)?;
        }
        let (node, graphs) = &*GRAPHS;
        let (_, swept) = graphs.get(node, graph, |graph| {
            let swept = Arc::new(Swept::default());
            let kept = Kept {
                _swept: Arc::clone(&swept),
            };
            Ok((graph.push_at(Arc::new(kept), &[], None), swept))
        })?;
        Ok(Sweeps {
            directories,
            swept: Some(swept),
        })
    }

    /// A task of the chain starts.
    pub(crate) fn begin(&self) -> Result<()> {
        let Some(swept) = &self.swept else {
            return Ok(());
        };
        // others wait until it is done
        let mut swept = swept.lock().unwrap_or_else(PoisonError::into_inner);
        for directory in &self.directories {
            if !swept.contains(directory) {
                Quarantine::sweep(directory).map_err(io_error)?;
                swept.insert(directory.clone());
            }
        }
        Ok(())
    }
}

/// Keeps a graph's list for as long as the graph lives; nobody needs its task.
struct Kept {
    _swept: Arc<Swept>,
}

impl Layer for Kept {
    fn name(&self) -> &str {
        "quarantine"
    }

    fn task_count(&self) -> u32 {
        1
    }

    fn deps(&self, _: u32, _: &mut Deps<'_>) {}

    fn footprint(&self, _: u32) -> Footprint {
        Footprint::exact(0)
    }

    fn run(&self, _: u32, _: Inputs<'_>, _: &TaskContext<'_>) -> Result<Block> {
        Err(Error::invalid("a list of quarantines is not computed"))
    }
}
