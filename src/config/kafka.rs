//! How the mirror reaches Kafka.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{BadSetting, Millis};

section! {
    /// The mirror of every order's events in Kafka. Nothing waits for it.
    Kafka {
        /// `host:port`, several with commas between. None: no mirror.
        bootstrap_servers: Option<String> = None,
        /// Made at start if it is missing, unless the account may not.
        topic: String = "baedal.orders.v1".into(),
        /// Of a topic that is made here. Fixed for ever: more partitions would move orders from one to another, and
        /// their events out of sequence. 12 can be shared evenly by 1, 2, 3, 4, 6 or 12 consumers.
        partitions: u16 = 12,
        /// Copies of a topic that is made here. None: as many as the cluster makes by itself
        /// (`default.replication.factor`), which its operators know better.
        replication: Option<u16> = None,
        security_protocol: SecurityProtocol = SecurityProtocol::Plaintext,
        sasl_mechanism: SaslMechanism = SaslMechanism::Plain,
        sasl_username: Option<String> = None,
        /// Never shown, never logged.
        sasl_password: Option<Secret> = None,
        /// A PEM file of the authorities that brokers are trusted by. None: those of the system.
        ca_location: Option<PathBuf> = None,
        /// PEM files of our own certificate and its key, for brokers that ask for one.
        certificate_location: Option<PathBuf> = None,
        key_location: Option<PathBuf> = None,
        /// Events on their way at a time; as many may be sent twice after a failure. At 50 ms for an
        /// acknowledgement that is 200,000 events a second.
        window_events: usize = 10_000,
        /// Bytes on their way at a time, which librdkafka keeps in memory about twice.
        window_bytes: usize = 16 * 1024 * 1024,
        /// How long an event waits for others to be sent with it. Fewer, larger batches are most of the speed.
        linger_ms: Millis = Millis(5),
        /// How long a stop waits for what is on its way. What is not acknowledged by then is sent again later.
        flush_within_ms: Millis = Millis(1_000),
    }
}

/// Words as Kafka's own settings have them are understood too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityProtocol {
    #[serde(alias = "PLAINTEXT")]
    Plaintext,
    #[serde(alias = "SSL")]
    Ssl,
    #[serde(alias = "SASL_PLAINTEXT")]
    SaslPlaintext,
    #[serde(alias = "SASL_SSL")]
    SaslSsl,
}

impl SecurityProtocol {
    /// As librdkafka wants it.
    pub const fn as_str(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "plaintext",
            SecurityProtocol::Ssl => "ssl",
            SecurityProtocol::SaslPlaintext => "sasl_plaintext",
            SecurityProtocol::SaslSsl => "sasl_ssl",
        }
    }

    pub const fn signs_in(self) -> bool {
        matches!(self, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaslMechanism {
    #[serde(alias = "PLAIN")]
    Plain,
    #[serde(rename = "scram_sha_256", alias = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "scram_sha_512", alias = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    /// As librdkafka wants it.
    pub const fn as_str(self) -> &'static str {
        match self {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A password: `***` wherever it is shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl Kafka {
    pub(super) fn check(&self) -> Result<(), BadSetting> {
        let counts = [
            ("kafka.partitions", usize::from(self.partitions)),
            ("kafka.replication", usize::from(self.replication.unwrap_or(1))),
            ("kafka.window_events", self.window_events),
            ("kafka.window_bytes", self.window_bytes),
            ("kafka.topic", self.topic.len()),
        ];
        if let Some((setting, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(BadSetting::Zero { setting });
        }
        let missing = |setting, because| Err(BadSetting::Missing { setting, because });
        if self.bootstrap_servers.as_ref().is_some_and(|servers| servers.split(',').any(|one| one.trim().is_empty())) {
            return missing("kafka.bootstrap_servers", "a host:port between its commas");
        }
        if self.security_protocol.signs_in() && self.sasl_username.is_none() {
            return missing("kafka.sasl_username", "kafka.security_protocol signs in");
        }
        if self.security_protocol.signs_in() && self.sasl_password.is_none() {
            return missing("kafka.sasl_password", "kafka.security_protocol signs in");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_kafka_is_never_shown() {
        let kafka = Kafka { sasl_password: Some(Secret("s3cret".into())), ..Kafka::default() };
        for shown in [format!("{kafka:?}"), serde_json::to_string(&kafka).unwrap()] {
            assert!(shown.contains("***") && !shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn signing_in_needs_a_name_and_a_password() {
        let mut kafka = Kafka { security_protocol: SecurityProtocol::SaslSsl, ..Kafka::default() };
        assert!(kafka.check().unwrap_err().to_string().contains("kafka.sasl_username"));
        kafka.sasl_username = Some("mirror".into());
        assert!(kafka.check().unwrap_err().to_string().contains("kafka.sasl_password"));
        kafka.sasl_password = Some(Secret("x".into()));
        assert_eq!(kafka.check(), Ok(()));
    }

    #[test]
    fn a_list_with_nothing_between_its_commas_is_refused() {
        let kafka = Kafka { bootstrap_servers: Some("a:1,,b:2".into()), ..Kafka::default() };
        assert!(kafka.check().unwrap_err().to_string().contains("kafka.bootstrap_servers"));
    }
}
