//! Which names of a kind exist.

use std::marker::PhantomData;

use crate::model::names::Symbol;

/// Which names of a kind exist.
pub struct Existing<S> {
    flags: Vec<bool>,
    kind: PhantomData<S>,
}

impl<S: Symbol> Existing<S> {
    /// By the numbers of the names.
    pub(super) fn of(flags: Vec<bool>) -> Self {
        Self { flags, kind: PhantomData }
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
