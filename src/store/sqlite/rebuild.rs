//! Twins of the list views: tables of the same make that grow beside them and then take their names.
//!
//! A twin is made from the very text that made the table, so a migration need not know of it. Only the names differ:
//! `order_view_twin`, and its indexes', of which SQLite cannot change the names back. So they come in two sets that
//! take turns, and a migration that changes these tables drops them whole and forgets the cursor.

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Sqlite, Transaction};

use super::Views;
use super::classify::definite;
use super::views::commit;
use crate::crash;
use crate::store::{Checksums, DbError};

const TABLES: [&str; 2] = ["order_view", "stock_view"];
const TWIN: &str = "_twin";
const OLD: &str = "_old";

/// The old tables under another name, and a look at the new ones as they were when they came.
pub struct Swapped {
    views: Views,
    look: Transaction<'static, Sqlite>,
}

impl Views {
    pub(crate) async fn drop_leftovers(&self) -> Result<(), DbError> {
        let mut writing = self.begin().await?;
        drop_leftovers(&mut writing).await.map_err(definite)?;
        commit(writing).await
    }

    pub(crate) async fn begin_rebuild(&self) -> Result<(), DbError> {
        let mut writing = self.begin().await?;
        // The old tables too: their indexes have the names that are about to be taken.
        drop_leftovers(&mut writing).await.map_err(definite)?;
        for table in TABLES {
            make_twin(&mut writing, table).await.map_err(definite)?;
        }
        commit(writing).await
    }

    pub(crate) async fn swap_in_rebuilt(&self) -> Result<Swapped, DbError> {
        let mut writing = self.begin().await?;
        for table in TABLES {
            let swap = format!(
                "alter table {table} rename to {table}{OLD};
                 alter table {table}{TWIN} rename to {table}"
            );
            sqlx::query(AssertSqlSafe(swap)).execute(&mut *writing).await.map_err(definite)?;
        }
        commit(writing).await?;
        let mut look = self.readers.begin().await.map_err(definite)?;
        // The look begins with the first read.
        sqlx::query("select 1 from order_view limit 1").fetch_optional(&mut *look).await.map_err(definite)?;
        Ok(Swapped { views: self.clone(), look })
    }
}

impl Swapped {
    pub(crate) async fn checksums(mut self) -> Result<Checksums, DbError> {
        let old = checksum(&mut self.look, OLD).await.map_err(definite)?;
        let new = checksum(&mut self.look, "").await.map_err(definite)?;
        self.look.rollback().await.map_err(definite)?;
        crash::point("rebuild.compared");
        self.views.drop_leftovers().await?;
        Ok(Checksums { old, new })
    }
}

/// What a rebuild has made and not put in its place, or has put aside and not thrown away.
async fn drop_leftovers(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for table in TABLES {
        for suffix in [TWIN, OLD] {
            let drop = format!("drop table if exists {table}{suffix}");
            sqlx::query(AssertSqlSafe(drop)).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

async fn make_twin(connection: &mut SqliteConnection, table: &str) -> Result<(), sqlx::Error> {
    // The table comes before its indexes.
    let parts: Vec<(String, String)> = sqlx::query_as(
        "select name, sql from sqlite_schema where tbl_name = $1 and sql is not null order by type desc, name",
    )
    .bind(table)
    .fetch_all(&mut *connection)
    .await?;
    for (name, sql) in parts {
        let sql = twin_text(table, &name, &sql);
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The text that makes the twin of a table, or of an index of it. After a swap SQLite has put the table's name in quotes.
fn twin_text(table: &str, name: &str, sql: &str) -> String {
    let sql = sql.replace(&format!("\"{table}\""), table);
    if name == table {
        return sql.replacen(table, &format!("{table}{TWIN}"), 1);
    }
    let other = match name.strip_suffix(TWIN) {
        Some(first) => first.to_owned(),
        None => format!("{name}{TWIN}"),
    };
    // Once the index's own name, which begins with the table's; then the table.
    let (_, columns) = sql.split_once(&format!(" on {table} ")).unwrap_or_default();
    format!("create index {other} on {table}{TWIN} {columns}")
}

/// One line of text for each row, in the sequence of the keys.
async fn checksum(look: &mut SqliteConnection, suffix: &str) -> Result<String, sqlx::Error> {
    let mut sum = Sha256::new();
    for lines in [
        format!(
            "select json_array(hex(order_id), version, customer, hex(store), rider, status, submitted, live,
                    delivery_status, attention, placed_at, document)
               from order_view{suffix} order by order_id"
        ),
        format!(
            "select json_array(hex(store), hex(item), available, version) from stock_view{suffix} order by store, item"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_indexes_take_turns() {
        let first = "create index order_view_board on order_view (store, placed_at desc) where live";
        let twin = twin_text("order_view", "order_view_board", first);
        assert_eq!(twin, "create index order_view_board_twin on order_view_twin (store, placed_at desc) where live");
        let after_the_swap = twin.replace("order_view_twin (", "\"order_view\" (");
        let third = twin_text("order_view", "order_view_board_twin", &after_the_swap);
        assert_eq!(third, "create index order_view_board on order_view_twin (store, placed_at desc) where live");
    }
}
