//! A secret in every field that can carry one, planted as a canary: after real work, good and bad, none is in a log, an answer, a metric, the
//! list of processes, the audit, or what `hearth doctor` says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::kdc::Kdc;
use harness::livy::{Answer, Livy};
use harness::openid::{CLIENT_SECRET, Provider, REDIRECT};
use harness::os_users::OsUsers;
use harness::slapd::{ACCOUNT, ACCOUNT_PASSWORD, BASE, Slapd};
use harness::{COLD, Gateway, Setup, until};
use nix::unistd::Uid;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const GATE: usize = 0;
const ALICE: usize = 1;
const BOB: usize = 2;

/// Of alice, and hers alone to know.
const PASSWORD: &str = "canary-password-of-alice";
const CONFS: [&str; 3] = ["canary-conf-of-session", "canary-conf-of-context", "canary-conf-of-batch"];
/// Of the gateway.
const KEYTAB: &str = "canary-keytab-folder";
const DATABASE: &str = "canary-database-password";

/// What somebody shows that is not good.
const WRONG: [(&str, &str); 5] = [
    ("authorization", "Bearer hearth_canary-wrong-token"),
    ("authorization", "Bearer canary-wrong.json.webtoken"),
    ("authorization", "Digest canary-wrong-scheme"),
    ("authorization", "Bearer canary wrong words"),
    ("cookie", "hearth=canary-wrong-cookie"),
];
const WRONG_PASSWORD: &str = "canary-wrong-password";
/// A query that a client should not have sent, and a name that is none.
const QUERY: &str = "access_token=canary-in-query&doAs=canary/do-as";

/// Looks through what this user can read of all processes for the canaries that stand before it.
const PROCESSES: &str = r#"
import json, os
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    for what in ("cmdline", "environ"):
        try:
            text = open("/proc/%s/%s" % (pid, what), "rb").read().decode("utf-8", "replace")
        except OSError:
            continue
        found += [[pid, what, canary] for canary in CANARIES if canary in text]
print(json.dumps(found))
"#;

struct Fixture {
    users: OsUsers,
    gateway: Gateway,
    folder: tempfile::TempDir,
    _sparks: tempfile::TempDir,
    _kdc: Kdc,
    _slapd: Slapd,
    _provider: Provider,
}

