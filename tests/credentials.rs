//! Credentials of others: who may list and end them, what becomes of what they were used for, and the groups behind them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::process::Output;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use harness::livy::Answer;
use harness::slapd::{ACCOUNT, BASE, Slapd};
use harness::{BOUND, Gateway, Setup, until};
use reqwest::Method;
use serde_json::{Value, json};

/// How soon what is revoked must be over for those who listen.
const SECONDS: Duration = Duration::from_secs(8);

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn directory() -> Slapd {
    let users =
        [("alice", "ou=acme"), ("bob", "ou=acme"), ("ada", "ou=acme"), ("olga", "ou=ops"), ("eve", "ou=umbrella")];
    Slapd::start(&users, &[("analysts", &["alice", "bob"]), ("admins", &["ada", "olga"])]).await
}

/// People of the directory by passwords, in tenants by their branches; what they create waits for a place that never becomes free.
fn setup(slapd: &Slapd) -> Setup {
    Setup::new()
        .runs_nothing()
        .set("launch.contexts", "1")
        .set("profiles.default.master", "yarn")
        .set("auth.ldap.url", &slapd.url())
        .set("auth.ldap.base", BASE)
        .set("auth.ldap.bind_dn", ACCOUNT)
        .set("auth.ldap.bind_password_file", slapd.password_file().to_str().unwrap())
        .set("auth.ldap.group_base", &format!("ou=groups,{BASE}"))
        .set("auth.groups_cache", "1s")
        .toml(
            r#"[auth]
            schemes = ["basic", "token"]
            groups = "none"
            tenants = [
                { tenant = "acme", branches = ["ou=acme,dc=hearth,dc=test"] },
                { tenant = "umbrella", branches = ["ou=umbrella,dc=hearth,dc=test"] },
            ]
            [access]
            operators = ["user:olga"]
            [access.tenant_admins]
            acme = ["user:ada"]"#,
        )
}

async fn take_the_place(gateway: &Gateway) {
    let host = std::fs::read_to_string(gateway.home().join("host")).unwrap();
    sqlx::query(
        "insert into context (context_id, tenant, owner, run_as, profile, state, request, host, held_by, lease_until)
         values (gen_random_uuid(), 'other', 'other', 'other', 'default', 'starting', '{}', $1, gen_random_uuid(), 'infinity')",
    )
    .bind(host.trim())
    .execute(&mut gateway.database().connect().await)
    .await
    .unwrap();
}

/// By the password.
async fn by(gateway: &Gateway, user: &str, method: Method, path: &str) -> Answer {
    let livy = gateway.livy();
    livy.send(livy.request(method, path).basic_auth(user, Some(format!("{user}'s password")))).await
}

/// By the cookie of a login.
async fn with(gateway: &Gateway, cookie: &str, method: Method, path: &str) -> Answer {
    let livy = gateway.livy();
    livy.send(livy.request(method, path).header("cookie", cookie)).await
}

