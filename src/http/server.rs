//! The listener, the app that every worker runs, and the server around them.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::ServerBuilder;
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, Error, rt, web};
use tokio::net::TcpSocket;
use tokio::sync::watch;

use crate::access::{Issuer, SigningKey, Verifier};
use crate::actors::System;
use crate::config::{Access, Config, Http};
use crate::telemetry::Metrics;

use super::admission::Admission;
use super::around::{RequestTimeout, around};
use super::code::Code;
use super::connections::{Connections, Limits, Stream, accept};
use super::error::ApiError;
use super::extract::BodyLimits;
use super::feed::Feeds;
use super::health::Readiness;
use super::idempotency::Running;
use super::tokens::{DevelopmentSignIn, Jwks};

/// Connections that the kernel holds until a worker takes them: a burst of customers, not a queue.
const BACKLOG: u32 = 1_024;

/// How long a connection that is being closed may take to be gone.
const DISCONNECT_WITHIN: Duration = Duration::from_secs(1);

/// The names of the listeners, in the framework's log.
const PUBLIC: &str = "public";
const OPERATIONS: &str = "operations";

/// What the routes ask. Each handler names the one that it needs.
#[derive(Clone)]
pub struct Services {
    pub verifier: Arc<Verifier>,
    pub issuer: Arc<Issuer>,
    pub readiness: Arc<Readiness>,
    pub running: Arc<Running>,
    pub metrics: Metrics,
    pub system: System,
    /// Set when the process stops: live feeds end.
    pub closing: watch::Sender<bool>,
    pub(super) admission: Arc<Admission>,
    clock: DevelopmentClock,
    jwks: Arc<Jwks>,
    sign_in: Arc<DevelopmentSignIn>,
    feeds: Arc<Feeds>,
    body_limits: BodyLimits,
    request_timeout: RequestTimeout,
}

impl Services {
    pub fn new(config: &Config, key: &SigningKey, readiness: Arc<Readiness>, metrics: Metrics, system: System) -> Self {
        let Http { body_limit_bytes, body_read_timeout_ms, request_timeout_ms, .. } = config.http;
        Self {
            verifier: Arc::new(Verifier::new(key, &config.access, &config.limits)),
            issuer: Arc::new(Issuer::new(key, &config.access)),
            readiness,
            running: Running::new(config.limits.running_requests),
            metrics,
            system,
            closing: watch::Sender::new(false),
            admission: Arc::new(Admission::new(
                config.limits.queue_target_ms.duration(),
                config.limits.new_at_a_time.saturating_mul(config.http.workers),
            )),
            clock: DevelopmentClock(config.access.development_clock),
            jwks: Arc::new(Jwks(key.jwks().to_string())),
            sign_in: Arc::new(sign_in(&config.access, config.http.listen.ip())),
            feeds: Arc::new(Feeds::new(config, key)),
            body_limits: BodyLimits { bytes: body_limit_bytes, within: body_read_timeout_ms.duration() },
            request_timeout: RequestTimeout(request_timeout_ms.duration()),
        }
    }
}

/// Whether an operator may set the clock ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct DevelopmentClock(pub(super) bool);

fn sign_in(settings: &Access, listening_on: IpAddr) -> DevelopmentSignIn {
    let sign_in = DevelopmentSignIn::new(settings, listening_on);
    tracing::debug!(open_to = ?sign_in.open_to, "development sign-in");
    sign_in
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    pub address: SocketAddr,
    pub source: std::io::Error,
}

/// Takes the address, before anything slow is started. Port 0 takes a free one: see `local_addr` of the listener.
/// Wants a tokio runtime around it.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for the connections of the last run to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    listen().map_err(|source| ListenError { address, source })
}

/// Every route and what it needs; each worker has one of these.
pub fn app(
    services: Services,
) -> App<
    impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse<BoxBody>, Error = Error, InitError = ()>,
> {
    App::new()
        .app_data(web::Data::from(services.verifier))
        .app_data(web::Data::from(services.issuer))
        .app_data(web::Data::from(services.readiness))
        .app_data(web::Data::new(services.running))
        .app_data(web::Data::new(services.metrics))
        .app_data(web::Data::new(services.system))
        .app_data(web::Data::new(services.closing))
        .app_data(web::Data::from(services.admission))
        .app_data(web::Data::new(services.clock))
        .app_data(web::Data::from(services.jwks))
        .app_data(web::Data::from(services.sign_in))
        .app_data(web::Data::from(services.feeds))
        .app_data(services.body_limits)
        .app_data(services.request_timeout)
        .configure(super::register)
        .default_service(web::to(no_such_route).wrap(from_fn(around)))
}

async fn no_such_route() -> Result<String, ApiError> {
    Err(ApiError::new(Code::NotFound))
}

/// Serves until the returned server's handle is told to stop. Signals are the caller's: they mean more than this.
/// On the second listener only what looks after the service is answered.
pub fn serve(
    listener: TcpListener,
    operations: Option<TcpListener>,
    settings: &Http,
    services: Services,
) -> std::io::Result<Server> {
    let (admission, pressure) = (services.admission.clone(), services.system.pressure.clone());
    rt::spawn(async move { admission.steer(&pressure).await });
    let public = Connections::new(Limits::of(settings));
    let mut builder = Server::build()
        .workers(settings.workers)
        // Ours is the bound: at this one nobody is accepted any more.
        .max_concurrent_connections(usize::MAX >> 1)
        .shutdown_timeout(settings.shutdown_grace_s.0)
        .disable_signals();
    builder = listen(builder, PUBLIC, listener, (settings, services.clone(), public))?;
    if let Some(operations) = operations {
        builder = listen(builder, OPERATIONS, operations, (settings, services, Connections::new(Limits::OPERATIONS)))?;
    }
    Ok(builder.run())
}

/// Each worker has an app of its own behind each listener.
fn listen(
    builder: ServerBuilder,
    name: &'static str,
    listener: TcpListener,
    (settings, services, connections): (&Http, Services, Arc<Connections>),
) -> std::io::Result<ServerBuilder> {
    let (head_timeout, keep_alive) = (settings.head_timeout_ms.duration(), settings.keep_alive_s.duration());
    let stopping = builder.graceful_shutdown_signal();
    builder.listen(name, listener, move || {
        if name == PUBLIC {
            rt::spawn(services.system.pressure.clone().feel("http"));
        }
        let (stopping, connections) = (stopping.clone(), connections.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .client_request_timeout(head_timeout)
            .keep_alive(keep_alive)
            .client_disconnect_timeout(DISCONNECT_WITHIN)
            .on_connect_ext(|stream: &Stream, data| drop(data.insert(stream.seat().clone())))
            .finish(map_config(app(services.clone()), |()| AppConfig::default()));
        fn_service(move |stream| {
            let accepting = accept(stream, connections.clone());
            async move { accepting.await.map(|(stream, peer)| (stream, Protocol::Http1, peer)).map_err(DispatchError::Io) }
        })
        .and_then(http)
    })
}
