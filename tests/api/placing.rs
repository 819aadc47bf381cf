//! What cannot be ordered: every bad wish gets a clear problem, and none of them leaves a trace.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::helpers::{CUSTOMER_AT, Shop, TestApp, item, place};

/// A wish that differs from a good one.
struct Bad {
    what: &'static str,
    order: Value,
    status: u16,
    code: &'static str,
    /// The field that is named, if one is.
    pointer: Option<&'static str>,
}

fn but(good: &Value, pointer: &str, value: Value) -> Value {
    let mut order = good.clone();
    let (parent, field) = pointer.rsplit_once('/').expect("a JSON pointer");
    order.pointer_mut(parent).expect("the good order has it")[field] = value;
    order
}

fn without(good: &Value, field: &str) -> Value {
    let mut order = good.clone();
    order.as_object_mut().expect("an order is an object").remove(field).expect("the good order has it");
    order
}

/// Misspelt, missing or of another type: not what the route reads at all.
fn malformed(good: &Value) -> Vec<Bad> {
    let bad = |what, order, code| Bad { what, order, status: 400, code, pointer: None };
    vec![
        bad("an unknown field", but(good, "/tip", json!(1)), "unknown_field"),
        bad("a price of their own", but(good, "/total", json!({"amount": 1, "currency": "KRW"})), "unknown_field"),
        bad("a status of their own", but(good, "/status", json!("completed")), "unknown_field"),
        bad("somebody else's name", but(good, "/customer_id", json!("bob")), "unknown_field"),
        bad("an unknown field in a line", but(good, "/lines/0/price", json!(1)), "unknown_field"),
        bad("an unknown field in the payment", but(good, "/payment/cvc", json!("123")), "unknown_field"),
        bad("no lines", without(good, "lines"), "missing_field"),
        bad("no destination", without(good, "destination"), "missing_field"),
        bad("no payment", without(good, "payment"), "missing_field"),
        bad("no store", without(good, "store_id"), "missing_field"),
        bad("lines that are a text", but(good, "/lines", json!("pizza")), "wrong_type"),
        bad("a quantity that is a text", but(good, "/lines/0/quantity", json!("1")), "wrong_type"),
        bad("half a piece", but(good, "/lines/0/quantity", json!(1.5)), "wrong_type"),
        bad("a note that is a number", but(good, "/note", json!(7)), "wrong_type"),
        bad("a latitude that is a text", but(good, "/destination/lat", json!("north")), "wrong_type"),
    ]
}

/// Well-formed, and yet it cannot be.
fn impossible(good: &Value, shop: &Shop, foreign: &Shop) -> Vec<Bad> {
    let bad = |what, pointer, order| Bad { what, order, status: 422, code: "invalid_value", pointer: Some(pointer) };
    let lines = |lines: Value| but(good, "/lines", lines);
    let (quantity, item, note) = ("/lines/0/quantity", "/lines/0/item_id", "/note");
    let twice = json!([{"item_id": shop.items[0], "quantity": 1}, {"item_id": shop.items[0], "quantity": 2}]);
    let many: Vec<Value> = (0..101).map(|_| json!({"item_id": Uuid::now_v7(), "quantity": 1})).collect();
    vec![
        bad("nothing at all", "/lines", lines(json!([]))),
        bad("a quantity of nothing", quantity, but(good, quantity, json!(0))),
        bad("less than nothing", quantity, but(good, quantity, json!(-1))),
        bad("a thousand million", quantity, but(good, quantity, json!(1_000_000_000))),
        bad("more than 64 bits", quantity, but(good, quantity, json!(18_446_744_073_709_551_615_u64))),
        bad("one item in two lines", "/lines/1/item_id", lines(twice)),
        bad("a hundred and one lines", "/lines", lines(json!(many))),
        bad("an item of another store", item, but(good, item, json!(foreign.items[0]))),
        bad("an item that nobody has", item, but(good, item, json!(Uuid::now_v7()))),
        bad("no item id at all", item, but(good, item, json!("bibimbap"))),
        bad("a store that nobody has", "/store_id", but(good, "/store_id", json!(Uuid::now_v7()))),
        bad("no store id at all", "/store_id", but(good, "/store_id", json!("../../etc/passwd"))),
        bad("north of the pole", "/destination", but(good, "/destination/lat", json!(91))),
        bad("east of the date line", "/destination", but(good, "/destination/lng", json!(180.5))),
        bad("an address without words", "/destination/text", but(good, "/destination/text", json!("  "))),
        bad("an endless address", "/destination/text", but(good, "/destination/text", json!("x".repeat(201)))),
        bad("a long note", note, but(good, note, json!("x".repeat(501)))),
        bad("a NUL", note, but(good, note, json!("a\0b"))),
        bad("a line break", note, but(good, note, json!("a\r\nInjected: yes"))),
        bad("a mark that turns the text around", note, but(good, note, json!("\u{202e}gpj.exe"))),
        bad("an escape sequence", note, but(good, note, json!("\u{1b}[31mred"))),
        bad("a means of payment that is none", "/payment/method", but(good, "/payment/method", json!("iou"))),
        bad("an empty card", "/payment/token", but(good, "/payment/token", json!(""))),
        bad("a parcel where food is sold", "/parcel", but(good, "/parcel", a_parcel())),
    ]
}

