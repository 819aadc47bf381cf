//! Answers that are a status and a body, and forgetting old ones.

use std::collections::HashSet;

use sqlx::postgres::{PgBindIterExt as _, PgRow};
use uuid::Uuid;

use super::classify::{Failure, get, number};
use super::read::answer_from;
use super::statement::Statement;
use super::writer::{Session, Writer};
use crate::order::Timestamp;
use crate::store::{Answer, DbError, NotAppended, StreamAnswer};

/// `$1` is the epoch: whoever would take the journal over waits for the row that is locked here. Of two answers to one
/// key the first is kept.
const REMEMBER: &str = "
     with fence as materialized (select shard from shards where shard = 0 and epoch = $1 for share),
          kept as (
               insert into answers (key, fingerprint, at, stream, version)
               select * from unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::uuid[], $6::bigint[])
                where exists (select from fence)
                   on conflict (key) do nothing returning key)
     select (select count(*) from fence), array(select key from kept)";

impl Writer {
    pub(crate) async fn remember_answers(
        &mut self,
        answers: &[StreamAnswer],
    ) -> Result<Vec<Result<(), NotAppended>>, DbError> {
        let answers = answers.to_vec();
        self.with(async move |mut session| {
            session.ready().await?;
            let remember = Statement::new(REMEMBER)
                .bind(session.epoch)
                .bind(answers.iter().map(|answer| answer.key.key).bind_iter())
                .bind(answers.iter().map(|answer| answer.key.fingerprint).bind_iter())
                .bind(answers.iter().map(|answer| answer.at.as_micros()).bind_iter())
                .bind(answers.iter().map(|answer| answer.stream).bind_iter())
                .bind(answers.iter().map(|answer| i64::from(answer.version)).bind_iter());
            let rows = session.write(remember).await.map_err(Failure::of_write)?;
            let row = rows.first().ok_or_else(|| DbError::Corrupt("answers: a write without an outcome".into()))?;
            if get::<i64>(row, 0)? == 0 {
                return Err(DbError::Fenced);
            }
            let mut kept: HashSet<Uuid> = get::<Vec<Uuid>>(row, 1)?.into_iter().collect();
            let mut outcomes = Vec::with_capacity(answers.len());
            for answer in &answers {
                outcomes.push(if kept.remove(&answer.key.key) {
                    Ok(())
                } else {
                    let nowhere = || DbError::Corrupt("answers: a key that is and is not there".into());
                    Err(NotAppended::AnsweredBefore(session.answer(answer.key.key).await?.ok_or_else(nowhere)?))
                });
            }
            Ok(outcomes)
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
