//! The database is away for a while: gone, frozen, or behind a network that swallows everything.

use crate::helpers::{Options, wait_until};
use crate::proxy::Proxy;
use crate::rush::Rush;
use crate::server::Server;

/// Ends the server as that signal does, and starts it again; twice.
async fn ended_by(signal: &str) {
    let Some(database) = Server::start() else { return };
    let rush = Rush::begin(database.url()).await;
    for _ in 0..2 {
        let first = database.first();
        database.signal_first(signal);
        database.ended(&first).await;
        database.start_again();
        rush.some_more().await;
    }
    rush.end(&database).await;
}

#[tokio::test]
async fn orders_go_on_after_an_immediate_restart() {
    ended_by("QUIT").await;
}

#[tokio::test]
async fn orders_go_on_after_the_database_was_killed() {
    ended_by("KILL").await;
}

#[tokio::test]
async fn orders_go_on_when_a_frozen_database_thaws() {
    let Some(database) = Server::start() else { return };
    let rush = Rush::begin(database.url()).await;
    database.signal_all("STOP");
    rush.is_felt().await;
    database.signal_all("CONT");
    rush.some_more().await;
    rush.end(&database).await;
}

#[tokio::test]
async fn orders_go_on_when_the_network_carries_again() {
    let Some(database) = Server::start() else { return };
    let proxy = Proxy::to(database.port);
    let rush = Rush::begin(database.url_through(proxy.port)).await;
    proxy.swallow(true);
    rush.is_felt().await;
    proxy.swallow(false);
    rush.some_more().await;
    rush.end(&database).await;
}

#[tokio::test]
async fn a_server_without_traffic_notices_that_the_database_is_back() {
    let Some(database) = Server::start() else { return };
    let options = Options::default().set("database.url", database.url()).expect_errors();
    let app = options.start().await;
    let shop = app.store("food_delivery").await;
    let customer = app.customer("alice").await;
    let first = database.first();
    database.signal_first("KILL");
    database.ended(&first).await;
    let refused = app.place(&customer, &shop.order_on_delivery()).await;
    assert!(refused.status >= 500, "{}", refused.body);
    assert_eq!(app.open("/readyz").await.status, 503, "no traffic, please");
    database.start_again();
    let ready = || async { (app.open("/readyz").await.status == 200).then_some(()) };
    wait_until("the server is ready again by itself", ready).await;
    app.placed(&customer, &shop.order_on_delivery()).await;
}
