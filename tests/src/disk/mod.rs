//! A disk that forgets what was not synced.
//!
//! It follows what a process did to its files, and can say at any moment what a power cut would leave of them:
//!
//! - bytes of a file are durable once a sync of the file, asked for after they were written, has returned;
//! - a new, renamed or removed name is durable once a sync of its directory has;
//! - of all else any part may be there: nothing, everything, what came first, or here and there a sector of 512 bytes, in any
//!   order. What lies between is zeros.
//!
//! A real file system leaves less to chance; what survives this one survives those that are in use.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

pub mod trace;

use trace::Event;

use crate::delivery::chance;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Numbers that look random, a function of a seed.
#[derive(Debug, Clone)]
pub struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    /// With this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, thrown: 0 }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.thrown += 1;
        chance(self.seed, self.thrown) % bound.max(1)
    }
}

/// A change that may not be durable yet.
#[derive(Debug, Clone)]
struct Pending<T> {
    number: u64,
    change: T,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate(u64),
}

/// Of a directory. Files are known by their number, which stays when a name changes.
#[derive(Debug, Clone)]
enum Naming {
    Put(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

#[derive(Debug, Default, Clone)]
struct File {
    is_directory: bool,
    durable: Vec<u8>,
    pending: Vec<Pending<Change>>,
}

/// What is on the disk, and what may be.
#[derive(Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    /// As the process sees them.
    names: BTreeMap<PathBuf, usize>,
    /// As they are after a power cut, whatever it takes.
    durable: BTreeMap<PathBuf, usize>,
    namings: Vec<Pending<Naming>>,
    /// The last change that the sync of a thread covers, and of what.
    syncing: HashMap<u32, (u64, PathBuf)>,
    last: u64,
}

impl Disk {
    /// Follows the process.
    pub fn follow(&mut self, event: &Event) {
        match event {
            Event::Opened { path, truncated } => {
                let file = self.file(path, false);
                if *truncated {
                    self.change(file, Change::Truncate(0));
                }
            }
            Event::MadeDirectory(path) => drop(self.file(path, true)),
            Event::Wrote { path, offset, bytes } => {
                let file = self.file(path, false);
                self.change(file, Change::Write { offset: *offset, bytes: bytes.clone() });
            }
            Event::Truncated { path, length } => {
                let file = self.file(path, false);
                self.change(file, Change::Truncate(*length));
            }
            Event::Renamed { from, to } => {
                let file = self.names.remove(from).unwrap_or_else(|| panic!("{} is renamed", from.display()));
                self.names.insert(to.clone(), file);
                self.name(Naming::Rename(from.clone(), to.clone(), file));
            }
            Event::Removed(path) => {
                if self.names.remove(path).is_some() {
                    self.name(Naming::Remove(path.clone()));
                }
            }
            Event::SyncBegan { thread, path } => {
                drop(self.syncing.insert(*thread, (self.last, path.clone())));
            }
            Event::SyncEnded { thread } => {
                if let Some((last, path)) = self.syncing.remove(thread) {
                    self.synced(&path, last);
                }
            }
            Event::Sent { .. } => {}
        }
    }

    /// The process has ended. What it wrote stays as durable as it was.
    pub fn process_ended(&mut self) {
        self.syncing.clear();
    }

