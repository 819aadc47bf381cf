//! Kafka is away, frozen, killed, emptied or refuses us: customers notice nothing, and afterwards nothing is missing.

use serde_json::{Value, json};

use crate::broker::{self, Broker};
use crate::helpers::{TestApp, wait_until};
use crate::lives::live;
use crate::mirror::{everything_is_mirrored, mirroring_to};
use crate::topic::Topic;

async fn mirror(app: &TestApp) -> Value {
    app.get(&app.admin, "/v1/operations/kafka").await.ok()
}

/// Waits until the operator is told so.
async fn operator_sees(app: &TestApp, what: &str, seen: impl Fn(&Value) -> bool) -> Value {
    let look = || async { Some(mirror(app).await).filter(&seen) };
    wait_until(&format!("the operator sees that {what}"), look).await
}

async fn is_broken(app: &TestApp) -> Value {
    operator_sees(app, "the mirror is broken", |mirror| mirror["state"] == "broken").await
}

async fn is_well(app: &TestApp) -> Value {
    operator_sees(app, "all is mirrored", |mirror| mirror["state"] == "mirroring" && mirror["lag"]["events"] == 0).await
}

/// Sends everything again, as an operator does after the loss of a topic.
pub async fn rewind(app: &TestApp) {
    for shard in mirror(app).await["shards"].as_array().unwrap() {
        let from_the_start = json!({"shard": shard["shard"], "from": 1});
        let again = app.post(&app.admin, "/v1/operations/kafka/rewind", &from_the_start).await.ok();
        assert!(again["events"].as_u64() >= shard["cursor"].as_u64(), "{again}, {shard}");
    }
}

/// Waits until a gauge of the mirror, as the monitoring reads it, is as it should be.
async fn monitoring_sees(app: &TestApp, name: &str, seen: impl Fn(f64) -> bool) {
    let look = || async {
        let metrics = app.open("/metrics").await.ok();
        let line = metrics.as_str()?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        seen(line.parse().ok()?).then_some(())
    };
    wait_until(&format!("{name} is as it should be"), look).await;
}

/// Whole lives, every command of which succeeds, and the process takes work all the time.
async fn orders_go_on(app: &TestApp) -> Vec<String> {
    let orders = live(app).await;
    app.open("/readyz").await.ok();
    orders
}

#[tokio::test]
async fn a_broker_that_was_never_there_gets_everything_when_it_comes() {
    if broker::left_out() {
        return;
    }
    let broker = Broker::to_come("never-there");
    let topic = Topic::fresh(broker.address());
    let app = mirroring_to(&topic).start().await;
    let orders = orders_go_on(&app).await;
    let told = is_broken(&app).await;
    assert!(told["lag"]["events"].as_u64() > Some(orders.len() as u64), "{told}");
    assert!(told["last_error"].is_object(), "{told}");
    monitoring_sees(&app, "baedal_kafka_lag_events", |events| events > 0.0).await;
    monitoring_sees(&app, "baedal_kafka_up", |up| up == 0.0).await;

    broker.start_again();

    let mirrored = everything_is_mirrored(&app, &topic, &orders).await;
    assert_eq!(mirrored.repeats, 0, "nothing had been sent before");
    is_well(&app).await;
    monitoring_sees(&app, "baedal_kafka_lag_events", |events| events == 0.0).await;
    monitoring_sees(&app, "baedal_kafka_up", |up| up == 1.0).await;
}

#[tokio::test]
async fn a_broker_that_hangs_for_a_while_holds_up_nobody() {
    if broker::left_out() {
        return;
    }
    let broker = Broker::start("hangs");
    let topic = Topic::fresh(broker.address());
    let app = mirroring_to(&topic).start().await;
    let mut orders = orders_go_on(&app).await;
    is_well(&app).await;
    broker.freeze();
    orders.extend(orders_go_on(&app).await);
    operator_sees(&app, "events wait", |mirror| mirror["lag"]["events"].as_u64() > Some(0)).await;
    // Nobody says that it is gone; that nothing arrives is noticed all the same.
    operator_sees(&app, "something is wrong", |mirror| mirror["state"] != "mirroring").await;
    orders.extend(orders_go_on(&app).await);

    broker.thaw();

    orders.extend(orders_go_on(&app).await);
    everything_is_mirrored(&app, &topic, &orders).await;
    is_well(&app).await;
}

#[tokio::test]
async fn a_broker_that_is_killed_again_and_again_misses_nothing() {
    if broker::left_out() {
        return;
    }
    let broker = Broker::start("killed");
    let topic = Topic::fresh(broker.address());
    let app = mirroring_to(&topic).start().await;
    let mut orders = Vec::new();
    for _ in 0..2 {
        // In the midst of it: what is on its way may have arrived or not.
        let killed = async {
            operator_sees(&app, "events arrive", |mirror| mirror["lag"]["events"] == 0).await;
            broker.kill();
        };
        let (more, ()) = tokio::join!(orders_go_on(&app), killed);
        orders.extend(more);
        orders.extend(orders_go_on(&app).await);
        is_broken(&app).await;
        broker.start_again();
        is_well(&app).await;
    }
    everything_is_mirrored(&app, &topic, &orders).await;
}

#[tokio::test]
async fn a_server_that_is_killed_with_a_backlog_mirrors_it_when_it_comes_back() {
    if broker::left_out() {
        return;
    }
    let broker = Broker::start("backlog");
    let topic = Topic::fresh(broker.address());
    let mut app = mirroring_to(&topic).start().await;
    let mut orders = orders_go_on(&app).await;
    broker.freeze();
    orders.extend(orders_go_on(&app).await);
    operator_sees(&app, "events wait", |mirror| mirror["lag"]["events"].as_u64() > Some(0)).await;
    app.kill();
    broker.thaw();
    app.start_again();
    // Killed again while it catches up, or right after.
    operator_sees(&app, "events arrive", |mirror| mirror["acknowledged"].as_u64() > Some(0)).await;
    app.kill();
    app.start_again();
    orders.extend(orders_go_on(&app).await);
    everything_is_mirrored(&app, &topic, &orders).await;
}

#[tokio::test]
async fn a_topic_that_was_deleted_is_made_again_and_filled_when_asked() {
    let Some(broker) = broker::shared() else { return };
    let topic = Topic::fresh(broker);
    let app = mirroring_to(&topic).start().await;
    let mut orders = orders_go_on(&app).await;
    everything_is_mirrored(&app, &topic, &orders).await;

    topic.delete().await;
    orders.extend(orders_go_on(&app).await);
    is_well(&app).await;

    // What was in it is gone, and only the operator knows whether that was meant.
    rewind(&app).await;
    everything_is_mirrored(&app, &topic, &orders).await;
}

#[tokio::test]
async fn wrong_credentials_are_told_and_cost_nothing_but_time() {
    if broker::left_out() {
        return;
    }
    let broker = Broker::start_for("signing-in", "mirror", "right");
    let topic = Topic::fresh(broker.address()).signing_in("mirror", "right");
    let options = mirroring_to(&topic)
        .set("kafka.security_protocol", "sasl_plaintext")
        .set("kafka.sasl_username", "mirror")
        .set("kafka.sasl_password", "wrong");
    let mut app = options.start().await;
    let orders = orders_go_on(&app).await;
    let told = is_broken(&app).await;
    assert!(told["last_error"].to_string().to_lowercase().contains("auth"), "{told}");
    assert!(!app.log().contains("wrong"), "the password is nobody's to see");

    app.stop();
    app.change_options(|options| options.set("kafka.sasl_password", "right"));
    app.start_again();
    everything_is_mirrored(&app, &topic, &orders).await;
}
