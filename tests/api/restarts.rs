//! The process stops or is killed in the middle of work: what was acknowledged stays, and what was begun goes on.

use futures_util::future::join_all;
use reqwest::Method;

use crate::helpers::{Life, Options, TestApp, item};

#[tokio::test]
async fn what_was_acknowledged_before_a_signal_to_stop_is_there_after_it() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.shop.order_with_card("slow:30");
    let mut acknowledged = Vec::new();
    let mut told = false;
    loop {
        let key = uuid::Uuid::now_v7().to_string();
        let request = app.request(Method::POST, "/v1/orders").bearer_auth(&life.customer.token);
        match app.try_send(request.header("Idempotency-Key", &key).json(&order)).await {
            Ok(answer) if answer.status == 201 => {
                acknowledged.push(answer.created()["id"].as_str().unwrap().to_owned())
            }
            Ok(answer) => drop(answer.problem()),
            Err(_) => break,
        }
        if acknowledged.len() == 5 && !std::mem::replace(&mut told, true) {
            app.tell_to_stop();
        }
    }
    assert!(acknowledged.len() >= 5);
    app.wait_for_end();
    app.start_again();
    for order in &acknowledged {
        app.wait_for_status(order, "awaiting_acceptance").await;
        app.ledger(order).await.did_nothing_twice();
    }
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_stop() {
    let mut app = Options::default().set("http.shutdown_grace_s", 25).start().await;
    let kept_open = tokio::net::TcpStream::connect(app.address()).await.unwrap();
    app.open("/livez").await;
    let asked = std::time::Instant::now();
    app.stop();
    drop(kept_open);
    assert!(asked.elapsed() < std::time::Duration::from_secs(20), "it waited for somebody who says nothing");
    app.start_again();
}

#[tokio::test]
async fn open_orders_go_on_by_themselves_after_a_crash() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "retail").await;
    app.payment_provider("error").await;
    let unpaid = life.place(&app).await;
    app.kill();
    app.start_again();
    // Nobody asks for the order, which would wake it: only the board is looked at.
    let board = format!("/v1/stores/{}/orders", life.shop.id);
    app.wait_for_row(&life.shop.owner, &board, &unpaid, |row| row["status"] == "awaiting_acceptance").await;
    app.ledger(&unpaid).await.was_charged_once(life.shop.total());
}

#[tokio::test]
async fn orders_survive_kills_in_the_middle_of_a_rush() {
    let mut app = TestApp::start().await;
    let life = Life::at(&app, "retail").await;
    app.put(
        &life.shop.owner,
        &format!("/v1/stores/{}/menu/{}", life.shop.id, life.shop.items[0]),
        &item("Fan", 5, Some(900)),
    )
    .await
    .done();
    let wish = life.shop.order_of(0, 1);
    let keys: Vec<String> = (0..60).map(|n| format!("wish-{n}")).collect();
    let mut placed: Vec<Option<String>> = vec![None; keys.len()];
    let mut kills = 0;
    while placed.iter().any(Option::is_none) {
        let rush = async {
            let open = keys.iter().zip(&placed).filter(|(_, placed)| placed.is_none()).take(30);
            join_all(open.map(|(key, _)| {
                let request = app.request(Method::POST, "/v1/orders").bearer_auth(&life.customer.token);
                app.try_send(request.header("Idempotency-Key", key).json(&wish))
            }))
            .await
        };
        let answers = if kills < 4 {
            tokio::select! {
                answers = rush => answers,
                () = first_commits(&app, 20 * (kills + 1)) => Vec::new(),
            }
        } else {
            rush.await
        };
        let open: Vec<usize> = (0..keys.len()).filter(|nth| placed[*nth].is_none()).take(30).collect();
        for (nth, answer) in open.into_iter().zip(answers) {
            match answer {
                Ok(answer) if answer.status == 201 => {
                    placed[nth] = Some(answer.created()["id"].as_str().unwrap().to_owned());
                }
                Ok(answer) => assert!(matches!(answer.status, 409 | 503 | 504), "{}", answer.body),
                Err(_) => {}
            }
        }
        if kills < 4 {
            app.kill();
            app.start_again();
            kills += 1;
        }
    }
    for order in placed.iter().flatten() {
        app.wait_for_status(order, "awaiting_acceptance").await;
        app.ledger(order).await.was_charged_once(5);
    }
    app.wait_for_stock(&life.shop, 0, 900 - keys.len()).await;
    assert_eq!(app.stop().orders, keys.len() as u64, "one order for each key");
}

/// Waits until the journal has committed so often in this process.
async fn first_commits(app: &TestApp, count: u32) {
    crate::helpers::wait_until("the journal has written", || async {
        let metrics = app.open("/metrics").await.body;
        let line = metrics.as_str()?.lines().find(|line| line.starts_with("journal_commit_seconds_count"))?;
        let commits: f64 = line.rsplit(' ').next()?.parse().ok()?;
        (commits >= f64::from(count)).then_some(())
    })
    .await;
}
