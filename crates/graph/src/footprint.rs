//! Footprints: what a task needs in memory, as data that can be checked before anything runs.

/// How far a byte count can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// The very number: shapes and element sizes are known.
    Exact,
    /// Never more than this, under an assumption the layer states (`Layer::assumption`).
    Bounded,
    /// A guess that the scheduler corrects by what it learns; the task grows its lease as it goes.
    Estimated,
}

/// The bytes one task needs beside its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// The bytes of the block it returns.
    pub output_bytes: u64,
    /// What it allocates while it runs and frees before it returns.
    pub scratch_bytes: u64,
    /// How far both can be trusted.
    pub certainty: Certainty,
    /// The input (position in the task's dependencies) whose buffer becomes the output when this
    /// task is its last consumer: then the output costs only what it is larger.
    pub reuse: Option<u16>,
    /// Whether the output can be written to disk. An output that cannot is counted as resident
    /// until it is released.
    pub spillable: bool,
}

impl Footprint {
    /// An exactly known output.
    pub const fn exact(output_bytes: u64) -> Self {
        Footprint {
            output_bytes,
            scratch_bytes: 0,
            certainty: Certainty::Exact,
            reuse: None,
            spillable: true,
        }
    }

    /// An output of at most this size.
    pub const fn bounded(output_bytes: u64) -> Self {
        Footprint {
            certainty: Certainty::Bounded,
            ..Footprint::exact(output_bytes)
        }
    }

    /// An output of about this size.
    pub const fn estimated(output_bytes: u64) -> Self {
        Footprint {
            certainty: Certainty::Estimated,
            ..Footprint::exact(output_bytes)
        }
    }

    /// Adds scratch: what the task needs beside inputs and output while it runs.
    pub const fn with_scratch(self, scratch_bytes: u64) -> Self {
        Footprint {
            scratch_bytes,
            ..self
        }
    }

    /// Declares that the task works in place on the dependency at this position.
    pub const fn reusing(self, dependency: u16) -> Self {
        Footprint {
            reuse: Some(dependency),
            ..self
        }
    }

    /// Declares that the output must stay in memory until it is released.
    pub const fn resident(self) -> Self {
        Footprint {
            spillable: false,
            ..self
        }
    }

    /// Output and scratch.
    pub const fn own_bytes(&self) -> u64 {
        self.output_bytes.saturating_add(self.scratch_bytes)
    }
}
