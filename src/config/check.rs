//! Which settings do not go together, said before anything is started; and the effective settings as text.

use super::Config;

/// A setting, or a pair of them, that would let the service start and misbehave later.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// The inner wait would outlast the outer one: the outer would answer "unknown" although an answer comes.
    #[error(
        "{outer} ({outer_value}) must be longer than {inner} ({inner_value}), or the outcome is lost on the way back"
    )]
    DoesNotNest { outer: &'static str, outer_value: String, inner: &'static str, inner_value: String },
    #[error("{setting} must be at least 1")]
    Zero { setting: &'static str },
    #[error("{setting} is missing: {because}")]
    Missing { setting: &'static str, because: &'static str },
    #[error("{larger} ({larger_value}) must not be less than {smaller} ({smaller_value})")]
    Less { larger: &'static str, larger_value: String, smaller: &'static str, smaller_value: String },
}

impl Config {
    /// The first pair of settings that cannot work together.
    pub fn check(&self) -> Result<(), BadSetting> {
        self.check_that_nothing_is_zero()?;
        self.check_that_timeouts_nest()?;
        self.check_that_retries_grow()?;
        self.kafka.check()
    }

    /// HTTP request > registry > order > journal > statement: whoever waits longest is outermost.
    fn check_that_timeouts_nest(&self) -> Result<(), BadSetting> {
        let (http, mailboxes, database) = (&self.http, &self.mailboxes, &self.database);
        let request = ("http.request_timeout_ms", http.request_timeout_ms);
        let registry = ("mailboxes.registry.reply_timeout_ms", mailboxes.registry.reply_timeout_ms);
        let order = ("mailboxes.order.reply_timeout_ms", mailboxes.order.reply_timeout_ms);
        let store = ("mailboxes.store.reply_timeout_ms", mailboxes.store.reply_timeout_ms);
        let rider = ("mailboxes.rider.reply_timeout_ms", mailboxes.rider.reply_timeout_ms);
        let payment = ("mailboxes.payment.reply_timeout_ms", mailboxes.payment.reply_timeout_ms);
        let journal = ("mailboxes.journal.reply_timeout_ms", mailboxes.journal.reply_timeout_ms);
        let pairs = [
            (request, registry),
            (request, ("http.body_read_timeout_ms", http.body_read_timeout_ms)),
            (request, ("orders.placement_answer_within_ms", self.orders.placement_answer_within_ms)),
            (registry, order),
            (order, journal),
            (store, journal),
            (rider, journal),
            (journal, ("database.statement_timeout_ms", database.statement_timeout_ms)),
            (journal, ("database.acquire_timeout_ms", database.acquire_timeout_ms)),
            (journal, ("database.commit_at_least_ms", database.commit_at_least_ms)),
            (payment, ("payments.call_timeout_ms", self.payments.call_timeout_ms)),
        ];
        for ((outer, long), (inner, short)) in pairs {
            if long <= short {
                let (outer_value, inner_value) = (long.to_string(), short.to_string());
                return Err(BadSetting::DoesNotNest { outer, outer_value, inner, inner_value });
            }
        }
        let grace = http.shutdown_grace_s;
        if grace.duration() <= http.request_timeout_ms.duration() {
            return Err(BadSetting::DoesNotNest {
                outer: "http.shutdown_grace_s",
                outer_value: grace.to_string(),
                inner: "http.request_timeout_ms",
                inner_value: http.request_timeout_ms.to_string(),
            });
        }
        Ok(())
    }

    fn check_that_nothing_is_zero(&self) -> Result<(), BadSetting> {
        let (http, mailboxes) = (&self.http, &self.mailboxes);
        let counts = [
            ("http.workers", http.workers),
            ("http.body_limit_bytes", http.body_limit_bytes),
            ("http.max_connections", http.max_connections),
            ("http.connections_per_address", http.connections_per_address),
            ("database.readers", self.database.readers),
            ("database.group", self.database.group),
            ("mailboxes.order.capacity", mailboxes.order.capacity),
            ("mailboxes.registry.capacity", mailboxes.registry.capacity),
            ("mailboxes.store.capacity", mailboxes.store.capacity),
            ("mailboxes.rider.capacity", mailboxes.rider.capacity),
            ("mailboxes.dispatch.capacity", mailboxes.dispatch.capacity),
            ("mailboxes.payment.capacity", mailboxes.payment.capacity),
            ("mailboxes.payment.running", mailboxes.payment.running),
            ("mailboxes.notifier.capacity", mailboxes.notifier.capacity),
            ("mailboxes.journal.capacity", mailboxes.journal.capacity),
            ("orders.wake_concurrency", self.orders.wake_concurrency),
            ("limits.verified_tokens", self.limits.verified_tokens),
            ("limits.feeds_per_person", self.limits.feeds_per_person),
            ("limits.running_requests", self.limits.running_requests),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((setting, _)) => Err(BadSetting::Zero { setting }),
            None => Ok(()),
        }
    }

