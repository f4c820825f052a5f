//! What a request says: its body, its query, the ids in its path.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::object::Object;
use crate::access::resource::Account;
use crate::context::log::Wanted;
use crate::http::Doors;
use crate::http::authenticate;
use crate::http::body::{self, Unread};
use crate::http::extract::{self, Who};
use crate::http::fault::{Code, Fault};
use crate::identity::{Principal, is_user_name};
use crate::store::{Range, idempotency};

/// Rows of a list, or lines of a log, that are given when the query names no size.
const PAGE: i64 = 100;

/// A JSON body that is not yet looked into, for what is large: whether the caller may do what it says is decided before it costs anything but
/// its bytes. It is here in whole before that, for the decision would be old when a slow body has come.
#[derive(Debug)]
pub struct Sent {
    bytes: Bytes,
    /// `Idempotency-Key`.
    pub key: Option<idempotency::Key>,
}

impl FromRequest<Doors> for Sent {
    type Rejection = Fault;

    async fn from_request(request: Request, doors: &Doors) -> Result<Self, Fault> {
        let (mut head, body) = request.into_parts();
        let Who(who) = Who::from_request_parts(&mut head, doors)
            .await
            .map_err(|_| Fault::new(Code::Unauthenticated, "authentication is required"))?;
        let bytes = body::read(body, doors.limits.body).await.map_err(unread)?;
        if !is_json(&head.headers) {
            return Err(Fault::new(
                Code::UnsupportedMediaType,
                "send the body as JSON, with Content-Type: application/json",
            ));
        }
        let path = head.extensions.get::<OriginalUri>().map_or_else(|| head.uri.path(), |uri| uri.path());
        let key = extract::idempotency_key(&who, &head.headers, &format!("{} {path}", head.method), &bytes)?;
        Ok(Self { bytes, key })
    }
}

impl Sent {
    /// What it says.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn said<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        parse(&self.bytes)
    }
}

/// A JSON body, with the key that makes its POST repeatable.
#[derive(Debug)]
pub struct Body<T> {
    /// What the body says.
    pub said: T,
    /// `Idempotency-Key`.
    pub key: Option<idempotency::Key>,
}

impl<T: DeserializeOwned> FromRequest<Doors> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, doors: &Doors) -> Result<Self, Fault> {
        let sent = Sent::from_request(request, doors).await?;
        Ok(Self { said: sent.said()?, key: sent.key })
    }
}

fn unread(e: Unread) -> Fault {
    let code = match e {
        Unread::TooLarge(_) => Code::TooLarge,
        Unread::TooSlow => Code::Timeout,
        Unread::Broken => Code::Invalid,
    };
    Fault::new(code, e.to_string())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Reads JSON; an error names the field that is wrong.
fn parse<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Fault> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let Object(said) = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let (path, inner) = (e.path().to_string(), e.inner());
        Fault::invalid(if matches!(path.as_str(), "." | "?") {
            format!("the body: {inner}")
        } else {
            format!("{path}: {inner}")
        })
    })?;
    json.end().map_err(|e| Fault::invalid(format!("the body: {e}")))?;
    Ok(said)
}

/// A query; a field that the route does not know is refused by name.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Doors> for Asked<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _doors: &Doors) -> Result<Self, Fault> {
        let uri = authenticate::without_do_as(&parts.uri);
        match Query::try_from_uri(&uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(e) => Err(Fault::invalid(format!("the query: {}", e.body_text()))),
        }
    }
}

/// The id of a resource in the path. A text that can be no id is the id of nothing.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Doors> for Named<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, doors: &Doors) -> Result<Self, Fault> {
        match Path::from_request_parts(parts, doors).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(_) => Err(Fault::new(
                Code::NotFound,
                "there is nothing of that id: ids are UUIDs, and numbers of statements count from 0",
            )),
        }
    }
}

/// Which page of a list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paged {
    /// How many to pass over.
    #[param(minimum = 0, default = 0)]
    pub from: i64,
    /// How many to give at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub size: i64,
}

