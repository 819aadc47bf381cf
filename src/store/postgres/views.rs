//! Writing the views: rows and their cursor in one statement.
//!
//! Not fenced: a process whose journal was taken over may still write what it had read. Rows only move forward, so it
//! does no harm, and a cursor that it moves back only makes the next start read some events twice.

use std::collections::BTreeMap;

use sqlx::postgres::PgBindIterExt as _;

use super::classify::get;
use super::connections::Connections;
use super::read::cursor_from;
use super::statement::Statement;
use crate::order::Timestamp;
use crate::store::{Cursor, DbError, MessageRow, OrderRow, Reader, StockRow};

#[derive(Clone)]
pub struct Views {
    writers: Connections,
    pub(super) readers: Connections,
}

/// `$1` and `$2` are the reader and its cursor.
macro_rules! with_cursor {
    ($rows:literal) => {
        concat!(
            $rows,
            "insert into cursors (reader, marks) values ($1, $2)
                 on conflict (reader) do update set marks = excluded.marks"
        )
    };
}

const SAVE_ORDERS: &str = with_cursor!(
    "with orders as (
          insert into order_view
                 (order_id, version, customer, store, rider, status, live, delivery_status, attention, placed_at,
                  document, submitted)
          select * from unnest($3::uuid[], $4::bigint[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::boolean[],
                 $10::text[], $11::text[], $12::bigint[], $13::text[], $14::boolean[])
              on conflict (order_id) do update
             set version = excluded.version, rider = excluded.rider, status = excluded.status, live = excluded.live,
                 delivery_status = excluded.delivery_status, attention = excluded.attention,
                 document = excluded.document, submitted = excluded.submitted
           where excluded.version > order_view.version),
     stock as (
          insert into stock_view (store, item, available, version)
          select * from unnest($15::uuid[], $16::uuid[], $17::bigint[], $18::bigint[])
              on conflict (store, item) do update set available = excluded.available, version = excluded.version
           where excluded.version > stock_view.version)
     "
);

const SAVE_MESSAGES: &str = with_cursor!(
    "with told as (
          insert into messages (order_id, version, customer, event, text, channel, at, attempts, state)
          select * from unnest($3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
                 $10::bigint[], $11::text[])
              on conflict (order_id, version) do update
             set channel = excluded.channel, attempts = excluded.attempts, state = excluded.state
           where excluded.attempts >= messages.attempts)
     "
);

impl Views {
    pub(super) fn new(writers: Connections, readers: Connections) -> Self {
        Self { writers, readers }
    }

    pub(crate) async fn save_orders(
        &self,
        orders: &[OrderRow],
        stock: &[StockRow],
        cursor: &Cursor,
    ) -> Result<(), DbError> {
        let statement = bind_orders(begun(SAVE_ORDERS, Reader::OrderView, cursor), orders);
        self.writers.write(bind_stock(statement, stock)).await.map(drop)
    }

    pub(crate) async fn save_messages(&self, messages: &[MessageRow], cursor: &Cursor) -> Result<(), DbError> {
        let statement = begun(SAVE_MESSAGES, Reader::Messages, cursor);
        self.writers.write(bind_messages(statement, messages)).await.map(drop)
    }

    pub(crate) async fn save_cursor(&self, reader: Reader, cursor: &Cursor) -> Result<(), DbError> {
        self.writers.write(begun(with_cursor!(""), reader, cursor)).await.map(drop)
    }

    pub(crate) async fn wipe(&self) -> Result<(), DbError> {
        let wipe = "truncate order_view, stock_view; delete from cursors where reader = 'order_view'";
        self.writers.write(Statement::script(wipe)).await.map(drop)
    }

    pub(crate) async fn cursor(&self, reader: Reader) -> Result<Cursor, DbError> {
        let wanted = Statement::new("select marks from cursors where reader = $1").bind(reader.name());
        match self.readers.read(wanted).await?.first() {
            Some(row) => cursor_from(&get::<Vec<i64>>(row, 0)?),
            None => Ok(Cursor::start()),
        }
    }
}

fn begun(sql: &'static str, reader: Reader, cursor: &Cursor) -> Statement {
    let marks = cursor.marks().map(|mark| mark.position.cast_signed());
    Statement::new(sql).bind(reader.name()).bind(marks.bind_iter())
}

/// The last word about each key: one statement writes a row once. Sorted, because two processes that lock rows in
/// different sequences would wait for each other.
fn last_words<K: Ord, R>(rows: &[R], key: impl Fn(&R) -> K, gives_way: impl Fn(&R, &R) -> bool) -> Vec<&R> {
    let mut last = BTreeMap::new();
    for row in rows {
        let held = last.entry(key(row)).or_insert(row);
        if gives_way(held, row) {
            *held = row;
        }
    }
    last.into_values().collect()
}

fn bind_orders(statement: Statement, orders: &[OrderRow]) -> Statement {
    let orders = last_words(orders, |row| row.order.uuid(), |held, row| held.version < row.version);
    let rows = || orders.iter();
    statement
        .bind(rows().map(|row| row.order.uuid()).bind_iter())
        .bind(rows().map(|row| i64::from(row.version)).bind_iter())
        .bind(rows().map(|row| row.customer.as_str()).bind_iter())
        .bind(rows().map(|row| row.store.uuid()).bind_iter())
        .bind(rows().map(|row| row.rider.as_ref().map(|rider| rider.as_str())).bind_iter())
        .bind(rows().map(|row| row.status.as_str()).bind_iter())
        .bind(rows().map(|row| row.live).bind_iter())
        .bind(rows().map(|row| row.delivery_status.as_str()).bind_iter())
        .bind(rows().map(|row| row.attention.as_deref()).bind_iter())
        .bind(rows().map(|row| row.placed_at.as_micros()).bind_iter())
        .bind(rows().map(|row| row.document.as_str()).bind_iter())
        .bind(rows().map(|row| row.submitted).bind_iter())
}

fn bind_stock(statement: Statement, stock: &[StockRow]) -> Statement {
    let stock = last_words(stock, |row| (row.store.uuid(), row.item.uuid()), |held, row| held.version < row.version);
    let rows = || stock.iter();
    statement
        .bind(rows().map(|row| row.store.uuid()).bind_iter())
        .bind(rows().map(|row| row.item.uuid()).bind_iter())
        .bind(rows().map(|row| row.available.map(i64::from)).bind_iter())
        .bind(rows().map(|row| i64::from(row.version)).bind_iter())
}

fn bind_messages(statement: Statement, messages: &[MessageRow]) -> Statement {
    let key = |row: &MessageRow| (row.order.uuid(), row.version);
    let messages = last_words(messages, key, |held, row| held.attempts <= row.attempts);
    let rows = || messages.iter();
    statement
        .bind(rows().map(|row| row.order.uuid()).bind_iter())
        .bind(rows().map(|row| i64::from(row.version)).bind_iter())
        .bind(rows().map(|row| row.customer.as_str()).bind_iter())
        .bind(rows().map(|row| row.event.as_str()).bind_iter())
        .bind(rows().map(|row| row.text.as_str()).bind_iter())
        .bind(rows().map(|row| row.channel.as_str()).bind_iter())
        .bind(rows().map(|row| Timestamp::as_micros(row.at)).bind_iter())
        .bind(rows().map(|row| i64::from(row.attempts)).bind_iter())
        .bind(rows().map(|row| row.state.as_str()).bind_iter())
}
