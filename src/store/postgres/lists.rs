//! Pages of the views, newest first.
//!
//! A page begins after the last row of the one before it, not at a number of rows to skip: skipping costs more
//! with each page, and shows a row twice when something new came in between.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::Views;
use super::classify::{get, number};
use super::statement::Statement;
use crate::order::{CustomerId, ItemId, OrderId, StoreId, Timestamp};
use crate::store::{DbError, MessageFilter, MessageMark, MessageRow, MessageState, OrderRow, PageMark, StockRow};

/// The columns of an order in a list, as [`order_row`] reads them.
macro_rules! select_orders {
    ($which:literal) => {
        concat!(
            "select order_id, version, customer, store, rider, status, live, delivery_status, attention, placed_at,
                    document, submitted
               from order_view where ",
            $which
        )
    };
}

/// The whole text of a list of orders; `$1` and `$2` are the mark, `$3` the limit, the rest the list's own.
macro_rules! list_of_orders {
    ($which:literal) => {
        concat!(
            select_orders!("(placed_at, order_id) < ($1, $2) and "),
            $which,
            " order by placed_at desc, order_id desc limit $3"
        )
    };
}

impl Views {
    pub(crate) async fn my_page(
        &self,
        customer: &CustomerId,
        live: bool,
        after: Option<PageMark>,
        limit: i64,
    ) -> Result<Vec<OrderRow>, DbError> {
        let list = page(list_of_orders!("customer = $4 and live = $5"), after, limit);
        self.orders(list.bind(customer.as_str()).bind(live)).await
    }

    pub(crate) async fn store_board(
        &self,
        store: StoreId,
        status: Option<&str>,
        after: Option<PageMark>,
        limit: i64,
    ) -> Result<Vec<OrderRow>, DbError> {
        let list = match status {
            Some(status) => page(list_of_orders!("store = $4 and status = $5 and submitted"), after, limit)
                .bind(store.uuid())
                .bind(status),
            None => page(list_of_orders!("store = $4 and submitted"), after, limit).bind(store.uuid()),
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
        let wanted = Statement::new(select_orders!("order_id = $1")).bind(order.uuid());
        Ok(self.orders(wanted).await?.pop())
    }

    pub(crate) async fn orders_by_id(&self, after: Option<OrderId>, limit: i64) -> Result<Vec<OrderRow>, DbError> {
        // No order has the id of all zeros, so every one is after it.
        let after = after.map_or(Uuid::nil(), OrderId::uuid);
        let wanted = Statement::new(select_orders!("order_id > $1 order by order_id limit $2"));
        self.orders(wanted.bind(after).bind(limit)).await
    }

    async fn orders(&self, list: Statement) -> Result<Vec<OrderRow>, DbError> {
        self.readers.read(list).await?.iter().map(order_row).collect()
    }

    pub(crate) async fn messages(
        &self,
        filter: &MessageFilter,
        after: Option<MessageMark>,
        limit: i64,
    ) -> Result<Vec<MessageRow>, DbError> {
        let mark = after.unwrap_or(MessageMark { order: OrderId::new(Uuid::max()), version: u32::MAX });
        let list = Statement::new(AssertSqlSafe(messages_of(filter)))
            .bind(mark.order.uuid())
            .bind(i64::from(mark.version))
            .bind(limit);
        let list = match filter.order {
            Some(order) => list.bind(order.uuid()),
            None => list,
        };
        let list = match &filter.customer {
            Some(customer) => list.bind(customer.as_str()),
            None => list,
        };
        self.readers.read(list).await?.iter().map(message_row).collect()
    }

    pub(crate) async fn stock_levels(&self, store: StoreId) -> Result<Vec<StockRow>, DbError> {
        let levels = Statement::new(
            "select item, available, version from stock_view where store = $1 and available is not null order by item",
        );
        let rows = self.readers.read(levels.bind(store.uuid())).await?;
        rows.iter()
            .map(|row| {
                let item = ItemId::new(get(row, 0)?);
                Ok(StockRow { store, item, available: Some(number(row, 1)?), version: number(row, 2)? })
            })
            .collect()
    }
}

/// The conditions that are set, and no others: an index serves a condition only if it is always there. The order and
/// the customer are the arguments after the third.
fn messages_of(filter: &MessageFilter) -> String {
    let mut sql = "select order_id, version, customer, event, text, channel, at, attempts, state
                     from messages where (order_id, version) < ($1, $2)"
        .to_owned();
    let conditions = [(filter.order.is_some(), "order_id"), (filter.customer.is_some(), "customer")];
    for (&(_, column), argument) in conditions.iter().filter(|(set, _)| *set).zip(4..) {
        sql.push_str(&format!(" and {column} = ${argument}"));
        if column == "customer" && filter.order.is_none() {
            // Their orders have an index by customer; one for the messages too would double what a message costs.
            sql.push_str(&format!(" and order_id in (select order_id from order_view where customer = ${argument})"));
        }
    }
    sql.push_str(match filter.state {
        None => "",
        // The index of what is not sent is only used if the condition says so in its own words.
        Some(MessageState::Waiting) => " and state = 'waiting' and state <> 'sent'",
        Some(MessageState::Sent) => " and state = 'sent'",
        Some(MessageState::Dead) => " and state = 'dead' and state <> 'sent'",
    });
    sql + " order by order_id desc, version desc limit $3"
}

/// The first page begins after a mark that nothing is newer than.
fn page(sql: &'static str, after: Option<PageMark>, limit: i64) -> Statement {
    let (placed_at, order) =
        after.map_or((i64::MAX, Uuid::max()), |mark| (mark.placed_at.as_micros(), mark.order.uuid()));
    Statement::new(sql).bind(placed_at).bind(order).bind(limit)
}

fn order_row(row: &PgRow) -> Result<OrderRow, DbError> {
    let rider: Option<&str> = get(row, 4)?;
    Ok(OrderRow {
        order: OrderId::new(get(row, 0)?),
        version: number(row, 1)?,
        customer: name(row, 2)?,
        store: StoreId::new(get(row, 3)?),
        rider: rider.map(|rider| rider.parse()).transpose().map_err(nonsense)?,
        status: get(row, 5)?,
        submitted: get(row, 11)?,
        live: get(row, 6)?,
        delivery_status: get(row, 7)?,
        attention: get(row, 8)?,
        placed_at: Timestamp::from_micros(get(row, 9)?),
        document: get(row, 10)?,
    })
}

fn message_row(row: &PgRow) -> Result<MessageRow, DbError> {
    let state: &str = get(row, 8)?;
    Ok(MessageRow {
        order: OrderId::new(get(row, 0)?),
        version: number(row, 1)?,
        customer: name(row, 2)?,
        event: get(row, 3)?,
        text: get(row, 4)?,
        channel: get(row, 5)?,
        at: Timestamp::from_micros(get(row, 6)?),
        attempts: number(row, 7)?,
        state: MessageState::ALL.into_iter().find(|known| known.as_str() == state).ok_or_else(|| nonsense(state))?,
    })
}

fn name(row: &PgRow, column: usize) -> Result<CustomerId, DbError> {
    get::<&str>(row, column)?.parse().map_err(nonsense)
}

fn nonsense(what: impl std::fmt::Display) -> DbError {
    DbError::Corrupt(format!("a view holds what was never written: {what}"))
}
