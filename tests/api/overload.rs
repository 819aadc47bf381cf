//! More than fits: what is refused is refused at once and changes nothing, and everything else goes on.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::helpers::{Engine, Life, Options, PATIENCE, TestApp, engine, wait_until};

#[tokio::test]
async fn while_payment_hangs_orders_are_deferred_and_everything_else_goes_on() {
    let app = Options::default()
        .set("mailboxes.payment.running", 4)
        .set("mailboxes.payment.capacity", 8)
        .set("orders.placement_answer_within_ms", 300)
        .set("payments.slow_after_ms", 100)
        .set("payments.call_timeout_ms", 500)
        .start()
        .await;
    let life = Life::at(&app, "food_delivery").await;
    let under_way = life.order_in(&app, "preparing").await;
    app.payment_provider("hang").await;

    let order = life.shop.order();
    let placed = join_all((0..30).map(|_| app.place(&life.customer, &order))).await;
    let placed: Vec<Value> = placed.into_iter().map(|answer| answer.created()).collect();
    for order in &placed {
        assert_eq!(order["status"], "awaiting_payment");
    }
    app.open(&format!("/v1/stores/{}/menu", life.shop.id)).await.ok();
    app.finish_preparation(&life.shop.owner, &under_way).await.ok();
    let cash = app.place(&life.customer, &life.shop.order_on_delivery()).await.created();
    assert_eq!(cash["status"], "awaiting_acceptance", "cash does not wait for the provider");
    app.deliver_by(&life, &under_way).await;

    app.payment_provider(json!(null)).await;
    for order in &placed {
        let order = order["id"].as_str().unwrap();
        app.wait_for_status(order, "awaiting_acceptance").await;
        assert_eq!(app.ledger(order).await.operations(), ["authorize"]);
    }
    let gate = || async {
        let metrics = app.open("/metrics").await.body;
        metrics.as_str()?.contains("payment_gate_lost_places 0").then_some(())
    };
    wait_until("the gate is closed again", gate).await;
}

impl TestApp {
    async fn deliver_by(&self, life: &Life, order: &str) {
        self.claim(&life.rider, order).await.ok();
        self.pick_up(&life.rider, order).await.ok();
        self.deliver(&life.rider, order).await.ok();
    }
}

#[tokio::test]
async fn an_order_that_is_stuck_refuses_the_ninth_who_asks_and_others_are_unharmed() {
    let app = Options::default().set("orders.placement_answer_within_ms", 2_500).start().await;
    let life = Life::at(&app, "restaurant").await;
    let stuck = life.place(&app).await;
    app.pause_store_management(true).await;
    let taps = join_all((0..24).map(|_| app.cancel(&life.customer, &stuck)));
    let stranger = app.customer("stranger").await;
    let other = app.get(&stranger, "/v1/my-page");
    let (taps, other) = tokio::join!(taps, other);
    other.ok();
    let (waited, refused): (Vec<_>, Vec<_>) = taps.into_iter().partition(|tap| tap.status == 200);
    assert_eq!(waited.len(), 8, "so many wait at one order for the kitchen's word");
    for answer in waited {
        assert_eq!(answer.ok()["cancellation"]["settled"], false);
    }
    for answer in refused {
        answer.refused(503, "service_full");
    }
    app.pause_store_management(false).await;
    app.wait_until_settled(&stuck).await;
    app.ledger(&stuck).await.keeps_nothing();
}

#[tokio::test]
async fn a_paused_part_refuses_at_once_and_nothing_is_lost() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    app.pause_store_management(true).await;
    let version = app.order(&order).await["version"].clone();
    app.accept(&life.shop.owner, &order).await.refused(503, "service_unavailable");
    assert_eq!(app.order(&order).await["version"], version, "definitely not applied");
    app.pause_store_management(false).await;
    app.accept(&life.shop.owner, &order).await.ok();
}

