//! What exists as of T.

use crate::model::names::Symbol;

/// Which names of a kind exist.
pub struct Existing<S> {
    flags: Vec<bool>,
    kind: std::marker::PhantomData<S>,
}

impl<S: Symbol> Existing<S> {
    /// Says of each name, in the order of first mention, whether it does.
    pub(super) fn of(flags: Vec<bool>) -> Self {
        Self { flags, kind: std::marker::PhantomData }
    }

    /// Whether this one does.
    pub fn has(&self, name: S) -> bool {
        self.flags.get(name.index()).copied().unwrap_or(false)
    }

    /// Those that do.
    pub fn iter(&self) -> impl Iterator<Item = S> {
        self.flags.iter().enumerate().filter(|(_, exists)| **exists).map(|(index, _)| S::from_index(index))
    }
}
