//! Where in a record a value stands, and how much there may be.

/// An object with more different keys than this is a map whose keys are data: JSON text.
pub(crate) const OBJECT_KEYS_MAX: usize = 256;
/// A record may have more columns than an object has keys.
pub(crate) const RECORD_KEYS_MAX: usize = 8192;
/// Values nested deeper than this become JSON text.
pub(crate) const DEPTH_MAX: usize = 24;

/// Where in a record a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nest {
    /// How many objects and lists it stands in.
    pub(crate) depth: usize,
    /// One of them is a list.
    pub(crate) listed: bool,
}

impl Nest {
    /// The record itself.
    pub(crate) const RECORD: Nest = Nest {
        depth: 0,
        listed: false,
    };

    /// A member of an object that stands here.
    pub(crate) fn member(self) -> Nest {
        Nest {
            depth: self.depth + 1,
            ..self
        }
    }

    /// An item of a list that stands here.
    pub(crate) fn item(self) -> Nest {
        Nest {
            depth: self.depth + 1,
            listed: true,
        }
    }

    /// An object that stands here and has more keys is a map.
    pub(crate) fn keys_max(self) -> usize {
        match self.depth {
            0 => RECORD_KEYS_MAX,
            _ => OBJECT_KEYS_MAX,
        }
    }
}