/// Holds what the journal needs to commit, as a disk does that has stopped for a while.
async fn stop_the_disk(app: &TestApp) -> SqliteConnection {
    let file = SqliteConnectOptions::new().filename(app.data_dir().join("journal.sqlite3"));
    let mut connection = file.pragma("wal_autocheckpoint", "0").connect().await.unwrap();
    sqlx::query("begin immediate").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn while_the_journal_stands_still_new_orders_are_refused_and_what_is_under_way_is_kept() {
    if engine() != Engine::Sqlite {
        // A lock of a file is what stops the journal here.
        return;
    }
    // Longer than a busy machine holds up a test. If it stands still for longer than the database waits, that says so.
    let options = Options::default().set("limits.queue_target_ms", 800).set("limits.new_at_a_time", 16);
    let app = options.expect_errors().start().await;
    let life = Life::at(&app, "food_delivery").await;
    let (order, idle) = (life.place(&app).await, life.place(&app).await);

    let disk = stop_the_disk(&app).await;
    let new = life.shop.order();
    let accepting = app.accept(&life.shop.owner, &order);
    let refused = async {
        // Forty a second, whoever is answered: soon more are in flight than the server works on at a time, and they keep
        // coming; but not so many that there is no seat for them.
        let mut customers = tokio::time::interval(Duration::from_millis(25));
        let mut placing = FuturesUnordered::new();
        let somebody_is_refused = async {
            loop {
                tokio::select! {
                    _ = customers.tick() => placing.push(app.place(&life.customer, &new)),
                    Some(answer) = placing.next() => {
                        if answer.status == 503 && answer.body["code"] == "service_full" {
                            break answer;
                        }
                    }
                }
            }
        };
        let refused = tokio::time::timeout(PATIENCE, somebody_is_refused).await.expect("one of them is refused");
        app.open("/livez").await.ok();
        app.get(&life.customer, &format!("/v1/orders/{idle}")).await.ok();
        disk.close().await.unwrap();
        // Whatever was let in has an answer, if only that its outcome is unknown.
        placing.collect::<Vec<_>>().await;
        refused
    };
    let (accepted, refused) = tokio::join!(accepting, refused);
    let after = refused.header("retry-after").and_then(|after| after.parse::<u32>().ok()).unwrap();
    assert!((1..=5).contains(&after), "{after}");
    assert_ne!(accepted.body["code"], "service_full", "it is under way: it waits with the journal, and is not refused");

    let taken = async || {
        let answer = app.place(&life.customer, &life.shop.order()).await;
        (answer.status == 201).then(|| answer.body["id"].as_str().unwrap().to_owned())
    };
    let another = wait_until("new orders are taken again", taken).await;
    app.wait_for_status(&another, "awaiting_acceptance").await;
    app.accept(&life.shop.owner, &another).await.ok();
}

#[tokio::test]
async fn on_a_disk_that_is_slow_and_takes_one_append_at_a_time_everything_is_done_all_the_same() {
    let options = Options::default().set("database.group", 1).set("database.commit_at_least_ms", 4);
    let app = options.start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.shop.order();

    let placed = join_all((0..10).map(|_| app.placed(&life.customer, &order))).await;

    for order in &placed {
        app.wait_for_status(order, "awaiting_acceptance").await;
    }
    let metrics = app.open("/metrics").await.body;
    let metric = |name: &str| -> f64 {
        let line = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse().unwrap()
    };
    let commits = metric("journal_group_size_count");
    assert_eq!(metric("journal_group_size_sum"), commits, "one append in each");
    assert!(metric("journal_commit_seconds_sum") >= commits * 0.004);
}

#[tokio::test]
async fn without_a_seat_a_new_order_is_refused_and_one_under_way_goes_on() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    app.change_options(|options| options.set("limits.new_at_a_time", 0));
    app.restart();

    let answer = app.place(&life.customer, &life.shop.order()).await;

    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    answer.refused(503, "service_full");
    app.get(&life.customer, "/v1/my-page").await.refused(503, "service_full");
    app.get(&life.customer, &format!("/v1/orders/{order}")).await.ok();
    app.accept(&life.shop.owner, &order).await.ok();
    app.change_options(|options| options.set("limits.new_at_a_time", 1));
    app.restart();
    app.place(&life.customer, &life.shop.order()).await.created();
}

#[tokio::test]
async fn hundreds_of_idle_connections_keep_nobody_out() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(TcpStream::connect(app.address()).await.unwrap());
    }
    for half_a_head in idle.iter_mut().take(100) {
        half_a_head.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    }
    let order = life.order_in(&app, "completed").await;
    app.ledger(&order).await.was_charged_once(life.shop.total());
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let app = Options::default().set("http.body_read_timeout_ms", 200).start().await;
    let alice = app.customer("alice").await;
    let mut slow = TcpStream::connect(app.address()).await.unwrap();
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nIdempotency-Key: k\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"store_id\"",
        alice.token
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    tokio::time::timeout(PATIENCE, slow.read_exact(&mut answer)).await.expect("it is given up in time").unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
}

#[tokio::test]
async fn more_requests_than_fit_are_refused_without_a_trace() {
    let mut app = Options::default().set("limits.running_requests", 2).start().await;
    let life = Life::at(&app, "retail").await;
    let slow = life.shop.order_with_card("slow:300");
    let answers = join_all((0..20).map(|_| app.place(&life.customer, &slow))).await;
    let mut placed = 0;
    for answer in answers {
        match answer.status {
            201 => placed += 1,
            _ => drop(answer.refused(503, "service_full")),
        }
    }
    assert!((2..20).contains(&placed), "{placed}");
    let request = app.request(Method::GET, "/readyz");
    assert_eq!(app.send(request).await.status, 200, "full is not unready");
    assert_eq!(app.stop().orders, placed);
}