fn a_parcel() -> Value {
    json!({"description": "Lamp", "size": "small", "weight_g": 1, "pick_up": place("here", CUSTOMER_AT)})
}

async fn is_refused(app: &TestApp, customer: &crate::helpers::Person, bad: &Bad) {
    let answer = app.place(customer, &bad.order).await;
    let said = format!("{}: {} {}", bad.what, answer.status, answer.body);
    assert_eq!((answer.status, answer.body["code"].as_str()), (bad.status, Some(bad.code)), "{said}");
    let problem = answer.problem();
    if let Some(pointer) = bad.pointer {
        let named = problem.pointers();
        assert!(named.iter().any(|named| named.starts_with(pointer)), "{pointer} is not named: {said}");
    }
}

#[tokio::test]
async fn every_bad_wish_gets_a_clear_problem_and_leaves_no_trace() {
    let mut app = TestApp::start().await;
    let alice = app.customer("alice").await;
    let (shop, foreign) = (app.store("food_delivery").await, app.store("food_delivery").await);
    let good = shop.order();
    for bad in malformed(&good).iter().chain(&impossible(&good, &shop, &foreign)) {
        is_refused(&app, &alice, bad).await;
    }
    assert!(app.my_page(&alice, "live").await.is_empty() && app.my_page(&alice, "past").await.is_empty());
    assert_eq!(app.stop().events, 0, "nothing was written for any of them");
}

#[tokio::test]
async fn several_wrong_fields_are_told_at_once() {
    let app = TestApp::start().await;
    let (alice, shop) = (app.customer("alice").await, app.store("food_delivery").await);
    let mut order = but(&shop.order(), "/lines/0/quantity", json!(0));
    order["note"] = json!("a\0b");
    order["destination"]["lat"] = json!(91);
    let problem = app.place(&alice, &order).await.refused(422, "invalid_value");
    assert!(problem.pointers().len() >= 3, "{}", problem.0);
}

#[tokio::test]
async fn what_is_not_json_or_too_large_is_refused_before_it_is_read() {
    let mut app = TestApp::start().await;
    let (alice, shop) = (app.customer("alice").await, app.store("food_delivery").await);
    let send = |kind: &str, body: String| {
        let request = app.request(Method::POST, "/v1/orders").bearer_auth(&alice.token);
        app.send(request.header("Idempotency-Key", "k").header("Content-Type", kind).body(body))
    };
    send("application/json", "{\"store_id\": ".into()).await.refused(400, "malformed_json");
    send("application/json", String::new()).await.refused(400, "malformed_json");
    send("application/json", "[".repeat(20_000)).await.problem();
    send("application/json", "1e400".into()).await.problem();
    send("text/plain", shop.order().to_string()).await.refused(415, "unsupported_media_type");
    let mut essay = shop.order();
    essay["note"] = json!("x".repeat(1_000_000));
    send("application/json", essay.to_string()).await.refused(413, "body_too_large");
    assert_eq!(app.stop().events, 0);
}

