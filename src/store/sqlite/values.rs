//! The parameters of a text with many of them.
//!
//! sqlx's own `bind` moves the whole query for each value and lets the list of values grow step by step, each time into
//! memory that is new to the process. With some thousand values to a text that was a good part of what a batch cost.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, Encode, Sqlite, Type};

pub(super) struct Values(SqliteArguments);

impl Values {
    pub(super) fn with_capacity(values: usize) -> Self {
        let mut arguments = SqliteArguments::default();
        arguments.reserve(values, 0);
        Self(arguments)
    }

    pub(super) fn add<'v>(&mut self, value: impl Encode<'v, Sqlite> + Type<Sqlite>) {
        self.0.add(value).expect("numbers, texts and blobs can be encoded");
    }

    pub(super) fn of(self, text: &'static str) -> Query<'static, Sqlite, SqliteArguments> {
        sqlx::query_with(text, self.0)
    }
}
