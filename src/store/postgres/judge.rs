//! Which members of a batch must be left out, and why.
//!
//! Called when the tables refused a batch and did not say because of whom.

use std::collections::HashMap;

use uuid::Uuid;

use super::classify::{Failure, get, number};
use super::read::answer_from;
use super::statement::Statement;
use super::writer::{Session, Writer};
use crate::store::batch::{self, Held, Verdicts};
use crate::store::{Append, DbError, SHARDS};

impl Writer {
    /// Adds the verdicts that the tables give to those that were known before.
    ///
    /// The epoch is looked at last: if the shards are still ours, everything that was read before was read while
    /// nobody else could write.
    pub(super) async fn judge(&self, batch: &[Append], verdicts: &mut Verdicts) -> Result<(), DbError> {
        let (versions, answers) = (versions(batch), answers(batch));
        let (versions, answers) = self
            .with(async |mut session| {
                session.ready().await?;
                let versions = session.read(versions).await.map_err(Failure::of_read)?;
                let answers = session.read(answers).await.map_err(Failure::of_read)?;
                session.check_epoch().await?;
                Ok((versions, answers))
            })
            .await?;
        let mut held = Held { versions: HashMap::new(), answers: HashMap::new() };
        for row in &versions {
            held.versions.insert(get(row, 0)?, number(row, 1)?);
        }
        for row in &answers {
            let (key, answer) = answer_from(row)?;
            held.answers.insert(key, answer);
        }
        batch::judge(batch, verdicts, held);
        Ok(())
    }
}

impl Session {
    pub(super) async fn check_epoch(&mut self) -> Result<(), DbError> {
        let ours = Statement::new("select count(*) from shards where epoch = $1").bind(self.epoch);
        let rows = self.read(ours).await.map_err(Failure::of_read)?;
        let count: i64 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
        if count == SHARDS as i64 { Ok(()) } else { Err(DbError::Fenced) }
    }
}

fn versions(batch: &[Append]) -> Statement {
    let streams: Vec<Uuid> = batch.iter().map(|append| append.stream.id).collect();
    Statement::new(
        "select stream, coalesce((select max(e.version) from events e where e.stream = wanted.stream), 0)
           from unnest($1::uuid[]) as wanted (stream)",
    )
    .bind(streams)
}

fn answers(batch: &[Append]) -> Statement {
    let keys: Vec<Uuid> = batch.iter().filter_map(|append| Some(append.answer?.key)).collect();
    Statement::new("select key, fingerprint, stream, version, status, body from answers where key = any ($1)")
        .bind(keys)
}
