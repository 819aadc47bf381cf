//! A topic as it lies in the broker, read with no group and from the beginning.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::Deserialize;

use crate::helpers::PATIENCE;

/// One answer of the broker.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    broker: String,
    credentials: Option<(&'static str, &'static str)>,
}

/// A message, as any client sees it. All of ours is text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: String,
    pub headers: Vec<(String, String)>,
    pub value: String,
}

impl Topic {
    /// A topic that no other test has.
    pub fn fresh(broker: impl Into<String>) -> Self {
        let name = format!("baedal.test.{}", uuid::Uuid::now_v7());
        Self { name, broker: broker.into(), credentials: None }
    }

    pub fn signing_in(self, user: &'static str, password: &'static str) -> Self {
        Self { credentials: Some((user, password)), ..self }
    }

    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// Every message there is, partition by partition. None while the topic or the broker is away.
    pub async fn read(&self) -> Option<Vec<Record>> {
        let topic = self.clone();
        let read = tokio::task::spawn_blocking(move || topic.read_now());
        read.await.expect("reading does not panic").ok()
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.broker).set("group.id", "tests").set("enable.auto.commit", "false");
        if let Some((user, password)) = self.credentials {
            client.set("security.protocol", "sasl_plaintext").set("sasl.mechanisms", "PLAIN");
            client.set("sasl.username", user).set("sasl.password", password);
        }
        client
    }

    fn read_now(&self) -> KafkaResult<Vec<Record>> {
        let consumer: BaseConsumer = self.client().create()?;
        let mut ends = Vec::new();
        let mut from_the_start = TopicPartitionList::new();
        for partition in self.partitions_of(&consumer)? {
            from_the_start.add_partition_offset(&self.name, partition, Offset::Beginning)?;
            let (begin, end) = consumer.fetch_watermarks(&self.name, partition, ANSWER)?;
            ends.push((partition, end, end - begin));
        }
        consumer.assign(&from_the_start)?;
        let mut missing: i64 = ends.iter().map(|(_, _, count)| count).sum();
        let mut records = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while missing > 0 {
            assert!(Instant::now() < deadline, "{missing} messages of {} do not come", self.name);
            let Some(message) = consumer.poll(Duration::from_millis(100)).transpose()? else { continue };
            let within =
                |(partition, end, _): &(i32, i64, i64)| *partition == message.partition() && message.offset() < *end;
            if ends.iter().any(within) {
                records.push(Record::of(&message));
                missing -= 1;
            }
        }
        records.sort();
        Ok(records)
    }

    fn partitions_of(&self, consumer: &BaseConsumer) -> KafkaResult<Vec<i32>> {
        let metadata = consumer.fetch_metadata(Some(&self.name), ANSWER)?;
        let found = metadata.topics().iter().find(|topic| topic.name() == self.name && topic.error().is_none());
        match found {
            Some(topic) => Ok(topic.partitions().iter().map(|partition| partition.id()).collect()),
            None => Err(rdkafka::error::KafkaError::Subscription("there is no such topic".into())),
        }
    }

    /// Whether a group has said that it has done everything up to the end.
    pub async fn is_read_by(&self, group: &'static str) -> bool {
        let topic = self.clone();
        let is_read = tokio::task::spawn_blocking(move || topic.is_read_now(group));
        is_read.await.expect("asking does not panic").unwrap_or(false)
    }

    fn is_read_now(&self, group: &str) -> KafkaResult<bool> {
        let consumer: BaseConsumer = self.client().set("group.id", group).create()?;
        for partition in self.partitions_of(&consumer)? {
            let mut asked = TopicPartitionList::new();
            asked.add_partition(&self.name, partition);
            let committed = consumer.committed_offsets(asked, ANSWER)?.elements()[0].offset();
            let (begin, end) = consumer.fetch_watermarks(&self.name, partition, ANSWER)?;
            if begin < end && committed != Offset::Offset(end) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// As an operator would by mistake.
    pub async fn delete(&self) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("a client can be made");
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let deleted = admin.delete_topics(&[&self.name], &options).await.expect("the broker answers");
        deleted.into_iter().for_each(|topic| drop(topic.expect("the topic is there to be deleted")));
    }
}

impl Record {
    fn of(message: &BorrowedMessage<'_>) -> Self {
        let text = |bytes: Option<&[u8]>| {
            String::from_utf8(bytes.expect("it is not empty").to_owned()).expect("all of ours is text")
        };
        let headers = message.headers().expect("there are headers").iter();
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: text(message.key()),
            headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
            value: text(message.payload()),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }

    /// The order's version, as a subscriber reads it.
    pub fn version(&self) -> u64 {
        self.header("ce_sequence").parse().expect("a version is a number")
    }
}
