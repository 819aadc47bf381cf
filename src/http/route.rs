//! What a route is, and the macro that makes the table in `mod` both the registration and the list of them.

use actix_web::web;

use super::error::ApiError;

/// A path and the methods that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The pattern, such as `/v1/orders/{order_id}`.
    pub path: &'static str,
    /// As in the `Allow` header, without `HEAD`, which every path with `GET` has.
    pub methods: &'static [&'static str],
}

impl Route {
    /// The label of requests whose path has no route: the path itself would be a label without bound.
    pub(super) const UNKNOWN: &'static str = "UNKNOWN";
}

/// `GET` also answers `HEAD`; the framework leaves the body out.
pub(super) fn on(method: &'static str) -> actix_web::Route {
    use actix_web::guard;
    match method {
        "GET" => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        "POST" => web::post(),
        "PUT" => web::put(),
        "PATCH" => web::patch(),
        "DELETE" => web::delete(),
        other => unreachable!("the table of routes names the method {other}"),
    }
}

/// Answers the methods that a path does not have.
pub(super) fn refuse_other_methods(allow: &'static str) -> actix_web::Route {
    web::to(move || std::future::ready(Err::<String, _>(ApiError::method_not_allowed(allow))))
}

/// Makes of `"path" => { METHOD handler, … }` lines: the list [`Route`]s, the function that registers them, and
/// the list of described operations for the OpenAPI document.
macro_rules! routes {
    ($($path:literal => { $($method:ident $($handler:ident)::+),+ $(,)? })+) => {
        /// Every route, in the order in which they are tried.
        pub const ROUTES: &[Route] = &[$(Route { path: $path, methods: &[$(stringify!($method)),+] },)+];

        fn register(app: &mut actix_web::web::ServiceConfig) {
            $(app.service(
                actix_web::web::resource($path)
                    .app_data(Route { path: $path, methods: &[$(stringify!($method)),+] })
                    $(.route(route::on(stringify!($method)).to($($handler)::+)))+
                    .default_service(route::refuse_other_methods(routes!(@allow $($method)+)))
                    .wrap(actix_web::middleware::from_fn(around::around)),
            );)+
        }

        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($($($handler)::+,)+)+))]
        struct DescribedOperations;
    };
    (@allow GET $($rest:ident)*) => { concat!("GET, HEAD" $(, ", ", stringify!($rest))*) };
    (@allow $first:ident $($rest:ident)*) => { concat!(stringify!($first) $(, ", ", stringify!($rest))*) };
}
pub(super) use routes;