#[tokio::test]
async fn what_is_not_for_sale_is_not_sold() {
    let mut app = TestApp::start().await;
    let (alice, shop) = (app.customer("alice").await, app.store("food_delivery").await);
    let store = format!("/v1/stores/{}", shop.id);
    let dish = format!("{store}/menu/{}", shop.items[0]);

    let mut sold_out = item("Bibimbap", 9_000, None);
    sold_out["available"] = json!(false);
    app.put(&shop.owner, &dish, &sold_out).await.done();
    let problem = app.place(&alice, &shop.order()).await.refused(422, "invalid_value");
    assert_eq!(problem.0["errors"][0]["code"], "unavailable_item", "{}", problem.0);
    app.delete(&shop.owner, &dish).await.done();
    let problem = app.place(&alice, &shop.order()).await.refused(422, "invalid_value");
    assert_eq!(problem.0["errors"][0]["pointer"], "/lines/0/item_id", "{}", problem.0);
    app.put(&shop.owner, &dish, &item("Bibimbap", 9_000, None)).await.done();

    app.patch(&shop.owner, &store, &json!({"open": false})).await.ok();
    app.place(&alice, &shop.order()).await.refused(409, "store_closed");
    app.patch(&shop.owner, &store, &json!({"open": true, "paused_until": "2999-01-01T00:00:00Z"})).await.ok();
    app.place(&alice, &shop.order()).await.refused(409, "store_paused");
    app.patch(&shop.owner, &store, &json!({"paused_until": null})).await.ok();
    let soon = app.put(&app.admin, "/v1/operations/clock", &json!({"advance_s": 0})).await.ok()["now"].clone();
    app.patch(&shop.owner, &store, &json!({"paused_until": soon})).await.ok();
    let shown = app.open(&store).await.ok();
    assert_eq!(
        (&shown["takes_orders"], &shown["paused_until"]),
        (&json!(true), &json!(null)),
        "a pause ends by itself"
    );
    assert_eq!(app.stop().events, 0, "nothing was written for any of them");
    app.start_again();
    app.place(&alice, &shop.order()).await.created();
}

#[tokio::test]
async fn a_sum_beyond_all_money_is_refused() {
    let mut app = TestApp::start().await;
    let (alice, shop) = (app.customer("alice").await, app.store("food_delivery").await);
    let dish = format!("/v1/stores/{}/menu/{}", shop.id, shop.items[0]);
    app.put(&shop.owner, &dish, &item("Truffle", 1_000_000_000_000, None)).await.done();
    app.place(&alice, &shop.order_of(0, 2)).await.refused(422, "invalid_value");
    for price in [-1, 1_000_000_000_001, i64::MAX] {
        app.put(&shop.owner, &dish, &item("Truffle", price, None)).await.refused(422, "invalid_value");
    }
    let mut foreign_money = item("Truffle", 1, None);
    foreign_money["price"]["currency"] = json!("bitcoin");
    app.put(&shop.owner, &dish, &foreign_money).await.refused(422, "invalid_value");
    assert_eq!(app.stop().events, 0);
}

