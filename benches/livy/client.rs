//! A client of Livy's REST API, as plain as the clients that people use.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A session, a statement or a start that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often a starting session is looked at.
const STARTING: Duration = Duration::from_millis(10);
/// How often a running statement is looked at.
const RUNNING: Duration = Duration::from_millis(5);

/// How a caller learns that its statement has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// `?wait=30`, which Hearth has beyond Livy.
    Wait,
    /// A GET every 5 ms.
    Poll,
}

/// The state of a statement that has ended.
const AVAILABLE: &str = "available";

/// What is read of a session.
#[derive(Debug, Deserialize)]
pub struct Session {
    /// Its number.
    pub id: i64,
    /// Where it is in its life.
    pub state: String,
}

/// What is read of a statement.
#[derive(Debug, Deserialize)]
pub struct Statement {
    /// Its number in the session.
    pub id: i64,
    /// Where it is in its life.
    pub state: String,
    /// What it gave, once it has ended.
    pub output: Option<Output>,
}

/// What a statement gave.
#[derive(Debug, Deserialize)]
pub struct Output {
    /// `ok` or `error`.
    pub status: String,
    /// The result in each MIME type; an error has none.
    #[serde(default)]
    pub data: BTreeMap<String, Value>,
    /// What went wrong.
    #[serde(default)]
    pub evalue: String,
}

/// One server.
#[derive(Clone)]
pub struct Livy {
    base: String,
    http: reqwest::Client,
}

impl Livy {
    /// A client of the server at this address. Answers are not compressed, so that sizes and times are those of the data.
    pub fn new(base: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_gzip().tcp_nodelay(true).timeout(PATIENCE).build()?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), http })
    }

    /// Host and port, for a socket of one's own.
    pub fn authority(&self) -> &str {
        self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest)
    }

    /// One exchange: the status, and the body as it came.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<(StatusCode, Bytes)> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.clone(), url).header("X-Requested-By", "bench");
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        Ok((answer.status(), answer.bytes().await?))
    }

    /// One exchange that must succeed, and its answer.
    pub async fn must<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<T> {
        let (status, bytes) = self.call(method.clone(), path, body).await?;
        let text = || String::from_utf8_lossy(&bytes);
        ensure!(status.is_success(), "{method} {path}: {status} {}", text());
        serde_json::from_slice(&bytes).with_context(|| format!("{method} {path}: {status} {}", text()))
    }

    /// An answer in this form that succeeds, its body unread.
    pub async fn open(&self, path: &str, form: &str) -> anyhow::Result<reqwest::Response> {
        let request = self.http.get(format!("{}{path}", self.base)).header("Accept", form);
        let answer = request.send().await.with_context(|| path.to_owned())?;
        let status = answer.status();
        ensure!(status.is_success(), "{path}: {status} {}", answer.text().await.unwrap_or_default());
        Ok(answer)
    }

    /// Returns when the session is idle.
    async fn until_idle(&self, session: i64) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let now: Session = self.must(Method::GET, &format!("/sessions/{session}/state"), None).await?;
            match now.state.as_str() {
                "idle" => return Ok(()),
                "dead" | "error" | "killed" => {
                    let log: Value = self.must(Method::GET, &format!("/sessions/{session}/log"), None).await?;
                    bail!("session {session} did not start: {log:#}");
                }
                _ => tokio::time::sleep(STARTING).await,
            }
        }
        bail!("session {session} is not idle after {PATIENCE:?}")
    }

    /// A session as this body asks for, idle.
    pub async fn session(&self, body: Value) -> anyhow::Result<i64> {
        let session: Session = self.must(Method::POST, "/sessions", Some(body)).await?;
        self.until_idle(session.id).await?;
        Ok(session.id)
    }

    /// Whether the server knows `?wait`: whether the answer to a POST is the statement's end.
    pub async fn waits(&self, session: i64, code: &str) -> anyhow::Result<bool> {
        let statement = self.post(session, code, Manner::Wait).await?;
        let waits = statement.state == AVAILABLE;
        self.end_of(session, statement).await?;
        Ok(waits)
    }

    /// Runs code to its end; an error of the code is an error.
    pub async fn run(&self, session: i64, code: &str, manner: Manner) -> anyhow::Result<Statement> {
        let statement = self.post(session, code, manner).await?;
        let statement = self.end_of(session, statement).await?;
        let well = statement.output.as_ref().is_some_and(|o| o.status == "ok");
        ensure!(well, "{code}: {}", statement.output.map(|o| o.evalue).unwrap_or_default());
        Ok(statement)
    }

    async fn post(&self, session: i64, code: &str, manner: Manner) -> anyhow::Result<Statement> {
        let wait = if manner == Manner::Wait { "?wait=30" } else { "" };
        let path = format!("/sessions/{session}/statements{wait}");
        self.must(Method::POST, &path, Some(json!({ "code": code }))).await
    }

    async fn end_of(&self, session: i64, mut statement: Statement) -> anyhow::Result<Statement> {
        let path = format!("/sessions/{session}/statements/{}", statement.id);
        let end = Instant::now() + PATIENCE;
        while statement.state != AVAILABLE {
            ensure!(Instant::now() < end, "{path} has not ended after {PATIENCE:?}");
            tokio::time::sleep(RUNNING).await;
            statement = self.must(Method::GET, &path, None).await?;
        }
        Ok(statement)
    }

    /// Ends a session.
    pub async fn delete(&self, session: i64) -> anyhow::Result<()> {
        self.must::<Value>(Method::DELETE, &format!("/sessions/{session}"), None).await.map(drop)
    }
}
