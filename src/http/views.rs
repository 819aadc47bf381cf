//! The readers of the journal as operators see them: who goes on, and how the making anew of the lists goes.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Caller, Role};
use crate::actors::{Rebuilt, Stall, System, Unreadable};

use super::error::ApiError;

#[derive(Serialize, ToSchema)]
struct ViewsBody {
    /// The rebuild that is under way
    running: Option<RunningBody>,
    /// How the last one ended since the server was started
    last: Option<EndedBody>,
    /// How many have ended since then
    ended: u64,
}

#[derive(Serialize, ToSchema)]
struct RunningBody {
    events_done: u64,
    events: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum EndedBody {
    Rebuilt {
        events: u64,
        took_ms: u64,
        /// SHA-256 over the rows before
        old_checksum: String,
        /// And after: the same, unless the old rows were wrong
        new_checksum: String,
        same: bool,
        /// Events of streams that cannot be read: they are in the lists up to there
        left_out_events: u64,
        /// The first of each such stream, of at most a hundred
        left_out: Vec<LeftOutBody>,
    },
    Failed {
        error: String,
    },
}

#[derive(Serialize, ToSchema)]
struct LeftOutBody {
    /// `order`, `stock` or `rider's book`
    kind: &'static str,
    id: uuid::Uuid,
    position: String,
    why: String,
}

impl LeftOutBody {
    fn of(unreadable: &Unreadable) -> Self {
        let Unreadable { stream, position, what } = unreadable;
        Self { kind: stream.kind.name(), id: stream.id, position: position.to_string(), why: what.clone() }
    }
}

impl EndedBody {
    fn of(ended: &Result<Rebuilt, std::sync::Arc<str>>) -> Self {
        match ended {
            Ok(rebuilt) => Self::Rebuilt {
                events: rebuilt.events,
                took_ms: u64::try_from(rebuilt.took.as_millis()).unwrap_or(u64::MAX),
                old_checksum: rebuilt.checksums.old.clone(),
                new_checksum: rebuilt.checksums.new.clone(),
                same: rebuilt.checksums.agree(),
                left_out_events: rebuilt.left_out.events,
                left_out: rebuilt.left_out.named.iter().map(LeftOutBody::of).collect(),
            },
            Err(error) => Self::Failed { error: error.to_string() },
        }
    }
}

fn body(system: &System) -> ViewsBody {
    let state = system.operations.views.state();
    ViewsBody {
        running: state.running.map(|(events_done, events)| RunningBody { events_done, events }),
        last: state.last.as_ref().map(EndedBody::of),
        ended: state.ended,
    }
}

/// How the making anew of the views goes, and how the last one ended.
#[utoipa::path(get, path = "/v1/operations/views", tag = "operations",
    responses((status = 200, description = "The views", body = ViewsBody)))]
pub(super) async fn read(caller: Caller, system: web::Data<System>) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    Ok(HttpResponse::Ok().json(body(&system)))
}

/// Makes the list views anew from the journal, while everything goes on; nothing happens if that is under way.
#[utoipa::path(post, path = "/v1/operations/views/rebuild", tag = "operations",
    responses((status = 202, description = "It is under way", body = ViewsBody)))]
pub(super) async fn rebuild(caller: Caller, system: web::Data<System>) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    system.operations.views.begin();
    Ok(HttpResponse::Accepted().json(body(&system)))
}

#[derive(Serialize, ToSchema)]
struct ReaderBody {
    reader: &'static str,
    /// What it has been trying in vain; null while it goes on
    stalled: Option<StallBody>,
}

#[derive(Serialize, ToSchema)]
struct StallBody {
    for_ms: u64,
    tries: u32,
    /// Of the last try
    error: String,
}

impl StallBody {
    fn of(stall: &Stall) -> Self {
        let for_ms = u64::try_from(stall.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { for_ms, tries: stall.tries, error: stall.error.to_string() }
    }
}

/// Whether the readers of the journal go on: lists, messages, feeds, deadlines, the riders' board. What a stalled one makes
/// stands still; orders are taken all the same.
#[utoipa::path(get, path = "/v1/operations/readers", tag = "operations",
    responses((status = 200, description = "All readers", body = Object)))]
pub(super) async fn readers(caller: Caller, system: web::Data<System>) -> Result<HttpResponse, ApiError> {
    caller.must_be(&[Role::Admin])?;
    let all = system.operations.readers.all();
    let items: Vec<_> =
        all.iter().map(|(reader, stall)| ReaderBody { reader, stalled: stall.as_ref().map(StallBody::of) }).collect();
    Ok(HttpResponse::Ok().json(serde_json::json!({ "items": items })))
}
