//! A disk that loses its power: what was synced is there, of the rest any part.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::trace::Event;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// The files as they are on the platter, and what was written since but not synced.
#[derive(Clone, Default)]
pub struct Disk {
    files: HashMap<PathBuf, Vec<u8>>,
    pending: Vec<Pending>,
    /// By the number of the sync: how many of the pending changes came before it began.
    begun: HashMap<usize, u64>,
    changes: u64,
    lies: bool,
}

#[derive(Clone)]
struct Pending {
    file: PathBuf,
    nth: u64,
    change: Change,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Truncate { length: usize },
}

impl Disk {
    /// One that `lies` forgets every sync, as if the database did not ask for any.
    pub fn new(lies: bool) -> Self {
        Self { lies, ..Self::default() }
    }

    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Write { file, offset, data } => {
                self.pend(file, Change::Write { offset: *offset, data: data.clone() });
            }
            Event::Truncate { file, length } => self.pend(file, Change::Truncate { length: *length }),
            Event::Remove { file } => {
                self.files.remove(file);
                self.pending.retain(|pending| pending.file != *file);
            }
            Event::SyncBegins { sync } => drop(self.begun.insert(*sync, self.changes)),
            Event::SyncEnds { file, sync } => {
                let until = self.begun.remove(sync).expect("a sync begins before it ends");
                if !self.lies {
                    self.keep(file, until);
                }
            }
            Event::Acknowledged { .. } => {}
        }
    }

    fn pend(&mut self, file: &Path, change: Change) {
        self.changes += 1;
        self.pending.push(Pending { file: file.to_owned(), nth: self.changes, change });
    }

    fn keep(&mut self, file: &Path, until: u64) {
        let synced = |pending: &Pending| pending.file == file && pending.nth <= until;
        let (synced, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending).into_iter().partition(synced);
        self.pending = later;
        for pending in &synced {
            pending.change.apply(self.files.entry(file.to_owned()).or_default(), |_| true);
        }
    }

    /// What is found afterwards. Each sector that was not synced is there or not, with a chance that `dice` choose.
    pub fn after_power_cut(&self, dice: &mut fastrand::Rng) -> HashMap<PathBuf, Vec<u8>> {
        let mut files = self.files.clone();
        let chance = [0.0, 0.5, 0.9, 1.0][dice.usize(..4)];
        for Pending { file, change, .. } in &self.pending {
            change.apply(files.entry(file.clone()).or_default(), |_| dice.f64() < chance);
        }
        files
    }
}

impl Change {
    /// `stays`: of each sector, whether it gets to the disk.
    fn apply(&self, file: &mut Vec<u8>, mut stays: impl FnMut(usize) -> bool) {
        match self {
            Change::Truncate { length } => {
                if stays(0) {
                    file.truncate(*length);
                }
            }
            Change::Write { offset, data } => {
                for (nth, sector) in data.chunks(SECTOR).enumerate() {
                    if !stays(nth) {
                        continue;
                    }
                    let at = offset + nth * SECTOR;
                    if file.len() < at + sector.len() {
                        file.resize(at + sector.len(), 0);
                    }
                    file[at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
    }
}
