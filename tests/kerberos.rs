//! People with real Kerberos tickets, by an unmodified `curl`, over TLS and without: who they are, cookies, replays, proxies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::path::Path;
use std::process::Command;

use harness::certificates::Authority;
use harness::kdc::{Kdc, OTHER_HOST};
use harness::{BOUND, Gateway, Setup, until};
use reqwest::Method;
use serde_json::{Value, json};

/// By requests-kerberos, which takes no answer of a server that has not shown itself, errors included: what a new login of each request gets, and
/// what several requests of one login get.
const MUTUAL: &str = r#"
import json, requests, sys
from requests_kerberos import HTTPKerberosAuth, REQUIRED
base, ca, calls = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
def login():
    session = requests.Session()
    session.trust_env, session.verify, session.auth = False, ca, HTTPKerberosAuth(mutual_authentication=REQUIRED)
    return session
def call(session, method, path, body):
    answer = session.request(method, base + path, json=body)
    # An answer of a server that has not shown itself comes stripped, as another type.
    return [answer.status_code, type(answer).__name__, session.auth.auth_done, answer.text]
one = login()
print(json.dumps([[call(login(), *each), call(one, *each)] for each in calls]))
"#;

/// By requests-kerberos, whose ticket is bound to the connection it sees, to none, and to another one, as when somebody in the middle passes a ticket
/// on: whether a binding was sent, and the status.
const BOUND_TO: &str = r#"
import json, requests, spnego.channel_bindings, sys
from requests_kerberos import HTTPKerberosAuth, REQUIRED
base, ca = sys.argv[1:]
def status(wrong=None, **more):
    session = requests.Session()
    session.trust_env, session.verify, session.auth = False, ca, HTTPKerberosAuth(mutual_authentication=REQUIRED, **more)
    if wrong:
        session.auth._cbts["localhost"] = spnego.channel_bindings.GssChannelBindings(application_data=wrong)
    status = session.get(base + "/sessions").status_code
    return [session.auth._cbts.get("localhost") is not None, status]
print(json.dumps([status(), status(send_cbt=False), status(b"tls-server-end-point:" + bytes(32))]))
"#;

/// The gateway's configuration: Kerberos and tokens, hue may speak for alice and for the members of no group of anybody here.
fn setup(kdc: &Kdc) -> Setup {
    Setup::new()
        .runs_nothing()
        .env("KRB5_CONFIG", kdc.conf().display())
        .env("KRB5RCACHENAME", kdc.replay_cache())
        .set("auth.negotiate.keytab", kdc.keytab().to_str().unwrap())
        .toml(
            r#"[auth]
            schemes = ["negotiate", "token"]
            groups = "none"
            tenants = [{ tenant = "acme", realms = ["HEARTH.TEST"] }]
            proxies = [
                { principal = "hue", users = ["alice"], addresses = ["127.0.0.1"] },
                { principal = "elsewhere", users = ["*"], addresses = ["10.0.0.0/8"] },
            ]"#,
        )
}

