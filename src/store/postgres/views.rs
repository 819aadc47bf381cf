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
    pub(super) writers: Connections,
    pub(super) readers: Connections,
}

/// Puts rows of orders and stock into these tables: `$1` to `$12` and `$13` to `$16`.
macro_rules! put_rows {
    ($orders:literal, $stock:literal) => {
        concat!(
            "with orders as (
                  insert into ",
            $orders,
            " as held (order_id, version, customer, store, rider, status, live, delivery_status, attention, placed_at,
                          document, submitted)
                  select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::text[], $6::text[],
                         $7::boolean[], $8::text[], $9::text[], $10::bigint[], $11::text[], $12::boolean[])
                      on conflict (order_id) do update
                     set version = excluded.version, rider = excluded.rider, status = excluded.status,
                         live = excluded.live, delivery_status = excluded.delivery_status,
                         attention = excluded.attention, document = excluded.document, submitted = excluded.submitted
                   where excluded.version > held.version),
             stock as (
                  insert into ",
            $stock,
            " as held (store, item, available, version)
                  select * from unnest($13::uuid[], $14::uuid[], $15::bigint[], $16::bigint[])
                      on conflict (store, item) do update
                     set available = excluded.available, version = excluded.version
                   where excluded.version > held.version)
             "
        )
    };
}

/// The end of a statement: the reader and its cursor are these arguments.
macro_rules! put_cursor {
    ($reader:literal, $marks:literal) => {
        concat!(
            "insert into cursors (reader, marks) values (",
            $reader,
            ", ",
            $marks,
            ") on conflict (reader) do update set marks = excluded.marks"
        )
    };
}

const SAVE_ORDERS: &str = concat!(put_rows!("order_view", "stock_view"), put_cursor!("$17", "$18"));

const SAVE_REBUILT: &str = concat!(put_rows!("order_view_twin", "stock_view_twin"), "select");

const SAVE_MESSAGES: &str = concat!(
    "with told as (
          insert into messages (order_id, version, customer, event, text, channel, at, attempts, state)
          select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                 $8::bigint[], $9::text[])
              on conflict (order_id, version) do update
             set channel = excluded.channel, attempts = excluded.attempts, state = excluded.state
           where excluded.attempts >= messages.attempts)
     ",
    put_cursor!("$10", "$11")
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
        let rows = bind_stock(bind_orders(Statement::new(SAVE_ORDERS), orders), stock);
        self.writers.write(bind_cursor(rows, Reader::OrderView, cursor)).await.map(drop)
    }

    pub(crate) async fn save_rebuilt(&self, orders: &[OrderRow], stock: &[StockRow]) -> Result<(), DbError> {
        let rows = bind_stock(bind_orders(Statement::new(SAVE_REBUILT), orders), stock);
        self.writers.write(rows).await.map(drop)
    }

    pub(crate) async fn save_messages(&self, messages: &[MessageRow], cursor: &Cursor) -> Result<(), DbError> {
        let rows = bind_messages(Statement::new(SAVE_MESSAGES), messages);
        self.writers.write(bind_cursor(rows, Reader::Messages, cursor)).await.map(drop)
    }

    pub(crate) async fn save_cursor(&self, reader: Reader, cursor: &Cursor) -> Result<(), DbError> {
        let put = Statement::new(put_cursor!("$1", "$2"));
        self.writers.write(bind_cursor(put, reader, cursor)).await.map(drop)
    }

    pub(crate) async fn cursor(&self, reader: Reader) -> Result<Cursor, DbError> {
        self.saved_cursor(reader).await.map(|cursor| cursor.unwrap_or_else(Cursor::start))
    }

    pub(super) async fn saved_cursor(&self, reader: Reader) -> Result<Option<Cursor>, DbError> {
        let wanted = Statement::new("select marks from cursors where reader = $1").bind(reader.name());
        match self.readers.read(wanted).await?.first() {
            Some(row) => cursor_from(&get::<Vec<i64>>(row, 0)?).map(Some),
            None => Ok(None),
        }
    }

    /// Forgets what a reader has made and how far it came, if it can make that again. Nobody is told a thing twice: messages
    /// begin at the journal's `head`.
    pub(super) async fn begin_anew(&self, reader: Reader, head: &Cursor) -> Result<(), DbError> {
        let cursor = match reader {
            Reader::OrderView => {
                self.writers.write(Statement::script("truncate order_view, stock_view")).await?;
                &Cursor::start()
            }
            Reader::Messages => head,
            Reader::KafkaBridge => &Cursor::start(),
        };
        self.save_cursor(reader, cursor).await
    }
}

fn bind_cursor(statement: Statement, reader: Reader, cursor: &Cursor) -> Statement {
    let marks = cursor.marks().map(|mark| mark.position.cast_signed());
    statement.bind(reader.name()).bind(marks.bind_iter())
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