/// Every scheme that takes a secret, and a launcher: what runs, runs as the OS user of its owner.
async fn fixture() -> Fixture {
    assert!(Uid::effective().is_root(), "only root can try what only root can do");
    let users = OsUsers::new(&["system-gate", "alice", "bob"]);
    let alice = users.name(ALICE);
    let kdc = Kdc::start(&["alice"]).await;
    let slapd = Slapd::start(&[(alice, "ou=acme")], &[]).await;
    slapd.modify(&format!(
        "dn: uid={alice},ou=acme,{BASE}\nchangetype: modify\nreplace: userPassword\nuserPassword: {PASSWORD}\n"
    ));
    let provider = Provider::start("first").await;
    let (sparks, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    users.folder(ALICE, &folder.path().join("of-alice"));
    let secrets = users.folder(GATE, &folder.path().join(KEYTAB));
    let gate = |name: &str, from: &Path| place(&users, GATE, &secrets.join(name), &fs::read(from).unwrap());
    let keytab = gate("keytab", &kdc.keytab());
    let account = gate("account", &slapd.password_file());
    let client = gate("client", &provider.secret_file());
    let ca = gate("ca.pem", &provider.ca());
    let gateway = Setup::new()
        .run_as_users(users.name(GATE), sparks.path())
        .database_password(DATABASE)
        .env("KRB5_CONFIG", kdc.conf().display())
        .env("KRB5RCACHENAME", format!("file2:{}/replays", secrets.display()))
        .set("auth.negotiate.keytab", &keytab)
        .set("auth.ldap.url", &slapd.url())
        .set("auth.ldap.base", BASE)
        .set("auth.ldap.bind_dn", ACCOUNT)
        .set("auth.ldap.bind_password_file", &account)
        .set("auth.ldap.cache", "0s")
        .set("auth.oidc.issuer", &provider.issuer())
        .set("auth.oidc.ca", &ca)
        .set("auth.oidc.client_secret_file", &client)
        .set("log.filter", "debug,ldap3=trace")
        .toml(&format!(
            r#"[auth]
            schemes = ["negotiate", "basic", "bearer", "token"]
            groups = "none"
            [auth.oidc]
            audience = ["https://hearth.test"]
            client_id = "hearth"
            redirect = "{REDIRECT}"
            [access]
            operators = ["user:olga"]
            [profiles.default]
            file_roots = [{:?}]"#,
            folder.path()
        ))
        .start()
        .await;
    Fixture { users, gateway, folder, _sparks: sparks, _kdc: kdc, _slapd: slapd, _provider: provider }
}

fn place(users: &OsUsers, user: usize, path: &Path, bytes: &[u8]) -> String {
    fs::write(path, bytes).unwrap();
    let (uid, gid) = users.account(user);
    chown(path, Some(uid.as_raw()), Some(gid.as_raw())).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Everything that was said to anybody, to be looked through at the end: from where, and what.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn note(&mut self, what: &str, answer: &Answer) -> Value {
        let heads = answer.headers.iter().filter(|(name, _)| *name != "set-cookie");
        let heads: String = heads.map(|(name, value)| format!("{name}: {value:?}\n")).collect();
        self.0.push((what.to_owned(), format!("{}\n{heads}{}", answer.status, answer.text)));
        serde_json::from_str(&answer.text).unwrap_or(Value::Null)
    }

    async fn ask(&mut self, livy: &Livy, request: RequestBuilder) -> Value {
        let answer = livy.send(request).await;
        let what = format!("answer {}", self.0.len());
        self.note(&what, &answer)
    }
}

/// The paths of everything that can be read, with these ids in their places.
fn readable(session: &Value, batch: &Value) -> Vec<String> {
    let description: Value = serde_json::from_str(&hearth::http::api::description().unwrap()).unwrap();
    let mut paths: Vec<String> = ["", "/state", "/log?size=-1", "/statements", "/statements/0"]
        .map(|rest| format!("/sessions/{}{rest}", session["livy_id"]))
        .into();
    paths.extend(["", "/state", "/log?size=-1"].map(|rest| format!("/batches/{}{rest}", batch["livy_id"])));
    paths.extend(["/sessions", "/batches", "/metrics", "/healthz", "/readyz", "/version"].map(str::to_owned));
    for (path, item) in description["paths"].as_object().unwrap() {
        if item.get("get").is_none() {
            continue;
        }
        let id = match path.as_str() {
            path if path.contains("/contexts/") => &session["context"],
            path if path.contains("/batches/") => &batch["id"],
            _ => &session["id"],
        };
        let path = path.replace("{id}", id.as_str().unwrap()).replace("{number}", "0");
        let query = if path.ends_with("/explain") { "?action=createSession&on=profile/default" } else { "" };
        paths.push(format!("{path}{query}"));
    }
    paths
}

/// What is not good, in every way in which it can come.
async fn bad(url: &str, said: &mut Said, alice: &str) {
    let livy = &Livy::new(url);
    for path in ["/sessions", "/api/v1/login", "/nope"] {
        for (name, value) in WRONG {
            said.ask(livy, livy.request(Method::GET, path).header(name, value)).await;
        }
        for user in [alice, "nobody", "canary/no-name"] {
            said.ask(livy, livy.request(Method::GET, path).basic_auth(user, Some(WRONG_PASSWORD))).await;
        }
        let ticket = format!("Negotiate {}", STANDARD.encode("canary-wrong-ticket"));
        said.ask(livy, livy.request(Method::GET, path).header("authorization", ticket)).await;
        said.ask(livy, livy.request(Method::GET, &format!("{path}?{QUERY}"))).await;
    }
    // A browser that would follow to the provider, and comes back with a code that the provider has not given.
    let browser = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let begun = browser.get(format!("{url}/login?next=/canary-next")).send().await.unwrap();
    let header = |name: &str| begun.headers()[name].to_str().unwrap().to_owned();
    let state = header("location").split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let cookie = header("set-cookie").split(';').next().unwrap().to_owned();
    let back = format!("/login/callback?code=canary-code&state={state}");
    said.ask(livy, livy.request(Method::GET, &back).header("cookie", cookie)).await;
}

/// Bodies that are refused though a secret is in them.
async fn refused(alice: &Livy, said: &mut Said) {
    for body in [
        json!({"kind": "sql", "conf": {"spark.kerberos.keytab": CONFS[0]}}),
        json!({"kind": "sql", "conf": {"spark.ssl.keyPassword": CONFS[0]}}),
        json!({"kind": "sql", "conf": {"spark.no.such.secret": CONFS[0]}}),
        json!({"kind": "cobol", "conf": {"spark.hadoop.fs.s3a.secret.key": CONFS[0]}}),
        json!({"kind": "sql", "conf": {"spark.hadoop.fs.s3a.secret.key": [CONFS[0]]}}),
        json!({"kind": "sql", "driverMemory": "1", "conf": {"spark.hadoop.fs.s3a.secret.key": CONFS[0]}}),
    ] {
        for path in ["/sessions", "/batches", "/api/v1/sessions", "/api/v1/contexts", "/api/v1/batches"] {
            let answer = alice.post(path, body.clone()).await;
            assert!((400..500).contains(&answer.status), "{path} {body}: {answer}");
            said.note(&format!("POST {path} {}", said.0.len()), &answer);
        }
    }
    for query in [QUERY.to_owned(), format!("doAs=x/{}", CONFS[0])] {
        said.ask(alice, alice.request(Method::GET, &format!("/sessions?{query}"))).await;
        said.ask(alice, alice.request(Method::GET, &format!("/api/v1/sessions?{query}"))).await;
    }
}

fn processes(users: &OsUsers, user: usize, canaries: &[&str]) -> Vec<Value> {
    let script = format!("CANARIES = {}\n{PROCESSES}", json!(canaries));
    serde_json::from_str(&users.says(user, &script, &[])).unwrap()
}

#[tokio::test]
async fn as_root_no_secret_is_told_by_anything() {
    let it = fixture().await;
    let (mut said, nobody) = (Said::default(), it.gateway.livy());
    let name = it.users.name(ALICE);
    bad(&it.gateway.url(), &mut said, name).await;

    // Who has guessed is slowed; the right password is good again after a while.
    let login = until("the password is looked at again", COLD, async || {
        let answer = nobody.send(nobody.request(Method::GET, "/api/v1/login").basic_auth(name, Some(PASSWORD))).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    said.note("the login", &login);
    let cookie = login.header("set-cookie").split(';').next().unwrap().to_owned();
    let cookie = cookie.split_once('=').unwrap().1.to_owned();
    let token = nobody
        .send(
            nobody
                .request(Method::POST, "/api/v1/tokens")
                .header("cookie", format!("hearth={cookie}"))
                .json(&json!({"name": "mine", "ttl": "1h"})),
        )
        .await
        .expect(201)["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let (alice, olga) = (nobody.bearer(&token), nobody.bearer(&it.gateway.token("olga", &[])));
    refused(&alice, &mut said).await;

    let secret = |value: &str| json!({"spark.hadoop.fs.s3a.secret.key": value, "spark.executorEnv.MY_PASSWORD": value});
    let body = json!({"kind": "sql", "conf": secret(CONFS[0])});
    let session = alice.session(body).await;
    alice.run(&session, json!({"code": "select 1"})).await;
    let context = alice.post("/api/v1/contexts", json!({"resources": {"conf": secret(CONFS[1])}})).await;
    let context = said.note("a context", &context);
    let script = PathBuf::from(place(&it.users, ALICE, &it.folder.path().join("of-alice/job.py"), b"print('done')\n"));
    let batch = alice.post("/batches", json!({"file": script, "conf": secret(CONFS[2])})).await;
    let batch = said.note("a batch", &batch);
    assert!(context["id"].is_string() && batch["id"].is_number(), "{context} {batch}");
    until("the batch has ended", COLD, async || {
        let state = alice.get(&format!("/batches/{}/state", batch["id"])).await.expect(200)["state"].clone();
        matches!(state.as_str(), Some("success" | "dead")).then_some(state)
    })
    .await;

    // While the drivers live: what others, and alice herself, can see of processes.
    let of_gateway = [ACCOUNT_PASSWORD, CLIENT_SECRET, DATABASE, KEYTAB];
    let of_alice = [PASSWORD, &token, &cookie, CONFS[0], CONFS[1], CONFS[2]];
    assert_eq!(processes(&it.users, BOB, &[&of_gateway[..], &of_alice[..]].concat()), [Value::Null; 0]);
    assert_eq!(processes(&it.users, ALICE, &of_gateway), [Value::Null; 0]);

    let all = alice.get("/api/v1/sessions").await.expect(200);
    let shown = all["items"].as_array().unwrap().iter().find(|s| !s["livy_id"].is_null()).unwrap().clone();
    let batches = alice.get("/api/v1/batches").await.expect(200);
    let paths = readable(&shown, &batches["items"][0]);
    assert_eq!(alice.delete(&session).await.status, 200);
    for (who, reader) in [("alice", &alice), ("olga", &olga)] {
        for path in paths.iter().chain(&[format!("/api/v1/contexts/{}", context["id"].as_str().unwrap())]) {
            // What the Livy door has deleted is gone there alone.
            said.note(&format!("{who} {path}"), &reader.get(path).await);
        }
    }
    let read = said.0.iter().filter(|(_, text)| text.starts_with("200")).count();
    assert!(read > 40, "only {read} answers were good");
    assert!(said.0.iter().any(|(_, text)| text.contains("*********(redacted)")), "a conf is shown without its secrets");

    let doctor = it.gateway.hearth(&["doctor"]);
    said.0.push(("doctor".into(), String::from_utf8_lossy(&[doctor.stdout, doctor.stderr].concat()).into_owned()));
    let log = it.gateway.log();
    assert!(log.contains("DEBUG"), "the log says much");
    said.0.push(("log".into(), log));
    let mut db = it.gateway.database().connect().await;
    for sql in ["select row_to_json(e)::text from audit_event e", "select encode(line, 'escape') from log_line"] {
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut db).await.unwrap();
        assert!(!rows.is_empty(), "{sql}");
        said.0.push((sql.to_owned(), rows.join("\n")));
    }
    let wrong = ["canary-wrong", "canary wrong", "canary-in-query", "canary/do-as", "canary-code", "canary/no-name"];
    let canaries = [&of_gateway[..], &of_alice[..], &wrong[..]].concat();
    let mut told = Vec::new();
    for (from, text) in &said.0 {
        for canary in &canaries {
            if let Some(at) = text.find(canary) {
                let start = text.floor_char_boundary(at.saturating_sub(200));
                let around: String = text[start..].chars().take(400).collect();
                told.push(format!("{canary} is in {from}: {around}"));
            }
        }
    }
    assert!(told.is_empty(), "{} times a secret is told:\n{}", told.len(), told.join("\n\n"));
    it.gateway.end().await;
}
