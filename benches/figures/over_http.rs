//! The same over HTTP, client and server on the same cores: placing alone, whole lives, and a handler that does
//! nothing, to know what a request costs here anyway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use baedal::access::{Role, SigningKey};
use baedal::config::Config;
use baedal::http::{Readiness, Services, bind, serve};
use baedal::order::{OwnerId, Place, Point, StoreId, Text};
use baedal::store::{CatalogueChange, DataPlace, MenuItem, Shop};
use baedal::telemetry::Metrics;
use hdrhistogram::Histogram;
use uuid::Uuid;

use crate::client::{Connection, request};
use crate::{RUN, scratch, town};

/// Tokens, and the stores that their bearers know.
struct People {
    customer: String,
    owner: String,
    riders: Vec<String>,
    stores: Vec<StoreId>,
}

pub(crate) fn measure() {
    let data = scratch();
    let mut config = town::config();
    config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let (address, people) = serve_in_background(data.path().to_owned(), config);
    let people = Arc::new(people);
    for connections in [64, 256] {
        let null = run(connections, null_server(), |connection, _, _| Box::pin(null(connection)));
        println!("null JSON handler, {connections:>3} connections       {null}");
        let placing = run(connections, address, {
            let people = people.clone();
            move |connection, person, _| Box::pin(place_only(connection, people.clone(), person))
        });
        println!(
            "POST /v1/orders, {connections:>3} connections         {placing}   {:.2} of null",
            placing.rate / null.rate
        );
        let lives = run(connections, address, {
            let people = people.clone();
            move |connection, person, took| Box::pin(live(connection, people.clone(), person, took))
        });
        println!("lifecycles over HTTP, {connections:>3} connections    {lives}");
    }
    println!();
}

/// What a run came to; the times are of single requests.
struct Figures {
    rate: f64,
    requests: Histogram<u64>,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |quantile| self.requests.value_at_quantile(quantile) as f64 / 1e3;
        write!(f, "{:>8.0}/s   p50 {:.2} ms   p99 {:.2} ms", self.rate, ms(0.5), ms(0.99))
    }
}

type Took<'a> = &'a mut Histogram<u64>;
type Turn<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Closed loop: every connection does one turn after the other.
fn run(
    connections: u64,
    address: SocketAddr,
    turn: impl for<'a> Fn(&'a mut Connection, u64, Took<'a>) -> Turn<'a> + Clone + 'static,
) -> Figures {
    actix_web::rt::System::new().block_on(async move {
        let started = Instant::now();
        let clients: Vec<_> = (0..connections)
            .map(|person| {
                let turn = turn.clone();
                actix_web::rt::spawn(async move {
                    let mut connection = Connection::open(address).await;
                    let mut took = Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds");
                    let mut turns = 0_u64;
                    while started.elapsed() < RUN {
                        let before = took.len();
                        let asked = Instant::now();
                        turn(&mut connection, person, &mut took).await;
                        if took.len() == before {
                            took.saturating_record(asked.elapsed().as_micros() as u64);
                        }
                        turns += 1;
                    }
                    (turns, took)
                })
            })
            .collect();
        let mut requests = Histogram::new(3).expect("valid bounds");
        let mut turns = 0;
        for client in clients {
            let (done, took) = client.await.expect("no client panics");
            turns += done;
            requests.add(took).expect("the same bounds");
        }
        Figures { rate: turns as f64 / started.elapsed().as_secs_f64(), requests }
    })
}

async fn null(connection: &mut Connection) {
    let reply = connection.send(&request("POST", "/", &[], "{\"lines\":[]}")).await;
    assert_eq!(reply.status, 200);
}

fn null_server() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(|| {
                App::new().route(
                    "/",
                    web::post().to(|body: web::Json<serde_json::Value>| async move {
                        HttpResponse::Ok().json(serde_json::json!({ "lines": body.get("lines") }))
                    }),
                )
            })
            .workers(crate::num_cores())
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .expect("a free port");
            tell.send(server.addrs()[0]).expect("the measurement waits");
            server.run().await.expect("it serves");
        });
    });
    told.recv().expect("the server starts")
}

