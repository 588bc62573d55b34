//! What a chain is planned by: its steps, the order that is asked for, what reading costs.

use std::panic::Location;

use flagstone_graph::Footprint;

/// One step of a chain, for people.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The operation: `"map"`.
    pub name: &'static str,
    /// The user's line that asked for it.
    pub location: &'static Location<'static>,
}

/// In which order a partition gives its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemOrder {
    /// The bag's.
    Bag,
    /// Whichever costs least: only of a source that [has one](crate::Root::has_any_order).
    Any,
}

/// What a plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// All items.
    All,
    /// The first few: partitions should cost nothing until they are read.
    First,
}

/// What reading a partition costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Scratch, with how far it can be trusted.
    pub footprint: Footprint,
    /// Bytes read from storage.
    pub read_bytes: u64,
}

impl Cost {
    /// Of items that are at hand.
    pub(crate) const FREE: Cost = Cost {
        footprint: Footprint::exact(0),
        read_bytes: 0,
    };
}

/// Steps as a layer is named: `read-text|map|count`.
pub(crate) fn name_of(steps: &[Step]) -> String {
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    names.join("|")
}
