//! Whether the process lives, whether it can take work, and what it has measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, RETRY_AFTER};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::actors::{Stalled, System};
use crate::telemetry::Metrics;

/// What must hold for this process to take work. Set by those who know, read by `/readyz`.
#[derive(Debug, Default)]
pub struct Readiness {
    started: AtomicBool,
    journal_unwritable: AtomicBool,
    replaced: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// Not ready: nothing has started yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Commands are taken from now on; open orders may still be waking.
    pub fn set_started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Whether the last commit, or attempt at one, went through.
    pub fn set_journal_writable(&self, writable: bool) {
        self.journal_unwritable.store(!writable, Ordering::Release);
    }

    /// Another process writes the journal now: what this one remembers may be old, and nothing makes it new.
    pub fn set_replaced(&self) {
        self.replaced.store(true, Ordering::Release);
    }

    pub(super) fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Acquire)
    }

    /// The process has been told to stop: it finishes what it has, and should be sent nothing more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    fn report(&self) -> ReadinessReport {
        let started = self.started.load(Ordering::Acquire);
        let journal_writable = !self.journal_unwritable.load(Ordering::Acquire);
        let not_replaced = !self.is_replaced();
        let not_draining = !self.draining.load(Ordering::Acquire);
        let ready = started && journal_writable && not_replaced && not_draining;
        let checks = Checks { started, journal_writable, not_replaced, not_draining };
        ReadinessReport { status: if ready { "ready" } else { "not_ready" }, checks }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ReadinessReport {
    /// `ready` or `not_ready`
    status: &'static str,
    checks: Checks,
}

/// All of them must hold.
#[derive(Debug, Serialize, ToSchema)]
struct Checks {
    started: bool,
    journal_writable: bool,
    /// No other server has taken over the database
    not_replaced: bool,
    not_draining: bool,
}

/// Whether the process turns: its threads, one of which stands still when it is blocked. Says nothing about the database:
/// restarting would not mend that.
#[utoipa::path(get, path = "/livez", tag = "health", security(()),
    responses((status = 200, description = "It does", content_type = "text/plain", body = String),
    (status = 503, description = "A thread stands still: only a new process mends that", content_type = "text/plain",
        body = String)))]
pub(super) async fn livez(system: web::Data<System>) -> HttpResponse {
    let plain = ContentType::plaintext();
    match system.heartbeats.stalled() {
        None => HttpResponse::Ok().insert_header(plain).body("alive\n"),
        Some(Stalled { thread, since }) => HttpResponse::ServiceUnavailable()
            .insert_header(plain)
            .body(format!("the thread of the {thread} has not turned for {} s\n", since.as_secs())),
    }
}

/// Whether the process should be sent work.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses(
    (status = 200, description = "It should", body = ReadinessReport),
    (status = 503, description = "It should not; the checks say why", body = ReadinessReport)))]
pub(super) async fn readyz(readiness: web::Data<Readiness>) -> HttpResponse {
    let report = readiness.report();
    if report.status == "ready" {
        return HttpResponse::Ok().json(report);
    }
    HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE).insert_header((RETRY_AFTER, 1)).json(report)
}

/// What has been measured, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", security(()),
    responses((status = 200, description = "The measurements", content_type = "text/plain", body = String)))]
pub(super) async fn metrics(metrics: web::Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::plaintext()).body(metrics.render())
}
