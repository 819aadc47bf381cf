//! The tables of the catalogue: one change at a time, and all of it at start.

use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::classify::{Stop, definite};
use super::read::{number, uuid};
use super::writer::check_epoch;
use super::{Readers, Writer, answers};
use crate::order::{ItemId, Money, Place, Point, ServicePolicy, StoreId, Timestamp};
use crate::store::{Catalogue, CatalogueChange, DbError, MenuItem, NewAnswer, NotAppended, Shop, StoreRider};

impl Writer {
    pub(crate) async fn write_catalogue(
        &mut self,
        change: &CatalogueChange,
        answer: Option<&NewAnswer>,
    ) -> Result<Result<(), NotAppended>, DbError> {
        let mut connection = self.begin().await?;
        let work = write(&mut connection, self.epoch, change, answer).await;
        self.end(connection, work).await.map_or_else(Stop::into_refusal, |()| Ok(Ok(())))
    }

    pub(crate) async fn settle_catalogue(&mut self, store: StoreId) -> Result<Catalogue, DbError> {
        // The lock is free once a transaction that was lost has ended.
        let mut connection = self.begin().await?;
        let rows = rows_of(&mut connection, store).await;
        self.give_back(connection, true).await;
        rows
    }
}

async fn write(
    connection: &mut SqliteConnection,
    epoch: i64,
    change: &CatalogueChange,
    answer: Option<&NewAnswer>,
) -> Result<(), Stop> {
    check_epoch(connection, epoch).await?;
    if let Some(answer) = answer {
        answers::remember(connection, answer).await?;
    }
    match change {
        CatalogueChange::PutShop(shop) => put_shop(connection, shop).await,
        CatalogueChange::PutItem(item) => put_item(connection, item).await,
        CatalogueChange::RemoveItem { store, item } => {
            sqlx::query("delete from menu_items where store = $1 and id = $2")
                .bind(bytes(*store))
                .bind(item.uuid().as_bytes().to_vec())
                .execute(connection)
                .await?;
            Ok(())
        }
        CatalogueChange::PutRider(StoreRider { store, rider }) => {
            // Written again if it is there, so that no row means that there is no such store.
            let put = sqlx::query(
                "insert into store_riders (store, rider)
                 select $1, $2 where exists (select 1 from stores where id = $1)
                     on conflict (store, rider) do update set rider = excluded.rider",
            );
            let written = put.bind(bytes(*store)).bind(rider.as_str().to_owned()).execute(connection).await?;
            changed(written.rows_affected())
        }
        CatalogueChange::RemoveRider(StoreRider { store, rider }) => {
            let remove = sqlx::query("delete from store_riders where store = $1 and rider = $2");
            remove.bind(bytes(*store)).bind(rider.as_str().to_owned()).execute(connection).await?;
            Ok(())
        }
    }
}

