//! Live feeds: everyone sees what is theirs, in sequence, without gap or repeat, whatever happens to the process.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::access::about_to_expire;
use crate::helpers::{CUSTOMER_AT, Feed, Life, TestApp, feed_request, item};

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

fn resume(event: &Value) -> &str {
    event["resume"].as_str().expect("an event says where to go on")
}

#[tokio::test]
async fn a_feed_says_hello_and_then_what_happens() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut feed = Feed::with(feed_request(&app, &life.customer, "topics=my-orders")).await.unwrap();
    let hello = feed.greeted().await;
    assert_eq!(hello["heartbeat_s"], 20);

    let order = life.place(&app).await;
    let events = feed.events_until("order_submitted").await;
    for (event, version) in events.iter().zip(1..) {
        assert_eq!((&event["topic"], &event["order_id"]), (&json!("my-orders"), &json!(order)));
        assert_eq!((&event["version"], &event["order"]["version"]), (&json!(version), &json!(version)));
        assert!(event["at"].is_string() && event["resume"].is_string(), "{event}");
    }
    let last = &events.last().unwrap()["order"];
    assert_eq!(*last, app.get(&life.customer, &format!("/v1/orders/{order}")).await.ok(), "as this caller reads it");
}

#[tokio::test]
async fn one_feed_carries_several_topics() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let (watched, other) = (life.place(&app).await, life.place(&app).await);
    let mut feed = Feed::open(&app, &life.shop.owner, &format!("order:{watched},store:{}", life.shop.id)).await;
    app.accept(&life.shop.owner, &other).await.ok();
    app.accept(&life.shop.owner, &watched).await.ok();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let event = feed.event().await;
        if event["type"] == "order_accepted" {
            seen.push((event["topic"].as_str().unwrap().to_owned(), event["order_id"].as_str().unwrap().to_owned()));
        }
    }
    let store = format!("store:{}", life.shop.id);
    let mut expected = vec![(store.clone(), other), (store, watched.clone()), (format!("order:{watched}"), watched)];
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn riders_hear_of_deliveries_near_them() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let (lat, lng) = CUSTOMER_AT;
    let mut near = Feed::open(&app, &life.rider, &format!("deliveries:{lat},{lng},3000")).await;
    let order = life.order_in(&app, "ready").await;
    let offered = near.event().await;
    assert_eq!((&offered["type"], &offered["order_id"]), (&json!("delivery_offered"), &json!(order)));
    for secret in ["alice", "Samcheong", "1234-5678", "ring twice"] {
        assert!(!offered.to_string().contains(secret), "an open delivery shows {secret}: {offered}");
    }
    let taker = app.rider("taker").await;
    app.claim(&taker, &order).await.ok();
    assert_eq!(near.event().await["order_id"], *order, "that it is gone is news too");
}

#[tokio::test]
async fn who_comes_back_misses_nothing_and_hears_nothing_twice() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut feed = Feed::open(&app, &life.customer, "my-orders").await;
    let first = life.place(&app).await;
    let mut heard = feed.events_until("order_submitted").await;
    let mut after = resume(heard.last().unwrap()).to_owned();
    drop(feed);

    life.bring_to(&app, &first, "preparing").await;
    app.kill();
    app.start_again();
    let second = life.place(&app).await;
    app.restart();

    let mut feed = Feed::open_after(&app, &life.customer, "my-orders", &after).await;
    life.bring_to(&app, &first, "completed").await;
    app.cancel(&life.customer, &second).await.ok();
    let (mut first_done, mut second_done) = (false, false);
    while !(first_done && second_done) {
        let event = feed.event().await;
        first_done |= event["type"] == "order_settled" && event["order_id"] == *first;
        second_done |= event["type"] == "order_settled" && event["order_id"] == *second;
        heard.push(event);
    }
    for order in [&first, &second] {
        let of_order: Vec<Value> = heard.iter().filter(|event| event["order_id"] == **order).cloned().collect();
        let versions: Vec<u64> = of_order.iter().filter_map(|event| event["version"].as_u64()).collect();
        assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>(), "no gap, no repeat");
        assert_eq!(types(&of_order), app.event_names(order).await);
    }

    after = resume(heard.last().unwrap()).to_owned();
    let third = life.place(&app).await;
    let mut feed = Feed::open_after(&app, &life.customer, "my-orders", &after).await;
    assert_eq!(feed.event().await["order_id"], *third, "nothing old comes again");
}

#[tokio::test]
async fn every_event_is_a_place_to_go_on_from() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut feed = Feed::open(&app, &life.customer, "my-orders").await;
    let order = life.order_in(&app, "delivered").await;
    let events = feed.events_until("delivered").await;
    for topic in ["my-orders".to_owned(), format!("order:{order}")] {
        for pair in events.windows(2) {
            let mut again = Feed::open_after(&app, &life.customer, &topic, resume(&pair[0])).await;
            let next = again.event().await;
            assert_eq!((&next["version"], &next["type"]), (&pair[1]["version"], &pair[1]["type"]), "{topic}");
        }
    }
}

