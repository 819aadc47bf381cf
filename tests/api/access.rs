//! Who may come in, and what of it is theirs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::helpers::{CUSTOMER_AT, Life, Person, TestApp, baedal, item, place};

/// Seconds since 1970.
fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs()
}

/// What the first two parts of a token say.
fn parts_of(token: &str) -> [Value; 2] {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("a token is base64"));
    [(); 2].map(|()| serde_json::from_slice(&parts.next().expect("a token has parts")).expect("they are JSON"))
}

/// A token like this person's, signed with the server's own key, but for what `change` makes of its claims.
fn signed_with(app: &TestApp, who: &Person, change: impl FnOnce(&mut Value)) -> Person {
    let [header, mut claims] = parts_of(&who.token);
    change(&mut claims);
    let mut our_header = Header::new(Algorithm::EdDSA);
    our_header.typ = header["typ"].as_str().map(str::to_owned);
    our_header.kid = header["kid"].as_str().map(str::to_owned);
    let key = std::fs::read(app.data_dir().join("issuer-key.der")).expect("the key is in the data directory");
    let token = encode(&our_header, &claims, &EncodingKey::from_ed_der(&key)).expect("the key signs");
    Person { token, ..who.clone() }
}

pub fn about_to_expire(app: &TestApp, who: &Person) -> Person {
    // Within the leeway for clocks that differ, and past its end.
    signed_with(app, who, |claims| claims["exp"] = json!(now() - 5))
}

#[tokio::test]
async fn without_a_good_token_nobody_comes_in() {
    let app = TestApp::start().await;
    let alice = app.customer("alice").await;
    app.get(&alice, "/v1/my-page").await.ok();
    app.open("/v1/my-page").await.refused(401, "token_missing");

    let expired = signed_with(&app, &alice, |claims| claims["exp"] = json!(now() - 120));
    app.get(&expired, "/v1/my-page").await.refused(401, "token_expired");

    type Change = fn(&mut Value);
    let changes: [(&str, Change); 8] = [
        ("another audience", |claims| claims["aud"] = json!("elsewhere")),
        ("another issuer", |claims| claims["iss"] = json!("elsewhere")),
        ("not yet good", |claims| claims["nbf"] = json!(now() + 600)),
        ("no end", |claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
        ("no name", |claims| drop(claims.as_object_mut().unwrap().remove("sub"))),
        ("no role", |claims| drop(claims.as_object_mut().unwrap().remove("role"))),
        ("a role that is none", |claims| claims["role"] = json!("chef")),
        ("several roles", |claims| claims["role"] = json!(["customer", "admin"])),
    ];
    for (what, change) in changes {
        let forged = signed_with(&app, &alice, change);
        let answer = app.get(&forged, "/v1/my-page").await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.body);
        assert!(answer.header("www-authenticate").is_some(), "{what}");
        answer.refused(401, "token_invalid");
    }
}

#[tokio::test]
async fn a_token_that_was_not_signed_here_is_worthless() {
    let (app, elsewhere) = (TestApp::start().await, TestApp::start().await);
    let alice = app.customer("alice").await;
    let foreign = elsewhere.customer("alice").await;
    app.get(&foreign, "/v1/my-page").await.refused(401, "token_invalid");

    let [header, claims] = parts_of(&alice.token);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut unsigned = header.clone();
    unsigned["alg"] = json!("none");
    let mut admin = claims.clone();
    admin["role"] = json!("admin");
    let signature = alice.token.rsplit('.').next().unwrap();
    let mut symmetric = header.clone();
    symmetric["alg"] = json!("HS256");
    for token in [
        format!("{}.{}.", part(&unsigned), part(&claims)),
        format!("{}.{}.{signature}", part(&header), part(&admin)),
        format!("{}.{}.{signature}", part(&symmetric), part(&claims)),
        "x".into(),
        "a.b.c".into(),
        "x".repeat(10_000),
    ] {
        let forger = Person { token, ..alice.clone() };
        app.get(&forger, "/v1/operations/gates").await.refused(401, "token_invalid");
    }
}

#[tokio::test]
async fn a_printed_token_opens_the_server_of_that_data_directory() {
    let app = TestApp::start().await;
    let arguments = ["token", "--role", "customer", "--sub", "alice", "--data-dir"];
    let printed = baedal().args(arguments).arg(app.data_dir()).output().unwrap();
    let token = String::from_utf8(printed.stdout).unwrap().trim().to_owned();
    app.get(&Person { role: "customer", sub: "alice".into(), token }, "/v1/my-page").await.ok();
}