async fn put_shop(connection: &mut SqliteConnection, shop: &Shop) -> Result<(), Stop> {
    let written = sqlx::query(
        "insert into stores
         (id, owner, name, place_text, lat, lng, phone, policy, open, paused_until, revision, created_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
          where $11 = 1 or exists (select 1 from stores where id = $1)
             on conflict (id) do update
            set owner = excluded.owner, name = excluded.name, place_text = excluded.place_text, lat = excluded.lat,
                lng = excluded.lng, phone = excluded.phone, policy = excluded.policy, open = excluded.open,
                paused_until = excluded.paused_until, revision = excluded.revision
          where stores.revision = excluded.revision - 1",
    )
    .bind(bytes(shop.id))
    .bind(shop.owner.as_str().to_owned())
    .bind(shop.name.as_str().to_owned())
    .bind(shop.place.text.as_str().to_owned())
    .bind(shop.place.point.lat())
    .bind(shop.place.point.lng())
    .bind(shop.place.phone.as_ref().map(|phone| phone.as_str().to_owned()))
    .bind(serde_json::to_string(&*shop.policy).expect("a policy is JSON"))
    .bind(shop.open)
    .bind(shop.paused_until.map(Timestamp::as_micros))
    .bind(i64::from(shop.revision))
    .bind(shop.created_at.as_micros())
    .execute(connection)
    .await?;
    changed(written.rows_affected())
}

async fn put_item(connection: &mut SqliteConnection, item: &MenuItem) -> Result<(), Stop> {
    let written = sqlx::query(
        "insert into menu_items (store, id, name, amount, currency, available, revision)
         select $1, $2, $3, $4, $5, $6, $7
          where exists (select 1 from stores where id = $1)
            and ($7 = 1 or exists (select 1 from menu_items where store = $1 and id = $2))
             on conflict (store, id) do update
            set name = excluded.name, amount = excluded.amount, currency = excluded.currency,
                available = excluded.available, revision = excluded.revision
          where menu_items.revision = excluded.revision - 1",
    )
    .bind(bytes(item.store))
    .bind(item.id.uuid().as_bytes().to_vec())
    .bind(item.name.as_str().to_owned())
    .bind(item.price.amount)
    .bind(item.price.currency.as_str().to_owned())
    .bind(item.available)
    .bind(i64::from(item.revision))
    .execute(connection)
    .await?;
    changed(written.rows_affected())
}

/// No row was written: the revision that the change was made on is gone, or the row is.
fn changed(rows: u64) -> Result<(), Stop> {
    if rows == 1 { Ok(()) } else { Err(Stop::Refused(NotAppended::VersionConflict)) }
}

fn bytes(store: StoreId) -> Vec<u8> {
    store.uuid().as_bytes().to_vec()
}

macro_rules! shops {
    ($rest:literal) => {
        concat!(
            "select id, owner, name, place_text, lat, lng, phone, policy, open, paused_until, revision, created_at
               from stores ",
            $rest
        )
    };
}

macro_rules! items {
    ($rest:literal) => {
        concat!("select store, id, name, amount, currency, available, revision from menu_items ", $rest)
    };
}

macro_rules! riders {
    ($rest:literal) => {
        concat!("select store, rider from store_riders ", $rest)
    };
}

/// The rows of one store, on a connection with a transaction under way.
async fn rows_of(reading: &mut SqliteConnection, store: StoreId) -> Result<Catalogue, DbError> {
    let store = bytes(store);
    let shops = sqlx::query(shops!("where id = $1")).bind(store.clone()).fetch_all(&mut *reading);
    let shops = shops.await.map_err(definite)?;
    let items = sqlx::query(items!("where store = $1 order by id")).bind(store.clone()).fetch_all(&mut *reading);
    let items = items.await.map_err(definite)?;
    let riders = sqlx::query(riders!("where store = $1 order by rider")).bind(store).fetch_all(&mut *reading);
    catalogue(&shops, &items, &riders.await.map_err(definite)?)
}

fn catalogue(shops: &[SqliteRow], items: &[SqliteRow], riders: &[SqliteRow]) -> Result<Catalogue, DbError> {
    Ok(Catalogue {
        shops: shops.iter().map(shop).collect::<Result<_, _>>()?,
        items: items.iter().map(item).collect::<Result<_, _>>()?,
        riders: riders.iter().map(store_rider).collect::<Result<_, _>>()?,
    })
}

impl Readers {
    pub(crate) async fn catalogue(&self) -> Result<Catalogue, DbError> {
        // One transaction: an item must not appear without its store.
        let mut reading = self.pool.begin().await.map_err(definite)?;
        let shops = sqlx::query(shops!("order by id")).fetch_all(&mut *reading).await.map_err(definite)?;
        let items = sqlx::query(items!("order by store, id")).fetch_all(&mut *reading).await.map_err(definite)?;
        let riders = sqlx::query(riders!("order by store, rider")).fetch_all(&mut *reading).await.map_err(definite)?;
        reading.commit().await.map_err(definite)?;
        catalogue(&shops, &items, &riders)
    }
}

fn shop(row: &SqliteRow) -> Result<Shop, DbError> {
    let point = Point::new(row.try_get(4).map_err(definite)?, row.try_get(5).map_err(definite)?);
    let phone: Option<String> = row.try_get(6).map_err(definite)?;
    let policy: ServicePolicy =
        serde_json::from_str(&text(row, 7)?).map_err(|error| nonsense("stores.policy", error))?;
    Ok(Shop {
        id: StoreId::new(uuid(row, 0)?),
        owner: parsed(row, 1, "stores.owner")?,
        name: parsed(row, 2, "stores.name")?,
        place: Place {
            text: parsed(row, 3, "stores.place_text")?,
            point: point.map_err(|error| nonsense("stores.lat, lng", error))?,
            phone: phone.map(|phone| phone.parse()).transpose().map_err(|error| nonsense("stores.phone", error))?,
        },
        policy: Arc::new(policy),
        open: row.try_get(8).map_err(definite)?,
        paused_until: row.try_get::<Option<i64>, _>(9).map_err(definite)?.map(Timestamp::from_micros),
        revision: number(row, 10)?,
        created_at: Timestamp::from_micros(number(row, 11)?),
    })
}

fn item(row: &SqliteRow) -> Result<MenuItem, DbError> {
    let currency = parsed(row, 4, "menu_items.currency")?;
    Ok(MenuItem {
        store: StoreId::new(uuid(row, 0)?),
        id: ItemId::new(uuid(row, 1)?),
        name: parsed(row, 2, "menu_items.name")?,
        price: Money::new(number(row, 3)?, currency).map_err(|error| nonsense("menu_items.amount", error))?,
        available: row.try_get(5).map_err(definite)?,
        revision: number(row, 6)?,
    })
}

fn store_rider(row: &SqliteRow) -> Result<StoreRider, DbError> {
    Ok(StoreRider { store: StoreId::new(uuid(row, 0)?), rider: parsed(row, 1, "store_riders.rider")? })
}

fn text(row: &SqliteRow, column: usize) -> Result<String, DbError> {
    row.try_get(column).map_err(definite)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    row: &SqliteRow,
    column: usize,
    name: &str,
) -> Result<T, DbError> {
    text(row, column)?.parse().map_err(|error| nonsense(name, error))
}

/// What was valid when it was written is so no more: the file was changed by someone else, or by an older or newer rule.
fn nonsense(name: &str, error: impl std::fmt::Display) -> DbError {
    DbError::Corrupt(format!("{name}: {error}"))
}