/// The head and the body of the last answer that curl shows.
fn last(output: &str) -> (String, Value) {
    let start = output.rfind("HTTP/").unwrap();
    let (head, body) = output[start..].split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn localhost(gateway: &Gateway, path: &str) -> String {
    format!("{}{path}", gateway.url().replace("127.0.0.1", "localhost"))
}

/// The cookie that an answer sets.
fn cookie(head: &str) -> String {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie:")).expect(head);
    line.split_once(": ").unwrap().1.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_ticket_shows_who_is_asking_and_a_cookie_stands_for_it() {
    let kdc = Kdc::start(&["alice", "svc-etl"]).await;
    let gateway = setup(&kdc).start().await;
    let livy = gateway.livy();

    let nobody = livy.get("/sessions").await;
    assert_eq!(nobody.status, 401);
    let offered: Vec<&str> = nobody.headers.get_all("www-authenticate").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(offered[0], "Negotiate");
    assert_eq!(nobody.json()["msg"], "authentication is required");
    assert_eq!(livy.get("/api/v1/contexts").await.expect(401)["code"], "unauthenticated");

    let (head, login) = last(&kdc.curl("alice", &[&localhost(&gateway, "/api/v1/login")]));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.to_ascii_lowercase().contains("www-authenticate: negotiate "), "the server shows itself too: {head}");
    assert_eq!(
        (&login["user"], &login["tenant"], &login["scheme"]),
        (&json!("alice"), &json!("acme"), &json!("negotiate"))
    );
    // The rules of krb5.conf map principals to users.
    let (_, mapped) = last(&kdc.curl("svc-etl", &[&localhost(&gateway, "/api/v1/login")]));
    assert_eq!(mapped["user"], "etl");

    let cookie = cookie(&head);
    let with_cookie = |method, path: &str| livy.request(method, path).header("cookie", cookie.as_str());
    let known = livy.send(with_cookie(Method::GET, "/api/v1/login")).await.expect(200);
    assert_eq!((&known["user"], &known["scheme"]), (&json!("alice"), &json!("cookie")));
    // Two good credentials of two people are nobody's.
    let both =
        kdc.curl("svc-etl", &["-H", &format!("Cookie: {cookie}"), "-H", "Expect:", &localhost(&gateway, "/sessions")]);
    assert!(last(&both).0.starts_with("HTTP/1.1 400"), "{both}");
    livy.send(with_cookie(Method::DELETE, "/api/v1/login")).await;
    let stolen = livy.send(with_cookie(Method::GET, "/sessions")).await;
    assert_eq!(stolen.status, 401, "after the logout the cookie is nobody's");
    assert!(stolen.header("set-cookie").contains("Max-Age=0"), "and it is cleared");
    gateway.end().await;
}

#[tokio::test]
async fn a_ticket_is_taken_once_and_errors_show_the_server_too() {
    let kdc = Kdc::start(&["alice", "hue", "elsewhere", "bob"]).await;
    let gateway = setup(&kdc).start().await;
    let livy = gateway.livy();

    let missing = kdc.curl("alice", &["-v", &localhost(&gateway, "/sessions/77")]);
    let (head, body) = last(&missing);
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    assert!(head.to_ascii_lowercase().contains("www-authenticate: negotiate "), "{head}");
    assert_eq!(body["msg"], "Session '77' not found.");

    // What curl has sent, sent again by another.
    let traced = kdc.curl("alice", &["--trace-ascii", "-", "--http1.1", &localhost(&gateway, "/sessions")]);
    let joined: String = traced.lines().map(|line| line.split_once(": ").map_or("", |(_, rest)| rest)).collect();
    let token = joined.split("Authorization: Negotiate ").nth(1).expect("curl sent a token");
    // The next header follows without a line's end, which the trace does not show.
    let token = token.split("User-Agent:").next().unwrap();
    let replay =
        livy.send(livy.request(Method::GET, "/sessions").header("authorization", format!("Negotiate {token}")));
    assert_eq!(replay.await.status, 401, "a replayed ticket");
    let garbage = livy.send(livy.request(Method::GET, "/sessions").header("authorization", "Negotiate YII=")).await;
    assert_eq!(garbage.status, 401);

    // A trusted proxy speaks for whom it may, and nobody else does.
    let as_alice = localhost(&gateway, "/sessions?doAs=alice");
    assert!(last(&kdc.curl("hue", &[&as_alice])).0.starts_with("HTTP/1.1 200"));
    let (head, refused) = last(&kdc.curl("hue", &[&localhost(&gateway, "/sessions?doAs=bob")]));
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert_eq!(refused["msg"], "User 'hue' not allowed to impersonate 'Some(bob)'.");
    until("the refusal is in the audit", BOUND, async || {
        let told: i64 = sqlx::query_scalar(
            "select count(*) from audit_event where event = 'act_for' and actor = 'hue' and outcome = 'refused' and detail like '%bob%'",
        )
        .fetch_one(&mut gateway.database().connect().await)
        .await
        .unwrap();
        (told > 0).then_some(())
    })
    .await;
    for stranger in ["bob", "elsewhere"] {
        assert!(last(&kdc.curl(stranger, &[&as_alice])).0.starts_with("HTTP/1.1 403"), "{stranger}");
    }
    let twice = localhost(&gateway, "/sessions?doAs=alice&doAs=bob");
    assert!(last(&kdc.curl("hue", &[&twice])).0.starts_with("HTTP/1.1 400"));
    // A browser would answer the challenge for a page of anybody: what such a page sends is refused before it is challenged.
    for foreign in ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        for method in ["POST", "DELETE"] {
            let of_page = ["-X", method, "-H", foreign, &localhost(&gateway, "/sessions/0")].map(str::to_owned);
            let said = kdc.curl("alice", &of_page.each_ref().map(String::as_str));
            assert!(last(&said).0.starts_with("HTTP/1.1 403") && !said.contains("401"), "{said}");
        }
    }
    let rebound = ["-H", "Host: evil.example", "-H", "Sec-Fetch-Site: same-origin", &localhost(&gateway, "/sessions")]
        .map(str::to_owned);
    assert!(last(&kdc.curl("alice", &rebound.each_ref().map(String::as_str))).0.starts_with("HTTP/1.1 403"));
    let body = r#"{"kind":"pyspark","proxyUser":"bob"}"#;
    let create =
        ["-H", "Content-Type: application/json", "-d", body, &localhost(&gateway, "/sessions")].map(str::to_owned);
    let (head, _) = last(&kdc.curl("hue", &create.each_ref().map(String::as_str)));
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    gateway.end().await;
}

