//! `/sessions/N/statements`: send code, read what came of it, cancel.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};

use super::body::Content;
use super::fault::Fault;
use super::fields::Fields;
use super::query::{self, Asked};
use super::sessions::open;
use super::{create, wire};
use crate::access::{self, Attach};
use crate::http::Doors;
use crate::http::extract::{Who, idempotency_key, repeatable};
use crate::statement::Statement;
use crate::store::Range;

/// Statements of a list that names no page: the newest of them, as many as Livy keeps.
const KEPT: i64 = 100;
/// Statements of one answer at most: each may hold a large output.
const MOST: i64 = 1000;

/// The routes.
pub fn router() -> Router<Doors> {
    Router::new()
        .route("/sessions/{session}/statements", get(list).post(submit))
        .route("/sessions/{session}/statements/{statement}", get(show))
        .route("/sessions/{session}/statements/{statement}/cancel", post(cancel))
}

async fn submit(
    State(doors): State<Doors>,
    Who(who): Who,
    Path(session): Path<String>,
    asked: Asked,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Fault> {
    let wait = asked.wait(doors.limits.wait.0)?;
    let mut fields = Fields::parse(&body, &["code", "kind"])?;
    let kind = fields.text("kind")?.map(|text| create::kind(&text)).transpose()?;
    let code = fields.raw("code").ok_or_else(|| Fault::invalid("there is no code"))?;
    let session = open::<Attach>(&doors, &who, &session).await?;
    let path = format!("/sessions/{}/statements", session.session.livy_id);
    let key = idempotency_key(&who, &headers, &format!("POST {path}"), &body)?;
    let mut statement = doors.statements.submit(&who, &session, kind, code, key.as_ref()).await?;
    if let Some(limit) = wait {
        statement = doors.statements.wait(session.session.id, statement.number, limit).await?;
    }
    Ok(wire::created(&format!("{path}/{}", statement.number), &wire::StatementAnswer::from(&*statement)))
}

async fn list(
    State(doors): State<Doors>,
    Who(who): Who,
    Path(session): Path<String>,
    asked: Asked,
) -> Result<Response, Fault> {
    let mut range = asked.range()?;
    let session = open::<access::View>(&doors, &who, &session).await?;
    let newest_first = asked.newest_first();
    let page = if asked.is_unpaged() {
        range = Range { from: 0, size: KEPT };
        let mut page = doors.statements.list(&session, range, true).await?;
        if !newest_first {
            page.rows.reverse();
        }
        page
    } else {
        range.size = range.size.min(MOST);
        doors.statements.list(&session, range, newest_first).await?
    };
    let statements = page.rows.iter().map(|s: &Arc<Statement>| wire::StatementAnswer::from(&**s)).collect();
    Ok(wire::ok(&wire::Statements { total_statements: page.total, statements }))
}

async fn show(
    State(doors): State<Doors>,
    Who(who): Who,
    Path((session, statement)): Path<(String, String)>,
    asked: Asked,
) -> Result<Response, Fault> {
    let number = query::statement_number(&statement)?;
    let wait = asked.wait(doors.limits.wait.0)?;
    let session = open::<access::View>(&doors, &who, &session).await?;
    let mut statement = doors.statements.get(&session, number).await?;
    if let Some(limit) = wait {
        statement = doors.statements.wait(session.session.id, number, limit).await?;
    }
    Ok(wire::ok(&wire::StatementAnswer::from(&*statement)))
}

async fn cancel(
    State(doors): State<Doors>,
    Who(who): Who,
    Path((session, statement)): Path<(String, String)>,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Fault> {
    let number = query::statement_number(&statement)?;
    let session = open::<Attach>(&doors, &who, &session).await?;
    let route = format!("POST /sessions/{}/statements/{number}/cancel", session.session.livy_id);
    repeatable(&doors, &who, &headers, &route, &body).await?;
    doors.statements.cancel(&session, number).await?;
    Ok(wire::ok(&wire::Done { msg: "canceled" }))
}
