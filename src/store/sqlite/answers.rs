//! Answers that are a status and a body, and forgetting old ones.

use sqlx::sqlite::SqliteConnection;

use super::Writer;
use super::classify::Stop;
use super::read::answer_from;
use super::writer::check_epoch;
use crate::order::Timestamp;
use crate::store::{Answer, DbError, NewAnswer, NotAppended, StreamAnswer};

impl Writer {
    pub(crate) async fn remember_answers(
        &mut self,
        answers: &[StreamAnswer],
    ) -> Result<Vec<Result<(), NotAppended>>, DbError> {
        let mut connection = self.begin().await?;
        let work = remember_all(&mut connection, self.epoch, answers).await;
        self.end(connection, work).await.map_err(Stop::into_error)
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
    Err(Stop::Refused(NotAppended::AnsweredBefore(held(connection, key).await?)))
}

async fn remember_all(
    connection: &mut SqliteConnection,
    epoch: i64,
    answers: &[StreamAnswer],
) -> Result<Vec<Result<(), NotAppended>>, Stop> {
    check_epoch(connection, epoch).await?;
    let mut outcomes = Vec::with_capacity(answers.len());
    for answer in answers {
        let key = answer.key.key.as_bytes().to_vec();
        let inserted = sqlx::query(
            "insert into answers (key, fingerprint, at, stream, version) values ($1, $2, $3, $4, $5)
                 on conflict (key) do nothing",
        )
        .bind(key.clone())
        .bind(answer.key.fingerprint)
        .bind(answer.at.as_micros())
        .bind(answer.stream.as_bytes().to_vec())
        .bind(i64::from(answer.version))
        .execute(&mut *connection)
        .await?;
        outcomes.push(match inserted.rows_affected() {
            1 => Ok(()),
            _ => Err(NotAppended::AnsweredBefore(held(connection, key).await?)),
        });
    }
    Ok(outcomes)
}

async fn held(connection: &mut SqliteConnection, key: Vec<u8>) -> Result<Answer, Stop> {
    let row = sqlx::query("select key, fingerprint, stream, version, status, body from answers where key = $1")
        .bind(key)
        .fetch_one(connection)
        .await?;
    Ok(answer_from(&row)?.1)
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
