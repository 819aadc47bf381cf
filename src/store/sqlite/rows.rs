//! Inserting many rows with few statements.
//!
//! A statement costs about 55 us through sqlx, a row 5 to 10. So rows go in by the multi-row `insert`, but only in
//! a few fixed sizes: each size is one text, and SQLite's statement cache knows them all.

use std::sync::OnceLock;

use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};

use super::values::Values;

/// Powers of two, so that any number of rows takes few statements. 128 was 3 % faster than 64 for large batches;
/// beyond, the rows themselves are nearly all of the cost.
const SIZES: [usize; 8] = [128, 64, 32, 16, 8, 4, 2, 1];

/// An `insert` for any number of rows: `head` ends before `values`, `tail` comes after the rows.
pub(super) struct RowsInsert {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    texts: [OnceLock<String>; SIZES.len()],
}

impl RowsInsert {
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self { head, columns, tail, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// Cuts the rows up; each part comes as the statement that has places for exactly its rows. `values` adds those of
    /// one row.
    pub(super) fn parts<'r, T>(
        &'static self,
        mut rows: &'r [T],
        values: impl Fn(&mut Values, &T) + 'r,
    ) -> impl Iterator<Item = Query<'static, Sqlite, SqliteArguments>> + 'r {
        std::iter::from_fn(move || {
            let which = SIZES.iter().position(|&size| size <= rows.len())?;
            let (part, rest) = rows.split_at(SIZES[which]);
            rows = rest;
            let text = self.texts[which].get_or_init(|| self.text(SIZES[which]));
            let mut all = Values::with_capacity(part.len() * self.columns);
            part.iter().for_each(|row| values(&mut all, row));
            Some(all.of(text.as_str()))
        })
    }

    fn text(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        format!("{} values {} {}", self.head, vec![row.as_str(); rows].join(", "), self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_cut_into_parts_without_loss() {
        static INSERT: RowsInsert = RowsInsert::new("insert into t (a)", 1, "");
        for count in [0, 1, 63, 64, 65, 200] {
            let rows: Vec<usize> = (0..count).collect();
            let parts = std::cell::RefCell::new(Vec::new());
            let texts = INSERT.parts(&rows, |_, row| parts.borrow_mut().push(*row)).count();
            assert_eq!(*parts.borrow(), rows);
            assert!(texts <= 6, "{count} rows in {texts} texts");
        }
    }
}
