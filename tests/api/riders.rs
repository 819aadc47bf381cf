//! Riders under rush: each delivery goes to one of them, and none carries more than a rider may.

use futures_util::future::join_all;
use serde_json::json;

use crate::helpers::{CUSTOMER_AT, Life, Person, TestApp, wait_until};

/// How many deliveries a rider may hold.
const AT_MOST: usize = 3;

async fn ready_orders(app: &TestApp, life: &Life, count: usize) -> Vec<String> {
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(life.order_in(app, "ready").await);
    }
    orders
}

#[tokio::test]
async fn many_riders_race_for_each_delivery_and_one_gets_it() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let orders = ready_orders(&app, &life, 6).await;
    let names: Vec<String> = (0..20).map(|n| format!("rider-{n}")).collect();
    let riders: Vec<Person> = join_all(names.iter().map(|name| app.rider(name))).await;

    for order in &orders {
        let claims = join_all(riders.iter().map(|rider| app.claim(rider, order))).await;
        let mut winners = Vec::new();
        for (rider, claim) in riders.iter().zip(claims) {
            match claim.status {
                200 => winners.push((rider.sub.clone(), claim.body["rider_id"].clone())),
                // The order's own mailbox holds eight: a ninth tap at the same moment is told to come back.
                503 => drop(claim.refused(503, "service_full")),
                _ => {
                    let code = claim.problem().code().to_owned();
                    assert!(
                        ["delivery_taken", "delivery_not_offered", "rider_at_capacity"].contains(&code.as_str()),
                        "{code}"
                    );
                }
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        let (winner, shown) = &winners[0];
        assert_eq!(shown, winner);
        assert_eq!(app.order(order).await["delivery"], json!({"status": "accepted", "rider_id": winner}));
    }
}

#[tokio::test]
async fn a_rider_who_grabs_for_six_at_once_holds_three() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let orders = ready_orders(&app, &life, 6).await;
    let claims = join_all(orders.iter().map(|order| app.claim(&life.rider, order))).await;
    let mut held = Vec::new();
    for (order, claim) in orders.iter().zip(claims) {
        match claim.status {
            200 => held.push(order),
            _ => drop(claim.refused(409, "rider_at_capacity")),
        }
    }
    assert_eq!(held.len(), AT_MOST);
    let mine = app.get(&life.rider, "/v1/riders/me").await.ok();
    assert_eq!(mine["active_deliveries"].as_array().unwrap().len(), AT_MOST, "{mine}");

    let others = app.rider("other").await;
    for order in orders.iter().filter(|order| !held.contains(order)) {
        app.wait_for_order(order, "it is offered again", |order| order["delivery"]["status"] == "offered").await;
        app.claim(&others, order).await.ok();
    }
}

#[tokio::test]
async fn a_delivered_order_makes_room_for_the_next() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let orders = ready_orders(&app, &life, AT_MOST + 1).await;
    for order in &orders[..AT_MOST] {
        app.claim(&life.rider, order).await.ok();
    }
    app.claim(&life.rider, &orders[AT_MOST]).await.refused(409, "rider_at_capacity");
    app.pick_up(&life.rider, &orders[0]).await.ok();
    app.deliver(&life.rider, &orders[0]).await.ok();
    let freed = || async {
        let mine = app.get(&life.rider, "/v1/riders/me").await.ok();
        (mine["active_deliveries"].as_array()?.len() < AT_MOST).then_some(())
    };
    wait_until("the rider's book has room", freed).await;
    let offered = |order: &serde_json::Value| order["delivery"]["status"] == "offered";
    app.wait_for_order(&orders[AT_MOST], "the delivery is offered again", offered).await;
    app.claim(&life.rider, &orders[AT_MOST]).await.ok();
}

#[tokio::test]
async fn a_stores_own_rider_carries_three_and_the_fourth_waits() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "retail").await;
    let mut orders = Vec::new();
    for _ in 0..AT_MOST + 1 {
        let order = life.order_in(&app, "preparing").await;
        app.finish_preparation(&life.shop.owner, &order).await.ok();
        orders.push(order);
    }
    let departed = || async {
        let mut departed = Vec::new();
        for order in &orders {
            if app.order(order).await["status"] == "picked_up" {
                departed.push(order.clone());
            }
        }
        (departed.len() == AT_MOST).then_some(departed)
    };
    let departed = wait_until("three are on their way", departed).await;
    let waiting = orders.iter().find(|order| !departed.contains(order)).unwrap();
    assert_eq!(app.order(waiting).await["status"], "ready");
    app.deliver(&life.rider, &departed[0]).await.ok();
    app.wait_for_status(waiting, "picked_up").await;
}

