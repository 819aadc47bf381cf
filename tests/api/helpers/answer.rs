//! An answer of the server, and what must hold of every one of them.

use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde_json::Value;

/// A whole answer. JSON where the body is JSON, else a text.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

/// A refusal as the contract describes it.
#[derive(Clone, Debug)]
pub struct Problem(pub Value);

impl Answer {
    pub async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Self { status, headers, body })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("our headers are plain text"))
    }

    /// The body of a 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// The body of a 201, which says where the new thing is.
    #[track_caller]
    pub fn created(self) -> Value {
        assert_eq!(self.status, 201, "{}", self.body);
        assert!(self.headers.contains_key(LOCATION), "201 without Location");
        self.body
    }

    /// Any success.
    #[track_caller]
    pub fn done(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        self.body
    }

    /// The `items` of a list.
    #[track_caller]
    pub fn items(self) -> Vec<Value> {
        let body = self.ok();
        assert!(body.get("next_cursor").is_some(), "a list says whether there is more: {body}");
        body["items"].as_array().expect("a list has items").clone()
    }

    /// A refusal with this status and code, in the form that the contract promises for all of them.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Problem {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        self.problem()
    }

    /// A refusal of any kind, in the form that the contract promises for all of them.
    #[track_caller]
    pub fn problem(self) -> Problem {
        let body = &self.body;
        assert!(self.status >= 400, "{}: {body}", self.status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{body}");
        let code = body["code"].as_str().expect("a problem has a code");
        assert_eq!(body["type"], format!("/problems/{code}"));
        assert_eq!(body["status"], self.status, "{body}");
        for text in ["title", "instance", "trace_id"] {
            assert!(body[text].as_str().is_some_and(|text| !text.is_empty()), "{text} of {body}");
        }
        if matches!(self.status, 429 | 503) || code == "request_in_progress" {
            let after = self.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
            assert!(after.is_some_and(|seconds| seconds >= 1), "{} without a usable Retry-After", self.status);
        }
        Problem(self.body)
    }
}

impl Problem {
    pub fn code(&self) -> &str {
        self.0["code"].as_str().expect("checked when it was read")
    }

    /// The order that was ended by what was asked.
    pub fn order_id(&self) -> String {
        self.0["order_id"].as_str().unwrap_or_else(|| panic!("no order_id in {}", self.0)).to_owned()
    }

    /// Where the fields are that were wrong.
    pub fn pointers(&self) -> Vec<&str> {
        self.0["errors"].as_array().into_iter().flatten().filter_map(|error| error["pointer"].as_str()).collect()
    }
}
