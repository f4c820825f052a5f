//! Who may do what at every route of every door: with API tokens, over HTTP, on a real gateway and a real Postgres.
//!
//! The routes are read from the doors themselves: the own API's from its description, the others' from their sources. One that has no
//! row in [`ROUTES`] fails a test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod routes;

use harness::Setup;
use harness::livy::Livy;
use hearth::access::Verb;
use reqwest::Method;
use routes::Asks::{Absent, Application, Nothing, On, Reader, Somebody};
use routes::ROUTES;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

/// Who asks; `hue>alice` is hue, a trusted proxy, for alice.
const CALLERS: &[(&str, &str)] = &[
    ("alice", "acme"),
    ("hue>alice", "acme"),
    ("viewer", "acme"),
    ("attached", "acme"),
    ("manager", "acme"),
    ("stranger", "acme"),
    ("admin", "acme"),
    ("hue", "acme"),
    ("operator", "default"),
    ("elsewhere", "umbrella"),
    ("elsewhere_admin", "umbrella"),
];

/// Which thing they ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    /// The caller's own.
    Own,
    /// Alice's, made through Hue and granted to viewer, attached and manager.
    Shared,
    /// Carol's, granted to nobody.
    Foreign,
    Missing,
}

/// What the policies promise.
fn expected(caller: &str, object: Object, verb: Verb) -> u16 {
    let allowed: &[Verb] = match (object, caller) {
        (Object::Missing, _) => &[],
        (Object::Own, _) | (Object::Shared, "alice" | "hue") => {
            &[Verb::View, Verb::ViewGrants, Verb::Attach, Verb::Read, Verb::Write, Verb::Manage, Verb::Share]
        }
        (Object::Shared, "viewer") => &[Verb::View, Verb::Read],
        (Object::Shared, "attached") => &[Verb::View, Verb::Attach, Verb::Read, Verb::Write],
        (Object::Shared, "manager") => {
            &[Verb::View, Verb::ViewGrants, Verb::Attach, Verb::Read, Verb::Write, Verb::Manage, Verb::Share]
        }
        (_, "admin" | "operator") => &[Verb::View, Verb::ViewGrants, Verb::Manage, Verb::Share],
        _ => &[],
    };
    match (allowed.contains(&Verb::View), allowed.contains(&verb)) {
        (false, _) => 404,
        (true, false) => 403,
        (true, true) => 200,
    }
}

/// A context with a handle, a session with a statement, a batch and a grant on each, all over long ago: ids, Livy's numbers of session and
/// batch.
struct Things {
    context: Uuid,
    session: (Uuid, i32),
    batch: (Uuid, i32),
    handle: Uuid,
    grants: [Uuid; 4],
}

async fn token(db: &mut PgConnection, user: &str, tenant: &str) -> String {
    let secret = format!("hearth_{:0<43}", format!("{user}.{tenant}").replace(['.', '_'], "x"));
    sqlx::query(
        "insert into api_token (token_id, tenant, owner, groups, name, scope, secret_hash, made_by, expires_at)
         values ($1, $2, $3, '{}', 'test', 'manage', $4, $3, now() + interval '1 hour')
         on conflict (secret_hash) do nothing",
    )
    .bind(Uuid::now_v7())
    .bind(tenant)
    .bind(user)
    .bind(Sha256::digest(&secret).to_vec())
    .execute(db)
    .await
    .unwrap();
    secret
}

async fn grant(db: &mut PgConnection, tenant: &str, kind: &str, on: Uuid, level: &str, user: &str) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into access_grant (grant_id, tenant, resource_kind, resource_id, level, grantee_kind, grantee, identity_confirmed
                                  , created_by)
         values ($1, $2, $3, $4, $5, 'user', $6, true, 'test')",
    )
    .bind(id)
    .bind(tenant)
    .bind(kind)
    .bind(on)
    .bind(level)
    .bind(user)
    .execute(db)
    .await
    .unwrap();
    id
}