    fn check_that_retries_grow(&self) -> Result<(), BadSetting> {
        let (payments, mailbox) = (&self.payments, &self.mailboxes.payment);
        let retry = (payments.retry_first_ms, payments.retry_at_most_ms);
        let penalty = (payments.penalty_first_ms, payments.penalty_at_most_ms);
        let less = |larger, larger_value: String, smaller, smaller_value: String| {
            Err(BadSetting::Less { larger, larger_value, smaller, smaller_value })
        };
        if retry.1 < retry.0 {
            let (most, first) = (retry.1.to_string(), retry.0.to_string());
            return less("payments.retry_at_most_ms", most, "payments.retry_first_ms", first);
        }
        if penalty.1 < penalty.0 {
            let (most, first) = (penalty.1.to_string(), penalty.0.to_string());
            return less("payments.penalty_at_most_ms", most, "payments.penalty_first_ms", first);
        }
        let (window, wait) = (payments.key_window_s, self.mailboxes.payment.reply_timeout_ms);
        // A call may wait its turn, and run, for as long as that.
        if window.duration() / 24 < wait.duration() {
            let (window, wait) = (window.to_string(), format!("24 x {wait}"));
            return less("payments.key_window_s", window, "mailboxes.payment.reply_timeout_ms", wait);
        }
        if mailbox.capacity < mailbox.running {
            let (capacity, running) = (mailbox.capacity.to_string(), mailbox.running.to_string());
            return less("mailboxes.payment.capacity", capacity, "mailboxes.payment.running", running);
        }
        Ok(())
    }

    /// The effective settings as TOML that `--config` reads back, secrets left out.
    pub fn to_toml(&self) -> String {
        let value = serde_json::to_value(self).expect("settings are plain values with text keys");
        let mut text = String::new();
        write_table(&mut text, "", &value);
        text
    }
}

/// Writes plain values first and tables after them, as TOML wants it. A JSON string is a TOML basic string.
fn write_table(text: &mut String, path: &str, table: &serde_json::Value) {
    let fields = table.as_object().into_iter().flatten();
    let (tables, plain): (Vec<_>, Vec<_>) = fields.partition(|(_, value)| value.is_object());
    let plain: Vec<_> = plain.into_iter().filter(|(_, value)| !value.is_null()).collect();
    if !path.is_empty() && !plain.is_empty() {
        text.push_str(&format!("\n[{path}]\n"));
    }
    for (key, value) in plain {
        text.push_str(&format!("{key} = {value}\n"));
    }
    for (key, inner) in tables {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        write_table(text, &path, inner);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Millis, Secs};
    use super::*;

    #[test]
    fn the_defaults_go_together() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn an_inner_wait_that_outlasts_the_outer_one_is_refused_with_both_names() {
        type Change = fn(&mut Config);
        let refused = |change: Change| {
            let mut config = Config::default();
            change(&mut config);
            config.check().map_err(|bad| bad.to_string())
        };
        let cases: [(Change, &str, &str); 5] = [
            (|c| c.http.request_timeout_ms = Millis(3_000), "http.request_timeout_ms", "mailboxes.registry.reply"),
            (|c| c.mailboxes.order.reply_timeout_ms = Millis(2_000), "mailboxes.order", "mailboxes.journal"),
            (|c| c.database.statement_timeout_ms = Millis(2_000), "mailboxes.journal", "database.statement_timeout_ms"),
            (|c| c.payments.call_timeout_ms = Millis(12_000), "mailboxes.payment", "payments.call_timeout_ms"),
            (|c| c.http.shutdown_grace_s = Secs(10), "http.shutdown_grace_s", "http.request_timeout_ms"),
        ];
        for (change, outer, inner) in cases {
            let message = refused(change).expect_err("it does not nest");
            assert!(message.starts_with(outer) && message.contains(inner), "{message}");
        }
    }

    #[test]
    fn a_capacity_of_nothing_is_refused() {
        let mut config = Config::default();
        config.mailboxes.store.capacity = 0;
        assert_eq!(config.check(), Err(BadSetting::Zero { setting: "mailboxes.store.capacity" }));
    }
}