async fn log_in(gateway: &Gateway, user: &str) -> String {
    let login = by(gateway, user, Method::GET, "/api/v1/login").await;
    assert_eq!(login.status, 200, "{login}");
    login.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn operators_and_tenant_admins_end_credentials_of_others_and_nobody_else_does() {
    let slapd = directory().await;
    let gateway = setup(&slapd).start().await;
    let cookie = log_in(&gateway, "alice").await;
    let token = gateway.token("alice", &["--tenant", "acme"]);
    let (tokens, logins) = ("/api/v1/tokens?user=alice&tenant=acme", "/api/v1/logins?user=alice&tenant=acme");

    for user in ["ada", "olga", "alice"] {
        for list in [tokens, logins] {
            let listed = by(&gateway, user, Method::GET, list).await.expect(200);
            assert_eq!((&listed["items"][0]["owner"], &listed["total"]), (&json!("alice"), &json!(1)), "{user} {list}");
            assert!(!listed.to_string().contains(&token), "no secret is listed");
        }
    }
    let made_by = &by(&gateway, "ada", Method::GET, tokens).await.json()["items"][0]["made_by"];
    assert_eq!(made_by, &json!(nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap().name));
    let everybody = by(&gateway, "ada", Method::GET, "/api/v1/logins?user=*").await.expect(200);
    let owners: Vec<&Value> = everybody["items"].as_array().unwrap().iter().map(|login| &login["owner"]).collect();
    assert!(owners.contains(&&json!("alice")) && owners.contains(&&json!("ada")), "{owners:?}");
    assert!(!owners.contains(&&json!("olga")), "of this tenant alone");
    assert_eq!(by(&gateway, "ada", Method::GET, "/api/v1/logins?user=*&tenant=umbrella").await.status, 403);
    assert_eq!(by(&gateway, "ada", Method::GET, "/api/v1/logins?tenant=acme").await.status, 400);

    let id = |listed: &Value| listed["items"][0]["id"].as_str().unwrap().to_owned();
    let token_path = format!("/api/v1/tokens/{}", id(&by(&gateway, "ada", Method::GET, tokens).await.json()));
    let login_path = format!("/api/v1/logins/{}", id(&by(&gateway, "ada", Method::GET, logins).await.json()));
    for stranger in ["bob", "eve"] {
        for list in [tokens, logins, "/api/v1/tokens?user=*", "/api/v1/logins?user=*"] {
            assert_eq!(by(&gateway, stranger, Method::GET, list).await.status, 403, "{stranger} {list}");
        }
        for path in [&token_path, &login_path] {
            assert_eq!(by(&gateway, stranger, Method::DELETE, path).await.status, 404, "{stranger} {path}");
        }
    }
    let by_token = || gateway.livy().bearer(&token);
    assert_eq!(by_token().get("/api/v1/login").await.status, 200);
    assert_eq!(by(&gateway, "ada", Method::DELETE, &token_path).await.status, 204);
    assert_eq!(by(&gateway, "ada", Method::DELETE, &token_path).await.status, 404, "once");
    assert_eq!(by_token().get("/api/v1/login").await.status, 401, "revoked");
    assert_eq!(with(&gateway, &cookie, Method::GET, "/api/v1/login").await.status, 200);
    assert_eq!(by(&gateway, "olga", Method::DELETE, &login_path).await.status, 204);
    assert_eq!(with(&gateway, &cookie, Method::GET, "/api/v1/login").await.status, 401, "over");

    // The same by the command line.
    let (second, cookie) = (gateway.token("bob", &["--tenant", "acme"]), log_in(&gateway, "bob").await);
    let listed = text(&gateway.hearth(&["token", "list", "--tenant", "acme"]));
    assert!(listed.contains("acme/bob") && !listed.contains("alice") && !listed.contains(&second), "{listed}");
    let first_word = |text: &str| text.split_whitespace().next().unwrap().to_owned();
    text(&gateway.hearth(&["token", "revoke", &first_word(&listed)]));
    let listed = text(&gateway.hearth(&["login", "list", "--user", "bob", "--tenant", "acme"]));
    assert!(listed.contains("acme/bob  by basic from 127.0.0.1"), "{listed}");
    text(&gateway.hearth(&["login", "end", &first_word(&listed)]));
    assert!(!gateway.hearth(&["login", "end", &first_word(&listed)]).status.success(), "once");
    until("other gateways know within a second", BOUND, async || {
        let by_token = gateway.livy().bearer(&second).get("/api/v1/login").await.status;
        (by_token == 401 && with(&gateway, &cookie, Method::GET, "/sessions").await.status == 401).then_some(())
    })
    .await;

    let events: Vec<Value> = text(&gateway.hearth(&["audit", "export"]))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["outcome"] == "done")
        .collect();
    let me = made_by.as_str().unwrap();
    let told = |word: &str, actor: &str, on: &str| {
        let found = events.iter().find(|e| e["event"] == word && e["actor"] == actor && e["resource_id"] == on);
        found.unwrap_or_else(|| panic!("{word} of {actor} on {on}: {events:#?}")).clone()
    };
    told("token.revoked", "ada", "alice");
    told("login.ended", "olga", "alice");
    told("token.revoked", me, "bob");
    told("login.ended", me, "bob");
    let made = told("token.created", me, "bob");
    assert_eq!((&made["on_behalf_of"], &made["scheme"]), (&json!("bob"), &json!("local")));
    gateway.end().await;
}

/// Waits until an open stream has ended; how long that took.
async fn ended(stream: reqwest::Response) -> Duration {
    let (began, mut body) = (Instant::now(), stream.bytes_stream());
    let all = async { while body.next().await.is_some() {} };
    tokio::time::timeout(BOUND, all).await.expect("the stream ends");
    began.elapsed()
}

