//! The audit: everything that is done or refused is in it, what was changed or removed afterwards is found, and without it nothing is done.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::process::Output;

use harness::livy::Answer;
use harness::{BOUND, Gateway, Setup, until};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Executor as _, PgPool};

/// A gateway that knows people by tokens and launches nothing: its only place is taken, by a context of another gateway on this machine.
async fn start() -> Gateway {
    let toml = r#"
        [auth]
        schemes = ["token"]
        groups = "none"
        [access]
        auditors = ["user:olga"]
        [profiles.default]
        master = "yarn"
        run_as = "user"
        [profiles.spark4]
        master = "yarn"
        run_as = "user"
    "#;
    let gateway = Setup::new().toml(toml).set("launch.contexts", "1").start().await;
    let host = std::fs::read_to_string(gateway.home().join("host")).unwrap();
    sqlx::query(
        "insert into context (context_id, tenant, owner, run_as, profile, state, request, host, held_by, lease_until)
         values (gen_random_uuid(), 'other', 'other', 'other', 'default', 'starting', '{}', $1, gen_random_uuid(), 'infinity')",
    )
    .bind(host.trim())
    .execute(&mut gateway.database().connect().await)
    .await
    .unwrap();
    gateway
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn call(gateway: &Gateway, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let livy = gateway.livy();
    let mut request = livy.request(method, path).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    livy.send(request).await
}

fn events(gateway: &Gateway) -> Vec<Value> {
    text(&gateway.hearth(&["audit", "export"])).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn sealed(pool: &PgPool) {
    let all = async || {
        let open = "select count(*) from audit_event e where not exists (select 1 from audit_seal s where s.event_id = e.event_id)
                    and e.gateway in (select gateway from audit_seal)";
        let open: i64 = sqlx::query_scalar(open).fetch_one(pool).await.unwrap();
        (open == 0).then_some(())
    };
    until("every event of the gateway is sealed", BOUND, all).await;
}

#[tokio::test]
async fn what_is_done_and_refused_is_written_down_with_who_and_why() {
    let gateway = start().await;
    let (ann, bob, olga) = (gateway.token("ann", &[]), gateway.token("bob", &[]), gateway.token("olga", &[]));
    let session = call(&gateway, &ann, Method::POST, "/sessions", Some(json!({"kind": "pyspark"}))).await;
    let livy_id = session.expect(201)["id"].as_i64().unwrap();
    let code = json!({"code": "secret = 'canary'"});
    let path = format!("/sessions/{livy_id}");
    call(&gateway, &ann, Method::POST, &format!("{path}/statements"), Some(code)).await.expect(201);
    assert_eq!(call(&gateway, &bob, Method::GET, &path, None).await.status, 404);
    assert_eq!(call(&gateway, "hearth_wrong", Method::GET, &path, None).await.status, 401);
    assert_eq!(call(&gateway, &bob, Method::GET, "/api/v1/audit", None).await.status, 403);
    let read = call(&gateway, &olga, Method::GET, "/api/v1/audit?event=session.created", None).await.expect(200);
    assert_eq!(read["items"][0]["actor"], "ann");
    assert_eq!(call(&gateway, &ann, Method::DELETE, &path, None).await.status, 200);
    let tokens = call(&gateway, &ann, Method::GET, "/api/v1/tokens", None).await.expect(200);
    let own = format!("/api/v1/tokens/{}", tokens["items"][0]["id"].as_str().unwrap());
    assert_eq!(call(&gateway, &ann, Method::DELETE, &own, None).await.status, 204);
    assert_eq!(call(&gateway, &ann, Method::GET, &path, None).await.status, 401, "revoked");

    let events = events(&gateway);
    let find = |word: &str, actor: &str, outcome: &str| {
        let fits = |e: &&Value| e["event"] == word && e["actor"] == actor && e["outcome"] == outcome;
        events.iter().find(fits).unwrap_or_else(|| panic!("{word} of {actor}, {outcome}: {events:#?}"))
    };
    let created = find("session.created", "ann", "done");
    assert_eq!((&created["tenant"], &created["scheme"]), (&json!("default"), &json!("token")));
    assert_eq!(created["address"], "127.0.0.1");
    assert!(created["policies"][0].is_string() && created["request"].is_string(), "{created}");
    let id = &created["resource_id"];
    assert_eq!(&find("statement.submitted", "ann", "done")["resource_id"], id);
    assert_eq!(&find("session.stopped", "ann", "done")["resource_id"], id);
    assert_eq!(find("token.revoked", "ann", "done")["resource_id"], "ann");
    assert_eq!(&find("access", "bob", "refused")["resource_id"], id);
    find("login", "unknown", "refused");
    // On the command line the actor is the OS user, on behalf of the owner.
    let me = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap().name;
    assert_eq!(find("token.created", &me, "done")["on_behalf_of"], "ann");
    find("audit.read", "olga", "done");
    let all = serde_json::to_string(&events).unwrap();
    for secret in [&ann, &bob, "hearth_wrong", "canary"] {
        assert!(!all.contains(secret), "{secret} is in the audit");
        assert!(!gateway.log().contains(secret), "{secret} is in the log");
    }
    gateway.end().await;
}

#[tokio::test]
async fn a_changed_a_removed_and_a_cut_off_event_are_found() {
    let gateway = start().await;
    let pool = PgPool::connect(gateway.database().url()).await.unwrap();
    let ann = gateway.token("ann", &[]);
    for _ in 0..3 {
        call(&gateway, &ann, Method::GET, "/sessions/77", None).await;
        call(&gateway, &ann, Method::POST, "/sessions", Some(json!({"kind": "sql"}))).await.expect(201);
    }
    sealed(&pool).await;
    let verify = || gateway.hearth(&["audit", "verify"]);
    let good = verify();
    assert!(good.status.success(), "{}", text(&good));

    // Whoever is the database's owner can switch its own guard off; then the chain tells.
    let last: (uuid::Uuid, i64) =
        sqlx::query_as("select gateway, max(place) from audit_seal group by 1 order by 2 desc limit 1")
            .fetch_one(&pool)
            .await
            .unwrap();
    let guarded = pool.execute("update audit_event set actor = 'bob'").await.unwrap_err();
    assert!(guarded.to_string().contains("append only"), "{guarded}");
    let tamper = async |what: &str| {
        let mut tx = pool.begin().await.unwrap();
        tx.execute("set local session_replication_role = replica").await.unwrap();
        tx.execute(sqlx::AssertSqlSafe(
            what.replace("CHAIN", &format!("'{}'", last.0)).replace("LAST", &last.1.to_string()),
        ))
        .await
        .unwrap();
        tx.commit().await.unwrap();
    };
    let wrong = |say: &str| {
        let report = verify();
        assert!(!report.status.success() && text(&report).contains(say), "{}", text(&report));
    };
    let second = "(select event_id from audit_seal where gateway = CHAIN and place = 2)";
    tamper(&format!("update audit_event set actor = 'mallory' where event_id = {second}")).await;
    wrong("was changed");
    tamper(&format!("delete from audit_event where event_id = {second}")).await;
    wrong("its event is gone");
    tamper("delete from audit_seal where gateway = CHAIN and place = 3").await;
    wrong("are missing");
    // The end, with its signed head: the file of the gateway still knows it.
    tamper(
        "delete from audit_seal where gateway = CHAIN and place = LAST; delete from audit_head where gateway = CHAIN",
    )
    .await;
    wrong("its end was cut off");
    pool.close().await;
    gateway.end().await;
}

#[tokio::test]
async fn a_prune_is_written_down_and_what_is_left_verifies() {
    let gateway = start().await;
    let pool = PgPool::connect(gateway.database().url()).await.unwrap();
    let ann = gateway.token("ann", &[]);
    for _ in 0..5 {
        assert_eq!(call(&gateway, &ann, Method::GET, "/sessions/77", None).await.status, 404);
        call(&gateway, &ann, Method::POST, "/sessions", Some(json!({"kind": "sql"}))).await.expect(201);
    }
    sealed(&pool).await;
    let before = events(&gateway).len();
    let none = gateway.hearth(&["audit", "prune", "--older-than", "1d"]);
    assert!(text(&none).starts_with("0 events removed"), "{}", text(&none));
    let pruned = gateway.hearth(&["audit", "prune", "--older-than", "0s"]);
    assert!(pruned.status.success(), "{}", String::from_utf8_lossy(&pruned.stderr));
    let events = events(&gateway);
    assert!(events.len() < before, "{events:#?}");
    let told: Vec<&Value> = events.iter().filter(|event| event["event"] == "audit.pruned").collect();
    let me = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap().name;
    assert_eq!((told.len(), &told[0]["actor"], &told[0]["resource_kind"]), (1, &json!(me), &json!("chain")));
    assert!(told[0]["detail"].as_str().unwrap().contains("events from before"), "{told:?}");
    call(&gateway, &ann, Method::POST, "/sessions", Some(json!({"kind": "sql"}))).await.expect(201);
    sealed(&pool).await;
    let verified = gateway.hearth(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
    pool.close().await;
    gateway.end().await;
}

#[tokio::test]
async fn without_the_audit_nothing_is_done() {
    let gateway = start().await;
    let pool = PgPool::connect(gateway.database().url()).await.unwrap();
    let ann = gateway.token("ann", &[]);
    pool.execute("alter table audit_event add constraint closed check (event = 'never') not valid").await.unwrap();
    for (path, body) in [
        ("/sessions", json!({"kind": "sql"})),
        ("/batches", json!({"file": "hdfs:///etl.py"})),
        ("/api/v1/sessions", json!({"kind": "sql"})),
        ("/api/v1/contexts", json!({"name": "etl"})),
        ("/api/v1/tokens", json!({"name": "more", "ttl": "1h"})),
    ] {
        let refused = call(&gateway, &ann, Method::POST, path, Some(body)).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, "2"), "{path}: {refused}");
        assert!(refused.text.contains("the audit cannot be written, so nothing was done"), "{path}: {refused}");
    }
    let made: i64 = sqlx::query_scalar(
        "select (select count(*) from session) + (select count(*) from batch) + (select count(*) from context where owner = 'ann')
              + (select count(*) from api_token where name = 'more')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(made, 0, "no audit, no action");
    pool.execute("alter table audit_event drop constraint closed").await.unwrap();
    call(&gateway, &ann, Method::POST, "/sessions", Some(json!({"kind": "sql"}))).await.expect(201);
    pool.close().await;
    gateway.end().await;
}
