//! Errors as Livy's clients read them: `{"msg": "…"}`, and for some a bare JSON text.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;

use super::surface::JSON;
use crate::http::authenticate;
use crate::identity::attempt::Refusal;
use crate::kind::{Classify, Kind};
use crate::{batch, context, session, statement};

/// What every statement to a session that is over is answered. Zeppelin restarts its session by it, Hue by the like.
const DEAD: &str = "java.lang.IllegalStateException: Session is in state dead";
/// What is told of a defect; the rest is in the gateway's log.
const INTERNAL: &str = "internal error; the gateway's log says more";

/// An answer that is an error.
#[derive(Debug)]
pub struct Fault {
    status: StatusCode,
    said: Said,
    retry_after: Option<Duration>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Said {
    Message { msg: Cow<'static, str> },
    Job { msg: &'static str, id: i32, state: &'static str, result: Option<()>, error: &'static str },
    Bare(Cow<'static, str>),
}

impl Fault {
    /// `{"msg": text}`.
    pub fn message(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, said: Said::Message { msg: text.into() }, retry_after: None }
    }

    /// The text as a JSON string.
    pub fn bare(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, said: Said::Bare(text.into()), retry_after: None }
    }

    /// A job that is not run. Livy's Python client looks at no status (python-api's job_handle.py): it waits for ever for an answer
    /// without an id, and then for a state that is an end.
    pub fn job(status: StatusCode, why: &'static str) -> Self {
        let said = Said::Job { msg: why, id: 0, state: "FAILED", result: None, error: why };
        Self { status, said, retry_after: None }
    }

    /// A request that says something wrong, as `{"msg": text}`.
    pub fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::message(StatusCode::BAD_REQUEST, text)
    }

    /// No such session or batch, in the words by which Hue and Zeppelin know it.
    pub fn no_session(called: &str) -> Self {
        let called: String = called.chars().take(140).collect();
        Self::message(StatusCode::NOT_FOUND, format!("Session '{called}' not found."))
    }

    /// A creation that Livy refuses in these words.
    pub fn rejected(why: impl std::fmt::Display) -> Self {
        Self::invalid(format!("Rejected, Reason: {why}"))
    }

    /// By the kind of an error.
    pub fn of(e: &(impl Classify + 'static)) -> Self {
        let (status, retry_after) = match e.kind() {
            Kind::Invalid => (StatusCode::BAD_REQUEST, None),
            Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, None),
            Kind::Denied => (StatusCode::FORBIDDEN, None),
            Kind::NotFound => (StatusCode::NOT_FOUND, None),
            // Livy's clients know no 410.
            Kind::Conflict | Kind::Gone => (StatusCode::CONFLICT, None),
            Kind::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, None),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Kind::TooMany { retry_after } => (StatusCode::TOO_MANY_REQUESTS, Some(retry_after)),
            Kind::Unanswered => (StatusCode::GATEWAY_TIMEOUT, None),
            Kind::Unavailable { retry_after } => (StatusCode::SERVICE_UNAVAILABLE, Some(retry_after)),
            Kind::NotOffered => (StatusCode::NOT_IMPLEMENTED, None),
            Kind::Internal => {
                error!(error = e as &dyn std::error::Error, "A request failed by a defect");
                return Self::message(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL);
            }
        };
        Self { retry_after, ..Self::message(status, e.to_string()) }
    }
}

impl From<Refusal> for Fault {
    fn from(why: Refusal) -> Self {
        Self::message(authenticate::status(&why), why.to_string())
    }
}

impl From<session::Error> for Fault {
    fn from(e: session::Error) -> Self {
        match e {
            session::Error::NotFound(called) => Self::no_session(&called),
            session::Error::NameTaken { name, livy_id } => {
                Self::rejected(format_args!("Duplicate session name: Some({name}) for session {livy_id}"))
            }
            session::Error::BadName(name) if name.bytes().all(|b| b.is_ascii_digit()) => {
                Self::rejected(format_args!("Invalid session name: {name}"))
            }
            e => Self::of(&e),
        }
    }
}

impl From<statement::Error> for Fault {
    fn from(e: statement::Error) -> Self {
        match e {
            statement::Error::NotFound(_) => Self::bare(StatusCode::NOT_FOUND, "Statement not found"),
            statement::Error::NotAlive(_) => Self::bare(StatusCode::INTERNAL_SERVER_ERROR, DEAD),
            statement::Error::Session(e) => e.into(),
            e => Self::of(&e),
        }
    }
}

impl From<batch::Error> for Fault {
    fn from(e: batch::Error) -> Self {
        match e {
            batch::Error::NotFound(called) => Self::no_session(&called),
            batch::Error::NameTaken { name, livy_id } => {
                Self::rejected(format_args!("Duplicate session name: Some({name}) for session {livy_id}"))
            }
            e => Self::of(&e),
        }
    }
}

impl From<context::Error> for Fault {
    fn from(e: context::Error) -> Self {
        Self::of(&e)
    }
}

impl From<crate::store::idempotency::Error> for Fault {
    fn from(e: crate::store::idempotency::Error) -> Self {
        Self::of(&e)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.said).unwrap_or_default();
        let mut answer = (self.status, [(CONTENT_TYPE, JSON)], body).into_response();
        if let Some(after) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(fault: Fault) -> (u16, String) {
        let answer = fault.into_response();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn errors_are_in_livys_words() {
        let taken = session::Error::NameTaken { name: "wire".into(), livy_id: 1 };
        let taken = text(taken.into()).await;
        assert_eq!(
            taken,
            (400, r#"{"msg":"Rejected, Reason: Duplicate session name: Some(wire) for session 1"}"#.into())
        );
        let digits = text(session::Error::BadName("123".into()).into()).await;
        assert_eq!(digits, (400, r#"{"msg":"Rejected, Reason: Invalid session name: 123"}"#.into()));
        assert_eq!(text(Fault::no_session("5")).await, (404, r#"{"msg":"Session '5' not found."}"#.into()));
        let over = session::Error::Over(5, "ended: it was deleted by alice".into());
        let dead = text(statement::Error::NotAlive(over).into()).await;
        assert_eq!(dead, (500, r#""java.lang.IllegalStateException: Session is in state dead""#.into()));
        assert_eq!(text(statement::Error::NotFound(9).into()).await, (404, r#""Statement not found""#.into()));
    }

    #[tokio::test]
    async fn defects_are_not_told() {
        let e = statement::Error::Inconsistent(3);
        assert_eq!(text(e.into()).await, (500, format!(r#"{{"msg":"{INTERNAL}"}}"#)));
    }

    #[test]
    fn what_passes_says_when_to_come_back() {
        let away = crate::store::Error::Away(sqlx::Error::PoolTimedOut);
        let answer = Fault::of(&away).into_response();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()[RETRY_AFTER], "2");
    }
}
