//! The door over a real connection: who is refused while work stands in a queue, what a refusal looks like, and that
//! the connection is as good as before.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::rt::task::JoinHandle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Services, bind, config, serve, services};
use crate::access::Role;
use crate::http::admission::UnderWay;
use crate::http::{Class, ROUTES};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with one worker.
struct Server {
    services: Services,
    address: SocketAddr,
    handle: ServerHandle,
    running: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start() -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = config();
        config.http.workers = 1;
        // Far above what a busy machine does to a test, and far below what is made up here.
        config.limits.queue_target_ms = crate::config::Millis(300);
        let services = services(&config).await;
        let server = serve(listener, None, &config.http, services.clone()).unwrap();
        Self { services, address, handle: server.handle(), running: actix_web::rt::spawn(server) }
    }

    async fn client(&self, role: Role) -> Client {
        let token = self.services.issuer.issue(role, &"somebody".parse().unwrap(), Duration::from_secs(600)).token;
        Client { stream: TcpStream::connect(self.address).await.unwrap(), token }
    }

    /// Some part of it has been late for long, until the returned gauge is dropped.
    fn held_up(&self) -> crate::actors::Gauge {
        let gauge = self.services.system.pressure.gauge("a part that is held up");
        let longer_than_a_window = Duration::from_secs(1);
        gauge.expect(Instant::now().checked_sub(longer_than_a_window).unwrap_or_else(Instant::now));
        gauge
    }

    /// As many requests as the server is meant to work on at a time do not get done, and others come all the time.
    async fn crowd(&self) -> Crowd {
        let in_flight = (0..self.services.admission.shown().seats).map(|_| self.services.admission.begin()).collect();
        let mut somebody = self.client(Role::Customer).await;
        let ordering = actix_web::rt::spawn(async move {
            loop {
                somebody.ask("POST", "/v1/orders", "{}").await;
            }
        });
        Crowd { _in_flight: in_flight, ordering }
    }

    async fn stop(self) {
        self.handle.stop(true).await;
        self.running.await.unwrap().unwrap();
    }
}

/// Goes when it is dropped.
struct Crowd {
    _in_flight: Vec<UnderWay>,
    ordering: JoinHandle<()>,
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.ordering.abort();
    }
}

/// One connection, and nothing that would open another.
struct Client {
    stream: TcpStream,
    token: String,
}

/// The status, the lines of the head, and the body.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    async fn ask(&mut self, method: &str, path: &str, body: &str) -> Reply {
        let Self { stream, token } = self;
        let (kind, length) = ("application/json", body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: k\r\n\
             Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        loop {
            let end = read.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(read[..end].to_vec()).unwrap().to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
                if read.len() >= end + 4 + length.parse::<usize>().unwrap() {
                    let body = String::from_utf8(read[end + 4..].to_vec()).unwrap();
                    return Reply { status: head[9..12].parse().unwrap(), head, body };
                }
            }
            assert!(stream.read_buf(&mut read).await.unwrap() > 0, "the server closed the connection");
        }
    }

    /// Asks again and again until the reply is as it should be.
    async fn until(&mut self, method: &str, path: &str, body: &str, is_it: impl Fn(&Reply) -> bool) -> Reply {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.ask(method, path, body).await;
            if is_it(&reply) {
                return reply;
            }
            assert!(Instant::now() < deadline, "in vain: {method} {path} says {} {}", reply.status, reply.body);
        }
    }
}

impl Reply {
    fn is_refusal(&self) -> bool {
        self.status == 503
    }
}

#[actix_web::test]
async fn new_work_is_refused_while_a_queue_stands_and_what_is_under_way_is_not() {
    let server = Server::start().await;
    let mut customer = server.client(Role::Customer).await;
    let mut admin = server.client(Role::Admin).await;
    let long_body = format!("{{\"note\":\"{}\"}}", "long ".repeat(300));

    let (held, crowd) = (server.held_up(), server.crowd().await);
    let refused = customer.until("POST", "/v1/orders", &long_body, Reply::is_refusal).await;
    assert!(refused.body.contains("\"service_full\"") && refused.body.contains("trace_id"), "{}", refused.body);
    let after = refused.head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
    assert!((1..=5).contains(&after.parse::<u32>().unwrap()), "{after}");
    assert!(refused.head.contains("x-request-id: ") && !refused.head.contains("connection: close"), "{}", refused.head);

    // On the same connection, because its body is out of the way.
    assert_eq!(customer.ask("GET", "/livez", "").await.status, 200);
    // No route that finishes something is refused. A handler that does not read the body costs the connection.
    for route in ROUTES.iter().filter(|route| !route.path.starts_with("/docs")) {
        for (method, class) in route.methods.iter().zip(route.classes) {
            let path = route.path.replace("{order_id}", &uuid::Uuid::now_v7().to_string());
            if *class == Class::Finish {
                let mut customer = server.client(Role::Customer).await;
                let reply = customer.ask(method, &path, "{}").await;
                let ready = path == "/readyz";
                assert!(ready || !reply.is_refusal(), "{method} {path}: {} {}", reply.status, reply.body);
            }
        }
    }
    let page = customer.until("GET", "/v1/my-page", "", Reply::is_refusal).await;
    assert!(page.body.contains("service_full"), "{}", page.body);
    let gates = admin.ask("GET", "/v1/operations/gates", "").await.body;
    assert!(gates.contains("\"bounded\"") && gates.contains("held up"), "{gates}");

    let mut stranger = Client { token: "none of ours".into(), ..server.client(Role::Rider).await };
    assert_eq!(stranger.ask("POST", "/v1/orders", "{}").await.status, 401, "that is the better reason");

    drop((held, crowd));
    customer.until("POST", "/v1/orders", "{}", |reply| reply.status == 400).await;
    admin.until("GET", "/v1/operations/gates", "", |gates| gates.body.contains("\"open\"")).await;
    server.stop().await;
}

#[actix_web::test]
async fn a_body_that_is_longer_than_is_read_costs_the_connection_and_nothing_else() {
    let server = Server::start().await;
    let (held, crowd) = (server.held_up(), server.crowd().await);
    let too_long = " ".repeat(config().http.body_limit_bytes + 1);
    // Each on a connection of its own; now and then one is let in, and told so by the handler.
    let refused = loop {
        let mut customer = server.client(Role::Customer).await;
        let reply = customer.ask("POST", "/v1/orders", &too_long).await;
        if reply.is_refusal() {
            break reply;
        }
        assert_eq!(reply.status, 413, "{}", reply.body);
    };
    assert!(refused.head.contains("connection: close"), "{}", refused.head);
    drop((held, crowd));
    server.stop().await;
}

#[actix_web::test]
async fn a_late_thread_refuses_nobody_while_few_requests_are_in_flight() {
    let server = Server::start().await;
    let held = server.held_up();
    let mut customer = server.client(Role::Customer).await;
    // Until a window has certainly seen how late that part is, and some more.
    let mut late = 0;
    while late < 500 {
        let reply = customer.ask("POST", "/v1/orders", "{}").await;
        assert_eq!(reply.status, 400, "{}", reply.body);
        late += u32::from(server.services.system.pressure.standing().iter().any(|(_, by)| by.as_millis() > 300));
    }
    drop(held);
    server.stop().await;
}
