//! Which parts of records are decoded.

/// Which parts of the records are wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wanted {
    /// This value whole.
    All,
    /// These members of this object (or of the objects in this list).
    Fields(Vec<(String, Wanted)>),
}

impl Wanted {
    pub(crate) fn field(&self, name: &str) -> Option<&Wanted> {
        match self {
            Wanted::All => Some(&Wanted::All),
            Wanted::Fields(fields) => fields
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, below)| below),
        }
    }

    /// Whether the column at a dotted path is in a wanted one.
    pub(crate) fn takes(&self, path: &str) -> bool {
        let ends = path.match_indices('.').map(|(at, _)| at);
        ends.chain([path.len()])
            .any(|end| self.field(&path[..end]).is_some())
    }

    /// Members are taken from objects only; of a list all is wanted.
    pub(crate) fn items(&self) -> &Wanted {
        &Wanted::All
    }

    /// Wants the value at `path` too.
    pub(crate) fn add(&mut self, path: &[String]) {
        let Wanted::Fields(fields) = self else { return };
        let Some((name, rest)) = path.split_first() else {
            *self = Wanted::All;
            return;
        };
        let at = match fields.iter().position(|(known, _)| known == name) {
            Some(at) => at,
            None => {
                fields.push((name.clone(), Wanted::Fields(Vec::new())));
                fields.len() - 1
            }
        };
        fields[at].1.add(rest);
    }
}