#[tokio::test]
async fn the_development_sign_in_can_be_shut() {
    let mut app = TestApp::start().await;
    app.change_options(|options| options.set("access.development_sign_in", "off"));
    app.restart();
    let request = app.request(Method::POST, "/v1/tokens").json(&json!({"role": "admin", "sub": "x"}));
    app.send(request).await.refused(404, "not_found");
    let request = app.request(Method::POST, "/v1/tokens").header("Host", "evil.example");
    app.send(request.json(&json!({"role": "admin", "sub": "x"}))).await.refused(404, "not_found");
}

#[tokio::test]
async fn somebody_elses_order_looks_like_none() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "ready").await;
    let absent = uuid::Uuid::now_v7().to_string();
    let strangers = [
        app.customer("mallory").await,
        app.owner("mallory").await,
        app.rider("mallory").await,
        app.customer("rico").await,
    ];
    for stranger in &strangers {
        for path in ["", "/events"] {
            let theirs = app.get(stranger, &format!("/v1/orders/{order}{path}")).await.refused(404, "order_not_found");
            let none = app.get(stranger, &format!("/v1/orders/{absent}{path}")).await.refused(404, "order_not_found");
            assert_eq!((&theirs.0["title"], &theirs.0["detail"]), (&none.0["title"], &none.0["detail"]));
        }
        app.get(stranger, &format!("/v1/messages?order_id={order}")).await.problem_or_nothing();
    }
    let before = app.order(&order).await;
    for (stranger, command) in [
        (&strangers[0], "cancel"),
        (&strangers[0], "confirm"),
        (&strangers[1], "accept"),
        (&strangers[1], "reject"),
        (&strangers[2], "pick-up"),
        (&strangers[2], "deliver"),
    ] {
        let refused = app.command(stranger, &order, command, &json!({})).await;
        assert_eq!(refused.status, 404, "{command} by a strange {}: {}", stranger.role, refused.body);
    }
    assert_eq!(app.order(&order).await, before);
}

impl crate::helpers::Answer {
    /// Somebody else's things are not there: refused, or an empty list.
    #[track_caller]
    fn problem_or_nothing(self) {
        if self.status == 200 {
            assert_eq!(self.body["items"], json!([]));
        } else {
            assert!(matches!(self.problem().0["status"].as_u64(), Some(403 | 404)));
        }
    }
}

#[tokio::test]
async fn a_store_belongs_to_the_owner_who_created_it() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "retail").await;
    let order = life.place(&app).await;
    let (store, rival) = (format!("/v1/stores/{}", life.shop.id), app.owner("rival").await);
    let dish = format!("{store}/menu/{}", life.shop.items[0]);
    for refused in [
        app.patch(&rival, &store, &json!({"open": false})).await,
        app.put(&rival, &dish, &item("Mine", 1, Some(1))).await,
        app.delete(&rival, &dish).await,
        app.post(&rival, &format!("{dish}/restock"), &json!({"quantity": 1})).await,
        app.put(&rival, &format!("{store}/riders/me"), &json!({})).await,
        app.delete(&rival, &format!("{store}/riders/rico")).await,
        app.get(&rival, &format!("{store}/orders")).await,
        app.get(&rival, &format!("/v1/orders/{order}")).await,
    ] {
        assert_eq!(refused.problem().0["status"], 404);
    }
    let shown = app.open(&store).await.ok();
    assert_eq!((&shown["name"], &shown["open"]), (&json!(life.shop.name), &json!(true)));
    app.wait_for_stock(&life.shop, 0, 9).await;
}

