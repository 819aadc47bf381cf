//! The tables of the catalogue: one change at a time, and all of it at start.

use std::sync::Arc;

use sqlx::postgres::PgRow;

use super::classify::{Failure, Outcome, get, number};
use super::read::answer_from;
use super::statement::Statement;
use super::{Readers, Writer};
use crate::order::{ItemId, Money, Place, Point, ServicePolicy, StoreId, Timestamp};
use crate::store::{Catalogue, CatalogueChange, DbError, MenuItem, NewAnswer, NotAppended, Shop, StoreRider};

/// One change with all that it depends on, in one statement: the shards must be ours, the key unanswered. `$1` is the
/// epoch, `$2` to `$6` the answer. Whoever would take the journal over waits for the row that is locked here.
macro_rules! change {
    ($change:literal, remembered if $remembered:literal) => {
        concat!(
            "with fence as materialized (select shard from shards where shard = 0 and epoch = $1 for share),
                  answered as materialized (
                       select key, fingerprint, stream, version, status, body from answers where key = $2),
                  free as materialized (
                       select exists (select from fence) and not exists (select from answered) as so),
                  changed as (",
            $change,
            " returning 1),
                  remembered as (
                       insert into answers (key, fingerprint, at, status, body)
                       select $2, $3, $4, $5, $6 where $2 is not null and (select so from free) and ",
            $remembered,
            ")
             select a.*, (select count(*) from fence), (select count(*) from changed)
               from (values (0)) one left join answered a on true"
        )
    };
}

const PUT_SHOP: &str = change!(
    "insert into stores
            (id, owner, name, place_text, lat, lng, phone, policy, open, paused_until, revision, created_at)
     select $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
      where (select so from free) and ($17 = 1 or exists (select from stores where id = $7))
         on conflict (id) do update
        set owner = excluded.owner, name = excluded.name, place_text = excluded.place_text, lat = excluded.lat,
            lng = excluded.lng, phone = excluded.phone, policy = excluded.policy, open = excluded.open,
            paused_until = excluded.paused_until, revision = excluded.revision
      where stores.revision = excluded.revision - 1",
    remembered if "exists (select from changed)"
);

const PUT_ITEM: &str = change!(
    "insert into menu_items (store, id, name, amount, currency, available, revision)
     select $7, $8, $9, $10, $11, $12, $13
      where (select so from free) and exists (select from stores where id = $7)
        and ($13 = 1 or exists (select from menu_items where store = $7 and id = $8))
         on conflict (store, id) do update
        set name = excluded.name, amount = excluded.amount, currency = excluded.currency,
            available = excluded.available, revision = excluded.revision
      where menu_items.revision = excluded.revision - 1",
    remembered if "exists (select from changed)"
);

const REMOVE_ITEM: &str = change!(
    "delete from menu_items where (select so from free) and store = $7 and id = $8",
    remembered if "true"
);

/// Written again if it is there, so that no row means that there is no such store.
const PUT_RIDER: &str = change!(
    "insert into store_riders (store, rider)
     select $7, $8 where (select so from free) and exists (select from stores where id = $7)
         on conflict (store, rider) do update set rider = excluded.rider",
    remembered if "exists (select from changed)"
);

const REMOVE_RIDER: &str = change!(
    "delete from store_riders where (select so from free) and store = $7 and rider = $8",
    remembered if "true"
);

impl Writer {
    pub(crate) async fn write_catalogue(&mut self, change: &CatalogueChange, answer: Option<&NewAnswer>) -> Outcome {
        let (written, answer) = (change.clone(), answer.cloned());
        let rows = self
            .with(async move |mut session| {
                session.ready().await?;
                let statement = statement(&written, session.epoch, answer.as_ref());
                session.write(statement).await.map_err(Failure::of_write)
            })
            .await?;
        let row = rows.first().ok_or_else(|| DbError::Corrupt("the catalogue: a change without an outcome".into()))?;
        if get::<i64>(row, 6)? == 0 {
            return Err(DbError::Fenced);
        }
        if get::<Option<uuid::Uuid>>(row, 0)?.is_some() {
            return Ok(Err(NotAppended::AnsweredBefore(answer_from(row)?.1)));
        }
        let removal = matches!(change, CatalogueChange::RemoveItem { .. } | CatalogueChange::RemoveRider(_));
        // No row was written: the revision that the change was made on is gone, or the row is.
        Ok(if removal || get::<i64>(row, 7)? == 1 { Ok(()) } else { Err(NotAppended::VersionConflict) })
    }

    pub(crate) async fn settle_catalogue(&mut self, store: StoreId) -> Result<Catalogue, DbError> {
        let rows = Statement::new(OF_ONE).bind(store.uuid());
        let rows = self
            .with(async move |mut session| {
                // Whatever was lost has ended, or is fenced off, before anything is read.
                session.ready().await?;
                session.read(rows).await.map_err(Failure::of_read)
            })
            .await?;
        catalogue(&rows)
    }
}

fn statement(change: &CatalogueChange, epoch: i64, answer: Option<&NewAnswer>) -> Statement {
    let begun = |sql: &'static str| {
        Statement::new(sql)
            .bind(epoch)
            .bind(answer.map(|answer| answer.key.key))
            .bind(answer.map(|answer| answer.key.fingerprint))
            .bind(answer.map(|answer| answer.at.as_micros()))
            .bind(answer.map(|answer| answer.status.cast_signed()))
            .bind(answer.map(|answer| answer.body.as_str()))
    };
    match change {
        CatalogueChange::PutShop(shop) => bind_shop(begun(PUT_SHOP), shop),
        CatalogueChange::PutItem(item) => bind_item(begun(PUT_ITEM), item),
        CatalogueChange::RemoveItem { store, item } => begun(REMOVE_ITEM).bind(store.uuid()).bind(item.uuid()),
        CatalogueChange::PutRider(hired) => begun(PUT_RIDER).bind(hired.store.uuid()).bind(hired.rider.as_str()),
        CatalogueChange::RemoveRider(left) => begun(REMOVE_RIDER).bind(left.store.uuid()).bind(left.rider.as_str()),
    }
}

fn bind_shop(statement: Statement, shop: &Shop) -> Statement {
    statement
        .bind(shop.id.uuid())
        .bind(shop.owner.as_str())
        .bind(shop.name.as_str())
        .bind(shop.place.text.as_str())
        .bind(shop.place.point.lat())
        .bind(shop.place.point.lng())
        .bind(shop.place.phone.as_ref().map(|phone| phone.as_str()))
        .bind(serde_json::to_string(&*shop.policy).expect("a policy is JSON"))
        .bind(shop.open)
        .bind(shop.paused_until.map(Timestamp::as_micros))
        .bind(i64::from(shop.revision))
        .bind(shop.created_at.as_micros())
}

fn bind_item(statement: Statement, item: &MenuItem) -> Statement {
    statement
        .bind(item.store.uuid())
        .bind(item.id.uuid())
        .bind(item.name.as_str())
        .bind(item.price.amount)
        .bind(item.price.currency.as_str())
        .bind(item.available)
        .bind(i64::from(item.revision))
}

/// Everything as of one moment, which is what one statement sees: an item must not appear without its store. Whose
/// columns a row has is in the first: 1 a store, 2 an item, 3 a rider.
macro_rules! rows {
    ($shops:literal, $others:literal) => {
        concat!(
            "select 1 as what, id, null::uuid as item, owner, name, place_text, phone, policy, null as currency, lat, lng,
                    open, paused_until, revision, created_at from stores ",
            $shops,
            " union all
             select 2, store, id, null, name, null, null, null, currency, null, null, available, null, revision, amount
               from menu_items ",
            $others,
            " union all
             select 3, store, null, rider, null, null, null, null, null, null, null, null, null, null, null
               from store_riders ",
            $others,
            " order by what, id, item, owner"
        )
    };
}

const ALL: &str = rows!("", "");
const OF_ONE: &str = rows!("where id = $1", "where store = $1");

impl Readers {
    pub(crate) async fn catalogue(&self) -> Result<Catalogue, DbError> {
        catalogue(&self.connections.read(Statement::new(ALL)).await?)
    }
}

fn catalogue(rows: &[PgRow]) -> Result<Catalogue, DbError> {
    let mut catalogue = Catalogue::default();
    for row in rows {
        match get::<i32>(row, 0)? {
            1 => catalogue.shops.push(shop(row)?),
            2 => catalogue.items.push(item(row)?),
            _ => catalogue.riders.push(StoreRider { store: store(row)?, rider: parsed(row, 3, "rider")? }),
        }
    }
    Ok(catalogue)
}

fn shop(row: &PgRow) -> Result<Shop, DbError> {
    let policy: ServicePolicy = serde_json::from_str(get(row, 7)?).map_err(|error| nonsense("stores.policy", error))?;
    let phone: Option<String> = get(row, 6)?;
    Ok(Shop {
        id: store(row)?,
        owner: parsed(row, 3, "stores.owner")?,
        name: parsed(row, 4, "stores.name")?,
        place: Place {
            text: parsed(row, 5, "stores.place_text")?,
            point: Point::new(get(row, 9)?, get(row, 10)?).map_err(|error| nonsense("stores.lat, lng", error))?,
            phone: phone.map(|phone| phone.parse()).transpose().map_err(|error| nonsense("stores.phone", error))?,
        },
        policy: Arc::new(policy),
        open: get(row, 11)?,
        paused_until: get::<Option<i64>>(row, 12)?.map(Timestamp::from_micros),
        revision: number(row, 13)?,
        created_at: Timestamp::from_micros(get(row, 14)?),
    })
}

fn item(row: &PgRow) -> Result<MenuItem, DbError> {
    let currency = parsed(row, 8, "menu_items.currency")?;
    Ok(MenuItem {
        store: store(row)?,
        id: ItemId::new(get(row, 2)?),
        name: parsed(row, 4, "menu_items.name")?,
        price: Money::new(get(row, 14)?, currency).map_err(|error| nonsense("menu_items.amount", error))?,
        available: get(row, 11)?,
        revision: number(row, 13)?,
    })
}

fn store(row: &PgRow) -> Result<StoreId, DbError> {
    Ok(StoreId::new(get(row, 1)?))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(row: &PgRow, column: usize, name: &str) -> Result<T, DbError> {
    get::<&str>(row, column)?.parse().map_err(|error| nonsense(name, error))
}

/// What was valid when it was written is so no more: someone else changed it, or an older or newer rule wrote it.
fn nonsense(name: &str, error: impl std::fmt::Display) -> DbError {
    DbError::Corrupt(format!("{name}: {error}"))
}