#[tokio::test]
async fn a_stream_ends_when_its_credential_does() {
    let slapd = directory().await;
    let gateway = setup(&slapd).start().await;
    take_the_place(&gateway).await;
    let token = gateway.token("alice", &["--tenant", "acme"]);
    let kept = gateway.token("alice", &["--tenant", "acme", "--name", "kept"]);
    let alice = gateway.livy().bearer(&token);
    let created = alice.post("/api/v1/sessions", json!({"kind": "sql"})).await;
    created.expect(201);
    let events = format!("{}/events", created.header("location"));
    let open = async |request: reqwest::RequestBuilder| {
        let stream = request.send().await.unwrap();
        assert_eq!(stream.status(), 200);
        stream
    };
    let by_token = open(alice.request(Method::GET, &events)).await;
    let by_kept = open(gateway.livy().bearer(&kept).request(Method::GET, &events)).await;
    let cookie = log_in(&gateway, "alice").await;
    let by_cookie = open(gateway.livy().request(Method::GET, &events).header("cookie", &cookie)).await;
    let by_both = open(gateway.livy().bearer(&kept).request(Method::GET, &events).header("cookie", &cookie)).await;

    let listed = alice.get("/api/v1/tokens").await.expect(200);
    let own = listed["items"].as_array().unwrap().iter().find(|item| item["name"] == "test").unwrap();
    assert_eq!(alice.delete(&format!("/api/v1/tokens/{}", own["id"].as_str().unwrap())).await.status, 204);
    let took = ended(by_token).await;
    assert!(took < SECONDS, "{took:?}");
    assert_eq!(with(&gateway, &cookie, Method::DELETE, "/api/v1/login").await.status, 204);
    for stream in [by_cookie, by_both] {
        let took = ended(stream).await;
        assert!(took < SECONDS, "{took:?}");
    }
    // What was not revoked goes on.
    let mut going_on = by_kept.bytes_stream();
    let beyond = async { while going_on.next().await.is_some() {} };
    assert!(tokio::time::timeout(Duration::from_secs(3), beyond).await.is_err(), "it ended though nobody ended it");
    gateway.end().await;
}

#[tokio::test]
async fn groups_behind_a_cookie_and_a_token_are_those_of_now() {
    let mut slapd = directory().await;
    let gateway = setup(&slapd).start().await;
    let cookie = log_in(&gateway, "alice").await;
    let livy = gateway.livy();
    let new = livy.request(Method::POST, "/api/v1/tokens").header("cookie", &cookie).json(&json!({"name": "mine"}));
    let made = livy.send(new).await.expect(201);
    assert_eq!((&made["groups"], &made["groups_are_kept"]), (&json!(["analysts"]), &json!(false)));
    let by_token = livy.bearer(made["secret"].as_str().unwrap());
    let groups = async || {
        let by_cookie = with(&gateway, &cookie, Method::GET, "/api/v1/login").await.expect(200);
        let by_token = by_token.get("/api/v1/login").await.expect(200);
        assert_eq!((&by_cookie["groups_are_kept"], &by_token["groups_are_kept"]), (&json!(false), &json!(false)));
        [by_cookie["groups"].clone(), by_token["groups"].clone()]
    };
    assert_eq!(groups().await, [json!(["analysts"]), json!(["analysts"])]);
    let member = format!("uid=alice,ou=acme,{BASE}");
    slapd.modify(&format!("dn: cn=analysts,ou=groups,{BASE}\nchangetype: modify\ndelete: member\nmember: {member}\n"));
    slapd.modify(&format!("dn: cn=admins,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: {member}\n"));
    until("the groups of now", BOUND, async || {
        (groups().await == [json!(["admins"]), json!(["admins"])]).then_some(())
    })
    .await;
    // While the directory is away, what it said last is believed.
    slapd.stop();
    let away = Instant::now();
    while away.elapsed() < Duration::from_secs(3) {
        assert_eq!(groups().await, [json!(["admins"]), json!(["admins"])]);
    }
    slapd.resume().await;
    gateway.end().await;

    // A directory that is asked by passwords alone tells nothing anew: the groups stay, and the answer says so.
    let gateway = setup(&slapd)
        .set("auth.ldap.base", "")
        .set("auth.ldap.bind_dn", "")
        .set("auth.ldap.bind_password_file", "")
        .set("auth.ldap.user_dn", &format!("uid={{user}},ou=acme,{BASE}"))
        .start()
        .await;
    let cookie = log_in(&gateway, "bob").await;
    let member = format!("uid=bob,ou=acme,{BASE}");
    slapd.modify(&format!("dn: cn=admins,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: {member}\n"));
    let login = with(&gateway, &cookie, Method::GET, "/api/v1/login").await.expect(200);
    assert_eq!((&login["groups"], &login["groups_are_kept"]), (&json!(["analysts"]), &json!(true)));
    gateway.end().await;
}
