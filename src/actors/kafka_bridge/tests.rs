//! The bridge against librdkafka's own stand-in for a cluster, which fails when it is told to.

use std::time::Duration;

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::mirror::distance;
use super::sender::is_mirrored;
use super::testing::*;
use super::{MirrorState, RewindError};
use crate::config::Kafka;
use crate::store::{Append, Cursor, NewEvent, Position, StreamId};

#[actix::test]
async fn a_backlog_is_mirrored_in_sequence() {
    let (cluster, journal) = (cluster(), Journal::with(20, 60).await);
    let bridge = journal.bridge(settings(&cluster)).await;
    let report = bridge.until_all_is_mirrored().await;
    assert_eq!((report.state, report.acknowledged), (MirrorState::Mirroring, 20 * 60), "and nothing of the stock");
    bridge.stop().await;
    assert_eq!(journal.saved().await, journal.head().await);
    let got = everything_in(&cluster).await;
    assert_eq!(check(&got, 20, 60), 0);
    let third = got.iter().find(|got| got.key == order(0).to_string() && got.version == 3).unwrap();
    assert_eq!(third.headers["ce_id"], format!("{}:3", order(0)));
    assert_eq!(third.headers["ce_type"], "baedal.order.payment_captured.v1");
    assert_eq!(third.headers["content-type"], "application/json");
    assert!(third.value.contains(r#""type":"payment_captured""#) && third.value.contains(r#""attempt":2}"#));
}

#[actix::test]
async fn news_is_mirrored_without_being_asked_for() {
    let (cluster, mut journal) = (cluster(), Journal::with(3, 2).await);
    let bridge = journal.bridge(settings(&cluster)).await;
    bridge.until_all_is_mirrored().await;
    let more: Vec<Append> = (0..3).map(|n| append(StreamId::order(order(n)), n, 2)).collect();
    journal.engine.writer.append(&more).await.unwrap();
    journal.tail.push([]);
    bridge.until(|report| report.acknowledged == 9).await;
    bridge.stop().await;
    assert_eq!(check(&everything_in(&cluster).await, 3, 3), 0);
}

#[actix::test]
async fn errors_of_the_brokers_leave_no_gap_and_turn_nothing_round() {
    use RDKafkaRespErr::*;
    // So large that a partition takes several requests, some of them behind the one that fails.
    let (cluster, journal) = (cluster(), Journal::with_events_of(60_000, 6, 30).await);
    cluster.broker_round_trip_time(1, Duration::from_millis(5)).unwrap();
    // The first ones pass if they are tried again; each of the others ends a producer.
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RD_KAFKA_RESP_ERR_NO_ERROR,
            RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_NO_ERROR,
            RD_KAFKA_RESP_ERR_INVALID_RECORD,
            RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            RD_KAFKA_RESP_ERR_NO_ERROR,
            RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        ],
    );
    let bridge = journal.bridge(settings(&cluster)).await;
    let report = bridge.until_all_is_mirrored().await;
    assert!(report.restarts >= 3, "{report:?}");
    assert!(report.last_error.is_some_and(|error| error.what.contains("not taken")));
    bridge.stop().await;
    check(&everything_in(&cluster).await, 6, 30);
    assert_eq!(journal.saved().await, journal.head().await);
}

#[actix::test]
async fn a_broker_that_comes_late_gets_everything() {
    let (cluster, journal) = (cluster(), Journal::with(5, 20).await);
    cluster.broker_down(1).unwrap();
    let bridge = journal.bridge(settings(&cluster)).await;
    let report = bridge.until(|report| report.state == MirrorState::Broken).await;
    assert!(report.last_error.is_some_and(|error| error.what.contains("connection_lost")));
    assert_eq!(report.acknowledged, 0);
    cluster.broker_up(1).unwrap();
    let report = bridge.until_all_is_mirrored().await;
    assert_eq!(report.state, MirrorState::Mirroring);
    bridge.stop().await;
    assert_eq!(check(&everything_in(&cluster).await, 5, 20), 0);
}

