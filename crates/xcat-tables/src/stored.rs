//! Rows and groups of many nodes in little memory: a text that occurs often is kept once.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use crate::Row;

/// Texts, each once.
#[derive(Debug, Default)]
pub(crate) struct Texts(HashSet<Rc<str>>);

impl Texts {
    pub(crate) fn keep(&mut self, text: &str) -> Rc<str> {
        if let Some(kept) = self.0.get(text) {
            return kept.clone();
        }
        let kept: Rc<str> = text.into();
        self.0.insert(kept.clone());
        kept
    }
}

/// The groups of every enabled node; names are not trimmed.
#[derive(Debug, Default)]
pub(crate) struct Groups(HashMap<Rc<str>, Rc<str>>);

impl Groups {
    /// `groups` is the column as it is stored.
    pub(crate) fn put(&mut self, texts: &mut Texts, node: &str, groups: &str) {
        self.0.insert(texts.keep(node), texts.keep(groups));
    }

    /// As they are written; none if the node has none.
    pub(crate) fn of(&self, node: &str) -> Option<&Rc<str>> {
        self.0.get(node)
    }
}

/// Rows by name, several for one name in the order in which they came.
#[derive(Debug)]
pub(crate) struct Stored {
    columns: Arc<[String]>,
    /// As many for each row as there are columns.
    cells: Vec<Option<Rc<str>>>,
    /// The row after a row of the same name.
    next: Vec<Option<u32>>,
    /// The first and last row of a name.
    ends: HashMap<Rc<str>, (u32, u32)>,
}

impl Stored {
    pub(crate) fn new(columns: Arc<[String]>) -> Stored {
        Stored {
            columns,
            cells: Vec::new(),
            next: Vec::new(),
            ends: HashMap::new(),
        }
    }

    pub(crate) fn columns(&self) -> &Arc<[String]> {
        &self.columns
    }

    pub(crate) fn put(&mut self, texts: &mut Texts, name: &str, cells: &[Option<&str>]) {
        // More rows than this fit into no memory.
        let Ok(row) = u32::try_from(self.next.len()) else {
            return;
        };
        self.next.push(None);
        let kept = cells.iter().map(|cell| cell.map(|text| texts.keep(text)));
        self.cells.extend(kept);
        match self.ends.get_mut(name) {
            Some((_, last)) => {
                self.next[*last as usize] = Some(row);
                *last = row;
            }
            None => {
                self.ends.insert(texts.keep(name), (row, row));
            }
        }
    }

    pub(crate) fn rows(&self, name: &str) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut at = self.ends.get(name).map(|(first, _)| *first);
        let width = self.columns.len();
        while let Some(row) = at {
            let start = row as usize * width;
            let cells = &self.cells[start..start + width];
            let values = cells.iter().map(|cell| cell.as_deref().map(String::from));
            rows.push(Row::new(self.columns.clone(), values.collect()));
            at = self.next[row as usize];
        }
        rows
    }
}
