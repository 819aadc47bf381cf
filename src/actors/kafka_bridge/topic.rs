//! The topic is there before anything is sent to it: looked for, and made with its partitions if it is missing.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{Producer as _, ThreadedProducer};
use tokio::sync::oneshot;

use super::sender::{Sender, client};
use super::signals::Told;
use crate::config::Kafka;

/// How long one question to the brokers waits for one that answers.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// How long brokers get to make a topic.
const MAKE_WITHIN: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) partitions: usize,
    /// It was missing, and has been made here.
    pub(super) made: bool,
}

/// Looks for the topic and makes it if it is missing. May be given up at any time.
pub(super) async fn find_or_make(sender: &Sender, settings: &Kafka) -> Result<Found, KafkaError> {
    if let Some(partitions) = find(sender.producer(), settings.topic.clone()).await? {
        let wanted = usize::from(settings.partitions);
        if partitions != wanted {
            tracing::warn!(
                topic = settings.topic,
                partitions,
                wanted,
                "the topic has another number of partitions than kafka.partitions says; it is used as it is"
            );
        }
        return Ok(Found { partitions, made: false });
    }
    make(sender, settings).await?;
    Ok(Found { partitions: usize::from(settings.partitions), made: true })
}

/// How many partitions the topic has; none if there is no such topic.
async fn find(producer: Arc<ThreadedProducer<Told>>, topic: String) -> Result<Option<usize>, KafkaError> {
    let (tell, told) = oneshot::channel();
    // The question blocks its thread.
    let asking = std::thread::Builder::new().name("kafka topic".to_owned()).spawn(move || {
        let answer = producer.client().fetch_metadata(Some(&topic), ASK_WITHIN);
        let found = answer.map(|metadata| {
            let topic = metadata.topics().iter().find(|found| found.name() == topic);
            topic.map(|topic| (topic.error().map(RDKafkaErrorCode::from), topic.partitions().len()))
        });
        drop(tell.send(found));
    });
    asking.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
    match told.await.map_err(|_| KafkaError::Canceled)?? {
        None | Some((Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic), _)) => Ok(None),
        Some((Some(error), 0)) => Err(KafkaError::MetadataFetch(error)),
        Some((_, 0)) => Ok(None),
        Some((_, partitions)) => Ok(Some(partitions)),
    }
}

async fn make(sender: &Sender, settings: &Kafka) -> Result<(), KafkaError> {
    let admin: AdminClient<Told> = client(settings).create_with_context(Told(sender.signals.clone()))?;
    let replication = settings.replication.map_or(CLUSTER_DEFAULT, i32::from);
    let topic = NewTopic::new(&settings.topic, i32::from(settings.partitions), TopicReplication::Fixed(replication));
    let options = AdminOptions::new().operation_timeout(Some(MAKE_WITHIN)).request_timeout(Some(MAKE_WITHIN));
    let made = admin.create_topics([&topic], &options).await;
    // Its end waits for its threads.
    drop(std::thread::Builder::new().name("kafka parting".to_owned()).spawn(move || drop(admin)));
    match made?.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, error))) => Err(KafkaError::AdminOp(error)),
        Some(Ok(_)) => {
            tracing::info!(topic = settings.topic, partitions = settings.partitions, "the topic has been made");
            Ok(())
        }
        None => Err(KafkaError::Canceled),
    }
}

/// The protocol's word for "as many copies as the cluster makes by itself".
const CLUSTER_DEFAULT: i32 = -1;