#[tokio::test]
async fn what_a_rider_holds_survives_a_crash() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let orders = ready_orders(&app, &life, AT_MOST + 1).await;
    for order in &orders[..AT_MOST] {
        app.claim(&life.rider, order).await.ok();
    }
    app.kill();
    app.start_again();
    app.claim(&life.rider, &orders[AT_MOST]).await.refused(409, "rider_at_capacity");
    app.pick_up(&life.rider, &orders[0]).await.ok();
}

#[tokio::test]
async fn after_a_crash_the_board_shows_what_is_open_and_not_what_is_taken() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let orders = ready_orders(&app, &life, 2).await;
    app.claim(&life.rider, &orders[0]).await.ok();
    app.kill();
    app.start_again();
    let another = app.rider("another").await;
    let listed = app.deliveries(&another, CUSTOMER_AT, 5_000).await;
    let ids: Vec<_> = listed.iter().map(|delivery| delivery["order_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, orders[1..]);
    let readers = app.get(&app.admin, "/v1/operations/readers").await.ok()["items"].as_array().unwrap().clone();
    let names: Vec<_> = readers.iter().map(|reader| reader["reader"].as_str().unwrap()).collect();
    for name in ["board", "deadlines", "feed", "notifier", "projector", "waking"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(readers.iter().all(|reader| reader["stalled"].is_null()), "{readers:?}");
}

#[tokio::test]
async fn two_desks_cannot_overload_the_same_rider() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "quick_service").await;
    let other = Life::at(&app, "quick_service").await;
    let mut orders = Vec::new();
    for _ in 0..AT_MOST {
        orders.push((&life, life.order_in(&app, "ready").await));
        orders.push((&other, other.order_in(&app, "ready").await));
    }
    join_all(orders.iter().map(|(desk, order)| app.assign(&desk.shop.owner, order, &life.rider))).await;
    let held = || async {
        let mine = app.get(&life.rider, "/v1/riders/me").await.ok();
        let mut assigned = 0;
        for (_, order) in &orders {
            assigned += usize::from(app.order(order).await["delivery"]["status"] == "assigned");
        }
        (mine["active_deliveries"].as_array()?.len() == AT_MOST && assigned == AT_MOST).then_some(())
    };
    wait_until("the rider holds three, and the others wait for another rider", held).await;
}

/// Three orders that the rider has said yes to.
async fn full_hands(app: &TestApp, life: &Life) {
    for order in ready_orders(app, life, AT_MOST).await {
        app.assign(&life.shop.owner, &order, &life.rider).await.ok();
        app.accept_delivery(&life.rider, &order).await.ok();
    }
}

#[tokio::test]
async fn a_rider_with_full_hands_cannot_be_quick_enough_for_a_fourth() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "quick_service").await;
    full_hands(&app, &life).await;
    for order in ready_orders(&app, &life, 10).await {
        let tap = async || {
            let yes = app.accept_delivery(&life.rider, &order).await;
            let leaves = app.pick_up(&life.rider, &order).await;
            assert!(yes.status != 200 && leaves.status != 200, "{yes:?}, {leaves:?}");
        };
        let (assigned, ..) = tokio::join!(app.assign(&life.shop.owner, &order, &life.rider), tap(), tap(), tap());
        assigned.ok();
        let offered = |order: &serde_json::Value| order["delivery"]["status"] == "offered";
        app.wait_for_order(&order, "it is offered to others", offered).await;
    }
    let mine = app.get(&life.rider, "/v1/riders/me").await.ok();
    assert_eq!(mine["active_deliveries"].as_array().unwrap().len(), AT_MOST, "{mine}");
}

#[tokio::test]
async fn a_crash_between_naming_a_rider_and_asking_their_book_gives_no_fourth() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "quick_service").await;
    full_hands(&app, &life).await;
    let order = life.order_in(&app, "ready").await;
    app.assign(&life.shop.owner, &order, &life.rider).await.ok();
    app.kill();
    app.start_again();
    let yes = app.accept_delivery(&life.rider, &order).await;
    let leaves = app.pick_up(&life.rider, &order).await;
    assert!(yes.status != 200 && leaves.status != 200, "{yes:?}, {leaves:?}");
    app.wait_for_order(&order, "it is offered to others", |order| order["delivery"]["status"] == "offered").await;
}

#[tokio::test]
async fn a_rider_whose_app_is_not_heard_of_is_off_duty() {
    let app = TestApp::start().await;
    let life = Life::at(&app, json!({"preset": "food_delivery", "dispatch": "own_riders"})).await;
    let me = async || app.get(&life.rider, "/v1/riders/me").await.ok();
    assert_eq!(me().await["available"], true);
    app.advance(121).await;
    let silent = me().await;
    assert_eq!((&silent["available"], &silent["location"]), (&json!(false), &json!(null)));

    let order = life.order_in(&app, "ready").await;
    assert_eq!(app.order(&order).await["rider_id"], json!(null), "the delivery is given to nobody");
    app.report_for_duty(&life.rider).await;
    app.wait_for_status(&order, "picked_up").await;
}
