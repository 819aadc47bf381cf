//! Pages of the views, newest first.
//!
//! A page begins after the last row of the one before it, not at a number of rows to skip: skipping costs more
//! with each page, and shows a row twice when something new came in between.

use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::Views;
use super::classify::definite;
use super::read::{number, uuid};
use crate::order::{CustomerId, ItemId, OrderId, StoreId, Timestamp};
use crate::store::{DbError, MessageFilter, MessageMark, MessageRow, MessageState, OrderRow, PageMark, StockRow};

/// The whole text of a list of orders; `$1` and `$2` are the mark, `$3` the limit, the rest the list's own.
macro_rules! list_of_orders {
    ($which:literal) => {
        concat!(
            "select order_id, version, customer, store, rider, status, live, delivery_status, attention, placed_at,
                    document, submitted
               from order_view where (placed_at, order_id) < ($1, $2) and ",
            $which,
            " order by placed_at desc, order_id desc limit $3"
        )
    };
}

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

impl Views {
    pub(crate) async fn my_page(
        &self,
        customer: &CustomerId,
        live: bool,
        after: Option<PageMark>,
        limit: i64,
    ) -> Result<Vec<OrderRow>, DbError> {
        let list = page(list_of_orders!("customer = $4 and live = $5"), after, limit);
        self.orders(list.bind(customer.as_str().to_owned()).bind(live)).await
    }

    pub(crate) async fn store_board(
        &self,
        store: StoreId,
        status: Option<&str>,
        after: Option<PageMark>,
        limit: i64,
    ) -> Result<Vec<OrderRow>, DbError> {
        let store = store.uuid().as_bytes().to_vec();
        let list = match status {
            Some(status) => page(list_of_orders!("store = $4 and status = $5 and submitted"), after, limit)
                .bind(store)
                .bind(status.to_owned()),
            None => page(list_of_orders!("store = $4 and submitted"), after, limit).bind(store),
        };
        self.orders(list).await
    }

    pub(crate) async fn offered(&self, after: Option<PageMark>, limit: i64) -> Result<Vec<OrderRow>, DbError> {
        self.orders(page(list_of_orders!("delivery_status = 'offered'"), after, limit)).await
    }

    pub(crate) async fn attention(&self, after: Option<PageMark>, limit: i64) -> Result<Vec<OrderRow>, DbError> {
        self.orders(page(list_of_orders!("attention is not null"), after, limit)).await
    }

    pub(crate) async fn order(&self, order: OrderId) -> Result<Option<OrderRow>, DbError> {
        let query = sqlx::query(
            "select order_id, version, customer, store, rider, status, live, delivery_status, attention, placed_at,
                    document, submitted
               from order_view where order_id = $1",
        );
        let row = query.bind(order.uuid().as_bytes().to_vec()).fetch_optional(&self.readers).await.map_err(definite)?;
        row.as_ref().map(order_row).transpose()
    }

    pub(crate) async fn orders_by_id(&self, after: Option<OrderId>, limit: i64) -> Result<Vec<OrderRow>, DbError> {
        let list = sqlx::query(
            "select order_id, version, customer, store, rider, status, live, delivery_status, attention, placed_at,
                    document, submitted
               from order_view where order_id > $1 order by order_id limit $2",
        );
        // The empty blob sorts before every order.
        self.orders(list.bind(after.map_or_else(Vec::new, |order| order.uuid().as_bytes().to_vec())).bind(limit)).await
    }

    async fn orders(&self, list: Query) -> Result<Vec<OrderRow>, DbError> {
        let rows = list.fetch_all(&self.readers).await.map_err(definite)?;
        rows.iter().map(order_row).collect()
    }