/// Reads a feed to its last event, hanging up after every single one and coming back by its token.
async fn heard_one_by_one(app: &TestApp, life: &Life, topics: &str, from: &str, count: usize) -> Vec<(String, u64)> {
    let (mut heard, mut after) = (Vec::new(), from.to_owned());
    while heard.len() < count {
        let mut feed = Feed::open_after(app, &life.customer, topics, &after).await;
        let event = feed.event().await;
        after = resume(&event).to_owned();
        heard.push((event["order_id"].as_str().unwrap().to_owned(), event["version"].as_u64().unwrap()));
    }
    heard
}

#[tokio::test]
async fn who_hangs_up_after_every_event_still_hears_each_once() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "store_delivered").await;
    let mut feed = Feed::open(&app, &life.customer, "my-orders").await;
    let marker = life.place(&app).await;
    let from = resume(feed.events_until("order_submitted").await.last().unwrap()).to_owned();
    let (one, other) = (life.place(&app).await, life.place(&app).await);
    for order in [&one, &other, &one, &other] {
        let command = if app.order(order).await["status"] == "accepted" { "start-preparation" } else { "accept" };
        app.command(&life.shop.owner, order, command, &json!({})).await.ok();
        app.wait_for_order(order, "the money is taken", |order| order["payment"]["status"] == "captured").await;
    }
    let mut expected = Vec::new();
    for order in [&one, &other] {
        let versions = app.order(order).await["version"].as_u64().unwrap();
        expected.extend((1..=versions).map(|version| (order.clone(), version)));
    }
    expected.sort();
    for topics in ["my-orders".to_owned(), format!("order:{one},order:{other}"), format!("order:{other},order:{one}")] {
        let mut heard = heard_one_by_one(&app, &life, &topics, &from, expected.len()).await;
        heard.sort();
        assert_eq!(heard, expected, "{topics}; {marker} came before");
    }
}

#[tokio::test]
async fn who_leaves_between_two_topics_of_one_event_hears_the_second() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    let topics = format!("my-orders,order:{order}");
    let mut feed = Feed::open(&app, &life.customer, &topics).await;
    app.accept(&life.shop.owner, &order).await.ok();
    let accepted = loop {
        let event = feed.event().await;
        if event["type"] == "order_accepted" {
            break event;
        }
    };
    assert_eq!(accepted["topic"], "my-orders");
    drop(feed);

    let mut feed = Feed::open_after(&app, &life.customer, &topics, resume(&accepted)).await;
    let second = loop {
        let event = feed.event().await;
        assert_eq!(event["version"], accepted["version"], "nothing is left out before it: {event}");
        if event["topic"] != "my-orders" {
            break event;
        }
    };
    let mut feed = Feed::open_after(&app, &life.customer, &topics, resume(&second)).await;
    let next = feed.event().await;
    assert_ne!(next["version"], second["version"], "whoever has heard both hears neither again");
}