#[tokio::test]
async fn over_tls_the_same_ticket_and_tokens_with_a_scope() {
    let kdc = Kdc::start(&["alice"]).await;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let (certificate, key) = authority.sign("gateway", &["localhost", "127.0.0.1"]);
    let gateway = setup(&kdc)
        .set("http.tls.certificate", certificate.to_str().unwrap())
        .set("http.tls.key", key.to_str().unwrap())
        .start()
        .await;
    assert!(gateway.url().starts_with("https://"));
    let ca = authority.pem().display().to_string();
    let tls = ["--cacert", ca.as_str()];

    let url = localhost(&gateway, "/api/v1/tokens");
    let new = r#"{"name":"reader","scope":"view","ttl":"1h"}"#;
    let (head, made) =
        last(&kdc.curl("alice", &[&tls[..], &["-H", "Content-Type: application/json", "-d", new, &url]].concat()));
    assert!(head.contains(" 201"), "{head}");
    assert!(head.to_ascii_lowercase().contains("strict-transport-security"), "{head}");
    assert!(head.contains("__Host-hearth="), "{head}");
    let secret = made["secret"].as_str().unwrap();

    let trusted = reqwest::Certificate::from_pem(&std::fs::read(authority.pem()).unwrap()).unwrap();
    let client = reqwest::Client::builder().add_root_certificate(trusted).no_proxy().build().unwrap();
    let get = |path: &str| client.get(localhost(&gateway, path));
    let login: Value = get("/api/v1/login").bearer_auth(secret).send().await.unwrap().json().await.unwrap();
    assert_eq!((&login["user"], &login["scope"], &login["scheme"]), (&json!("alice"), &json!("view"), &json!("token")));
    // Clients that know Basic alone give it as the password.
    assert_eq!(get("/sessions").basic_auth("alice", Some(secret)).send().await.unwrap().status(), 200);
    assert_eq!(get("/sessions").basic_auth("bob", Some(secret)).send().await.unwrap().status(), 401);
    assert_eq!(get("/sessions").bearer_auth(format!("{secret}x")).send().await.unwrap().status(), 401);
    let listed: Value = get("/api/v1/tokens").bearer_auth(secret).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["items"][0]["name"], "reader");
    assert!(!listed.to_string().contains(secret), "the secret is shown once");
    let wider = json!({"name": "wider", "scope": "manage"});
    let wider = client.post(&url).bearer_auth(secret).json(&wider).send().await.unwrap();
    assert_eq!(wider.status(), 403, "a token makes none that may do more");
    let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(client.delete(localhost(&gateway, &path)).bearer_auth(secret).send().await.unwrap().status(), 403);
    let (head, _) = last(&kdc.curl("alice", &[&tls[..], &["-X", "DELETE", &localhost(&gateway, &path)]].concat()));
    assert!(head.contains(" 204"), "{head}");
    assert_eq!(get("/sessions").bearer_auth(secret).send().await.unwrap().status(), 401, "revoked");
    assert!(!gateway.log().contains(secret), "no secret in the log");
    gateway.end().await;
}

/// A session of alice that is dead, as if its driver had ended; its number.
async fn dead_session(gateway: &Gateway) -> i32 {
    let mut db = gateway.database().connect().await;
    let context: uuid::Uuid = sqlx::query_scalar(
        "insert into context (context_id, tenant, owner, run_as, profile, state, request, host, ended_at)
         values (gen_random_uuid(), 'acme', 'alice', 'alice', 'default', 'ended', '{}', 'elsewhere', now()) returning context_id",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    let insert = sqlx::query_scalar(
        "insert into session (session_id, context_id, number, tenant, owner, run_as, kind, state, request, ended_at)
         values (gen_random_uuid(), $1, 0, 'acme', 'alice', 'alice', 'spark', 'dead', '{}', now()) returning livy_id",
    );
    insert.bind(context).fetch_one(&mut db).await.unwrap()
}

/// A gateway behind TLS.
struct Secured {
    gateway: Gateway,
    /// The authority that clients trust.
    ca: String,
    folder: tempfile::TempDir,
}