#[tokio::test]
async fn every_route_is_for_its_roles_only() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.place(&app).await;
    let people = [life.customer.clone(), life.shop.owner.clone(), life.rider.clone(), app.admin.clone()];
    let store = json!({"name": "Another", "location": place("x", CUSTOMER_AT), "policy": "retail"});
    let here = format!("near={},{}&radius_m=1000", CUSTOMER_AT.0, CUSTOMER_AT.1);
    let presence = json!({"available": true, "location": {"lat": 37.5, "lng": 127.0}});
    let routes: [(Method, String, Value, &[&str]); 12] = [
        (Method::POST, "/v1/orders".into(), life.shop.order(), &["customer"]),
        (Method::POST, "/v1/stores".into(), store, &["owner", "admin"]),
        (Method::GET, "/v1/my-page".into(), json!(null), &["customer"]),
        (Method::GET, format!("/v1/deliveries?{here}"), json!(null), &["rider"]),
        (Method::PUT, "/v1/riders/me".into(), presence, &["rider"]),
        (Method::GET, "/v1/riders/me".into(), json!(null), &["rider"]),
        (Method::GET, format!("/v1/messages?order_id={order}"), json!(null), &["customer", "admin"]),
        (Method::PUT, "/v1/operations/sandbox".into(), json!({"latency_ms": [0, 0], "failure": null}), &["admin"]),
        (Method::GET, format!("/v1/operations/sandbox/orders/{order}"), json!(null), &["admin"]),
        (Method::GET, "/v1/operations/sandbox/ledger".into(), json!(null), &["admin"]),
        (Method::GET, "/v1/operations/kafka".into(), json!(null), &["admin"]),
        (Method::PUT, "/v1/operations/store-management".into(), json!({"paused": false}), &["admin"]),
    ];
    for (method, path, body, roles) in routes {
        for person in &people {
            let request = app.request(method.clone(), &path).bearer_auth(&person.token);
            let key = uuid::Uuid::now_v7().to_string();
            let request = request.header("Idempotency-Key", key);
            let answer = app.send(if body.is_null() { request } else { request.json(&body) }).await;
            let what = format!("{method} {path} by the {}: {} {}", person.role, answer.status, answer.body);
            if roles.contains(&person.role) {
                assert!(answer.status < 300, "{what}");
            } else {
                assert_eq!((answer.status, &answer.body["code"]), (403, &json!("forbidden")), "{what}");
            }
        }
        let anonymous = app.request(method.clone(), &path).header("Idempotency-Key", "k").json(&body);
        app.send(anonymous).await.refused(401, "token_missing");
    }
}

#[tokio::test]
async fn who_stands_on_another_side_of_the_order_is_told_so() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "picked_up").await;
    app.cancel(&life.shop.owner, &order).await.refused(403, "wrong_role");
    app.accept(&life.customer, &order).await.refused(403, "wrong_role");
    app.deliver(&life.customer, &order).await.refused(403, "wrong_role");
    app.confirm(&life.rider, &order).await.refused(403, "wrong_role");
    app.accept(&app.admin, &order).await.refused(403, "wrong_role");
}

#[tokio::test]
async fn the_operator_may_cancel_what_the_customer_no_longer_may() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "picked_up").await;
    app.cancel(&life.customer, &order).await.refused(409, "wrong_status");
    let cancelled = app.command(&app.admin, &order, "cancel", &json!({"reason": "the road is closed"})).await.ok();
    assert_eq!(
        (&cancelled["cancellation"]["by"], &cancelled["cancellation"]["reason"]),
        (&json!("operator"), &json!("operator"))
    );
    assert_eq!(cancelled["cancellation"]["note"], "the road is closed");
    app.wait_until_settled(&order).await;
    app.ledger(&order).await.keeps_nothing();
}

#[tokio::test]
async fn a_rider_sees_an_order_only_while_it_is_theirs() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "ready").await;
    let path = format!("/v1/orders/{order}");
    app.get(&life.rider, &path).await.refused(404, "order_not_found");
    app.claim(&life.rider, &order).await.ok();
    assert_eq!(app.get(&life.rider, &path).await.ok()["destination"]["text"], "7 Samcheong-ro");
    app.decline_delivery(&life.rider, &order).await.done();
    app.get(&life.rider, &path).await.refused(404, "order_not_found");
}

#[tokio::test]
async fn a_token_never_reaches_the_log() {
    let app = TestApp::start().await;
    let life = Life::at(&app, "food_delivery").await;
    let order = life.order_in(&app, "completed").await;
    app.wait_until_settled(&order).await;
    let log = app.log();
    let signature = life.customer.token.rsplit('.').next().unwrap();
    for secret in [signature, "Samcheong", "1234-5678", "ring twice"] {
        assert!(!log.contains(secret), "the log shows {secret}");
    }
}
