//! Sharing, as people do it: grants over HTTP and by command, policies that change while the gateway runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::fs;
use std::process::{Command, Output};

use harness::livy::{Answer, Livy};
use harness::{BOUND, Gateway, Setup, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const API: &str = "/api/v1";

/// Somebody with an API token.
struct Person {
    client: Livy,
    token: String,
}

impl Person {
    async fn new(gateway: &Gateway, user: &str, scope: &str) -> Self {
        let token = format!("hearth_{:0<43}", format!("{user}x{scope}"));
        sqlx::query(
            "insert into api_token (token_id, tenant, owner, groups, name, scope, secret_hash, made_by, expires_at)
             values ($1, 'default', $2, '{staff}', $3, $3, $4, $2, now() + interval '1 hour')",
        )
        .bind(Uuid::now_v7())
        .bind(user)
        .bind(scope)
        .bind(Sha256::digest(&token).to_vec())
        .execute(&mut gateway.database().connect().await)
        .await
        .unwrap();
        Self { client: gateway.livy(), token }
    }

    async fn get(&self, path: &str) -> Answer {
        self.client.send(self.client.request(Method::GET, path).bearer_auth(&self.token)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.client.send(self.client.request(Method::POST, path).bearer_auth(&self.token).json(&body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.client.send(self.client.request(Method::DELETE, path).bearer_auth(&self.token)).await
    }
}

fn gateway(more: &str) -> Setup {
    Setup::new().toml(&format!(
        r#"
        [auth]
        schemes = ["token"]
        groups = "none"
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
        {more}
        "#
    ))
}

/// A living context of alice's on another host, with a session in it: what is done to it is done to rows.
async fn context(gateway: &Gateway, profile: &str) -> (String, String) {
    let (context, session) = (Uuid::now_v7(), Uuid::now_v7());
    let mut db = gateway.database().connect().await;
    sqlx::query(
        "insert into context (context_id, tenant, owner, run_as, profile, state, request, host)
         values ($1, 'default', 'alice', 'alice', $2, 'ready', '{}', 'elsewhere')",
    )
    .bind(context)
    .bind(profile)
    .execute(&mut db)
    .await
    .unwrap();
    sqlx::query(
        "insert into session (session_id, context_id, number, tenant, owner, run_as, kind, state, request)
         values ($1, $2, 0, 'default', 'alice', 'alice', 'spark', 'idle', '{}')",
    )
    .bind(session)
    .bind(context)
    .execute(&mut db)
    .await
    .unwrap();
    (format!("{API}/contexts/{context}"), format!("{API}/sessions/{session}"))
}

fn detail(answer: &Answer, status: u16) -> String {
    answer.expect(status)["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_grant_opens_what_it_says_and_its_end_closes_it() {
    let gateway = gateway("").start().await;
    let (alice, bob) = (Person::new(&gateway, "alice", "manage").await, Person::new(&gateway, "bob", "manage").await);
    let (_, session) = context(&gateway, "default").await;
    let (grants, statements) = (format!("{session}/grants"), format!("{session}/statements"));

    bob.get(&session).await.expect(404);
    assert_eq!(bob.get(&format!("{API}/sessions")).await.expect(200)["total"], 0);
    bob.post(&grants, json!({"level": "view", "user": "bob"})).await.expect(404);

    let given = alice.post(&grants, json!({"level": "view", "user": "bob", "expires_in": "1h"})).await.expect(201);
    assert_eq!(
        (&given["level"], &given["user"], &given["created_by"]),
        (&json!("view"), &json!("bob"), &json!("alice"))
    );
    assert!(given["expires_at"].is_string(), "{given}");
    bob.get(&session).await.expect(200);
    assert_eq!(bob.get(&format!("{API}/sessions")).await.expect(200)["total"], 1);
    let refused = detail(&bob.post(&statements, json!({"code": "1"})).await, 403);
    assert!(refused.contains("not run code in it") && refused.contains("share_identity"), "{refused}");
    let refused = detail(&bob.delete(&session).await, 403);
    assert!(refused.contains("not stop it") && refused.contains("grant manage"), "{refused}");
    assert!(detail(&bob.get(&grants).await, 403).contains("with whom"));

    let listed = alice.get(&grants).await.expect(200);
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &given["id"]));
    let group = alice.post(&grants, json!({"level": "view", "group": "staff"})).await.expect(201);
    alice.delete(&format!("{grants}/{}", given["id"].as_str().unwrap())).await.expect(200);
    bob.get(&session).await.expect(200);
    alice.delete(&format!("{grants}/{}", group["id"].as_str().unwrap())).await.expect(200);
    bob.get(&session).await.expect(404);
    alice.delete(&format!("{grants}/{}", group["id"].as_str().unwrap())).await.expect(404);
    assert_eq!(alice.get(&grants).await.expect(200)["total"], 0);
    gateway.end().await;
}

#[tokio::test]
async fn an_identity_is_shared_by_its_owner_and_on_purpose() {
    let gateway = gateway("").start().await;
    let (alice, bob) = (Person::new(&gateway, "alice", "manage").await, Person::new(&gateway, "bob", "manage").await);
    let (closed, _) = context(&gateway, "default").await;
    let (open, session) = context(&gateway, "open").await;
    let attach = json!({"level": "attach", "user": "bob", "confirm_identity": true});

    let refused = detail(&alice.post(&format!("{closed}/grants"), attach.clone()).await, 403);
    assert!(refused.contains("share_identity"), "{refused}");
    let unconfirmed = alice.post(&format!("{open}/grants"), json!({"level": "attach", "user": "bob"})).await;
    assert!(detail(&unconfirmed, 400).contains("confirm_identity"));
    // A manager shares, but not somebody else's identity.
    alice.post(&format!("{open}/grants"), json!({"level": "manage", "user": "bob"})).await.expect(201);
    let other = json!({"level": "attach", "user": "carol", "confirm_identity": true});
    assert!(detail(&bob.post(&format!("{open}/grants"), other).await, 403).contains("only the owner"));

    // Bob's own session in her context lives by her grant on the context.
    let name = open.rsplit('/').next().unwrap();
    let new = json!({"context": name, "kind": "spark"});
    assert!(detail(&bob.post(&format!("{API}/sessions"), new.clone()).await, 403).contains("person"));
    let given = alice.post(&format!("{open}/grants"), attach.clone()).await.expect(201);
    assert_eq!(given["identity_confirmed"], true);
    let made = bob.post(&format!("{API}/sessions"), new).await;
    let own = made.expect(201);
    assert_eq!((&own["owner"], &own["run_as"]), (&json!("bob"), &json!("alice")));
    let statements = format!("{}/statements", made.header("location"));
    bob.post(&statements, json!({"code": "1"})).await.expect(201);
    alice.delete(&format!("{open}/grants/{}", given["id"].as_str().unwrap())).await.expect(200);
    let refused = detail(&bob.post(&statements, json!({"code": "2"})).await, 403);
    assert!(refused.contains("a context of alice"), "{refused}");
    bob.get(&statements).await.expect(200);

    // Into her session the grant is given as well.
    bob.get(&session).await.expect(404);
    alice.post(&format!("{session}/grants"), attach).await.expect(201);
    bob.post(&format!("{session}/statements"), json!({"code": "1"})).await.expect(201);
    gateway.end().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let gateway = gateway("").start().await;
    let alice = Person::new(&gateway, "alice", "manage").await;
    let reader = Person::new(&gateway, "alice", "view").await;
    let (_, session) = context(&gateway, "default").await;
    let grants = format!("{session}/grants");
    for (body, said) in [
        (json!({"level": "view"}), "either a user or a group"),
        (json!({"level": "view", "user": "a", "group": "b"}), "either a user or a group"),
        (json!({"level": "own", "user": "a"}), "level"),
        (json!({"level": "view", "user": "<b>"}), "names nobody"),
        (json!({"level": "view", "user": "alice"}), "owns it"),
        (json!({"level": "view", "user": "a", "expires_in": "soon"}), "expires_in"),
        (json!({"level": "view", "user": "a", "expires_at": "2001-01-01T00:00:00Z"}), "over"),
        (json!({"level": "view", "user": "a", "surprise": 1}), "surprise"),
    ] {
        let answer = alice.post(&grants, body.clone()).await;
        assert!(detail(&answer, 400).contains(said), "{body}: {answer}");
    }
    assert_eq!(alice.get(&grants).await.expect(200)["total"], 0);
    let refused = detail(&reader.post(&grants, json!({"level": "view", "user": "bob"})).await, 403);
    assert!(refused.contains("reading only"), "{refused}");
    reader.get(&grants).await.expect(200);
    gateway.end().await;
}

fn hearth(gateway: &Gateway, more: &str, args: &[&str]) -> Output {
    let file = gateway.home().join("command.toml");
    fs::write(&file, more).unwrap();
    Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(args)
        .arg("--config")
        .arg(&file)
        .env("HEARTH_HOME", gateway.home())
        .env("HEARTH__DATABASE__URL", gateway.database().url())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_shares_and_explains_by_command() {
    let gateway = gateway("").start().await;
    let bob = Person::new(&gateway, "bob", "manage").await;
    let (_, session) = context(&gateway, "default").await;
    let on = format!("session/{}", session.rsplit('/').next().unwrap());
    let run = async |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        tokio::task::block_in_place(|| hearth(&gateway, "", &args.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    let explained = run(&["policy", "explain", "--user", "bob", "--action", "view", "--on", &on]).await;
    assert!(text(&explained).contains("not_found"), "{}", text(&explained));
    let added = run(&["grant", "add", "--on", &on, "--to", "user:bob", "--level", "view", "--expires-in", "1h"]).await;
    assert!(added.status.success(), "{}", text(&added));
    until("the grant is seen", BOUND, async || (bob.get(&session).await.status == 200).then_some(())).await;
    let explained = run(&["policy", "explain", "--user", "bob", "--action", "view", "--on", &on]).await;
    assert!(
        text(&explained).contains("allowed") && text(&explained).contains("base:grant-view"),
        "{}",
        text(&explained)
    );
    let listed = text(&run(&["grant", "list", "--on", &on]).await);
    let id = listed.split_whitespace().next().unwrap().to_owned();
    let revoked = run(&["grant", "revoke", "--on", &on, &id]).await;
    assert!(revoked.status.success(), "{}", text(&revoked));
    until("its end is seen", BOUND, async || (bob.get(&session).await.status == 404).then_some(())).await;
    let wrong =
        run(&["grant", "add", "--on", &on, "--to", "user:bob", "--level", "attach", "--confirm-identity"]).await;
    assert!(!wrong.status.success() && text(&wrong).contains("share_identity"), "{}", text(&wrong));
    gateway.end().await;
}

#[tokio::test]
async fn changed_policies_are_taken_up_and_bad_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site.cedar");
    let setup = gateway(&format!("[access]\npolicies = {:?}\noperators = [\"user:olga\"]", folder.path()));
    let gateway = setup.start().await;
    let alice = Person::new(&gateway, "alice", "manage").await;
    let olga = Person::new(&gateway, "olga", "manage").await;
    let (_, session) = context(&gateway, "default").await;
    alice.get(&session).await.expect(200);
    assert_eq!(alice.get(&format!("{API}/sessions")).await.expect(200)["total"], 1);

    let forbid = r#"@id("closed") @advice("closed for the audit")
        forbid (principal == User::"alice", action == Action::"manage", resource);
        @id("hidden") forbid (principal == User::"alice", action == Action::"view", resource is Session);"#;
    fs::write(&site, forbid).unwrap();
    until("the session is hidden", BOUND, async || (alice.get(&session).await.status == 404).then_some(())).await;
    assert_eq!(alice.get(&format!("{API}/sessions")).await.expect(200)["total"], 0);
    let on = format!("session/{}", session.rsplit('/').next().unwrap());
    let explain = format!("{API}/policies/explain?action=manage&user=alice&on={on}");
    let why = olga.get(&explain).await.expect(200);
    assert_eq!((&why["outcome"], &why["policies"]), (&json!("not_found"), &json!(["site:closed"])), "{why}");
    assert!(detail(&alice.get(&format!("{explain}&tenant=default")).await, 403).contains("read the policies"));
    let listed = olga.get(&format!("{API}/policies")).await.expect(200);
    assert!(listed["items"].as_array().unwrap().iter().any(|p| p["id"] == "site:hidden" && p["permits"] == false));

    fs::write(&site, "permit (principal, action, resource);").unwrap();
    kill(Pid::from_raw(gateway.pid().cast_signed()), Signal::SIGHUP).unwrap();
    let said = async || gateway.log().contains("are not taken up").then_some(());
    until("the gateway says that they are not valid", BOUND, said).await;
    alice.get(&session).await.expect(404);

    fs::remove_file(&site).unwrap();
    until("the session is seen again", BOUND, async || (alice.get(&session).await.status == 200).then_some(())).await;
    gateway.end().await;
}

#[tokio::test]
async fn new_policies_are_tried_against_what_was_decided() {
    let gateway = gateway("[access]\noperators = [\"user:olga\"]").start().await;
    let [alice, bob, olga] = [
        Person::new(&gateway, "alice", "manage").await,
        Person::new(&gateway, "bob", "manage").await,
        Person::new(&gateway, "olga", "manage").await,
    ];
    let (_, session) = context(&gateway, "default").await;
    alice.get(&session).await.expect(200);
    bob.get(&session).await.expect(404);
    let site = r#"@id("closed") forbid (principal == User::"alice", action == Action::"view", resource is Session);"#;
    let draft = json!({"files": {"site.cedar": site}});
    let try_out = async || {
        let tried = olga.post(&format!("{API}/policies/try"), draft.clone()).await.expect(200);
        (tried["changed"] == 1).then_some(tried)
    };
    let tried = until("the decisions are in the sample", BOUND, try_out).await;
    let change = &tried["changes"][0];
    let on = format!("session/{}", session.rsplit('/').next().unwrap());
    assert_eq!((&change["user"], &change["action"], &change["on"]), (&json!("alice"), &json!("view"), &json!(on)));
    assert_eq!((&change["was_allowed"], &change["would_be_by"]), (&json!(true), &json!(["site:closed"])), "{tried}");
    alice.get(&session).await.expect(200);
    assert!(detail(&alice.post(&format!("{API}/policies/try"), draft).await, 403).contains("read the policies"));
    let bad = olga.post(&format!("{API}/policies/try"), json!({"files": {"site.cedar": "forbid (principal"}})).await;
    assert!(detail(&bad, 400).contains("site.cedar"));

    let folder = tempfile::tempdir().unwrap();
    let try_folder = || hearth(&gateway, "", &["policy", "try", folder.path().to_str().unwrap()]);
    let same = try_folder();
    assert!(same.status.success() && text(&same).contains("0 of"), "{}", text(&same));
    fs::write(folder.path().join("site.cedar"), site).unwrap();
    let changed = try_folder();
    assert_eq!(changed.status.code(), Some(1), "{}", text(&changed));
    assert!(
        text(&changed).contains(&format!("alice of default view {on}: was allowed by base:")),
        "{}",
        text(&changed)
    );
    gateway.end().await;
}

#[tokio::test]
async fn a_gateway_does_not_start_with_policies_that_are_not_valid() {
    let gateway = Setup::new().start().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.cedar"), "forbid (principal, action, resource) when { principal.shoe == 7 };")
        .unwrap();
    let more = format!("[access]\npolicies = {:?}\n", folder.path());
    let checked = hearth(&gateway, &more, &["policy", "check"]);
    assert!(!checked.status.success() && text(&checked).contains("shoe"), "{}", text(&checked));
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("hearth.toml");
    fs::write(&file, &more).unwrap();
    let served = Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&file)
        .env("HEARTH_HOME", home.path())
        .env("HEARTH__DATABASE__URL", gateway.database().url())
        .output()
        .unwrap();
    assert!(!served.status.success() && text(&served).contains("site:bad/policy0"), "{}", text(&served));
    gateway.end().await;
}