async fn things(db: &mut PgConnection, owner: &str, tenant: &str, via: Option<&str>) -> Things {
    let [context, session, batch, handle] = [(); 4].map(|()| Uuid::now_v7());
    sqlx::query(
        "insert into context (context_id, tenant, owner, via, run_as, profile, state, request, host, ended_at)
         values ($1, $2, $3, $4, $3, 'open', 'ended', '{}', 'elsewhere', now())",
    )
    .bind(context)
    .bind(tenant)
    .bind(owner)
    .bind(via)
    .execute(&mut *db)
    .await
    .unwrap();
    let session_number: i32 = sqlx::query_scalar(
        "insert into session (session_id, context_id, number, tenant, owner, via, run_as, kind, state, request, ended_at)
         values ($1, $2, 0, $3, $4, $5, $4, 'spark', 'dead', '{}', now()) returning livy_id",
    )
    .bind(session)
    .bind(context)
    .bind(tenant)
    .bind(owner)
    .bind(via)
    .fetch_one(&mut *db)
    .await
    .unwrap();
    sqlx::query(
        "insert into statement (session_id, number, tenant, owner, run_as, kind, code, state, output, completed_at)
         values ($1, 0, $2, $3, $3, 'spark', '\"1\"', 'available', '{}', now())",
    )
    .bind(session)
    .bind(tenant)
    .bind(owner)
    .execute(&mut *db)
    .await
    .unwrap();
    let batch_number: i32 = sqlx::query_scalar(
        "insert into batch (batch_id, tenant, owner, via, run_as, profile, state, request, host, launch_dir, ended_at)
         values ($1, $2, $3, $4, $3, 'open', 'dead', '{}', 'elsewhere', '/nowhere', now()) returning livy_id",
    )
    .bind(batch)
    .bind(tenant)
    .bind(owner)
    .bind(via)
    .fetch_one(&mut *db)
    .await
    .unwrap();
    sqlx::query(
        "insert into handle (handle_id, context_id, name, tenant, owner, via, run_as, kind, version, state, partitions, storage, ended_at)
         values ($1, $2, 'h', $3, $4, $5, $4, 'pairs', 1, 'lost', 1, 'NONE', now())",
    )
    .bind(handle)
    .bind(context)
    .bind(tenant)
    .bind(owner)
    .bind(via)
    .execute(&mut *db)
    .await
    .unwrap();
    let mut grants = [Uuid::nil(); 4];
    let on = [
        ("context", context, "view"),
        ("session", session, "view"),
        ("batch", batch, "view"),
        ("handle", handle, "read"),
    ];
    for (i, (kind, on, level)) in on.into_iter().enumerate() {
        grants[i] = grant(db, tenant, kind, on, level, "somebody").await;
    }
    Things { context, session: (session, session_number), batch: (batch, batch_number), handle, grants }
}

/// The path to the thing, or to one that is not there.
fn path(method: &str, route: &str, things: Option<&Things>) -> String {
    let missing = Things {
        context: Uuid::nil(),
        session: (Uuid::nil(), 999_999),
        batch: (Uuid::nil(), 999_999),
        handle: Uuid::nil(),
        grants: [Uuid::nil(); 4],
    };
    let things = things.unwrap_or(&missing);
    let (id, grant) = match route {
        r if r.contains("/contexts/") => (things.context, things.grants[0]),
        r if r.contains("/v1/handles/") => (things.handle, things.grants[3]),
        r if r.contains("/batches/") => (things.batch.0, things.grants[2]),
        _ => (things.session.0, things.grants[1]),
    };
    let path = route
        .replace("{session}", &things.session.1.to_string())
        .replace("{batch}", &things.batch.1.to_string())
        .replace("{id}", &id.to_string())
        .replace("{grant}", &grant.to_string())
        .replace("{token}", &Uuid::nil().to_string())
        .replace("{login}", &Uuid::nil().to_string())
        .replace("{job}", "0")
        .replace("{statement}", "0")
        .replace("{number}", "0")
        .replace("{name}", "h")
        .replace("{context}", &things.context.to_string())
        .replace("{stream}", &Uuid::nil().to_string());
    if (method, route) == ("GET", "/api/v1/handles/{id}/entries") {
        return format!("{path}?key=a");
    }
    if route.ends_with("/explain") { format!("{path}?action=createSession&on=profile/open") } else { path }
}

async fn status(client: &Livy, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let mut request = client.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if path.starts_with("/driver/link") {
        let head = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "aGVhcnRo"),
        ];
        request = head.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    }
    if !body.is_empty() {
        request = request.header("content-type", "application/json").body(body.to_owned());
    }
    let answer = client.send(request).await;
    (answer.status, answer.text)
}

