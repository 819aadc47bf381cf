//! Answers that are a status and a body, and forgetting old ones.

use sqlx::sqlite::SqliteConnection;

use super::Writer;
use super::classify::Stop;
use super::read::answer_from;
use super::writer::check_epoch;
use crate::order::Timestamp;
use crate::store::{DbError, NewAnswer, NotAppended};

impl Writer {
    pub(crate) async fn remember_answer(&mut self, answer: &NewAnswer) -> Result<Result<(), NotAppended>, DbError> {
        let mut connection = self.begin().await?;
        let work = match check_epoch(&mut connection, self.epoch).await {
            Ok(()) => remember(&mut connection, answer).await,
            Err(fenced) => Err(fenced),
        };
        self.end(connection, work).await.map_or_else(Stop::into_refusal, |()| Ok(Ok(())))
    }

    pub(crate) async fn forget_answers(&mut self, before: Timestamp, limit: i64) -> Result<u64, DbError> {
        let mut connection = self.begin().await?;
        let work = match check_epoch(&mut connection, self.epoch).await {
            Ok(()) => forget(&mut connection, before, limit).await,
            Err(fenced) => Err(fenced),
        };
        self.end(connection, work).await.map_err(Stop::into_error)
    }
}

/// Refuses if the key has an answer: then nothing else of the transaction may happen either.
pub(super) async fn remember(connection: &mut SqliteConnection, answer: &NewAnswer) -> Result<(), Stop> {
    let key = answer.key.key.as_bytes().to_vec();
    let inserted = sqlx::query(
        "insert into answers (key, fingerprint, at, status, body) values ($1, $2, $3, $4, $5)
             on conflict (key) do nothing",
    )
    .bind(key.clone())
    .bind(answer.key.fingerprint)
    .bind(answer.at.as_micros())
    .bind(i64::from(answer.status))
    .bind(answer.body.clone())
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(());
    }
    let row = sqlx::query("select key, fingerprint, stream, version, status, body from answers where key = $1")
        .bind(key)
        .fetch_one(connection)
        .await?;
    Err(Stop::Refused(NotAppended::AnsweredBefore(answer_from(&row)?.1)))
}

async fn forget(connection: &mut SqliteConnection, before: Timestamp, limit: i64) -> Result<u64, Stop> {
    let forgotten =
        sqlx::query("delete from answers where key in (select key from answers where at < $1 order by at limit $2)")
            .bind(before.as_micros())
            .bind(limit)
            .execute(connection)
            .await?;
    Ok(forgotten.rows_affected())
}
