//! One commit: sent, and if nobody answers, looked for in the journal.

use std::time::{Duration, Instant};

use super::WriteError;
use super::group::Results;
use crate::store::{Append, DbError, Writer};

/// Writes a group, at least for as long as a disk may be made slower than it is.
///
/// # Errors
/// [`WriteError::Unwritable`]: nothing of it was written. [`WriteError::Unknown`]: see [`settle`].
pub(super) async fn commit(writer: &mut Writer, appends: &[Append], at_least: Duration) -> Result<Results, WriteError> {
    let started = Instant::now();
    let outcome = match writer.append(appends).await {
        Err(DbError::Unknown(error)) => {
            tracing::warn!(%error, appends = appends.len(), "a commit was not answered: reading what stands in the journal");
            settle(writer, appends).await.map_err(|error| {
                tracing::error!(%error, "the journal cannot be read back: nothing is written until it can");
                WriteError::Unknown
            })
        }
        Err(error) => {
            tracing::error!(%error, "the journal refused a group of appends");
            Err(WriteError::Unwritable(error.to_string().into()))
        }
        Ok(results) => Ok(results),
    };
    let missing = at_least.saturating_sub(started.elapsed());
    if !missing.is_zero() {
        tokio::time::sleep(missing).await;
    }
    metrics::histogram!("journal_commit_seconds").record(started.elapsed().as_secs_f64());
    metrics::histogram!("journal_group_size").record(appends.len() as f64);
    outcome
}

/// Finds out what became of a commit that nobody answered. To be repeated until it succeeds, before anything else is
/// written.
pub(super) async fn settle(writer: &mut Writer, appends: &[Append]) -> Result<Results, DbError> {
    let results = writer.recover(appends).await?;
    let written = results.iter().filter(|result| result.is_ok()).count();
    tracing::info!(written, lost = results.len() - written, "what became of the commit is known");
    Ok(results)
}
