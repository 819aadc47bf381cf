//! How long requests take, by method, route and status.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use metrics::Histogram;

/// One per worker thread. Asking the recorder for a histogram costs three copied labels and a look-up in a shared
/// map; with routes and statuses counted in dozens, each worker keeps the answers.
type Histograms = HashMap<(&'static str, &'static str, u16), Histogram>;

thread_local! {
    static HISTOGRAMS: RefCell<Histograms> = RefCell::default();
}

pub(super) fn request(method: &Method, route: &'static str, status: StatusCode, took: Duration) {
    let (method, status) = (label(method), status.as_u16());
    HISTOGRAMS.with_borrow_mut(|histograms| {
        histograms
            .entry((method, route, status))
            .or_insert_with(|| {
                metrics::histogram!(
                    "http_server_request_duration_seconds",
                    "method" => method, "route" => route, "status" => status.to_string()
                )
            })
            .record(took.as_secs_f64());
    });
}

/// Methods can be made up, and every label value is kept for ever.
fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}
