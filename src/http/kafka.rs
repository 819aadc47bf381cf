//! The mirror in Kafka, as operators look at it and send it back.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{Caller, Role};
use crate::actors::{Mirror, MirrorError, MirrorReport, RewindError, System};
use crate::order::Timestamp;
use crate::store::Shard;

use super::code::Code;
use super::error::ApiError;
use super::extract::Body;
use super::lists::unreadable;

/// How the mirror stands. While it is `off`, only the state is there.
#[derive(Serialize, ToSchema)]
pub(super) struct KafkaBody {
    /// `off`, `connecting`, `mirroring`, `behind` or `broken`
    state: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    mirror: Option<KafkaMirror>,
}

#[derive(Serialize, ToSchema)]
struct KafkaMirror {
    topic: String,
    /// As the topic has them; null before it was seen
    partitions: Option<usize>,
    /// Kept when it is mended
    last_error: Option<KafkaError>,
    /// What Kafka lacks
    lag: KafkaLag,
    /// Handed over and not acknowledged
    in_flight: usize,
    /// Events since the start
    acknowledged: u64,
    /// Producers thrown away after a failure, since the start
    restarts: u64,
    broker_errors: u64,
    /// Events announced with empty data, because this program cannot read them
    withheld: u64,
    /// Only those with events
    shards: Vec<KafkaShard>,
}

#[derive(Serialize, ToSchema)]
struct KafkaError {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    what: String,
}

#[derive(Serialize, ToSchema)]
struct KafkaLag {
    events: u64,
    /// The age of the oldest event that Kafka lacks
    seconds: f64,
}

#[derive(Serialize, ToSchema)]
struct KafkaShard {
    shard: u8,
    /// Kafka has everything up to here
    cursor: u64,
    /// The journal's last event
    head: u64,
}

impl From<MirrorReport> for KafkaMirror {
    fn from(report: MirrorReport) -> Self {
        let lag = KafkaLag { events: report.lag_events(), seconds: report.lag.as_secs_f64() };
        let shards = report.head.marks().filter(|mark| mark.position > 0).map(|mark| KafkaShard {
            shard: mark.shard.number(),
            cursor: report.cursor.at(mark.shard),
            head: mark.position,
        });
        Self {
            shards: shards.collect(),
            topic: report.topic,
            partitions: report.partitions,
            last_error: report.last_error.map(|MirrorError { at, what }| KafkaError { at, what }),
            lag,
            in_flight: report.in_flight,
            acknowledged: report.acknowledged,
            restarts: report.restarts,
            broker_errors: report.broker_errors,
            withheld: report.withheld,
        }
    }
}

/// The mirror of all orders' events in Kafka. Orders never wait for it.
#[utoipa::path(get, path = "/v1/operations/kafka", tag = "operations",
    responses((status = 200, description = "How it stands", body = KafkaBody)))]
pub(super) async fn read(caller: Caller, system: web::Data<System>) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let body = match &system.mirror {
        None => KafkaBody { state: "off", mirror: None },
        Some(mirror) => {
            let report = mirror.report().await.map_err(unreadable)?;
            KafkaBody { state: report.state.as_str(), mirror: Some(report.into()) }
        }
    };
    Ok(HttpResponse::Ok().json(body))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RewindBody {
    #[schema(minimum = 0, maximum = 63)]
    shard: u8,
    /// The first position that is sent again
    #[schema(minimum = 1)]
    from: u64,
}

#[derive(Serialize, ToSchema)]
struct RewoundBody {
    /// How many events of the shard are read again; those of orders are sent
    events: u64,
}

/// Sends everything of a shard from a position on again, as after the loss of a topic. Consumers know repeats by
/// `ce_id`.
#[utoipa::path(post, path = "/v1/operations/kafka/rewind", tag = "operations", request_body = RewindBody,
    responses((status = 200, description = "It is sent again from now on", body = RewoundBody)))]
pub(super) async fn rewind(
    caller: Caller,
    system: web::Data<System>,
    body: Body<RewindBody>,
) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let off = || ApiError::new(Code::NotFound).detail("there is no mirror: start the service with --kafka HOST:PORT");
    let mirror: &Mirror = system.mirror.as_ref().ok_or_else(off)?;
    let RewindBody { shard, from } = body.into_inner();
    let out_of_range = |pointer: &str, what| ApiError::new(Code::InvalidValue).field(pointer, "out_of_range", what);
    let shard = Shard::new(shard).ok_or_else(|| out_of_range("/shard", "is 0 to 63".to_owned()))?;
    match mirror.rewind(shard, from).await {
        Ok(events) => Ok(HttpResponse::Ok().json(RewoundBody { events })),
        Err(error @ (RewindError::Zero | RewindError::NotMirrored(_))) => Err(out_of_range("/from", error.to_string())),
        Err(RewindError::NoAnswer) => Err(ApiError::new(Code::OutcomeUnknown)),
        Err(RewindError::AtRest) => Err(ApiError::new(Code::ServiceUnavailable)),
    }
}