#[actix::test]
async fn what_is_not_acknowledged_is_sent_again_and_is_at_most_a_window() {
    const WINDOW: usize = 50;
    let (cluster, journal) = (cluster(), Journal::with(20, 30).await);
    let settings = Kafka { window_events: WINDOW, flush_within_ms: crate::config::Millis(1), ..settings(&cluster) };
    cluster.broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
    let mut repeats = 0;
    for _ in 0..2 {
        let bridge = journal.bridge(settings.clone()).await;
        bridge.until(|report| report.in_flight > 0).await;
        bridge.stop().await;
        let bridge = journal.bridge(settings.clone()).await;
        bridge.until(|report| report.in_flight > 0).await;
        let (sent, saved) = (bridge.mirror.report().await.unwrap(), journal.saved().await);
        assert!(distance(&saved, &sent.cursor) as usize + sent.in_flight <= WINDOW + sent.acknowledged as usize);
        bridge.kill().await;
    }
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    let bridge = journal.bridge(settings).await;
    bridge.until_all_is_mirrored().await;
    bridge.stop().await;
    repeats += check(&everything_in(&cluster).await, 20, 30);
    assert!(repeats <= 4 * WINDOW, "{repeats} repeats of four interruptions");
}

#[actix::test]
async fn the_cursor_never_passes_what_kafka_does_not_have() {
    let (cluster, journal) = (cluster(), Journal::with(20, 30).await);
    cluster.broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
    let bridge = journal.bridge(Kafka { window_events: 30, ..settings(&cluster) }).await;
    bridge.until(|report| report.acknowledged > 60).await;
    bridge.kill().await;
    let saved = journal.saved().await;
    let got = everything_in(&cluster).await;
    let there: std::collections::HashSet<(String, u32)> = got.into_iter().map(|got| (got.key, got.version)).collect();
    let rows = journal.engine.readers.after(&Cursor::start(), 10_000).await.unwrap();
    for row in rows.iter().filter(|row| saved.has_passed(row.position) && is_mirrored(row).is_some()) {
        assert!(there.contains(&(row.stream.id.to_string(), row.version)), "{} is there", row.position);
    }
}

#[actix::test]
async fn an_operator_sends_a_shard_again() {
    let (cluster, journal) = (cluster(), Journal::with(5, 10).await);
    let bridge = journal.bridge(settings(&cluster)).await;
    let report = bridge.until_all_is_mirrored().await;
    let mark = report.head.marks().find(|mark| mark.position > 5).unwrap();
    let ahead = Position { position: mark.position + 1, ..mark };
    assert_eq!(
        bridge.mirror.rewind(mark.shard, ahead.position).await,
        Err(RewindError::NotMirrored(ahead)),
        "nothing is skipped"
    );
    assert_eq!(bridge.mirror.rewind(mark.shard, 4).await, Ok(mark.position - 3));
    bridge.until(|report| report.lag_events() == 0 && report.acknowledged > 50).await;
    bridge.stop().await;
    let repeats = check(&everything_in(&cluster).await, 5, 10);
    assert!((1..=mark.position as usize - 3).contains(&repeats), "{repeats}");
    assert_eq!(journal.saved().await, journal.head().await);
}

#[actix::test]
async fn an_event_that_cannot_be_read_is_announced_without_its_data() {
    let (cluster, mut journal) = (cluster(), Journal::fresh().await);
    let unknown = NewEvent { name: "order_teleported", data: r#"{"note":"canary"}"#.into() };
    let append = Append { events: vec![unknown], ..append(StreamId::order(order(0)), 0, 0) };
    journal.engine.writer.append(&[append]).await.unwrap();
    let bridge = journal.bridge(settings(&cluster)).await;
    assert_eq!(bridge.until_all_is_mirrored().await.withheld, 1);
    bridge.stop().await;
    let got = everything_in(&cluster).await;
    assert_eq!(check(&got, 1, 1), 0);
    assert!(
        got[0]
            .value
            .ends_with(r#""type":"order_teleported","at":"2026-11-21T12:00:00Z","by":"customer:alice","data":{}}"#)
    );
}

#[actix::test]
async fn of_a_bridge_that_is_gone_it_is_said_how_it_stood_last() {
    let (cluster, journal) = (cluster(), Journal::with(2, 2).await);
    let bridge = journal.bridge(settings(&cluster)).await;
    let report = bridge.until_all_is_mirrored().await;
    let mark = report.head.marks().find(|mark| mark.position > 0).unwrap();
    let mirror = bridge.thread_ends();
    let last = mirror.report().await.unwrap();
    assert_eq!((last.state, last.acknowledged), (MirrorState::Broken, 4));
    assert_eq!(mirror.rewind(mark.shard, 1).await, Err(RewindError::NoAnswer));
}
