//! Live feeds ask again who may see: what someone saw when they joined says nothing about the next frame.

use serde_json::{Value, json};

use crate::helpers::{Feed, Life, Person, TestApp, feed_request, wait_until};

/// An order at a store that names its riders, in preparation and given to the first of two.
async fn assigned(app: &TestApp) -> (Life, Person, String) {
    let life = Life::at(app, json!({"preset": "food_delivery", "dispatch": "store_assigns"})).await;
    let second = app.rider("second").await;
    app.hire(&life.shop, &second).await;
    let order = life.place(app).await;
    app.accept(&life.shop.owner, &order).await.ok();
    app.start_preparation(&life.shop.owner, &order).await.ok();
    app.assign(&life.shop.owner, &order, &life.rider).await.ok();
    (life, second, order)
}

/// The first rider gives the delivery back, and the second carries it.
async fn handed_over(app: &TestApp, life: &Life, second: &Person, order: &str) {
    app.decline_delivery(&life.rider, order).await.ok();
    app.wait_for_order(order, "it has no rider", |order| order["delivery"]["rider_id"].is_null()).await;
    app.assign(&life.shop.owner, order, second).await.ok();
    app.accept_delivery(second, order).await.ok();
    app.finish_preparation(&life.shop.owner, order).await.ok();
    app.pick_up(second, order).await.ok();
}

fn is_of(event: &Value, rider: &Person) -> bool {
    event["order"]["rider_id"] == *rider.sub
}

#[tokio::test]
async fn a_rider_who_gave_the_delivery_back_hears_no_more_of_it() {
    let app = TestApp::start().await;
    let (life, second, order) = assigned(&app).await;
    let topic = format!("order:{order}");
    let mut first_s = Feed::open(&app, &life.rider, &topic).await;
    let mut owner_s = Feed::open(&app, &life.shop.owner, &topic).await;
    handed_over(&app, &life, &second, &order).await;

    let (last, code) = first_s.read_to_the_end().await;
    assert_eq!((&last["t"], &last["topic"], code), (&json!("not_yours"), &json!(topic), 4003));
    app.get(&life.rider, &format!("/v1/orders/{order}")).await.refused(404, "order_not_found");
    let heard = owner_s.events_until("picked_up").await;
    assert!(heard.iter().any(|event| is_of(event, &second)), "those whose order it is hear all of it");
}

#[tokio::test]
async fn a_topic_that_is_lost_leaves_the_others_of_its_feed() {
    let app = TestApp::start().await;
    let (life, second, order) = assigned(&app).await;
    let other = life.place(&app).await;
    app.accept(&life.shop.owner, &other).await.ok();
    app.start_preparation(&life.shop.owner, &other).await.ok();
    app.assign(&life.shop.owner, &other, &life.rider).await.ok();
    wait_until("the rider's book has it", async || {
        app.event_names(&other).await.iter().any(|name| name == "assignment_confirmed").then_some(())
    })
    .await;
    let mut feed = Feed::open(&app, &life.rider, &format!("order:{order},order:{other}")).await;
    handed_over(&app, &life, &second, &order).await;
    app.accept_delivery(&life.rider, &other).await.ok();

    let lost = loop {
        let frame = feed.json().await;
        if frame["t"] != "event" {
            break frame;
        }
        assert!(is_of(&frame, &life.rider), "{frame}");
    };
    assert_eq!((&lost["t"], &lost["topic"]), (&json!("not_yours"), &json!(format!("order:{order}"))));
    let next = feed.events_until("rider_accepted").await;
    assert!(next.iter().all(|event| event["order_id"] == *other), "{next:?}");
}

#[tokio::test]
async fn who_comes_back_after_giving_the_delivery_back_is_shown_nothing_of_it() {
    let app = TestApp::start().await;
    let (life, second, order) = assigned(&app).await;
    let topic = format!("order:{order}");
    let hello = Feed::with(feed_request(&app, &life.rider, &format!("topics={topic}"))).await.unwrap().greeted().await;
    let before = hello["resume"].as_str().unwrap();
    handed_over(&app, &life, &second, &order).await;

    let query = format!("topics={topic}&after={before}");
    let mut back = Feed::with(feed_request(&app, &life.rider, &query)).await.unwrap();
    assert_eq!(back.read_to_the_end().await, (Value::Null, 4003));
}

#[tokio::test]
async fn a_rider_who_took_over_reads_earlier_events_as_themself() {
    let app = TestApp::start().await;
    let (life, second, order) = assigned(&app).await;
    let hello = Feed::with(feed_request(&app, &life.customer, "topics=my-orders")).await.unwrap().greeted().await;
    let before = hello["resume"].as_str().unwrap();
    handed_over(&app, &life, &second, &order).await;

    let mut feed = Feed::open_after(&app, &second, &format!("order:{order}"), before).await;
    let heard = feed.events_until("picked_up").await;
    let first_s = heard.iter().filter(|event| is_of(event, &life.rider));
    for event in first_s {
        assert_eq!(event["order"]["allowed"], json!([]), "what the other could do is not theirs: {event}");
    }
    assert_eq!(heard.last().unwrap()["order"]["allowed"], json!(["deliver"]));
}
