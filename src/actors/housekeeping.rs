//! Forgets what need not be remembered any longer.

use std::time::Duration;

use super::catalogue::Stores;
use super::clock::Clock;
use crate::order::Timestamp;

/// How long the answer to a request with an idempotency key is kept. A client that was away for a long weekend
/// still gets the answer to what it sent on Friday.
const ANSWERS_KEPT: Duration = Duration::from_secs(72 * 3_600);

/// How often to look. Each look forgets at most so many, and comes back at once while there are more.
const EVERY: Duration = Duration::from_secs(60);
const AT_A_TIME: usize = 1_000;

pub(super) async fn run(stores: Stores, clock: Clock) {
    loop {
        let kept = i64::try_from(ANSWERS_KEPT.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp::from_micros(clock.now().as_micros().saturating_sub(kept));
        match stores.forget_answers(before, AT_A_TIME).await {
            Ok(forgotten) if forgotten as usize == AT_A_TIME => {}
            Ok(_) => tokio::time::sleep(EVERY).await,
            Err(error) => {
                tracing::warn!(%error, "old answers cannot be forgotten; trying again later");
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}
