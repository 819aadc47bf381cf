//! Ordinary days: whatever becomes of an order, subscribers hear of it.

use futures_util::future::join_all;

use crate::broker;
use crate::helpers::{Life, TestApp, wait_until};
use crate::mirror::{CARD, everything_is_mirrored, mirroring_to};
use crate::outages::rewind;
use crate::topic::Topic;

const PRESETS: [&str; 5] = ["food_delivery", "store_delivered", "retail", "quick_service", "restaurant"];

/// One life of each kind of end at each kind of store.
pub async fn live(app: &TestApp) -> Vec<String> {
    let mut orders = Vec::new();
    for preset in PRESETS {
        let life = Life::at(app, preset).await;
        let completed = async {
            let order = app.placed(&life.customer, &life.shop.order_with_card(CARD)).await;
            life.bring_to(app, &order, "completed").await;
            order
        };
        let cancelled = life.order_in(app, "cancelled");
        let (completed, cancelled) = tokio::join!(completed, cancelled);
        app.wait_until_settled(&cancelled).await;
        orders.extend([completed, cancelled]);
    }
    orders
}

#[tokio::test]
async fn every_event_of_every_life_is_there_once_and_in_sequence() {
    let Some(broker) = broker::shared() else { return };
    let topic = Topic::fresh(broker);
    let app = mirroring_to(&topic).start().await;
    let mut orders = live(&app).await;
    // Many at a time, so that orders mix in the journal and in the batches.
    let life = Life::at_plenty(&app, "food_delivery").await;
    orders.extend(join_all((0..60).map(|_| life.order_in(&app, "cancelled"))).await);
    let declined =
        app.place(&life.customer, &life.shop.order_with_card("declined")).await.refused(402, "payment_declined");
    orders.push(declined.order_id());

    let mirrored = everything_is_mirrored(&app, &topic, &orders).await;

    assert_eq!(mirrored.repeats, 0, "nothing went wrong, so nothing was said twice");
}

#[tokio::test]
async fn a_repeat_has_the_same_id_and_bytes_whenever_it_is_sent() {
    let Some(broker) = broker::shared() else { return };
    let topic = Topic::fresh(broker);
    let mut app = mirroring_to(&topic).start().await;
    let orders = live(&app).await;
    let once = everything_is_mirrored(&app, &topic, &orders).await;
    // Another process says it the second time.
    app.restart();
    rewind(&app).await;
    let twice = || async {
        let mirrored = everything_is_mirrored(&app, &topic, &orders).await;
        (mirrored.repeats == once.records.len()).then_some(mirrored)
    };
    let twice = wait_until("everything is there twice", twice).await;
    assert_eq!(twice.records.len(), 2 * once.records.len());
}

#[tokio::test]
async fn a_mirror_that_is_switched_on_later_has_the_past_too_even_if_the_server_crashes_over_it() {
    let Some(broker) = broker::shared() else { return };
    let topic = Topic::fresh(broker);
    let mut app = TestApp::start().await;
    let orders = live(&app).await;
    app.stop();
    // Kafka has events, and the server dies before it has noted that.
    app.change_options(|_| mirroring_to(&topic).crash_at("kafka.before_cursor", 1));
    if app.starts_again() {
        wait_until("the server has crashed", || std::future::ready(app.has_crashed().then_some(()))).await;
    }
    app.forget_crash_point();
    app.start_again();
    // Kafka may have had everything before the crash, so the repeats are waited for, too.
    let again = || async { (everything_is_mirrored(&app, &topic, &orders).await.repeats > 0).then_some(()) };
    wait_until("what was not noted is said again", again).await;
}
