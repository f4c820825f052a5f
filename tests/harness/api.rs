//! A small client of the own API, on top of the Livy door's.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::livy::Livy;
use super::{COLD, Gateway, until};

/// Where the own API is.
pub const API: &str = "/api/v1";

/// The API token that [`person`] gives somebody.
pub fn token(user: &str) -> String {
    format!("hearth_{user:x<43}")
}

/// Somebody of the default tenant, with an API token.
pub async fn person(gateway: &Gateway, user: &str) -> Livy {
    let token = token(user);
    sqlx::query(
        "insert into api_token (token_id, tenant, owner, groups, name, scope, secret_hash, made_by, expires_at)
         values ($1, 'default', $2, '{}', 'test', 'manage', $3, $2, now() + interval '1 hour')",
    )
    .bind(Uuid::now_v7())
    .bind(user)
    .bind(Sha256::digest(&token).to_vec())
    .execute(&mut gateway.database().connect().await)
    .await
    .unwrap();
    gateway.livy().bearer(&token)
}

/// Creates a session and waits until it is idle; its path.
///
/// # Panics
/// When it ends instead.
pub async fn session(api: &Livy, body: Value) -> String {
    let created = api.post(&format!("{API}/sessions?wait=60"), body).await;
    created.expect(201);
    let path = created.header("location").to_owned();
    until("the session is idle", COLD, async || {
        let session = api.get(&format!("{path}?wait=30")).await.expect(200);
        assert!(!matches!(session["state"].as_str(), Some("dead" | "error")), "{session}");
        (session["state"] == "idle").then_some(())
    })
    .await;
    path
}

/// Sends code to a session; the statement's path.
pub async fn submit(api: &Livy, session: &str, code: &str) -> String {
    let created = api.post(&format!("{session}/statements"), json!({ "code": code })).await;
    created.expect(201);
    created.header("location").to_owned()
}

/// Waits until a statement has ended.
pub async fn ended(api: &Livy, statement: &str) -> Value {
    until(&format!("{statement} ends"), COLD, async || {
        let now = api.get(&format!("{statement}?wait=30")).await.expect(200);
        matches!(now["state"].as_str(), Some("available" | "cancelled")).then_some(now)
    })
    .await
}

/// The `text/plain` of a statement's result, once that is there.
///
/// # Panics
/// When the code failed.
pub async fn text(api: &Livy, statement: &str) -> String {
    let done = ended(api, statement).await;
    match done["output"]["data"]["text/plain"].as_str() {
        Some(text) => text.trim_end().to_owned(),
        None => panic!("no text: {done}"),
    }
}