impl Secured {
    async fn start(kdc: &Kdc) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path());
        let (certificate, key) = authority.sign("gateway", &["localhost", "127.0.0.1", OTHER_HOST]);
        let gateway = setup(kdc)
            .set("http.tls.certificate", certificate.to_str().unwrap())
            .set("http.tls.key", key.to_str().unwrap())
            .start()
            .await;
        Self { gateway, ca: authority.pem().display().to_string(), folder }
    }
}

/// What a program says that has requests-kerberos and a ticket of alice.
async fn python(kdc: &Kdc, code: &str, arguments: &[&str]) -> String {
    let python = tokio::task::spawn_blocking(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/requests-kerberos");
        let made = Command::new(script).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    })
    .await
    .unwrap();
    let mut command = Command::new(python);
    command.args(["-c", code]).args(arguments).env("KRB5_CONFIG", kdc.conf()).env("KRB5CCNAME", kdc.ticket("alice"));
    let said = command.output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

#[tokio::test]
async fn a_ticket_that_is_bound_to_another_connection_is_refused() {
    let kdc = Kdc::start(&["alice"]).await;
    let Secured { gateway, ca, folder: _folder } = Secured::start(&kdc).await;
    let said = python(&kdc, BOUND_TO, &[&localhost(&gateway, ""), &ca]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said, json!([[true, 200], [false, 200], [true, 401]]));
    gateway.end().await;
}

#[tokio::test]
async fn every_entry_of_the_keytab_opens_the_door() {
    let kdc = Kdc::start(&["alice"]).await;
    let Secured { gateway, ca, folder: _folder } = Secured::start(&kdc).await;
    let port = gateway.url().rsplit(':').next().unwrap().to_owned();
    let resolve = format!("{OTHER_HOST}:{port}:127.0.0.1");
    for host in ["localhost", OTHER_HOST] {
        let url = format!("https://{host}:{port}/api/v1/login");
        let (head, login) = last(&kdc.curl("alice", &["--cacert", &ca, "--resolve", &resolve, &url]));
        assert!(head.contains(" 200"), "{host}: {head}");
        assert_eq!((&login["user"], &login["scheme"]), (&json!("alice"), &json!("negotiate")));
    }
    gateway.end().await;
}

#[tokio::test]
async fn over_tls_every_answer_shows_the_server() {
    const DEAD: &str = r#""java.lang.IllegalStateException: Session is in state dead""#;
    let kdc = Kdc::start(&["alice", "hue"]).await;
    let Secured { gateway, ca, folder: _folder } = Secured::start(&kdc).await;
    let statements = format!("/sessions/{}/statements", dead_session(&gateway).await);

    // Method, path, body, and the status of the answer.
    let calls = [
        ("GET", "/sessions", Value::Null, 200),
        ("GET", "/sessions/77", Value::Null, 404),
        ("POST", statements.as_str(), json!({"code": "1"}), 500),
        ("POST", "/sessions", json!({"kind": "cobol"}), 400),
        ("GET", "/sessions?doAs=bob", Value::Null, 403),
        ("GET", "/api/v1/contexts/x", Value::Null, 404),
        ("GET", "/api/v1/audit", Value::Null, 403),
    ];
    let asked: Vec<Value> = calls.iter().map(|(method, path, body, _)| json!([method, path, body])).collect();
    let said = python(&kdc, MUTUAL, &[&localhost(&gateway, ""), &ca, &Value::from(asked).to_string()]).await;
    let said: Vec<[(u16, String, bool, String); 2]> = serde_json::from_str(&said).unwrap();
    for ((method, path, body, status), answers) in calls.iter().zip(&said) {
        for (got, kind, is_shown, text) in answers {
            assert_eq!((*got, kind.as_str(), *is_shown), (*status, "Response", true), "{method} {path}: {text}");
            assert!(*status != 500 || text == DEAD, "{text}");
        }
        // The same by curl, which shows the head.
        let (url, body) = (localhost(&gateway, path), body.to_string());
        let mut arguments = vec!["--cacert", ca.as_str(), "-X", method, url.as_str()];
        if *method == "POST" {
            arguments.extend(["-H", "Content-Type: application/json", "-d", body.as_str()]);
        }
        let (head, body) = last(&kdc.curl("alice", &arguments));
        assert!(head.contains(&format!(" {status}")), "{method} {path}: {head}");
        assert!(head.to_ascii_lowercase().contains("www-authenticate: negotiate "), "{method} {path}: {head}");
        assert!(*status != 500 || body == DEAD.trim_matches('"'), "{body}");
    }
    gateway.end().await;
}
