//! The sources of a plan, open.

use std::sync::Arc;

use flagstone_common::{Error, Result};
use flagstone_graph::Execute;

use super::Node;
use crate::source::{Outcome, PartitionSource};

/// What a plan reads: each source once, however often the plan reads it.
#[derive(Clone)]
pub(crate) struct Opened(Vec<(Arc<Node>, Arc<dyn PartitionSource>)>);

impl Opened {
    /// Lists the files of all sources, and looks at their heads.
    pub(crate) fn open(node: &Arc<Node>, execute: &dyn Execute) -> Result<Self> {
        let open = |leaf: &Arc<Node>| {
            let source = leaf
                .source()
                .ok_or_else(|| Error::bug("a leaf reads nothing"))?;
            let opened = source.open(execute).map_err(|error| leaf.locate(error))?;
            Ok((Arc::clone(leaf), opened))
        };
        let opened = node.leaves().into_iter().map(open).collect::<Result<_>>();
        opened.map(Opened)
    }

    /// The source that a leaf of the plan reads.
    pub(crate) fn get(&self, leaf: &Node) -> Result<&Arc<dyn PartitionSource>> {
        let mut all = self.0.iter();
        let found = all.find(|(node, _)| std::ptr::eq(&**node, leaf));
        let missing = || Error::bug("a source of the plan is not open");
        found.map(|(_, source)| source).ok_or_else(missing)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn PartitionSource>> {
        self.0.iter().map(|(_, source)| source)
    }

    /// The source, where there is one alone.
    pub(crate) fn only(&self) -> Option<&Arc<dyn PartitionSource>> {
        match self.0.as_slice() {
            [(_, source)] => Some(source),
            _ => None,
        }
    }

    /// These sources, with another in the place of the only one.
    pub(crate) fn with_only(&self, source: Arc<dyn PartitionSource>) -> Self {
        let node = self.0.iter().map(|(node, _)| Arc::clone(node));
        Opened(node.map(|node| (node, Arc::clone(&source))).collect())
    }

    /// What the sources tell after a run, in their order.
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        self.iter().map(|source| source.outcome()).collect()
    }

    /// Remembers the sources with wider schemas that outcomes brought; whether there are any.
    pub(crate) fn keep(&self, outcomes: Vec<Outcome>) -> bool {
        let mut is_wider = false;
        for ((node, _), outcome) in self.0.iter().zip(outcomes) {
            if let (Some(source), Some(next)) = (node.source(), outcome.next) {
                source.keep(next);
                is_wider = true;
            }
        }
        is_wider
    }
}
