//! The writer's connection ends while an append is on its way: what became of it is found out, either way.

use crate::proxy::{Cut, Proxy};
use crate::rush::Rush;
use crate::server::Server;

#[tokio::test]
async fn an_append_whose_connection_was_cut_is_found_out_either_way() {
    let Some(database) = Server::start() else { return };
    let proxy = Proxy::to(database.port);
    let rush = Rush::begin(database.url_through(proxy.port)).await;
    for _ in 0..3 {
        for cut in [Cut::Before, Cut::After] {
            proxy.cut(cut).await;
            rush.some_more().await;
        }
    }
    let (written, lost) = rush.resolved();
    assert!(written >= 3 && lost >= 3, "{written} were written, {lost} were not");
    rush.end(&database).await;
}

#[tokio::test]
async fn orders_go_on_when_an_administrator_ends_the_writer() {
    let Some(database) = Server::start() else { return };
    let rush = Rush::begin(database.url()).await;
    for _ in 0..5 {
        let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                    where application_name = 'baedal journal'";
        assert_eq!(database.numbers(end).await, [1]);
        rush.some_more().await;
    }
    rush.end(&database).await;
}
