//! Nobody takes every connection: whoever holds them, the others order, and those who look after the service get in.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::helpers::{Feed, Options, PATIENCE, Person, TestApp, feed_request, wait_until};

async fn opened(app: &TestApp, who: &Person) -> Option<Feed> {
    let mut feed = Feed::with(feed_request(app, who, "topics=my-orders")).await.ok()?;
    feed.greeted().await;
    Some(feed)
}

/// Someone who has a token, once there is room to ask for one.
async fn newcomer(app: &TestApp, name: &str) -> Option<Person> {
    let body = serde_json::json!({"role": "customer", "sub": name});
    let answer = app.send(app.request(reqwest::Method::POST, "/v1/tokens").json(&body)).await;
    let token = answer.body["token"].as_str()?.to_owned();
    Some(Person { role: "customer", sub: name.to_owned(), token })
}

/// All that comes until the server hangs up.
async fn heard(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    // Broken or ended: what was said before counts.
    let _ = timeout(PATIENCE, reading).await.expect("the server hangs up");
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn one_person_has_so_many_feeds_and_others_have_theirs() {
    let app = Options::default().set("limits.feeds_per_person", 3).start().await;
    let (mallory, alice) = (app.customer("mallory").await, app.customer("alice").await);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(opened(&app, &mallory).await.expect("three may be open"));
    }
    app.get(&mallory, "/v1/feed?topics=my-orders").await.refused(429, "too_many_feeds");
    assert!(opened(&app, &alice).await.is_some());
    held.pop();
    wait_until("the place of one that was closed is free", || opened(&app, &mallory)).await;
}

#[tokio::test]
async fn who_holds_connections_in_silence_gives_way_to_who_speaks() {
    let app = Options::default().set("http.max_connections", 8).start().await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(app.address()).await.unwrap());
    }
    let mut held = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let who = wait_until("a newcomer is served", || newcomer(&app, name)).await;
        held.push(wait_until("and may stay", || opened(&app, &who)).await);
    }
    let mut gone_without_a_word = 0;
    for stream in silent {
        gone_without_a_word += usize::from(heard(stream).await.is_empty());
    }
    assert!(gone_without_a_word > 0, "the others are told that they took too long");
}

#[tokio::test]
async fn when_every_seat_is_at_work_health_and_operations_are_answered() {
    let app = Options::default().set("http.max_connections", 1).start().await;
    let alice = app.customer("alice").await;
    let feed = wait_until("the only seat is a feed's", || opened(&app, &alice)).await;
    app.open("/readyz").await.ok();
    app.open("/livez").await.ok();
    app.open("/metrics").await.ok();
    app.get(&app.admin, "/v1/operations/mailboxes").await.ok();
    let refused = app.open("/v1/stores").await;
    assert_eq!(refused.header("connection"), Some("close"));
    refused.refused(503, "service_full");
    drop(feed);
    let served = || async { (app.open("/v1/stores").await.status == 200).then_some(()) };
    wait_until("the seat is free again", served).await;
}

#[tokio::test]
async fn one_address_has_its_share_unless_many_come_from_there() {
    let app = Options::default().set("http.connections_per_address", 2).start().await;
    let connect = || async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket.connect(app.address()).await.unwrap()
    };
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect().await;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: baedal\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }
    let refused = heard(connect().await).await;
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after: "), "{refused}");
    assert!(refused.ends_with("}") && refused.contains("/problems/too_many_connections"), "{refused}");
    for _ in 0..3 {
        held.push(TcpStream::connect(app.address()).await.unwrap());
    }
    app.open("/v1/stores").await.ok();
}

#[tokio::test]
async fn operations_have_an_address_of_their_own_where_one_is_named() {
    let app = Options::default().set("http.operations_listen", "127.0.0.1:0").start().await;
    let said = "operations and health alone are at http://";
    let log = app.log();
    let address = log.split(said).nth(1).and_then(|rest| rest.split('"').next()).expect("the log names it");
    let address: SocketAddr = address.parse().unwrap();
    let get = |path: &str| reqwest::Client::new().get(format!("http://{address}{path}")).send();
    assert_eq!(get("/readyz").await.unwrap().status(), 200);
    assert_eq!(get("/v1/stores").await.unwrap().status(), 404);
    let operations = format!("http://{address}/v1/operations/mailboxes");
    let asked = reqwest::Client::new().get(operations).bearer_auth(&app.admin.token).send().await.unwrap();
    assert_eq!(asked.status(), 200);
}
