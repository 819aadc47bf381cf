//! Stock under rush: what is there is sold once, and never more than is there.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::helpers::{Answer, Options, Person, Shop, TestApp, wait_until};

/// Two hundred buyers press the button at once; answers come as soon as stock and payment are settled.
async fn rush(app: &TestApp, shop: &Shop, buyers: &[Person]) -> Vec<Answer> {
    let order = shop.order_of(0, 1);
    join_all(buyers.iter().map(|buyer| app.place(buyer, &order))).await
}

#[tokio::test]
async fn two_hundred_buyers_race_for_seven_items_and_seven_win() {
    let app = Options::default().set("orders.placement_answer_within_ms", 9_000).start().await;
    let shop = app.store_with_stock("restaurant", 7).await;
    let buyers = join_all((0..200).map(|n| async move { n.to_string() })).await;
    let buyers: Vec<Person> = join_all(buyers.iter().map(|name| app.customer(name))).await;

    let answers = rush(&app, &shop, &buyers).await;
    let mut won = Vec::new();
    for answer in answers {
        match answer.status {
            201 => won.push(answer.created()),
            _ => drop(answer.refused(409, "out_of_stock")),
        }
    }
    assert_eq!(won.len(), 7);
    for order in &won {
        assert_eq!(order["status"], "preparing", "{order}");
        app.ledger(order["id"].as_str().unwrap()).await.was_charged_once(9_000);
    }
    app.wait_for_stock(&shop, 0, 0).await;
    let on_the_board = || async {
        let board = app.board(&shop.owner, &shop.id).await;
        (board.len() == 7).then_some(())
    };
    wait_until("the kitchen sees the winners and nobody else", on_the_board).await;
}

#[tokio::test]
async fn a_cancelled_order_gives_its_goods_back_to_the_next_buyer() {
    let app = TestApp::start().await;
    let shop = app.store_with_stock("retail", 1).await;
    let (alice, bob) = (app.customer("alice").await, app.customer("bob").await);
    let alices = app.placed(&alice, &shop.order_of(0, 1)).await;
    app.place(&bob, &shop.order_of(0, 1)).await.refused(409, "out_of_stock");
    app.cancel(&alice, &alices).await.ok();
    app.wait_until_settled(&alices).await;
    app.place(&bob, &shop.order_of(0, 1)).await.created();
    app.wait_for_stock(&shop, 0, 0).await;
}

#[tokio::test]
async fn an_order_gets_all_of_its_lines_or_none() {
    let app = TestApp::start().await;
    let shop = app.store_with_stock("retail", 3).await;
    let alice = app.customer("alice").await;
    let mut greedy = shop.order();
    greedy["lines"][1]["quantity"] = json!(4);
    app.place(&alice, &greedy).await.refused(409, "out_of_stock");
    app.wait_for_stock(&shop, 0, 3).await;
    app.wait_for_stock(&shop, 1, 3).await;
}

#[tokio::test]
async fn restocking_and_counting_change_what_can_be_bought() {
    let app = TestApp::start().await;
    let shop = app.store_with_stock("retail", 1).await;
    let alice = app.customer("alice").await;
    let item = format!("/v1/stores/{}/menu/{}", shop.id, shop.items[0]);
    app.place(&alice, &shop.order_of(0, 3)).await.refused(409, "out_of_stock");
    app.post(&shop.owner, &format!("{item}/restock"), &json!({"quantity": 4})).await.done();
    app.wait_for_stock(&shop, 0, 5).await;
    app.place(&alice, &shop.order_of(0, 3)).await.created();
    app.wait_for_stock(&shop, 0, 2).await;
    for bad in [json!({"quantity": 0}), json!({"quantity": -1}), json!({"quantity": 1.5}), json!({})] {
        let problem = app.post(&shop.owner, &format!("{item}/restock"), &bad).await.problem();
        assert!(matches!(problem.0["status"].as_u64(), Some(400 | 422)), "{bad}: {}", problem.0);
    }
    app.put(&shop.owner, &item, &crate::helpers::item("Bibimbap", 9_000, Some(40))).await.done();
    app.wait_for_stock(&shop, 0, 40).await;
}

#[tokio::test]
async fn stock_survives_a_crash() {
    let mut app = TestApp::start().await;
    let shop = app.store_with_stock("retail", 5).await;
    let alice = app.customer("alice").await;
    let order = app.placed(&alice, &shop.order_of(0, 2)).await;
    app.kill();
    app.start_again();
    app.wait_for_stock(&shop, 0, 3).await;
    app.place(&alice, &shop.order_of(0, 4)).await.refused(409, "out_of_stock");
    app.cancel(&alice, &order).await.ok();
    app.wait_until_settled(&order).await;
    app.wait_for_stock(&shop, 0, 5).await;
}

#[tokio::test]
async fn a_store_that_does_not_count_sells_without_end() {
    let app = TestApp::start().await;
    let shop = app.store("food_delivery").await;
    assert_eq!(app.stock_of(&shop, 0).await, Value::Null);
    let alice = app.customer("alice").await;
    app.place(&alice, &shop.order_of(0, 99)).await.created();
}
