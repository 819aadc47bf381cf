//! Pages for people: the front page, and one for every code of a problem.

use actix_web::http::header::{ACCEPT, CACHE_CONTROL, ContentType, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::code::Code;
use super::error::ApiError;
use super::extract::Path;

const LANDING: &str = include_str!("landing.html");

/// Pages that only change with the program.
const FOR_AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// What this server is, and where to go from here.
#[utoipa::path(get, path = "/", tag = "pages", security(()),
    responses((status = 200, description = "A page", content_type = "text/html", body = String)))]
pub(super) async fn landing() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::html()).body(LANDING)
}

/// The page of a code, for programs.
#[derive(Serialize, ToSchema)]
struct ProblemPage {
    code: &'static str,
    status: u16,
    title: &'static str,
    meaning: &'static str,
    advice: &'static str,
}

/// What a code means and what to do about it: `type` of a problem leads here.
#[utoipa::path(get, path = "/problems/{code}", tag = "pages", security(()),
    params(("code" = String, Path, example = "not_found")),
    responses((status = 200, description = "HTML, or JSON where `Accept` asks for it", content(
        (String = "text/html"), (ProblemPage = "application/json")))))]
pub(super) async fn problem(request: HttpRequest, Path(word): Path<String>) -> Result<HttpResponse, ApiError> {
    let code = Code::named(&word).ok_or_else(|| ApiError::new(Code::NotFound))?;
    let page = ProblemPage {
        code: code.as_str(),
        status: code.status().as_u16(),
        title: code.title(),
        meaning: code.meaning(),
        advice: code.advice(),
    };
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CACHE_CONTROL, FOR_AN_HOUR));
    if wants_json(&request) {
        return Ok(answer.json(page));
    }
    Ok(answer.insert_header(ContentType::html()).body(html(&page)))
}

/// A browser lists `text/html` first, a client of the interface asks for JSON.
fn wants_json(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.contains("json") && !accepted.contains("text/html")
}

/// All texts come from the table of codes and hold nothing that HTML would mistake.
fn html(page: &ProblemPage) -> String {
    let ProblemPage { code, status, title, meaning, advice } = page;
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{code}</title>\n\
         <h1>{title}</h1>\n<p><code>{code}</code>, status {status}</p>\n\
         <h2>What it means</h2>\n<p>{meaning}</p>\n<h2>What to do</h2>\n<p>{advice}</p>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_the_table_need_no_escaping() {
        for code in Code::ALL {
            for text in [code.as_str(), code.title(), code.meaning(), code.advice()] {
                assert!(!text.contains(['<', '>', '&', '"']), "{text}");
            }
        }
    }
}
