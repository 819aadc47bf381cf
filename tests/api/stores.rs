//! Stores and menus: opening, changing, finding them.

use serde_json::{Value, json};

use crate::helpers::{CUSTOMER_AT, Life, STORE_AT, TestApp, item, place};

#[tokio::test]
async fn a_store_is_found_near_the_place_where_one_is() {
    let app = TestApp::start().await;
    let owner = app.owner("mario").await;
    let mut opened = Vec::new();
    for (name, at) in [("Busan", (35.1798, 129.0750)), ("City Hall", STORE_AT), ("Bukchon", (37.5826, 126.9836))] {
        let body = json!({"name": name, "location": place(name, at), "policy": "food_delivery"});
        opened.push(app.post(&owner, "/v1/stores", &body).await.created());
    }
    let (lat, lng) = STORE_AT;
    let near = app.open(&format!("/v1/stores?near={lat},{lng}&radius_m=5000")).await.items();
    let names: Vec<&str> = near.iter().filter_map(|store| store["name"].as_str()).collect();
    assert_eq!(names, ["City Hall", "Bukchon"], "the nearest first");
    assert_eq!(app.open("/v1/stores").await.items().len(), 3);
    for bad in ["near=91,0", "near=here", "near=1,2&radius_m=-1", "radius_m=wide", "colour=red"] {
        app.open(&format!("/v1/stores?{bad}")).await.problem();
    }
}

#[tokio::test]
async fn what_a_store_changes_does_not_change_orders_under_way() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let (store, order) = (format!("/v1/stores/{}", life.shop.id), life.place(&app).await);
    let change = json!({"name": "Luigi's", "policy": {"preset": "store_delivered", "payment_methods": ["card"]}});
    let changed = app.patch(&life.shop.owner, &store, &change).await.ok();
    assert_eq!((&changed["name"], &changed["policy"]["preset"]), (&json!("Luigi's"), &json!("store_delivered")));
    app.put(&life.shop.owner, &format!("{store}/menu/{}", life.shop.items[0]), &item("Pizza", 1, None)).await.done();
    app.restart();

    let done = life.bring_to(&app, &order, "completed").await;
    assert_eq!(done["store"]["name"], life.shop.name, "as it was called when the order was placed");
    assert_eq!((&done["lines"][0]["name"], &done["total"]["amount"]), (&json!("Bibimbap"), &json!(life.shop.total())));
    let problem = app.place(&life.customer, &life.shop.order_on_delivery()).await.refused(422, "invalid_value");
    assert_eq!(problem.pointers(), ["/payment/method"], "the next order keeps to the new policy");
    let next = app.place(&life.customer, &life.shop.order()).await.created();
    assert_eq!((&next["store"]["name"], &next["lines"][0]["unit_price"]["amount"]), (&json!("Luigi's"), &json!(1)));
}

#[tokio::test]
async fn a_menu_is_what_its_owner_last_said_after_any_restart() {
    let mut app = TestApp::start().await;
    let shop = app.store("retail").await;
    let menu = format!("/v1/stores/{}/menu", shop.id);
    app.put(&shop.owner, &format!("{menu}/{}", shop.items[0]), &item("Fridge", 700_000, Some(4))).await.ok();
    app.delete(&shop.owner, &format!("{menu}/{}", shop.items[1])).await.done();
    app.delete(&shop.owner, &format!("{menu}/{}", shop.items[1])).await.done();
    let expected = json!({"id": shop.items[0], "name": "Fridge", "price": {"amount": 700_000, "currency": "KRW"},
        "available": true, "stock": 4});
    for end in ["nothing", "restart", "kill"] {
        match end {
            "restart" => app.restart(),
            "kill" => {
                app.kill();
                app.start_again();
            }
            _ => {}
        }
        let shown = || async {
            let items = app.open(&menu).await.ok()["items"].clone();
            (items == json!([expected])).then_some(())
        };
        crate::helpers::wait_until(&format!("the menu is right after a {end}"), shown).await;
    }
}

#[tokio::test]
async fn a_bad_dish_or_store_is_refused_with_its_fields() {
    let app = TestApp::start().await;
    let shop = app.store("food_delivery").await;
    let dish = format!("/v1/stores/{}/menu/{}", shop.id, shop.items[0]);
    let but = |field: &str, value: Value| {
        let mut wish = item("Rice", 1_000, None);
        wish[field] = value;
        wish
    };
    for (wish, status) in [
        (but("name", json!("")), 422),
        (but("name", json!("a\nb")), 422),
        (but("name", json!("x".repeat(81))), 422),
        (but("stock", json!(-1)), 422),
        (but("stock", json!(1_000_000_000_000_u64)), 422),
        (but("price", json!({"amount": -5, "currency": "KRW"})), 422),
        (but("price", json!({"amount": 5})), 400),
        (but("price", json!(5)), 400),
        (but("colour", json!("red")), 400),
    ] {
        let problem = app.put(&shop.owner, &dish, &wish).await.problem();
        assert_eq!(problem.0["status"], status, "{wish}: {}", problem.0);
    }
    let odd = format!("/v1/stores/{}/menu/pizza", shop.id);
    assert_eq!(app.put(&shop.owner, &odd, &item("Rice", 1, None)).await.problem().0["status"], 404);
    for (location, name) in
        [(place("x", (91.0, 0.0)), "A"), (place("", CUSTOMER_AT), "A"), (place("x", CUSTOMER_AT), "\u{202e}A")]
    {
        let body = json!({"name": name, "location": location, "policy": "retail"});
        app.post(&shop.owner, "/v1/stores", &body).await.refused(422, "invalid_value");
    }
}

#[tokio::test]
async fn a_polygon_is_an_area_too() {
    let app = TestApp::start().await;
    let around = json!([[37.57, 126.97], [37.57, 126.99], [37.58, 126.99], [37.58, 126.97]]);
    let shop = app.store(json!({"preset": "food_delivery", "service_area": {"polygon": around}})).await;
    let alice = app.customer("alice").await;
    app.place(&alice, &shop.order()).await.created();
    let mut outside = shop.order();
    outside["destination"] = place("at the store, which stands outside", STORE_AT);
    app.place(&alice, &outside).await.refused(422, "unavailable_area");
    let anywhere = app.store(json!({"preset": "food_delivery", "service_area": null})).await;
    let mut far = anywhere.order();
    far["destination"] = place("Lima", (-12.05, -77.04));
    app.place(&alice, &far).await.created();
}

#[tokio::test]
async fn a_rider_who_is_dismissed_gets_no_more_of_the_stores_deliveries() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "retail").await;
    app.delete(&life.shop.owner, &format!("/v1/stores/{}/riders/{}", life.shop.id, life.rider.sub)).await.done();
    let order = life.order_in(&app, "ready").await;
    let other = app.rider("other").await;
    app.hire(&life.shop, &other).await;
    let departed = app.wait_for_status(&order, "picked_up").await;
    assert_eq!(departed["rider_id"], "other");
}

#[tokio::test]
async fn a_desk_assigns_its_own_riders_only() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "quick_service").await;
    let order = life.order_in(&app, "ready").await;
    let stranger = app.rider("stranger").await;
    let problem = app.assign(&life.shop.owner, &order, &stranger).await.refused(422, "invalid_value");
    assert_eq!(problem.pointers(), ["/rider_id"]);
}
