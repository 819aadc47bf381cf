//! Commits in doubt: whoever reads the journal hears of such an event, though nobody writes anything after it.

use serde_json::json;

use crate::helpers::{CUSTOMER_AT, Feed, Life, Options, TestApp, wait_until};
use crate::proxy::{Cut, Proxy};
use crate::server::Server;

async fn answers(app: &TestApp, status: u16) {
    let look = || async { (app.open("/readyz").await.status == status).then_some(()) };
    wait_until(&format!("/readyz says {status}"), look).await;
}

#[tokio::test]
async fn an_event_that_stands_after_all_is_heard_by_every_reader() {
    let Some(database) = Server::start() else { return };
    let proxy = Proxy::to(database.port);
    let options = Options::default().set("database.url", database.url_through(proxy.port)).expect_errors();
    let app = options.start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "preparing").await;
    app.wait_for_order(&order, "it is paid", |order| order["payment"]["status"] == "captured").await;
    let mut feed = Feed::open(&app, &life.customer, &format!("order:{order}")).await;

    let outage = async {
        proxy.cut_and_swallow(Cut::After).await;
        answers(&app, 503).await;
        proxy.swallow(false);
    };
    let (told, ()) = tokio::join!(app.finish_preparation(&life.shop.owner, &order), outage);
    assert_eq!(told.status, 504, "{}", told.body);
    answers(&app, 200).await;

    let heard = feed.events_until("preparation_finished").await;
    let version = heard.last().unwrap()["version"].as_u64();
    let (lat, lng) = CUSTOMER_AT;
    let open = format!("/v1/deliveries?near={lat},{lng}&radius_m=3000");
    let offered = || async {
        let deliveries = app.get(&life.rider, &open).await.items();
        deliveries.iter().any(|delivery| delivery["order_id"] == json!(order)).then_some(())
    };
    wait_until("riders see the delivery", offered).await;
    let listed = || async {
        let page = app.get(&life.customer, "/v1/my-page").await.items();
        page.iter().any(|row| row["id"] == json!(order) && row["version"].as_u64() >= version).then_some(())
    };
    wait_until("my page shows it", listed).await;
    let messages = format!("/v1/messages?order_id={order}");
    let told = || async {
        let messages = app.get(&life.customer, &messages).await.items();
        messages.iter().any(|message| message["event"] == "preparation_finished").then_some(())
    };
    wait_until("the customer is told", told).await;
    app.claim(&life.rider, &order).await.ok();
}
