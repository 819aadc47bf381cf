//! The same key is the same wish: one effect and one answer, whenever and however often it comes.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::{Answer, Life, Person, Shop, TestApp, item, wait_until};

async fn post_with_key(app: &TestApp, who: &Person, key: &str, path: &str, body: &Value) -> Answer {
    let request = app.request(Method::POST, path).bearer_auth(&who.token).header("Idempotency-Key", key);
    app.send(request.json(body)).await
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[tokio::test]
async fn the_same_key_and_body_get_the_same_answer() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let first = app.place_with_key(&life.customer, "one", &life.shop.order()).await;
    assert!(!replayed(&first));
    let again = app.place_with_key(&life.customer, "one", &life.shop.order()).await;
    assert!(replayed(&again), "{:?}", again.headers);
    assert_eq!((again.status, again.header("location")), (first.status, first.header("location")));
    let order = first.body["id"].as_str().unwrap();
    assert_eq!(again.body["id"], *order);
    app.wait_for_row(&life.customer, "/v1/my-page?status=live", order, |_| true).await;
    assert_eq!(app.my_page(&life.customer, "live").await.len(), 1, "one order, not two");
    app.ledger(order).await.did_nothing_twice();
}

#[tokio::test]
async fn the_answer_outlives_the_process_and_what_became_of_the_order() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let first = app.place_with_key(&life.customer, "one", &life.shop.order()).await;
    let order = first.body["id"].as_str().unwrap().to_owned();
    let accept = format!("/v1/orders/{order}/accept");
    let accepted = post_with_key(&app, &life.shop.owner, "two", &accept, &json!({})).await;
    app.start_preparation(&life.shop.owner, &order).await.ok();

    for end in ["restart", "kill"] {
        if end == "restart" {
            app.restart();
        } else {
            app.kill();
            app.start_again();
        }
        let again = app.place_with_key(&life.customer, "one", &life.shop.order()).await;
        assert!(replayed(&again), "after a {end}");
        assert_eq!(
            (again.status, &again.body["id"], &again.body["status"]),
            (201, &json!(order), &first.body["status"])
        );
        let again = post_with_key(&app, &life.shop.owner, "two", &accept, &json!({})).await;
        assert!(replayed(&again), "after a {end}");
        assert_eq!((again.status, &again.body["status"]), (200, &accepted.body["status"]));
    }
    assert_eq!(app.order(&order).await["status"], "preparing");
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    app.place_with_key(&life.customer, "one", &life.shop.order()).await.created();
    let other = life.shop.order_of(0, 3);
    app.place_with_key(&life.customer, "one", &other).await.refused(422, "idempotency_key_reused");
    let order = life.place(&app).await;
    let reject = format!("/v1/orders/{order}/reject");
    post_with_key(&app, &life.shop.owner, "two", &reject, &json!({"reason": "a"})).await.ok();
    let other = post_with_key(&app, &life.shop.owner, "two", &reject, &json!({"reason": "b"})).await;
    other.refused(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_refusal_that_ended_an_order_is_repeated_too() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "restaurant").await;
    let wishes = [
        ("declined", life.shop.order_with_card("declined"), 402, "payment_declined"),
        ("short", life.shop.order_of(0, 11), 409, "out_of_stock"),
    ];
    let mut ended = Vec::new();
    for (key, order, status, code) in &wishes {
        ended.push(app.place_with_key(&life.customer, key, order).await.refused(*status, code).order_id());
    }
    app.restart();
    for ((key, order, status, code), ended) in wishes.iter().zip(&ended) {
        let again = app.place_with_key(&life.customer, key, order).await;
        assert!(replayed(&again));
        assert_eq!(again.refused(*status, code).order_id(), *ended);
    }
    let listed = || async { (app.my_page(&life.customer, "past").await.len() >= 2).then_some(()) };
    wait_until("both are listed", listed).await;
    assert_eq!(app.my_page(&life.customer, "past").await.len(), 2, "each was ended once");
}

