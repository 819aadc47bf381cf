//! Writing the views: rows and their cursor in one transaction.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqlitePool};
use sqlx::{Row, Sqlite, Transaction};

use super::Files;
use super::classify::definite;
use super::rows::RowsInsert;
use super::values::Values;
use crate::order::Timestamp;
use crate::store::{Cursor, DbError, MessageRow, OrderRow, Position, Reader, Shard, StockRow};

#[derive(Clone)]
pub struct Views {
    /// One connection: SQLite has one writer at a time, and a queue here is fairer than its lock.
    writer: SqlitePool,
    pub(super) readers: SqlitePool,
    _files: Files,
}

// `or fail` in all of them: a refused row ends in a rollback of it all, so SQLite need not keep what it takes to undo
// one statement.
macro_rules! put_orders {
    ($table:literal) => {
        RowsInsert::new(
            concat!(
                "insert or fail into ",
                $table,
                " (order_id, version, customer, store, rider, status, live, delivery_status, attention, placed_at,
                   document, submitted)"
            ),
            12,
            // What never changes is not set, so that its index is not touched.
            concat!(
                "on conflict (order_id) do update
                    set version = excluded.version, rider = excluded.rider, status = excluded.status,
                        live = excluded.live, delivery_status = excluded.delivery_status,
                        attention = excluded.attention, document = excluded.document, submitted = excluded.submitted
                  where excluded.version > ",
                $table,
                ".version"
            ),
        )
    };
}

macro_rules! put_stock {
    ($table:literal) => {
        RowsInsert::new(
            concat!("insert or fail into ", $table, " (store, item, available, version)"),
            4,
            concat!(
                "on conflict (store, item) do update set available = excluded.available, version = excluded.version
                  where excluded.version > ",
                $table,
                ".version"
            ),
        )
    };
}

static PUT_ORDERS: RowsInsert = put_orders!("order_view");
static PUT_STOCK: RowsInsert = put_stock!("stock_view");
static PUT_REBUILT_ORDERS: RowsInsert = put_orders!("order_view_twin");
static PUT_REBUILT_STOCK: RowsInsert = put_stock!("stock_view_twin");

static PUT_MESSAGES: RowsInsert = RowsInsert::new(
    "insert or fail into messages (order_id, version, customer, event, text, channel, at, attempts, state)",
    9,
    "on conflict (order_id, version) do update
        set channel = excluded.channel, attempts = excluded.attempts, state = excluded.state
      where excluded.attempts >= messages.attempts",
);

impl Views {
    pub(super) fn new(writer: SqlitePool, readers: SqlitePool, files: Files) -> Self {
        Self { writer, readers, _files: files }
    }

    pub(crate) async fn save_orders(
        &self,
        orders: &[OrderRow],
        stock: &[StockRow],
        cursor: &Cursor,
    ) -> Result<(), DbError> {
        let mut writing = self.begin().await?;
        put_orders(&mut writing, &PUT_ORDERS, orders).await.map_err(definite)?;
        put_stock(&mut writing, &PUT_STOCK, stock).await.map_err(definite)?;
        put_cursor(&mut writing, Reader::OrderView, cursor).await.map_err(definite)?;
        commit(writing).await
    }

    pub(crate) async fn save_messages(&self, messages: &[MessageRow], cursor: &Cursor) -> Result<(), DbError> {
        let mut writing = self.begin().await?;
        put_messages(&mut writing, messages).await.map_err(definite)?;
        put_cursor(&mut writing, Reader::Messages, cursor).await.map_err(definite)?;
        commit(writing).await
    }

    pub(crate) async fn save_cursor(&self, reader: Reader, cursor: &Cursor) -> Result<(), DbError> {
        let mut writing = self.begin().await?;
        put_cursor(&mut writing, reader, cursor).await.map_err(definite)?;
        commit(writing).await
    }

    pub(crate) async fn save_rebuilt(&self, orders: &[OrderRow], stock: &[StockRow]) -> Result<(), DbError> {
        let mut writing = self.begin().await?;
        put_orders(&mut writing, &PUT_REBUILT_ORDERS, orders).await.map_err(definite)?;
        put_stock(&mut writing, &PUT_REBUILT_STOCK, stock).await.map_err(definite)?;
        commit(writing).await
    }

