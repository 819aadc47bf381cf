//! Twins of the list views: tables of the same make that grow beside them and then take their names.
//!
//! The server copies a table with its indexes and constraints, so a migration need not know of the twins. The swap is a
//! moment of exclusive locks; who reads waits for it, and sees the old tables or the new ones, whole.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::Views;
use super::classify::Failure;
use super::statement::Statement;
use crate::crash;
use crate::store::{Checksums, DbError};

/// How long reading all rows of the views may take: minutes for some ten million of them.
const LOOKING: Duration = Duration::from_secs(1_800);

/// What a rebuild has made and not put in its place, or has put aside and not thrown away.
const DROP_LEFTOVERS: &str = "drop table if exists order_view_twin, stock_view_twin, order_view_old, stock_view_old";

const BEGIN: &str = "
drop table if exists order_view_twin, stock_view_twin, order_view_old, stock_view_old;
create table order_view_twin (like order_view including all) with (fillfactor = 50);
create table stock_view_twin (like stock_view including all) with (fillfactor = 50)";

const SWAP: &str = "
alter table order_view rename to order_view_old;
alter table stock_view rename to stock_view_old;
alter table order_view_twin rename to order_view;
alter table stock_view_twin rename to stock_view";

/// The old tables under another name, and a look at the new ones as they were when they came.
pub struct Swapped {
    views: Views,
    /// In a transaction that only reads: the one place where one stays open over several statements.
    look: PgConnection,
}

impl Views {
    pub(crate) async fn drop_leftovers(&self) -> Result<(), DbError> {
        self.writers.write(Statement::script(DROP_LEFTOVERS)).await.map(drop)
    }

    pub(crate) async fn begin_rebuild(&self) -> Result<(), DbError> {
        self.writers.write(Statement::script(BEGIN)).await.map(drop)
    }

    pub(crate) async fn swap_in_rebuilt(&self) -> Result<Swapped, DbError> {
        self.writers.write(Statement::script(SWAP)).await?;
        // What the transaction sees is what stood there at its first read.
        let begin = "begin isolation level repeatable read read only; select from order_view limit 1";
        let look = self.readers.apart(LOOKING, Statement::script(begin)).await?;
        Ok(Swapped { views: self.clone(), look })
    }
}

impl Swapped {
    pub(crate) async fn checksums(self) -> Result<Checksums, DbError> {
        let Swapped { views, mut look } = self;
        let looking = async move {
            let looked = async { Ok((checksum(&mut look, "_old").await?, checksum(&mut look, "").await?)) };
            tokio::time::timeout(LOOKING, looked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
        };
        let (old, new) = views.readers.aside(looking).await.map_err(|error| Failure::of(error).of_read())?;
        crash::point("rebuild.compared");
        views.drop_leftovers().await?;
        Ok(Checksums { old, new })
    }
}

/// One line of text for each row, in the sequence of the keys.
async fn checksum(look: &mut PgConnection, suffix: &str) -> Result<String, sqlx::Error> {
    let mut sum = Sha256::new();
    for lines in [
        format!(
            "select json_build_array(order_id, version, customer, store, rider, status, submitted, live,
                    delivery_status, attention, placed_at, document)::text
               from order_view{suffix} order by order_id"
        ),
        format!(
            "select json_build_array(store, item, available, version)::text
               from stock_view{suffix} order by store, item"
        ),
    ] {
        let mut lines = sqlx::query_scalar::<_, String>(AssertSqlSafe(lines)).fetch(&mut *look);
        while let Some(line) = lines.try_next().await? {
            sum.update(line.as_bytes());
            sum.update(b"\n");
        }
    }
    Ok(format!("{:x}", sum.finalize()))
}