impl Default for Paged {
    fn default() -> Self {
        Self { from: 0, size: PAGE }
    }
}

/// Which page of a list that leaves out what ended long ago.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PagedLiving {
    /// How many to pass over.
    #[param(minimum = 0, default = 0)]
    pub from: i64,
    /// How many to give at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub size: i64,
    /// Also those that were deleted through the Livy door, or that ended longer than `session.retain` ago.
    #[param(default = false)]
    pub all: bool,
}

impl Default for PagedLiving {
    fn default() -> Self {
        Self { from: 0, size: PAGE, all: false }
    }
}

/// Which page of a list of what belongs to an account.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PagedOf {
    /// How many to pass over.
    #[param(minimum = 0, default = 0)]
    pub from: i64,
    /// How many to give at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub size: i64,
    /// Whose; without it the caller's. `*`: everybody's of the tenant.
    #[param(min_length = 1, max_length = 128)]
    pub user: Option<String>,
    /// Their tenant; without it the caller's.
    #[param(min_length = 1, max_length = 128)]
    pub tenant: Option<String>,
}

impl Default for PagedOf {
    fn default() -> Self {
        Self { from: 0, size: PAGE, user: None, tenant: None }
    }
}

impl PagedOf {
    /// The account that is asked for.
    ///
    /// # Errors
    /// When it can be nobody's.
    pub fn account(&self, who: &Principal) -> Result<Account, Fault> {
        let Some(user) = &self.user else {
            return match &self.tenant {
                None => Ok(Account::of(who)),
                Some(_) => Err(Fault::invalid("tenant: of which user? `*` is everybody")),
            };
        };
        let tenant = self.tenant.as_deref().unwrap_or(&who.tenant);
        if !is_user_name(tenant) || !is_user_name(user) && user != Account::EVERYBODY {
            return Err(Fault::invalid("user and tenant are names of letters, digits and . _ - @ $"));
        }
        Ok(Account { tenant: tenant.to_owned(), user: user.clone() })
    }
}

/// A range within the bounds of a list.
///
/// # Errors
/// When it is not.
pub fn range(from: i64, size: i64) -> Result<Range, Fault> {
    if from < 0 {
        return Err(Fault::invalid("from: must not be negative"));
    }
    if !(1..=1000).contains(&size) {
        return Err(Fault::invalid("size: must be between 1 and 1000"));
    }
    Ok(Range { from, size })
}

/// Which lines of a log.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Lines {
    /// The first line, counted from the oldest that is kept; without it the last lines are given.
    #[param(minimum = 0)]
    pub from: Option<i64>,
    /// How many at most.
    #[param(minimum = 1, maximum = 10000, default = 100)]
    pub size: Option<i64>,
}

impl Lines {
    /// As the log's reader takes it.
    ///
    /// # Errors
    /// When it is out of bounds.
    pub fn wanted(&self) -> Result<Wanted, Fault> {
        let size = self.size.unwrap_or(PAGE);
        if self.from.is_some_and(|from| from < 0) {
            return Err(Fault::invalid("from: must not be negative"));
        }
        if !(1..=10_000).contains(&size) {
            return Err(Fault::invalid("size: must be between 1 and 10000"));
        }
        Ok(Wanted { from: self.from, size: Some(size) })
    }
}

/// How long to wait before the answer.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Waiting {
    /// Seconds to wait at most for what the operation leads to; the answer comes as soon as it is there. Never longer than
    /// `http.limits.wait`.
    #[param(minimum = 0, maximum = 3600)]
    pub wait: Option<f64>,
}

impl Waiting {
    /// The time, cut to `limit`.
    ///
    /// # Errors
    /// When it is no time.
    pub fn time(&self, limit: Duration) -> Result<Option<Duration>, Fault> {
        let Some(seconds) = self.wait else { return Ok(None) };
        if !(0.0..=3600.0).contains(&seconds) {
            return Err(Fault::invalid("wait: must be between 0 and 3600 seconds"));
        }
        Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(limit).min(limit)))
    }
}