#[tokio::test]
async fn a_store_takes_the_payment_it_offers_and_a_courier_carries_parcels() {
    let mut app = TestApp::start().await;
    let alice = app.customer("alice").await;
    let cards_only = app.store(json!({"preset": "food_delivery", "payment_methods": ["card"]})).await;
    let problem = app.place(&alice, &cards_only.order_on_delivery()).await.refused(422, "invalid_value");
    assert_eq!(problem.0["errors"][0]["code"], "payment_method_not_offered");
    let cash_only = app.store(json!({"preset": "food_delivery", "payment_methods": ["on_delivery"]})).await;
    let problem = app.place(&alice, &cash_only.order()).await.refused(422, "invalid_value");
    assert_eq!(problem.pointers(), ["/payment/method"]);

    let courier = app.store("quick_service").await;
    let problem = app.place(&alice, &without(&courier.order(), "parcel")).await.refused(422, "invalid_value");
    assert_eq!(problem.pointers(), ["/parcel"]);
    for (pointer, value) in
        [("/parcel/weight_g", json!(0)), ("/parcel/pick_up/lat", json!(-91)), ("/parcel/size", json!(""))]
    {
        app.place(&alice, &but(&courier.order(), pointer, value)).await.refused(422, "invalid_value");
    }
    assert_eq!(app.stop().events, 0);
}

#[tokio::test]
async fn text_of_every_script_is_kept_as_it_was_written() {
    let app = TestApp::start().await;
    let (alice, shop) = (app.customer("alice").await, app.store("food_delivery").await);
    for note in [
        "문 앞에 두세요 🙏",
        "شكرا جزيلا",
        "'; drop table events; --",
        "<script>alert(1)</script>",
        "%s {0} ${jndi:ldap://x}",
        "100 % _like_",
    ] {
        let order = app.place(&alice, &but(&shop.order(), "/note", json!(note))).await.created();
        assert_eq!(order["note"], note);
        assert_eq!(app.order(order["id"].as_str().unwrap()).await["note"], note);
    }
}

#[tokio::test]
async fn an_id_that_is_none_or_nobodys_is_not_found() {
    let app = TestApp::start().await;
    let alice = app.customer("alice").await;
    for id in
        ["7", "../secrets", "%00", "' or 1=1", &Uuid::nil().to_string(), &Uuid::now_v7().to_string(), &"a".repeat(500)]
    {
        let id = id.replace(' ', "%20").replace('/', "%2F");
        for path in [format!("/v1/orders/{id}"), format!("/v1/orders/{id}/events")] {
            assert_eq!(app.get(&alice, &path).await.problem().0["status"], 404, "{path}");
        }
        assert_eq!(app.cancel(&alice, &id).await.problem().0["status"], 404, "{id}");
        assert_eq!(app.open(&format!("/v1/stores/{id}")).await.problem().0["status"], 404, "{id}");
        assert_eq!(app.open(&format!("/v1/stores/{id}/menu")).await.problem().0["status"], 404, "{id}");
    }
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_is_refused_with_the_field_named() {
    let app = TestApp::start().await;
    let owner = app.owner("mario").await;
    for (policy, named) in [
        (json!("bakery"), "policy"),
        (json!({"preset": "retail", "payment_methods": ["on_delivery"]}), "capture"),
        (json!({"preset": "food_delivery", "payment_methods": []}), "payment_methods"),
        (json!({"preset": "quick_service", "stock": "tracked"}), "stock"),
        (json!({"preset": "quick_service", "cancel_until": "preparation_starts"}), "cancel_until"),
        (json!({"preset": "food_delivery", "accept_within_s": 0}), "accept_within_s"),
        (json!({"preset": "food_delivery", "complete_after_s": 99_999_999}), "complete_after_s"),
        (json!({"preset": "food_delivery", "service_area": {"radius_m": 0}}), "service_area"),
        (json!({"preset": "food_delivery", "tip": 1}), "tip"),
    ] {
        let body = json!({"name": "Mario", "location": place("x", CUSTOMER_AT), "policy": policy});
        let problem = app.post(&owner, "/v1/stores", &body).await.problem();
        assert!(matches!(problem.0["status"].as_u64(), Some(400 | 422)), "{policy}: {}", problem.0);
        assert!(problem.0.to_string().contains(named), "{named} is not named: {}", problem.0);
    }
}