#[tokio::test]
async fn a_resume_token_that_is_none_is_refused() {
    let app = TestApp::start().await;
    let alice = app.customer("alice").await;
    for token in ["garbage", "no%20token", "%C3%A4"] {
        let status = Feed::with(feed_request(&app, &alice, &format!("topics=my-orders&after={token}"))).await.err();
        assert_eq!(status, Some(400), "{token}");
    }
    for topics in ["", "nonsense", "order:7", "deliveries:91,0,5", "deliveries:1,2"] {
        let status = Feed::with(feed_request(&app, &alice, &format!("topics={topics}"))).await.err();
        assert!(matches!(status, Some(400 | 422)), "{topics}: {status:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_ours_lets_its_client_read_everything_again() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    let hello = Feed::with(feed_request(&app, &life.customer, "topics=my-orders")).await.unwrap().greeted().await;
    let genuine = resume(&hello);
    let other_end = if genuine.ends_with('A') { "Q" } else { "A" };
    let changed = format!("{}{other_end}", &genuine[..genuine.len() - 1]);
    // Everything read in shard 63, nothing elsewhere, as tokens once said it and anyone can write it.
    let unsealed = "P-CnEg".to_owned();
    for token in [changed, unsealed, String::new()] {
        let query = format!("topics=my-orders,order:{order}&after={token}");
        let mut feed = Feed::with(feed_request(&app, &life.customer, &query)).await.unwrap();
        assert_eq!(feed.greeted().await["resume"], *token, "who hangs up now is told so again");
        for topic in ["my-orders".to_owned(), format!("order:{order}")] {
            assert_eq!(feed.json().await, json!({"t": "reset", "topic": topic}), "{token}");
        }
        app.accept(&life.shop.owner, &order).await.done();
    }
    let mut feed = Feed::open_after(&app, &life.customer, "my-orders", genuine).await;
    assert_eq!(feed.event().await["type"], "order_accepted", "a token of ours goes on where it was");
}

#[tokio::test]
async fn somebody_elses_topic_is_closed() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    let (mallory, rival) = (app.customer("mallory").await, app.owner("rival").await);
    let absent = uuid::Uuid::now_v7();
    for (who, topic) in [
        (&mallory, format!("order:{order}")),
        (&mallory, format!("order:{absent}")),
        (&mallory, format!("store:{}", life.shop.id)),
        (&rival, format!("store:{}", life.shop.id)),
        (&rival, "my-orders".into()),
        (&mallory, "operations".into()),
        (&mallory, format!("deliveries:{},{},500", CUSTOMER_AT.0, CUSTOMER_AT.1)),
        (&life.customer, format!("my-orders,store:{}", life.shop.id)),
    ] {
        let mut feed = Feed::with(feed_request(&app, who, &format!("topics={topic}"))).await.unwrap();
        assert_eq!(feed.closed().await, 4003, "{topic} for the {}", who.role);
    }
}

#[tokio::test]
async fn without_a_token_or_from_a_foreign_page_no_feed_opens() {
    let app = TestApp::start().await;
    let alice = app.customer("alice").await;
    let mut anonymous = feed_request(&app, &alice, "topics=my-orders");
    anonymous.headers_mut().remove("authorization");
    assert_eq!(Feed::with(anonymous.clone()).await.err(), Some(401));

    let mut foreign = feed_request(&app, &alice, "topics=my-orders");
    foreign.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    assert_eq!(Feed::with(foreign).await.err(), Some(403));
    let mut own = feed_request(&app, &alice, "topics=my-orders");
    own.headers_mut().insert("origin", format!("http://{}", app.address()).parse().unwrap());
    Feed::with(own).await.unwrap().greeted().await;

    let mut browser = anonymous;
    let protocol = format!("bearer.{}", alice.token);
    browser.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    Feed::with(browser).await.unwrap().greeted().await;
}

#[tokio::test]
async fn who_shouts_into_a_feed_is_put_out_and_hurts_nobody() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut loud = Feed::open(&app, &life.customer, "my-orders").await;
    let mut quiet = Feed::open(&app, &life.customer, "my-orders").await;
    loud.shout(&"x".repeat(1_000_000)).await;
    loud.ends().await;
    let order = life.place(&app).await;
    assert_eq!(quiet.event().await["order_id"], *order);
}

#[tokio::test]
async fn a_feed_ends_with_its_token() {
    let app = TestApp::start().await;
    let alice = about_to_expire(&app, &app.customer("alice").await);
    let mut feed = Feed::with(feed_request(&app, &alice, "topics=my-orders")).await.unwrap();
    assert_eq!(feed.closed().await, 4001);
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_the_feed_goes_on_at_the_next() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut feed = Feed::open(&app, &life.customer, "my-orders").await;
    let order = life.place(&app).await;
    let heard = feed.events_until("order_submitted").await;
    app.tell_to_stop();
    assert_eq!(feed.closed().await, 1012);
    drop(feed);
    app.wait_for_end();
    app.start_again();
    let mut feed = Feed::open_after(&app, &life.customer, "my-orders", resume(heard.last().unwrap())).await;
    app.accept(&life.shop.owner, &order).await.ok();
    assert_eq!(feed.event().await["type"], "order_accepted");
}

#[tokio::test]
async fn a_reader_who_does_not_read_is_closed_and_hurts_nobody() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut long = life.shop.order();
    let mut lines = Vec::new();
    for n in 0..100 {
        let id = uuid::Uuid::now_v7();
        let path = format!("/v1/stores/{}/menu/{id}", life.shop.id);
        app.put(&life.shop.owner, &path, &item(&format!("A dish with the number {n}"), 1_000, None)).await.done();
        lines.push(json!({"item_id": id, "quantity": 1}));
    }
    long["lines"] = json!(lines);
    let mut asleep = Feed::open(&app, &life.customer, "my-orders").await;
    let mut awake = Feed::open(&app, &life.customer, "my-orders").await;
    for _ in 0..20 {
        let placed = join_all((0..10).map(|_| app.placed(&life.customer, &long))).await;
        let mut submitted = 0;
        while submitted < placed.len() {
            submitted += usize::from(awake.event().await["type"] == "order_submitted");
        }
    }
    let (last, code) = asleep.read_to_the_end().await;
    assert_eq!((&last["t"], code), (&json!("too_slow"), 4008));
    let mut back = Feed::open_after(&app, &life.customer, "my-orders", resume(&last)).await;
    assert_eq!(back.event().await["t"], "event", "it goes on where it was too slow");
}
