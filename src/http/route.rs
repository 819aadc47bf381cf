//! What a route is, and the macro that makes the table in `mod` both the registration and the list of them.

use actix_web::http::Method;
use actix_web::web;

use super::admission::Class;
use super::error::ApiError;

/// A path and the methods that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The pattern, such as `/v1/orders/{order_id}`.
    pub path: &'static str,
    /// As in the `Allow` header, without `HEAD`, which every path with `GET` has.
    pub methods: &'static [&'static str],
    /// What each of the methods is worth while the service is full.
    pub classes: &'static [Class],
}

impl Route {
    /// The label of requests whose path has no route: the path itself would be a label without bound.
    pub(super) const UNKNOWN: Route = Route { path: "UNKNOWN", methods: &[], classes: &[] };

    /// Whether it tells nothing of what a server remembers: about the process itself, or why it refuses.
    pub(super) fn is_about_process(&self) -> bool {
        matches!(self.path, "/livez" | "/readyz" | "/metrics" | "/problems/{code}")
    }

    /// Answered on the reserve of connections, and where only operators get to: whoever asks looks after the service.
    pub(super) fn is_vital(&self) -> bool {
        matches!(self.path, "/livez" | "/readyz" | "/metrics") || self.path.starts_with("/v1/operations/")
    }

    /// Of a method that the path does not have: whoever answers that it has none needs no room for it.
    pub(super) fn class_of(&self, method: &Method) -> Class {
        let method = if method == Method::HEAD { Method::GET.as_str() } else { method.as_str() };
        let at = self.methods.iter().position(|ours| *ours == method);
        at.map_or(Class::Finish, |at| self.classes[at])
    }
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
/// the list of described operations for the OpenAPI document. A handler may be followed by `: Class`.
macro_rules! routes {
    ($($path:literal => { $($method:ident $($handler:ident)::+ $(: $class:ident)?),+ $(,)? })+) => {
        /// Every route, in the order in which they are tried.
        pub const ROUTES: &[Route] = &[$(Route {
            path: $path,
            methods: &[$(stringify!($method)),+],
            classes: &[$(routes!(@class $($class)?)),+],
        },)+];

        fn register(app: &mut actix_web::web::ServiceConfig) {
            let mut routes = ROUTES.iter().copied();
            $(app.service(
                actix_web::web::resource($path)
                    .app_data(routes.next().expect("the list is made of the same lines"))
                    $(.route(route::on(stringify!($method)).to($($handler)::+)))+
                    .default_service(route::refuse_other_methods(routes!(@allow $($method)+)))
                    .wrap(actix_web::middleware::from_fn(around::around)),
            );)+
        }

        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($($($handler)::+,)+)+))]
        struct DescribedOperations;
    };
    (@class) => { $crate::http::Class::Finish };
    (@class $class:ident) => { $crate::http::Class::$class };
    (@allow GET $($rest:ident)*) => { concat!("GET, HEAD" $(, ", ", stringify!($rest))*) };
    (@allow $first:ident $($rest:ident)*) => { concat!(stringify!($first) $(, ", ", stringify!($rest))*) };
}
pub(super) use routes;