    pub(crate) async fn messages(
        &self,
        filter: &MessageFilter,
        after: Option<MessageMark>,
        limit: i64,
    ) -> Result<Vec<MessageRow>, DbError> {
        let mut list = QueryBuilder::<Sqlite>::new(
            "select order_id, version, customer, event, text, channel, at, attempts, state
               from messages where true",
        );
        if let Some(order) = filter.order {
            list.push(" and order_id = ").push_bind(order.uuid().as_bytes().to_vec());
        }
        if let Some(customer) = &filter.customer {
            list.push(" and customer = ").push_bind(customer.as_str().to_owned());
            if filter.order.is_none() {
                // Their orders have an index by customer; one for the messages too would double what a message costs.
                list.push(" and order_id in (select order_id from order_view where customer = ");
                list.push_bind(customer.as_str().to_owned()).push(")");
            }
        }
        match filter.state {
            None => {}
            // The index of what is not sent is only used if the condition says so in its own words.
            Some(MessageState::Waiting) => drop(list.push(" and state = 'waiting' and state <> 'sent'")),
            Some(MessageState::Sent) => drop(list.push(" and state = 'sent'")),
            Some(MessageState::Dead) => drop(list.push(" and state = 'dead' and state <> 'sent'")),
        }
        if let Some(mark) = after {
            list.push(" and (order_id, version) < (").push_bind(mark.order.uuid().as_bytes().to_vec());
            list.push(", ").push_bind(i64::from(mark.version)).push(")");
        }
        list.push(" order by order_id desc, version desc limit ").push_bind(limit);
        let rows = list.build().fetch_all(&self.readers).await.map_err(definite)?;
        rows.iter().map(message_row).collect()
    }

    pub(crate) async fn stock_levels(&self, store: StoreId) -> Result<Vec<StockRow>, DbError> {
        let rows = sqlx::query(
            "select item, available, version from stock_view where store = $1 and available is not null order by item",
        )
        .bind(store.uuid().as_bytes().to_vec())
        .fetch_all(&self.readers)
        .await
        .map_err(definite)?;
        rows.iter()
            .map(|row| {
                let item = ItemId::new(uuid(row, 0)?);
                Ok(StockRow { store, item, available: Some(number(row, 1)?), version: number(row, 2)? })
            })
            .collect()
    }
}

/// The first page begins after a mark that nothing is newer than.
fn page(sql: &'static str, after: Option<PageMark>, limit: i64) -> Query {
    let (placed_at, order) =
        after.map_or((i64::MAX, [0xff; 16]), |mark| (mark.placed_at.as_micros(), *mark.order.uuid().as_bytes()));
    sqlx::query(sql).bind(placed_at).bind(order.to_vec()).bind(limit)
}

fn order_row(row: &SqliteRow) -> Result<OrderRow, DbError> {
    let rider: Option<String> = row.try_get(4).map_err(definite)?;
    Ok(OrderRow {
        order: OrderId::new(uuid(row, 0)?),
        version: number(row, 1)?,
        customer: name(row, 2)?,
        store: StoreId::new(uuid(row, 3)?),
        rider: rider.map(|rider| rider.parse()).transpose().map_err(nonsense)?,
        status: row.try_get(5).map_err(definite)?,
        submitted: row.try_get(11).map_err(definite)?,
        live: row.try_get(6).map_err(definite)?,
        delivery_status: row.try_get(7).map_err(definite)?,
        attention: row.try_get(8).map_err(definite)?,
        placed_at: Timestamp::from_micros(number(row, 9)?),
        document: row.try_get(10).map_err(definite)?,
    })
}

fn message_row(row: &SqliteRow) -> Result<MessageRow, DbError> {
    let state: String = row.try_get(8).map_err(definite)?;
    Ok(MessageRow {
        order: OrderId::new(uuid(row, 0)?),
        version: number(row, 1)?,
        customer: name(row, 2)?,
        event: row.try_get(3).map_err(definite)?,
        text: row.try_get(4).map_err(definite)?,
        channel: row.try_get(5).map_err(definite)?,
        at: Timestamp::from_micros(number(row, 6)?),
        attempts: number(row, 7)?,
        state: MessageState::ALL.into_iter().find(|known| known.as_str() == state).ok_or_else(|| nonsense(state))?,
    })
}

fn name(row: &SqliteRow, column: usize) -> Result<CustomerId, DbError> {
    let name: String = row.try_get(column).map_err(definite)?;
    name.parse().map_err(nonsense)
}

fn nonsense(what: impl std::fmt::Display) -> DbError {
    DbError::Corrupt(format!("a view holds what was never written: {what}"))
}
