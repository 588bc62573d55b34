//! Keys: how people read a task. `sum-3f2a91[2,7]` is task (2, 7) of the layer `sum` whose token
//! starts with `3f2a91`.

use std::fmt;

use crate::graph::Node;

/// A task's readable name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    name: String,
    token: String,
    coords: Vec<u32>,
}

impl Key {
    pub(crate) fn new(node: &Node, task: u32) -> Self {
        Key {
            name: node.layer.name().to_owned(),
            token: node.token.short(),
            coords: node.layer.coords(task),
        }
    }

    /// The layer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The task's coordinates in its layer.
    pub fn coords(&self) -> &[u32] {
        &self.coords
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}[", self.name, self.token)?;
        for (i, coord) in self.coords.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{coord}")?;
        }
        f.write_str("]")
    }
}
