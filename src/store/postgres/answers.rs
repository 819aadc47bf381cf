//! Answers that are a status and a body, and forgetting old ones.

use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::classify::{Failure, Outcome, number};
use super::read::answer_from;
use super::statement::Statement;
use super::writer::{Session, Writer};
use crate::order::Timestamp;
use crate::store::{Answer, DbError, NewAnswer, NotAppended};

impl Writer {
    pub(crate) async fn remember_answer(&mut self, answer: &NewAnswer) -> Outcome {
        let key = answer.key.key;
        let put = Statement::new(
            "with fence as materialized (select shard from shards where shard = 0 and epoch = $6 for share)
             insert into answers (key, fingerprint, at, status, body)
             select $1, $2, $3, $4, $5 from fence
                 on conflict (key) do nothing returning key",
        )
        .bind(key)
        .bind(answer.key.fingerprint)
        .bind(answer.at.as_micros())
        .bind(answer.status.cast_signed())
        .bind(answer.body.clone());
        self.with(async move |mut session| {
            session.ready().await?;
            let put = put.bind(session.epoch);
            let written = session.write(put).await.map_err(Failure::of_write)?;
            if !written.is_empty() {
                return Ok(Ok(()));
            }
            session.check_epoch().await?;
            let found = session.answer(key).await?;
            let answer = found.ok_or_else(|| DbError::Corrupt("answers: a key that is and is not there".into()))?;
            Ok(Err(NotAppended::AnsweredBefore(answer)))
        })
        .await
    }

    pub(crate) async fn forget_answers(&mut self, before: Timestamp, limit: i64) -> Result<u64, DbError> {
        let forget = Statement::new(
            "with fence as materialized (select shard from shards where shard = 0 and epoch = $3 for share),
                  forgotten as (
                       delete from answers using fence
                        where key = any (array(select key from answers where at < $1 order by at limit $2))
                    returning 1)
             select (select count(*) from forgotten) from fence",
        )
        .bind(before.as_micros())
        .bind(limit);
        let rows: Vec<PgRow> = self
            .with(async move |mut session| {
                session.ready().await?;
                let forget = forget.bind(session.epoch);
                session.write(forget).await.map_err(Failure::of_write)
            })
            .await?;
        number(rows.first().ok_or(DbError::Fenced)?, 0)
    }
}

impl Session {
    pub(super) async fn answer(&mut self, key: Uuid) -> Result<Option<Answer>, DbError> {
        let rows = self.read(answer_to(key)).await.map_err(Failure::of_read)?;
        rows.first().map(|row| Ok(answer_from(row)?.1)).transpose()
    }
}

/// Looks for the answer to one key.
pub(super) fn answer_to(key: Uuid) -> Statement {
    Statement::new("select key, fingerprint, stream, version, status, body from answers where key = $1").bind(key)
}