fn serve_in_background(data: std::path::PathBuf, config: Config) -> (SocketAddr, People) {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let listener = bind(config.http.listen).expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            let (system, _threads) = town::start(&DataPlace::Directory(data), &config).await;
            open_stores(&system).await;
            let key = SigningKey::generate().expect("random numbers");
            let readiness = Readiness::new();
            readiness.set_started();
            let services = Services::new(&config, &key, readiness, Metrics::start(), system);
            let token =
                |role, name: &str| services.issuer.issue(role, &town::subject(name), Duration::from_secs(3_600)).token;
            let people = People {
                customer: token(Role::Customer, "customer"),
                owner: token(Role::Owner, "mario"),
                riders: (0..256).map(|rider| token(Role::Rider, &format!("rider-{rider}"))).collect(),
                stores: (0..town::STORES).map(town::store).collect(),
            };
            tell.send((address, people)).expect("the measurement waits");
            serve(listener, None, &config.http, services).expect("it serves").await.expect("it serves");
        });
    });
    told.recv().expect("the server starts")
}

async fn open_stores(system: &baedal::actors::System) {
    let point = Point::new(37.566, 126.978).expect("in Seoul");
    for number in 0..town::STORES {
        let shop = Shop {
            id: town::store(number),
            owner: OwnerId(town::subject("mario")),
            name: Text::literal("Euljiro Noodles"),
            place: Place { text: Text::literal("Euljiro 3-ga"), point, phone: None },
            policy: town::policy(),
            open: true,
            paused_until: None,
            revision: 1,
            created_at: system.clock.now(),
        };
        let price = baedal::order::Money::new(12_000, baedal::order::Currency::KRW).expect("a small amount");
        let store = shop.id;
        system.stores.change(CatalogueChange::PutShop(shop), None).await.expect("it is written");
        let item = MenuItem {
            id: town::item(),
            store,
            name: Text::literal("Naengmyeon"),
            price,
            available: true,
            revision: 1,
        };
        system.stores.change(CatalogueChange::PutItem(item), None).await.expect("it is written");
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// Places an order and says its id.
async fn place(connection: &mut Connection, people: &People, person: u64, method: &str) -> String {
    let store = people.stores[(person % town::STORES) as usize];
    let body = format!(
        "{{\"store_id\":\"{store}\",\"lines\":[{{\"item_id\":\"{}\",\"quantity\":2}}],\
         \"destination\":{{\"text\":\"110 Sejong-daero\",\"lat\":37.567,\"lng\":126.979}},\
         \"payment\":{{\"method\":\"{method}\"}}}}",
        town::item()
    );
    let headers = [bearer(&people.customer), format!("Idempotency-Key: {}", Uuid::now_v7())];
    let reply = connection.send(&request("POST", "/v1/orders", &headers, &body)).await;
    assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
    let start = reply.body.windows(6).position(|window| window == b"\"id\":\"").expect("an id") + 6;
    String::from_utf8_lossy(&reply.body[start..start + 36]).into_owned()
}

async fn place_only(connection: &mut Connection, people: Arc<People>, person: u64) {
    place(connection, &people, person, "on_delivery").await;
}

async fn live(connection: &mut Connection, people: Arc<People>, person: u64, took: Took<'_>) {
    let asked = Instant::now();
    let id = place(connection, &people, person, "card").await;
    took.saturating_record(asked.elapsed().as_micros() as u64);
    let rider = &people.riders[person as usize];
    for (token, command) in [
        (&people.owner, "accept"),
        (&people.owner, "start-preparation"),
        (&people.owner, "finish-preparation"),
        (rider, "claim"),
        (rider, "pick-up"),
        (rider, "deliver"),
        (&people.customer, "confirm"),
    ] {
        let asked = Instant::now();
        let path = format!("/v1/orders/{id}/{command}");
        let reply = connection.send(&request("POST", &path, &[bearer(token)], "{}")).await;
        assert_eq!(reply.status, 200, "{command}: {}", String::from_utf8_lossy(&reply.body));
        took.saturating_record(asked.elapsed().as_micros() as u64);
    }
}
