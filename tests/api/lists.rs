//! Lists: a page at a time, each row once, and only one's own.

use std::collections::HashSet;

use serde_json::Value;

use crate::helpers::{Life, Person, TestApp, wait_until};

/// Walks through all pages; every row must come once.
async fn all_pages(app: &TestApp, who: &Person, path: &str, limit: usize) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(who, &format!("{path}limit={limit}{cursor}")).await.ok();
        let items = page["items"].as_array().expect("a list has items").clone();
        assert!(items.len() <= limit, "{} rows where {limit} were asked for", items.len());
        rows.extend(items);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["id"].as_str()).collect()
}

#[tokio::test]
async fn pages_show_every_order_once_the_newest_first() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut placed = Vec::new();
    for _ in 0..7 {
        placed.push(life.place(&app).await);
    }
    placed.reverse();
    let last = || async { (app.my_page(&life.customer, "live").await.len() == placed.len()).then_some(()) };
    wait_until("all are listed", last).await;
    for limit in [1, 2, 3, 7, 100] {
        for (who, path) in [
            (&life.customer, "/v1/my-page?status=live&".to_owned()),
            (&life.shop.owner, format!("/v1/stores/{}/orders?", life.shop.id)),
        ] {
            let rows = all_pages(&app, who, &path, limit).await;
            assert_eq!(ids(&rows), placed, "{path} by {limit}");
        }
    }
    let messages = all_pages(&app, &life.customer, "/v1/messages?", 2).await;
    let told: HashSet<String> = messages.iter().map(Value::to_string).collect();
    assert_eq!(told.len(), messages.len(), "no message comes twice");
}

#[tokio::test]
async fn an_order_that_is_placed_meanwhile_does_not_shift_the_pages() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    for _ in 0..4 {
        life.place(&app).await;
    }
    let listed = || async { (app.my_page(&life.customer, "live").await.len() == 4).then_some(()) };
    wait_until("all are listed", listed).await;
    let first = app.get(&life.customer, "/v1/my-page?limit=2").await.ok();
    let newcomer = life.place(&app).await;
    app.wait_for_row(&life.customer, "/v1/my-page", &newcomer, |_| true).await;
    let next = first["next_cursor"].as_str().unwrap();
    let second = app.get(&life.customer, &format!("/v1/my-page?limit=2&cursor={next}")).await.ok();
    let shown: Vec<Value> =
        [&first, &second].iter().flat_map(|page| page["items"].as_array().unwrap().clone()).collect();
    assert_eq!(ids(&shown).into_iter().collect::<HashSet<_>>().len(), 4, "four different ones, without the newcomer");
    assert!(!ids(&shown).contains(&newcomer.as_str()));
}

#[tokio::test]
async fn a_list_that_is_asked_for_wrongly_says_so() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    for _ in 0..2 {
        life.place(&app).await;
    }
    let listed = || async {
        let page = app.get(&life.customer, "/v1/my-page?limit=1").await.ok();
        page["next_cursor"].as_str().map(str::to_owned)
    };
    let cursor = wait_until("there is a second page", listed).await;
    for query in
        ["limit=0", "limit=101", "limit=many", "cursor=garbage", "page=2", "status=gone", "status=live&limit=-1"]
    {
        assert_eq!(
            app.get(&life.customer, &format!("/v1/my-page?{query}")).await.problem().0["status"],
            400,
            "{query}"
        );
    }
    let elsewhere = format!("/v1/stores/{}/orders?cursor={cursor}", life.shop.id);
    assert_eq!(app.get(&life.shop.owner, &elsewhere).await.problem().0["status"], 400, "a cursor belongs to its list");
    app.get(&life.shop.owner, &format!("/v1/stores/{}/orders?status=eaten", life.shop.id)).await.problem();
}

#[tokio::test]
async fn a_row_says_what_its_reader_may_do() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    let board = format!("/v1/stores/{}/orders", life.shop.id);
    for (who, list) in [(&life.customer, "/v1/my-page"), (&life.shop.owner, board.as_str())] {
        let row = app.wait_for_row(who, list, &order, |row| row["status"] == "awaiting_acceptance").await;
        let read = app.get(who, &format!("/v1/orders/{order}")).await.ok();
        assert_eq!(row, read, "a list and the order itself say the same to the {}", who.role);
    }
}

#[tokio::test]
async fn nobody_lists_what_is_not_theirs() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "completed").await;
    app.wait_for_row(&life.customer, "/v1/my-page?status=past", &order, |_| true).await;
    let mallory = app.customer("mallory").await;
    for status in ["live", "past"] {
        assert!(app.my_page(&mallory, status).await.is_empty());
    }
    assert!(app.messages(&mallory, &order).await.is_empty());
    assert!(!app.messages(&app.admin, &order).await.is_empty(), "the operator may look");
    app.get(&app.owner("rival").await, &format!("/v1/stores/{}/orders", life.shop.id))
        .await
        .refused(404, "store_not_found");
}

#[tokio::test]
async fn an_unchanged_order_is_not_sent_again() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let path = format!("/v1/orders/{}", life.place(&app).await);
    let etag = app.get(&life.customer, &path).await.header("etag").unwrap().to_owned();
    let request = app.request(reqwest::Method::GET, &path).bearer_auth(&life.customer.token);
    assert_eq!(app.send(request.header("If-None-Match", etag)).await.status, 304);
}
