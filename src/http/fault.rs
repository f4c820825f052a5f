//! Errors of the own API: problem documents (RFC 9457), rendered in this one place.
//!
//! A handler gives a [`Fault`]; the layer [`render`] makes it the document, with the path as its `instance`. What other layers
//! refuse (a foreign page, a method that a path does not have, a defect) becomes one too, so that every error has one shape.

use std::any::Any;
use std::borrow::Cow;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use tracing::error;
use utoipa::ToSchema;

use super::authenticate;
use super::guard::Refused;
use crate::kind::{Classify, Kind};

/// The type of a problem document.
pub const PROBLEM: &str = "application/problem+json";

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Code {
    /// The request is wrong; `detail` says what and how to mend it.
    Invalid,
    /// Nobody proved who is asking.
    Unauthenticated,
    /// Not allowed.
    Denied,
    /// No such thing.
    NotFound,
    /// The path does not have this method.
    MethodNotAllowed,
    /// There is no form of the answer that `Accept` takes.
    NotAcceptable,
    /// The body did not arrive in time.
    Timeout,
    /// The thing is in a state that does not allow this.
    Conflict,
    /// The thing is over for good; `detail` says who or what ended it, when and why.
    Gone,
    /// The body is larger than the limit.
    TooLarge,
    /// The body is not JSON by its Content-Type.
    UnsupportedMediaType,
    /// The `Idempotency-Key` came before with another body.
    KeyReused,
    /// A limit is reached; try again later.
    TooMany,
    /// A defect of Hearth; its log says more.
    Internal,
    /// Not offered by this version.
    NotOffered,
    /// Something that Hearth needs is away, and nothing was begun; try again later.
    Unavailable,
    /// A driver was asked and has not answered: it may have been done, or not.
    Unanswered,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A name of the sort of problem.
    #[schema(example = "urn:hearth:problem:not_found")]
    r#type: String,
    /// The sort of problem, for people.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong here, for people.
    detail: String,
    /// The sort of problem, for programs.
    code: Code,
    /// The path that was asked for.
    instance: String,
}

/// An answer that is an error.
#[derive(Debug, Clone)]
pub struct Fault {
    code: Code,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl Code {
    /// Its HTTP status, its name, and its title.
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Invalid => (StatusCode::BAD_REQUEST, "invalid", "The request is wrong"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "Nobody proved who is asking"),
            Self::Denied => (StatusCode::FORBIDDEN, "denied", "Not allowed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "not_acceptable", "There is no such form"),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout", "The request took too long"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "The state does not allow this"),
            Self::Gone => (StatusCode::GONE, "gone", "It is over"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body is not JSON")
            }
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "key_reused", "The Idempotency-Key was used before"),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many", "A limit is reached"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "A defect of Hearth"),
            Self::NotOffered => (StatusCode::NOT_IMPLEMENTED, "not_offered", "Not offered"),
            Self::Unanswered => (StatusCode::GATEWAY_TIMEOUT, "unanswered", "No answer"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now"),
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.row().1)
    }
}

impl Fault {
    /// A fault of this sort.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    /// A request that says something wrong.
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Invalid, detail)
    }

    /// A request that nobody who is known has sent.
    fn shut_out(authenticate::ShutOut(status, why): &authenticate::ShutOut) -> Self {
        let code = match *status {
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::Denied,
            StatusCode::TOO_MANY_REQUESTS => Code::TooMany,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            _ => Code::Invalid,
        };
        Self::new(code, why.clone())
    }

    /// By the kind of an error. The text of a defect goes to the log alone.
    pub fn of(e: &(impl Classify + 'static)) -> Self {
        let (code, retry_after) = match e.kind() {
            Kind::Invalid => (Code::Invalid, None),
            Kind::Unauthenticated => (Code::Unauthenticated, None),
            Kind::Denied => (Code::Denied, None),
            Kind::NotFound => (Code::NotFound, None),
            Kind::Conflict => (Code::Conflict, None),
            Kind::Gone => (Code::Gone, None),
            Kind::KeyReused => (Code::KeyReused, None),
            Kind::TooLarge => (Code::TooLarge, None),
            Kind::TooMany { retry_after } => (Code::TooMany, Some(retry_after)),
            Kind::Unavailable { retry_after } => (Code::Unavailable, Some(retry_after)),
            Kind::Unanswered => (Code::Unanswered, None),
            Kind::NotOffered => (Code::NotOffered, None),
            Kind::Internal => {
                error!(error = e as &dyn std::error::Error, "A request failed by a defect");
                return Self::new(Code::Internal, INTERNAL);
            }
        };
        Self { retry_after, ..Self::new(code, e.to_string()) }
    }
}

const INTERNAL: &str = "internal error; the gateway's log says more";

impl<E: Classify + 'static> From<E> for Fault {
    fn from(e: E) -> Self {
        Self::of(&e)
    }
}

impl IntoResponse for Fault {
    /// The status, and the fault itself for [`render`].
    fn into_response(self) -> Response {
        let mut answer = self.code.row().0.into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

/// The answer when a handler has panicked.
pub fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    error!("A request's handler panicked");
    Fault::new(Code::Internal, INTERNAL).into_response()
}

/// Makes every error a problem document.
pub async fn render(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let answer = next.run(request).await;
    let status = answer.status();
    if status.is_success() || status.is_redirection() || status.is_informational() {
        return answer;
    }
    let said = answer.extensions().get::<Fault>().cloned();
    let shut_out = answer.extensions().get::<authenticate::ShutOut>().map(Fault::shut_out);
    let fault = said.or(shut_out).unwrap_or_else(|| match (answer.extensions().get::<Refused>(), status) {
        (Some(Refused(why)), _) => Fault::new(Code::Denied, *why),
        (None, StatusCode::METHOD_NOT_ALLOWED) => Fault::new(
            Code::MethodNotAllowed,
            "this path does not have this method; the header Allow names those it has",
        ),
        (None, StatusCode::NOT_FOUND) => Fault::new(Code::NotFound, "there is no such path in this API"),
        (None, _) => Fault::new(Code::Internal, INTERNAL),
    });
    let (status, name, title) = fault.code.row();
    let problem = Problem {
        r#type: format!("urn:hearth:problem:{name}"),
        title,
        status: status.as_u16(),
        detail: fault.detail.into_owned(),
        code: fault.code,
        instance: path,
    };
    let (mut head, _) = answer.into_parts();
    head.status = status;
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
    if let Some(after) = fault.retry_after {
        head.headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    Response::from_parts(head, serde_json::to_vec(&problem).unwrap_or_default().into())
}