#[tokio::test]
async fn every_route_answers_everybody_as_the_policies_say() {
    let gateway = Setup::new()
        .toml(
            r#"
            [auth]
            schemes = ["token"]
            groups = "none"
            proxies = [{ principal = "hue", users = ["*"], addresses = ["127.0.0.1"] }]
            tenants = [{ tenant = "acme", users = ["alice", "viewer", "attached", "manager", "stranger", "admin", "hue"] }]
            [access]
            operators = ["user:operator"]
            [access.tenant_admins]
            acme = ["user:admin"]
            umbrella = ["user:elsewhere_admin"]
            [launch.users]
            tenants = ["*"]
            [profiles.default]
            master = "yarn"
            run_as = "user"
            [profiles.spark4]
            master = "yarn"
            run_as = "user"
            [profiles.open]
            master = "yarn"
            run_as = "user"
            share_identity = true
            "#,
        )
        .start()
        .await;
    let client = gateway.livy();
    let mut db = gateway.database().connect().await;
    let shared = things(&mut db, "alice", "acme", Some("hue")).await;
    let foreign = things(&mut db, "carol", "acme", None).await;
    for (kind, on) in [("context", shared.context), ("session", shared.session.0), ("batch", shared.batch.0)] {
        for (user, level) in [("viewer", "view"), ("attached", "attach"), ("manager", "manage")] {
            grant(&mut db, "acme", kind, on, level, user).await;
        }
    }
    for (user, level) in [("viewer", "read"), ("attached", "write"), ("manager", "manage")] {
        grant(&mut db, "acme", "handle", shared.handle, level, user).await;
    }
    let mut wrong = Vec::new();
    for (method, route, asks, body) in ROUTES {
        let path = path(method, route, Some(&shared));
        let (status, text) = status(&client, method, &path, None, body).await;
        let is_right = match asks {
            Nothing => status != 401 && status < 500,
            Application | Somebody | Absent | Reader | On(_) => status == 401,
        };
        if !is_right {
            wrong.push(format!("nobody {method} {path}: {status} {text}"));
        }
    }
    for (caller, tenant) in CALLERS {
        let (asker, user) = caller.split_once('>').unwrap_or((caller, caller));
        let token = token(&mut db, asker, tenant).await;
        let say = |path: String| match (asker == user, path.contains('?')) {
            (true, _) => path,
            (false, true) => format!("{path}&doAs={user}"),
            (false, false) => format!("{path}?doAs={user}"),
        };
        let own = things(&mut db, user, tenant, None).await;
        for (method, route, asks, body) in ROUTES {
            for object in [Object::Own, Object::Shared, Object::Foreign, Object::Missing] {
                let On(verb) = asks else { continue };
                // What an earlier caller hid or revoked is there again.
                for sql in [
                    "update session set deleted_at = null",
                    "update batch set deleted_at = null",
                    "delete from access_grant where grantee = 'nobody'",
                    "update access_grant set revoked_at = null",
                    "update handle set state = 'lost'",
                ] {
                    sqlx::query(sql).execute(&mut db).await.unwrap();
                }
                let things = match object {
                    Object::Own => Some(&own),
                    Object::Shared => Some(&shared),
                    Object::Foreign => Some(&foreign),
                    Object::Missing => None,
                };
                let path = say(path(method, route, things));
                let (status, text) = status(&client, method, &path, Some(&token), body).await;
                // Whatever else is said of these things, that they are over or that Hearth has no such jobs, is said to who may do it.
                let said = [(500, "Session is in state dead"), (501, "are not offered by this version")];
                let is_said = said.iter().any(|(code, words)| *code == status && text.contains(words));
                let was = if matches!(status, 401 | 403 | 404 | 500..) && !is_said { status } else { 200 };
                let expected = expected(user, object, *verb);
                if was != expected {
                    wrong.push(format!("{caller} {object:?} {method} {path}: {status}, not {expected}: {text:.200}"));
                }
            }
            let expected: &[u16] = match asks {
                On(_) | Nothing => continue,
                Application => &[401],
                Absent => &[404],
                Reader if matches!(user, "admin" | "operator" | "elsewhere_admin") => &[200],
                Reader => &[403],
                Somebody if route.contains("{token}") || route.contains("{login}") => &[404],
                Somebody => &[200, 204, 400],
            };
            let (status, text) = status(&client, method, &say(path(method, route, None)), Some(&token), body).await;
            if !expected.contains(&status) {
                wrong.push(format!("{caller} {method} {route}: {status}: {text:.200}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers are not as promised:\n{}", wrong.len(), wrong.join("\n"));
    gateway.end().await;
}
