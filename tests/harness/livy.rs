//! A small client of the Livy door, which waits by `?wait` and for events, never by sleeping.

use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::COLD;

/// What the door answered.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub text: String,
}

impl Answer {
    /// A header's value, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("no JSON ({e}): {self}"))
    }

    /// The body as JSON, when the status is as expected.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        self.json()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text.chars().take(2000).collect::<String>())
    }
}

/// A client of one gateway.
#[derive(Debug, Clone)]
pub struct Livy {
    http: Client,
    url: String,
}

impl Livy {
    /// A client of the gateway at `url`.
    pub fn new(url: &str) -> Self {
        use_aws_lc();
        let http = Client::builder().timeout(COLD + Duration::from_secs(30)).no_proxy().build().unwrap();
        Self { http, url: url.to_owned() }
    }

    /// The same, by this API token.
    pub fn bearer(&self, secret: &str) -> Self {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {secret}").parse().unwrap())]);
        let builder = Client::builder().timeout(COLD + Duration::from_secs(30)).no_proxy();
        Self { http: builder.default_headers(headers).build().unwrap(), url: self.url.clone() }
    }

    /// A request to be dressed by the test.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Sends what [`Livy::request`] began.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the gateway answers")
    }

    /// As [`Livy::send`], for tests in which the gateway may be away.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, text: response.text().await? })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// POST of any text, called JSON.
    pub async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.request(Method::POST, path).header("content-type", "application/json").body(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Creates a session and waits until it is idle; its path, such as `/sessions/0`.
    pub async fn session(&self, body: Value) -> String {
        let created = self.post("/sessions", body).await;
        created.expect(201);
        let path = created.header("location").to_owned();
        self.idle(&path).await;
        path
    }

    /// Waits until a session is idle.
    ///
    /// # Panics
    /// When it ends instead, with its log.
    pub async fn idle(&self, path: &str) -> Value {
        let mut session = Value::Null;
        let until = std::time::Instant::now() + COLD;
        while std::time::Instant::now() < until {
            session = self.get(&format!("{path}?wait=60")).await.expect(200);
            match session["state"].as_str() {
                Some("starting" | "busy") => {}
                Some("idle") => return session,
                _ => break,
            }
        }
        let log = self.get(&format!("{path}/log?size=60")).await;
        panic!("{path} is not idle: {session}\n{log}");
    }

    /// Runs a statement to its end; the whole statement.
    pub async fn run(&self, session: &str, body: Value) -> Value {
        let created = self.post(&format!("{session}/statements?wait=60"), body).await;
        let mut statement = created.expect(201);
        let path = format!("{session}/statements/{}", statement["id"]);
        let until = std::time::Instant::now() + COLD;
        while !matches!(statement["state"].as_str(), Some("available" | "cancelled")) {
            assert!(std::time::Instant::now() < until, "it did not end: {statement}");
            statement = self.get(&format!("{path}?wait=60")).await.expect(200);
        }
        statement
    }

    /// Runs code to its end; the `text/plain` of its result.
    ///
    /// # Panics
    /// When the code failed.
    pub async fn text(&self, session: &str, code: &str) -> String {
        let statement = self.run(session, serde_json::json!({ "code": code })).await;
        match statement["output"]["data"]["text/plain"].as_str() {
            Some(text) => text.to_owned(),
            None => panic!("no text: {statement}"),
        }
    }
}

/// Gives clients of this process the cryptography that the gateway has; reqwest brings none.
pub fn use_aws_lc() {
    // Whoever comes second finds the same one there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
