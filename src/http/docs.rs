//! The interface described for programs (`/openapi.json`) and for people (`/docs`, offline too).

use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ContentEncoding, ContentType, HeaderValue, LOCATION,
};
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

use super::code::Code;
use super::error::ApiError;
use super::extract::Path;
use super::problem::Problem;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut text = document().to_pretty_json().expect("the document is made of texts");
    text.push('\n');
    text
});

/// The OpenAPI document, as `/openapi.json` serves it.
pub fn openapi_json() -> &'static str {
    &DOCUMENT
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "baedal",
        description = "Order and delivery. Every refusal is a problem document (RFC 9457) whose `code` has a page \
                       under `/problems/{code}`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(Problem)),
    security(("token" = []))
)]
struct Frame;

fn document() -> OpenApi {
    let mut document = Frame::openapi();
    document.merge(super::DescribedOperations::openapi());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    // Any operation can be refused, and all refusals look the same.
    let problem = RefOr::Ref(Ref::from_schema_name("Problem"));
    let problem = ContentBuilder::new().schema(Some(problem)).build();
    let refused = ResponseBuilder::new().description("A refusal").content("application/problem+json", problem).build();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        operation.responses.responses.insert("default".into(), RefOr::T(refused.clone()));
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
    all.into_iter().filter_map(Option::as_mut)
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "docs", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub(super) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(openapi_json())
}

/// To the page where this description can be read and tried.
#[utoipa::path(get, path = "/docs", tag = "docs", security(()),
    responses((status = 308, description = "It is at `/docs/`")))]
pub(super) async fn to_browser() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}

/// Swagger UI styles itself from scripts; it runs none but its own files.
const BROWSER_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// The files of the page.
#[utoipa::path(get, path = "/docs/{file}", tag = "docs", security(()),
    params(("file" = String, Path, description = "Empty for the page itself")),
    responses((status = 200, description = "A file of the page", content_type = "text/html", body = String)))]
pub(super) async fn browser(Path(file): Path<String>) -> Result<HttpResponse, ApiError> {
    static SETTINGS: LazyLock<Arc<utoipa_swagger_ui::Config<'static>>> =
        LazyLock::new(|| Arc::new(utoipa_swagger_ui::Config::from("/openapi.json")));
    let found = utoipa_swagger_ui::serve(&file, Arc::clone(&SETTINGS)).map_err(|why| ApiError::internal(&*why))?;
    let file = found.ok_or_else(|| ApiError::new(Code::NotFound))?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(file.content_type).insert_header((CONTENT_SECURITY_POLICY, BROWSER_POLICY));
    if file.gzpipped {
        answer.insert_header((CONTENT_ENCODING, ContentEncoding::Gzip));
    }
    Ok(answer.body(file.bytes.into_owned()))
}