    fn file(&mut self, path: &Path, is_directory: bool) -> usize {
        if let Some(file) = self.names.get(path) {
            return *file;
        }
        let file = self.files.len();
        self.files.push(File { is_directory, ..File::default() });
        self.names.insert(path.to_owned(), file);
        self.name(Naming::Put(path.to_owned(), file));
        file
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn change(&mut self, file: usize, change: Change) {
        let number = self.number();
        self.files[file].pending.push(Pending { number, change });
    }

    fn name(&mut self, naming: Naming) {
        let number = self.number();
        self.namings.push(Pending { number, change: naming });
    }

    fn synced(&mut self, path: &Path, last: u64) {
        match self.names.get(path) {
            Some(file) if !self.files[*file].is_directory => {
                let File { durable, pending, .. } = &mut self.files[*file];
                let rest = pending.split_off(pending.partition_point(|one| one.number <= last));
                pending.drain(..).for_each(|one| apply(durable, &one.change));
                *pending = rest;
            }
            // A directory: one below the root, or the root itself.
            _ => {
                let covered =
                    |one: &Pending<Naming>| one.number <= last && directory(&one.change) == Some(path);
                let (synced, rest) = std::mem::take(&mut self.namings).into_iter().partition(covered);
                let synced: Vec<_> = synced;
                synced.iter().for_each(|one| rename(&mut self.durable, &one.change));
                self.namings = rest;
            }
        }
    }

    /// What a power cut leaves now: one of the many possibilities, by the dice. Directories have no bytes.
    pub fn cut(&self, dice: &mut Dice) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let luck = Luck::throw(dice, self.last);
        let mut names = self.durable.clone();
        for naming in self.namings.iter().filter(|naming| luck.keeps(naming.number, dice)) {
            rename(&mut names, &naming.change);
        }
        let mut left = BTreeMap::new();
        for (path, file) in names {
            let file = &self.files[file];
            let bytes = (!file.is_directory).then(|| {
                let mut bytes = file.durable.clone();
                for one in &file.pending {
                    if luck.keeps(one.number, dice) {
                        luck.apply(&mut bytes, &one.change, dice);
                    }
                }
                bytes
            });
            left.insert(path, bytes);
        }
        // What is in a directory that is not there is not there either.
        let gone: Vec<PathBuf> = left
            .keys()
            .filter(|path| {
                path.parent()
                    .is_some_and(|parent| self.names.contains_key(parent) && !left.contains_key(parent))
            })
            .cloned()
            .collect();
        gone.iter().for_each(|path| drop(left.remove(path)));
        left
    }
}

/// How a power cut deals with what was not synced.
enum Luck {
    Nothing,
    Everything,
    /// What came until then.
    Until(u64),
    /// One of so many, each sector by itself.
    OneOf(u64),
}

impl Luck {
    fn throw(dice: &mut Dice, last: u64) -> Self {
        match dice.below(8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2 | 3 => Self::Until(last.saturating_sub(dice.below(40))),
            _ => Self::OneOf(2 + dice.below(3)),
        }
    }

    fn keeps(&self, number: u64, dice: &mut Dice) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Until(last) => number <= *last,
            Self::OneOf(many) => dice.below(*many) > 0,
        }
    }

    fn apply(&self, file: &mut Vec<u8>, change: &Change, dice: &mut Dice) {
        let (Self::OneOf(many), Change::Write { offset, bytes }) = (self, change) else {
            return apply(file, change);
        };
        // Up to the end of the sector it begins in, and then sector by sector.
        let mut from = 0;
        while from < bytes.len() {
            let within = (*offset as usize + from) % SECTOR;
            let to = bytes.len().min(from + SECTOR - within);
            if dice.below(2 * *many) > 0 {
                apply(file, &Change::Write { offset: offset + from as u64, bytes: bytes[from..to].to_vec() });
            }
            from = to;
        }
    }
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => {
            let (from, to) = (*offset as usize, *offset as usize + bytes.len());
            if file.len() < to {
                file.resize(to, 0);
            }
            file[from..to].copy_from_slice(bytes);
        }
        Change::Truncate(length) => file.resize(*length as usize, 0),
    }
}

fn directory(naming: &Naming) -> Option<&Path> {
    match naming {
        Naming::Put(path, _) | Naming::Rename(_, path, _) | Naming::Remove(path) => path.parent(),
    }
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, naming: &Naming) {
    match naming {
        Naming::Put(path, file) => drop(names.insert(path.clone(), *file)),
        Naming::Rename(from, to, file) => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
        Naming::Remove(path) => drop(names.remove(path)),
    }
}

/// Writes what was left below another root.
pub fn write(left: &BTreeMap<PathBuf, Option<Vec<u8>>>, root: &Path, to: &Path) -> std::io::Result<()> {
    for (path, bytes) in left {
        let path = to.join(path.strip_prefix(root).unwrap_or(path));
        match bytes {
            // Sorted, so a directory comes before what is in it.
            None => fs::create_dir_all(path)?,
            Some(bytes) => fs::write(path, bytes)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