    pub(crate) async fn cursor(&self, reader: Reader) -> Result<Cursor, DbError> {
        let row = sqlx::query("select marks from cursors where reader = $1")
            .bind(reader.name())
            .fetch_optional(&self.readers)
            .await
            .map_err(definite)?;
        row.map_or_else(|| Ok(Cursor::start()), |row| cursor_from(row.try_get(0).map_err(definite)?))
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, DbError> {
        self.writer.begin_with("begin immediate").await.map_err(definite)
    }
}

/// A failed commit counts as unknown; the reader then reads its cursor again and goes on from there.
pub(super) async fn commit(writing: Transaction<'static, Sqlite>) -> Result<(), DbError> {
    writing.commit().await.map_err(DbError::Unknown)
}

async fn put_orders(
    connection: &mut SqliteConnection,
    put: &'static RowsInsert,
    orders: &[OrderRow],
) -> Result<(), sqlx::Error> {
    let values = |values: &mut Values, row: &OrderRow| {
        values.add(row.order.uuid().as_bytes().to_vec());
        values.add(i64::from(row.version));
        values.add(row.customer.as_str());
        values.add(row.store.uuid().as_bytes().to_vec());
        values.add(row.rider.as_ref().map(|rider| rider.as_str().to_owned()));
        values.add(row.status.as_str());
        values.add(row.live);
        values.add(row.delivery_status.as_str());
        values.add(row.attention.clone());
        values.add(row.placed_at.as_micros());
        values.add(row.document.as_str());
        values.add(row.submitted);
    };
    put_parts(connection, put.parts(orders, values)).await
}

async fn put_stock(
    connection: &mut SqliteConnection,
    put: &'static RowsInsert,
    stock: &[StockRow],
) -> Result<(), sqlx::Error> {
    let values = |values: &mut Values, row: &StockRow| {
        values.add(row.store.uuid().as_bytes().to_vec());
        values.add(row.item.uuid().as_bytes().to_vec());
        values.add(row.available.map(i64::from));
        values.add(i64::from(row.version));
    };
    put_parts(connection, put.parts(stock, values)).await
}

async fn put_messages(connection: &mut SqliteConnection, messages: &[MessageRow]) -> Result<(), sqlx::Error> {
    let values = |values: &mut Values, row: &MessageRow| {
        values.add(row.order.uuid().as_bytes().to_vec());
        values.add(i64::from(row.version));
        values.add(row.customer.as_str());
        values.add(row.event.as_str());
        values.add(row.text.as_str());
        values.add(row.channel.as_str());
        values.add(Timestamp::as_micros(row.at));
        values.add(i64::from(row.attempts));
        values.add(row.state.as_str());
    };
    put_parts(connection, PUT_MESSAGES.parts(messages, values)).await
}

async fn put_parts(
    connection: &mut SqliteConnection,
    parts: impl Iterator<Item = Query<'static, Sqlite, SqliteArguments>>,
) -> Result<(), sqlx::Error> {
    for part in parts {
        part.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn put_cursor(
    connection: &mut SqliteConnection,
    reader: Reader,
    cursor: &Cursor,
) -> Result<(), sqlx::Error> {
    let marks: Vec<u64> = cursor.marks().map(|mark| mark.position).collect();
    sqlx::query(
        "insert into cursors (reader, marks) values ($1, $2) on conflict (reader) do update set marks = excluded.marks",
    )
    .bind(reader.name())
    .bind(serde_json::to_string(&marks).expect("numbers are JSON"))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn cursor_from(marks: &str) -> Result<Cursor, DbError> {
    let nonsense = || DbError::Corrupt("cursors: marks that are not 64 positions".into());
    let marks: Vec<u64> = serde_json::from_str(marks).map_err(|_| nonsense())?;
    if marks.len() != crate::store::SHARDS {
        return Err(nonsense());
    }
    let mut cursor = Cursor::start();
    for (shard, position) in marks.into_iter().enumerate() {
        cursor.advance(Position { shard: Shard::new(shard as u8).ok_or_else(nonsense)?, position });
    }
    Ok(cursor)
}
