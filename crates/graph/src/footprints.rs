//! The declared bytes of every kept task, asked for once.

use flagstone_common::Result;

use crate::footprint::Footprint;
use crate::freeze::Kept;
use crate::graph::Graph;
use crate::planning::Planning;

/// The declared bytes of every kept task.
pub(crate) struct Footprints {
    output: Vec<u64>,
    scratch: Vec<u64>,
    /// Every output is the same size and there is no scratch: subtree peaks follow from depth
    /// alone and the natural order is taken.
    pub(crate) uniform: bool,
    common: Option<Footprint>,
}

impl Footprints {
    pub(crate) fn new(
        graph: &Graph,
        bases: &[u32],
        kept: &Kept,
        planning: &Planning<'_>,
    ) -> Result<Self> {
        let mut common: Option<Footprint> = None;
        let mut uniform = true;
        'scan: for (layer, node) in graph.nodes().iter().enumerate() {
            for index in 0..node.layer.task_count() {
                if !kept.contains(bases[layer] + index) {
                    continue;
                }
                planning.step()?;
                let footprint = node.layer.footprint(index);
                if *common.get_or_insert(footprint) != footprint {
                    uniform = false;
                    break 'scan;
                }
            }
        }
        let mut footprints = Footprints {
            output: Vec::new(),
            scratch: Vec::new(),
            uniform,
            common,
        };
        if uniform {
            return Ok(footprints);
        }
        let total = kept.bits.len() * 64;
        footprints.output = vec![0; total];
        footprints.scratch = vec![0; total];
        for (layer, node) in graph.nodes().iter().enumerate() {
            for index in 0..node.layer.task_count() {
                let task = bases[layer] + index;
                if kept.contains(task) {
                    planning.step()?;
                    let footprint = node.layer.footprint(index);
                    footprints.output[task as usize] = footprint.output_bytes;
                    footprints.scratch[task as usize] = footprint.scratch_bytes;
                }
            }
        }
        Ok(footprints)
    }

    /// The bytes of every output, where they are the same.
    #[inline]
    pub(crate) fn same_output(&self) -> Option<u64> {
        let common = self.common.filter(|_| self.uniform);
        common.map(|common| common.output_bytes)
    }

    #[inline]
    pub(crate) fn output(&self, task: u32) -> u64 {
        match self.common {
            Some(common) if self.uniform => common.output_bytes,
            _ => self.output.get(task as usize).copied().unwrap_or(0),
        }
    }

    #[inline]
    pub(crate) fn scratch(&self, task: u32) -> u64 {
        match self.common {
            Some(common) if self.uniform => common.scratch_bytes,
            _ => self.scratch.get(task as usize).copied().unwrap_or(0),
        }
    }
}