#[tokio::test]
async fn racing_duplicates_place_one_order() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.shop.order_with_card("slow:200");
    let answers = join_all((0..12).map(|_| app.place_with_key(&life.customer, "one", &order))).await;
    let mut ids: Vec<String> = Vec::new();
    for answer in answers {
        match answer.status {
            201 => ids.push(answer.body["id"].to_string()),
            409 => drop(answer.refused(409, "request_in_progress")),
            other => panic!("{other}: {}", answer.body),
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let order = ids[0].trim_matches('"');
    app.wait_for_row(&life.customer, "/v1/my-page?status=live", order, |_| true).await;
    assert_eq!(app.my_page(&life.customer, "live").await.len(), 1);
    app.ledger(order).await.did_nothing_twice();
}

#[tokio::test]
async fn a_key_belongs_to_its_sender() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let bob = app.customer("bob").await;
    let alices = app.place_with_key(&life.customer, "same", &life.shop.order()).await.created();
    let bobs = app.place_with_key(&bob, "same", &life.shop.order()).await;
    assert!(!replayed(&bobs));
    assert_ne!(bobs.created()["id"], alices["id"]);
}

#[tokio::test]
async fn keys_are_honoured_where_they_are_not_required() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "retail").await;
    let restock = format!("/v1/stores/{}/menu/{}/restock", life.shop.id, life.shop.items[0]);
    let five = json!({"quantity": 5});
    let first = post_with_key(&app, &life.shop.owner, "lorry-1", &restock, &five).await;
    first.clone().done();
    app.restart();
    let again = post_with_key(&app, &life.shop.owner, "lorry-1", &restock, &five).await;
    assert!(replayed(&again));
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    app.wait_for_stock(&life.shop, 0, 15).await;
    let other = post_with_key(&app, &life.shop.owner, "lorry-1", &restock, &json!({"quantity": 6})).await;
    other.refused(422, "idempotency_key_reused");
    post_with_key(&app, &life.shop.owner, "lorry-2", &restock, &five).await.done();
    app.wait_for_stock(&life.shop, 0, 20).await;

    let body =
        json!({"name": "Twice", "location": crate::helpers::place("x", crate::helpers::STORE_AT), "policy": "retail"});
    let owner = app.owner("twice").await;
    let made = post_with_key(&app, &owner, "open", "/v1/stores", &body).await.created();
    let again = post_with_key(&app, &owner, "open", "/v1/stores", &body).await;
    assert!(replayed(&again));
    assert_eq!(again.header("location"), Some(format!("/v1/stores/{}", made["id"].as_str().unwrap()).as_str()));
    assert_eq!(again.created()["id"], made["id"]);
}

#[tokio::test]
async fn an_assignment_is_answered_the_same_after_its_rider_left() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "quick_service").await;
    app.hire(&life.shop, &life.rider).await;
    let order = life.place(&app).await;
    app.accept(&life.shop.owner, &order).await.ok();
    let (path, body) = (format!("/v1/orders/{order}/assign"), json!({"rider_id": life.rider.sub}));
    let first = post_with_key(&app, &life.shop.owner, "one", &path, &body).await;
    let hired = format!("/v1/stores/{}/riders/{}", life.shop.id, life.rider.sub);
    app.delete(&life.shop.owner, &hired).await.done();

    let again = post_with_key(&app, &life.shop.owner, "one", &path, &body).await;

    assert!(replayed(&again), "{}", again.body);
    assert_eq!((again.status, &again.body["version"]), (200, &first.body["version"]));
    let other = json!({"rider_id": "somebody"});
    post_with_key(&app, &life.shop.owner, "one", &path, &other).await.refused(422, "idempotency_key_reused");
    post_with_key(&app, &life.shop.owner, "two", &path, &other).await.refused(422, "invalid_value");
}

