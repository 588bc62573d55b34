//! The keys of records, and the types of their values.

/// How many different keys of a source are kept.
pub const KEYS_MAX: usize = 1000;

/// One key of a source's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeySeen {
    /// In how many of the records that were looked into it was.
    pub seen: u64,
    /// In how many of them nobody asked for it.
    pub unused: u64,
    /// Its values by type, in the order of [`ValueType::ALL`].
    pub types: [u64; ValueType::ALL.len()],
}

impl KeySeen {
    /// Whether nobody asked for it, wherever it was.
    pub fn is_unused(&self) -> bool {
        self.seen > 0 && self.unused == self.seen
    }

    /// The types that its values had, with how often.
    pub fn types(&self) -> impl Iterator<Item = (ValueType, u64)> + '_ {
        let counts = ValueType::ALL.into_iter().zip(self.types);
        counts.filter(|(_, count)| *count > 0)
    }

    pub(super) fn add(&mut self, more: &KeySeen) {
        self.seen += more.seen;
        self.unused += more.unused;
        for (sum, more) in self.types.iter_mut().zip(more.types) {
            *sum += more;
        }
    }
}

/// The types of values that formats without a schema have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// No value.
    Null,
    /// True or false.
    Bool,
    /// A whole number.
    Integer,
    /// A number with a fraction or an exponent, or too large for 64 bits.
    Float,
    /// Text.
    String,
    /// A list of values.
    Array,
    /// Keys with values.
    Object,
}

impl ValueType {
    /// Every type, in order of its number.
    pub const ALL: [ValueType; 7] = [
        ValueType::Null,
        ValueType::Bool,
        ValueType::Integer,
        ValueType::Float,
        ValueType::String,
        ValueType::Array,
        ValueType::Object,
    ];

    /// Its name: that of JSON, with numbers told apart.
    pub fn name(self) -> &'static str {
        match self {
            ValueType::Null => "null",
            ValueType::Bool => "boolean",
            ValueType::Integer => "integer",
            ValueType::Float => "float",
            ValueType::String => "string",
            ValueType::Array => "array",
            ValueType::Object => "object",
        }
    }
}