#[tokio::test]
async fn a_claim_is_answered_the_same_when_the_hands_are_full() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut orders = Vec::new();
    for _ in 0..4 {
        orders.push(life.order_in(&app, "ready").await);
    }
    let claim = |order: &str| format!("/v1/orders/{order}/claim");
    let first = post_with_key(&app, &life.rider, "one", &claim(&orders[0]), &json!({})).await;
    app.pick_up(&life.rider, &orders[0]).await.ok();
    app.deliver(&life.rider, &orders[0]).await.ok();
    for order in &orders[1..] {
        let taken = || async { (app.claim(&life.rider, order).await.status == 200).then_some(()) };
        wait_until("the first is out of the book", taken).await;
    }

    let again = post_with_key(&app, &life.rider, "one", &claim(&orders[0]), &json!({})).await;

    assert!(replayed(&again), "{}", again.body);
    assert_eq!((again.status, &again.body["version"]), (200, &first.body["version"]));
}

#[tokio::test]
async fn an_answer_given_while_the_kitchen_is_silent_stays_the_answer() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, json!({"preset": "food_delivery", "cancel_until": "pick_up"})).await;
    let order = life.order_in(&app, "preparing").await;
    app.pause_store_management(true).await;
    let path = format!("/v1/orders/{order}/cancel");
    let first = post_with_key(&app, &life.customer, "one", &path, &json!({})).await;
    assert_eq!((first.status, &first.body["status"]), (200, &json!("cancelled")));
    app.pause_store_management(false).await;
    let stopped = |order: &Value| order["preparation"]["status"] == "cancelled";
    app.wait_for_order(&order, "the kitchen has stopped", stopped).await;

    for end in ["nothing", "restart"] {
        if end == "restart" {
            app.restart();
        }
        let again = post_with_key(&app, &life.customer, "one", &path, &json!({})).await;
        assert!(replayed(&again), "after a {end}");
        assert_eq!((again.status, &again.body), (200, &first.body), "after a {end}");
    }
}

#[tokio::test]
async fn what_changed_nothing_keeps_its_key_and_its_answer() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "store_delivered").await;
    let order = life.order_in(&app, "accepted").await;
    let path = format!("/v1/orders/{order}/pay");
    let first = post_with_key(&app, &life.customer, "one", &path, &json!({})).await;
    assert_eq!(first.status, 200, "it is paid already: {}", first.body);
    assert!(!replayed(&first));
    let other = json!({"token": "another"});
    post_with_key(&app, &life.customer, "one", &path, &other).await.refused(422, "idempotency_key_reused");

    life.bring_to(&app, &order, "completed").await;
    for end in ["nothing", "kill"] {
        if end == "kill" {
            app.kill();
            app.start_again();
        }
        let again = post_with_key(&app, &life.customer, "one", &path, &json!({})).await;
        assert!(replayed(&again), "after a {end}: {}", again.body);
        assert_eq!((again.status, &again.body["version"]), (200, &first.body["version"]));
        post_with_key(&app, &life.customer, "one", &path, &other).await.refused(422, "idempotency_key_reused");
    }
}

#[tokio::test]
async fn a_repeat_needs_nobody_at_the_store_s_desk() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    let path = format!("/v1/orders/{order}/accept");
    let first = post_with_key(&app, &life.shop.owner, "one", &path, &json!({})).await;
    app.pause_store_management(true).await;
    let again = post_with_key(&app, &life.shop.owner, "one", &path, &json!({})).await;
    assert!(replayed(&again), "{}", again.body);
    assert_eq!((again.status, &again.body["version"]), (200, &first.body["version"]));
    post_with_key(&app, &life.shop.owner, "two", &path, &json!({})).await.refused(503, "service_unavailable");
    app.pause_store_management(false).await;
}

#[tokio::test]
async fn a_malformed_key_is_refused_and_a_missing_one_where_it_is_required() {
    let app = TestApp::start().await;
    let shop: Shop = app.store("food_delivery").await;
    let alice = app.customer("alice").await;
    app.post(&alice, "/v1/orders", &shop.order()).await.refused(400, "idempotency_key_required");
    for bad in ["", "a b", &"k".repeat(256)] {
        app.place_with_key(&alice, bad, &shop.order()).await.refused(400, "idempotency_key_malformed");
    }
    app.put(&shop.owner, &format!("/v1/stores/{}/menu/{}", shop.id, shop.items[0]), &item("Rice", 1, None))
        .await
        .done();
    assert!(app.my_page(&alice, "live").await.is_empty());
}
