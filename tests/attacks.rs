//! What an attacker tries at the doors, whatever the scheme: foreign pages, smuggled identities, stolen cookies, markup, floods of bytes.
//! Attacks on one scheme stand with its tests (`kerberos`, `ldap`, `oidc`), those on files and confs as a user in `run_as`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::certificates::Authority;
use harness::slapd::{BASE, Slapd};
use harness::{Gateway, Setup, livy};
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Method};
use serde_json::{Value, json};

/// The unsafe routes of the Livy door.
const LIVY: &[(&str, &str)] = &[
    ("POST", "/sessions"),
    ("DELETE", "/sessions/0"),
    ("POST", "/sessions/0/stop"),
    ("POST", "/sessions/0/interrupt"),
    ("POST", "/sessions/0/connect"),
    ("POST", "/sessions/0/statements"),
    ("POST", "/sessions/0/statements/0/cancel"),
    ("POST", "/sessions/0/completion"),
    ("POST", "/sessions/0/submit-job"),
    ("POST", "/sessions/0/upload-jar"),
    ("POST", "/batches"),
    ("DELETE", "/batches/0"),
];

/// What a browser sends along for a page of another site, or of a name that was pointed here.
const FOREIGN: &[&[(&str, &str)]] = &[
    &[("origin", "https://evil.example")],
    &[("origin", "null")],
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "same-site")],
    &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("content-type", "text/plain")],
    &[("host", "evil.example"), ("origin", "https://evil.example")],
    &[("host", "evil.example"), ("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
    &[("host", "evil.example"), ("sec-fetch-site", "same-origin")],
];

/// Every route that changes something.
fn unsafe_routes() -> Vec<(Method, String)> {
    let description: Value = serde_json::from_str(&hearth::http::api::description().unwrap()).unwrap();
    let mut routes: Vec<(Method, String)> =
        LIVY.iter().map(|(method, path)| (method.parse().unwrap(), (*path).to_owned())).collect();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            if [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&method) {
                let id = uuid::Uuid::nil().to_string();
                let path: String = path
                    .split('/')
                    .map(|part| if part.starts_with('{') { &id } else { part })
                    .fold(String::new(), |path, part| if part.is_empty() { path } else { format!("{path}/{part}") });
                routes.push((method, path));
            }
        }
    }
    assert!(routes.len() > LIVY.len() + 10);
    routes
}

struct Fixture {
    gateway: Gateway,
    authority: Authority,
    person: (PathBuf, PathBuf),
    _slapd: Slapd,
    _folder: tempfile::TempDir,
}

/// A gateway over TLS that knows people by certificates, tokens and passwords; hue speaks for alice and bob from 127.0.0.1.
async fn fixture() -> Fixture {
    let slapd = Slapd::start(&[("alice", "ou=acme"), ("bob", "ou=acme")], &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let (certificate, key) = authority.sign("gateway", &["localhost", "127.0.0.1"]);
    let person = authority.sign("alice", &[]);
    let gateway = Setup::new()
        .runs_nothing()
        // Whoever asks may make something, which is refused when it is to be launched.
        .set("profiles.default.master", "yarn")
        .set("http.tls.certificate", certificate.to_str().unwrap())
        .set("http.tls.key", key.to_str().unwrap())
        .set("http.tls.client_ca", authority.pem().to_str().unwrap())
        .set("http.limits.header_timeout", "1s")
        .set("http.limits.connections", "64")
        .set("auth.ldap.url", &slapd.url())
        .set("auth.ldap.user_dn", &format!("uid={{user}},ou=acme,{BASE}"))
        .toml(
            r#"[auth]
            schemes = ["certificate", "basic", "token"]
            groups = "none"
            proxies = [{ principal = "hue", users = ["alice", "bob"], addresses = ["127.0.0.1"] }]
            [http]
            names = ["hearth.example"]"#,
        )
        .start()
        .await;
    Fixture { gateway, authority, person, _slapd: slapd, _folder: folder }
}

impl Fixture {
    fn builder(&self) -> ClientBuilder {
        livy::use_aws_lc();
        let trusted = Certificate::from_pem(&fs::read(self.authority.pem()).unwrap()).unwrap();
        Client::builder().add_root_certificate(trusted).no_proxy().timeout(harness::BOUND)
    }

    fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    fn with(&self, name: reqwest::header::HeaderName, value: &str) -> Client {
        let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        // HTTP/1.1 has a Host header to be forged.
        self.builder().http1_only().default_headers(headers).build().unwrap()
    }

    fn certified(&self) -> Client {
        let read = |path: &Path| fs::read(path).unwrap();
        let identity = Identity::from_pem(&[read(&self.person.0), read(&self.person.1)].concat()).unwrap();
        self.builder().http1_only().identity(identity).build().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.gateway.url())
    }

    async fn cookie(&self) -> String {
        let login = self.client().get(self.url("/api/v1/login")).basic_auth("alice", Some("alice's password"));
        let answer = login.send().await.unwrap();
        answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    async fn count(&self, table: &str) -> i64 {
        let mut db = self.gateway.database().connect().await;
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap()
    }
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_whatever_goes_along_with_its_requests() {
    let it = fixture().await;
    let token = it.gateway.token("alice", &[]);
    let ambient = [
        ("nothing", it.builder().http1_only().build().unwrap()),
        ("a cookie", it.with(COOKIE, &it.cookie().await)),
        ("a remembered password", it.with(AUTHORIZATION, "Basic YWxpY2U6YWxpY2UncyBwYXNzd29yZA==")),
        ("a token", it.with(AUTHORIZATION, &format!("Bearer {token}"))),
        ("a certificate", it.certified()),
    ];
    let body = json!({"kind": "sql", "name": "evil", "code": "1", "file": "/x", "level": "view", "user": "evil"});
    for (what, client) in &ambient {
        for (method, path) in unsafe_routes() {
            for foreign in FOREIGN {
                let mut request = client.request(method.clone(), it.url(&path)).body(body.to_string());
                if !foreign.iter().any(|(name, _)| *name == "content-type") {
                    request = request.header("content-type", "application/json");
                }
                for (name, value) in *foreign {
                    request = request.header(*name, *value);
                }
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 403, "{what}: {method} {path} {foreign:?}");
                assert!(answer.headers().get("access-control-allow-origin").is_none());
            }
        }
        // Nor does a name that was pointed here read anything.
        for path in ["/sessions", "/api/v1/tokens", "/api/v1/login"] {
            let read = client.get(it.url(path)).header("host", "evil.example").header("sec-fetch-site", "same-origin");
            assert_eq!(read.send().await.unwrap().status(), 403, "{what}: {path}");
        }
        // No answer lets another site read it, and none is asked whether it may write.
        let asked = client.request(Method::OPTIONS, it.url("/sessions")).header("origin", "https://evil.example");
        let asked = asked.header("access-control-request-method", "POST").send().await.unwrap();
        assert!(asked.headers().get("access-control-allow-origin").is_none(), "{what}");
    }
    // A form that is called another method is still a foreign page's.
    let form = it.certified().post(it.url("/sessions/0")).header("x-http-method-override", "DELETE");
    assert_eq!(form.header("origin", "https://evil.example").send().await.unwrap().status(), 403);
    for (table, rows) in [("session", 0), ("batch", 0), ("context", 0), ("access_grant", 0), ("api_token", 1)] {
        assert_eq!(it.count(table).await, rows, "{table}");
    }
    // The gateway's own pages, by its own name, are not in the way of themselves.
    let own = it.certified().post(it.url("/api/v1/tokens")).header("host", "hearth.example");
    let own = own.header("origin", "https://hearth.example").header("sec-fetch-site", "same-origin");
    assert_eq!(own.json(&json!({"name": "own"})).send().await.unwrap().status(), 201);
    it.gateway.end().await;
}

#[tokio::test]
async fn nobody_is_smuggled_in_beside_a_proxy() {
    let it = fixture().await;
    let (hue, alice) = (it.gateway.token("hue", &[]), it.gateway.token("alice", &[]));
    let client = it.client();
    let who = async |query: &str, headers: &[(&str, &str)], token: &str| {
        let mut request = client.get(it.url(&format!("/api/v1/login{query}"))).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let (status, login) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        (status, login["user"].as_str().unwrap_or_default().to_owned())
    };
    let is = |status: u16, user: &str| (status, user.to_owned());
    assert_eq!(who("?doAs=alice", &[], &hue).await, is(200, "alice"));
    assert_eq!(who("?do%41s=%61lice", &[], &hue).await, is(200, "alice"), "encoded, it is the same");
    for headers in [
        [("doAs", "alice")].as_slice(),
        &[("proxyUser", "alice")],
        &[("X-Forwarded-User", "alice"), ("X-Remote-User", "alice"), ("Remote-User", "alice")],
        &[("X-Original-URL", "/api/v1/login?doAs=alice"), ("X-Rewrite-URL", "/api/v1/login?doAs=alice")],
        &[("Forwarded", "for=127.0.0.1;by=alice")],
    ] {
        assert_eq!(who("", headers, &hue).await, is(200, "hue"), "{headers:?} are nobody's word");
        assert_eq!(who("?doAs=alice", headers, &hue).await, is(200, "alice"));
    }
    for other in ["?doas=alice", "?DOAS=alice", "?user.name=alice", "?x=1;doAs=alice", "?doAs[]=alice", "?doAs="] {
        assert_eq!(who(other, &[], &hue).await, is(200, "hue"), "{other}");
    }
    for twice in ["?doAs=alice&doAs=bob", "?doAs=alice&do%41s=alice", "?doAs=&doAs=alice"] {
        assert_eq!(who(twice, &[], &hue).await.0, 400, "{twice}");
    }
    for odd in ["alice%00", "alice%0d%0aX:%201", "..%2falice", "alice,bob", "%ff", "*", "-alice", "alice%20"] {
        assert_eq!(who(&format!("?doAs={odd}"), &[], &hue).await.0, 400, "{odd}");
    }
    assert_eq!(who("?doAs=root", &[], &hue).await.0, 403);
    assert_eq!(who("?doAs=bob", &[], &alice).await.0, 403, "no proxy");
    assert_eq!(who("?doAs=hue", &[], &alice).await.0, 403);

    // From another address, whatever it says of where it comes from.
    let elsewhere = it.builder().local_address(IpAddr::from(Ipv4Addr::new(127, 0, 0, 9))).build().unwrap();
    for header in ["X-Forwarded-For", "X-Real-IP", "True-Client-IP"] {
        let asked = elsewhere.get(it.url("/sessions?doAs=alice")).bearer_auth(&hue).header(header, "127.0.0.1");
        assert_eq!(asked.send().await.unwrap().status(), 403, "{header}");
    }

    // Two credentials in one request.
    let two = client.get(it.url("/sessions")).bearer_auth(&hue).header("authorization", format!("Bearer {alice}"));
    assert_eq!(two.send().await.unwrap().status(), 400);
    let of_two = it.certified().get(it.url("/sessions")).bearer_auth(&hue).send().await.unwrap();
    assert_eq!(of_two.status(), 400, "alice's certificate and hue's token");
    it.gateway.end().await;
}

#[tokio::test]
async fn a_stolen_cookie_or_token_is_nothing_once_it_is_over() {
    let it = fixture().await;
    let (cookie, client) = (it.cookie().await, it.client());
    let by = async |name: &str, value: &str| {
        client.get(it.url("/sessions")).header(name, value).send().await.unwrap().status().as_u16()
    };
    assert_eq!(by("cookie", &cookie).await, 200);
    let secret = cookie.split_once('=').unwrap().1;
    // What a cookie holds is good as a cookie alone, and under its own name.
    assert_eq!(by("cookie", &format!("hearth={secret}")).await, 401);
    assert_eq!(by("cookie", &format!("{cookie}x")).await, 401);
    assert_eq!(by("authorization", &format!("Bearer {secret}")).await, 401);
    let out = client.delete(it.url("/api/v1/login")).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(out.status(), 204);
    for _ in 0..3 {
        assert_eq!(by("cookie", &cookie).await, 401, "after the logout");
    }

    let token = it.gateway.token("alice", &[]);
    let bearer = format!("Bearer {token}");
    assert_eq!(by("authorization", &bearer).await, 200);
    assert_eq!(by("cookie", &format!("__Host-hearth={token}")).await, 401);
    let tokens: Value =
        client.get(it.url("/api/v1/tokens")).bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    let own = it.url(&format!("/api/v1/tokens/{}", tokens["items"][0]["id"].as_str().unwrap()));
    assert_eq!(client.delete(own).bearer_auth(&token).send().await.unwrap().status(), 204);
    assert_eq!(by("authorization", &bearer).await, 401, "after it is revoked");
    it.gateway.end().await;
}

#[tokio::test]
async fn markup_and_options_in_names_are_refused_or_shown_as_data() {
    let it = fixture().await;
    let token = it.gateway.token("alice", &[]);
    let client = it.with(AUTHORIZATION, &format!("Bearer {token}"));
    let markup = "<img src=x onerror=alert(1)>";
    let encoded = "%3Cimg%20src=x%20onerror=alert(1)%3E";
    for path in [
        format!("/sessions/{encoded}"),
        format!("/{encoded}"),
        format!("/api/v1/{encoded}"),
        format!("/sessions?from={encoded}"),
        format!("/api/v1/login?doAs={encoded}"),
    ] {
        let answer = client.get(it.url(&path)).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{path}");
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with("application/json") || kind.starts_with("application/problem+json"), "{path}: {kind}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
    }
    let post = async |path: &str, body: Value| client.post(it.url(path)).json(&body).send().await.unwrap();
    for name in ["a\r\nb", "a\u{0}b", "\u{1b}[2J", "../x", ""] {
        for path in ["/sessions", "/api/v1/sessions"] {
            let answer = post(path, json!({"kind": "sql", "name": name})).await;
            let (status, text) = (answer.status(), answer.text().await.unwrap());
            assert!(status == 400 && text.contains("name"), "{path} {name:?}: {status} {text}");
        }
    }
    for name in [markup, "$(id)", "`id`", "--conf", "a;b", "'); drop table session; --"] {
        let answer = post("/sessions", json!({"kind": "sql", "name": name})).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-content-type-options"]),
            (201, &"nosniff".parse().unwrap())
        );
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
        assert_eq!(answer.json::<Value>().await.unwrap()["name"], name, "it is data");
    }
    let named = it.count("session").await;
    // What spark-submit would take for an option, and what makes it read what is the gateway's.
    for body in [
        json!({"file": "--keytab"}),
        json!({"file": "/x.jar", "className": "--keytab"}),
        json!({"file": "/x.jar", "queue": "--principal=hearth"}),
        json!({"file": "file:///etc/shadow"}),
        json!({"file": "/../../etc/shadow"}),
        json!({"file": "local:/x.jar", "conf": {"spark.kerberos.keytab": "/etc/hearth/http.keytab"}}),
    ] {
        let answer = post("/batches", body.clone()).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 400, "{body}: {text}");
    }
    for key in [
        "spark.kerberos.keytab",
        "spark.kerberos.principal",
        "spark.yarn.keytab",
        "spark.yarn.principal",
        "spark.kerberos.renewal.credentials",
        "spark.hadoop.hadoop.security.authentication",
        "spark.hadoop.hadoop.kerberos.keytab.login.autorenewal.enabled",
        "spark.hadoop.hadoop.kerberos.kinit.command",
        "spark.driver.extraJavaOptions",
        "spark.driver.defaultJavaOptions",
        "spark.jars.ivySettings",
        "spark.executorEnv.KRB5_CONFIG",
        "spark.yarn.appMasterEnv.KRB5_KTNAME",
        "spark.security.credentials.hbase.enabled.x",
        "spark.Kerberos.keytab",
        " spark.kerberos.keytab",
        "spark.kerberos.keytab\n",
    ] {
        for path in ["/sessions", "/batches"] {
            let body = json!({"conf": {key: "/etc/hearth/http.keytab"}});
            let body = if path == "/batches" { json!({"file": "local:/x.jar", "conf": body["conf"]}) } else { body };
            let answer = post(path, body).await;
            let (status, text) = (answer.status(), answer.text().await.unwrap());
            assert!(status == 400 && text.contains("conf"), "{path} {key:?}: {status} {text}");
            assert!(!text.contains("http.keytab"), "{key:?}: the answer repeats the value");
        }
    }
    assert_eq!((it.count("session").await, it.count("batch").await), (named, 0));
    it.gateway.end().await;
}

/// What came on a connection until it ended. Never the end of patience.
fn rest(mut stream: impl std::io::Read) -> String {
    let mut text = Vec::new();
    if let Err(e) = stream.read_to_end(&mut text) {
        let is_end = matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof);
        assert!(is_end, "{e}");
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A plain gateway, where bytes can be counted.
async fn plain() -> Gateway {
    let toml = "[auth]\nschemes = [\"token\"]\ngroups = \"none\"";
    let limits = Setup::new().set("http.limits.header_timeout", "1s").set("http.limits.connections", "64");
    limits.runs_nothing().toml(toml).start().await
}

fn connect(gateway: &Gateway) -> TcpStream {
    let stream = TcpStream::connect(gateway.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(harness::BOUND)).unwrap();
    stream
}

#[tokio::test]
async fn huge_heads_and_ambiguous_lengths_are_refused() {
    let gateway = plain().await;
    let token = gateway.token("alice", &[]);
    let client = gateway.livy();
    for request in [
        client.request(Method::GET, "/sessions").bearer_auth("x".repeat(60_000)),
        client.request(Method::GET, "/sessions").header("x-large", "x".repeat(1 << 20)),
        client.request(Method::GET, "/sessions").header("cookie", "a=b; ".repeat(40_000)),
        client.request(Method::GET, &format!("/sessions?{}", "x".repeat(100_000))),
    ] {
        // The gateway may close while the client still writes.
        if let Ok(answer) = client.try_send(request).await {
            assert!(matches!(answer.status, 400 | 401 | 414 | 431), "{answer}");
        }
    }
    let many = (0..500).fold(client.request(Method::GET, "/sessions"), |r, n| r.header(format!("x-{n}"), "x"));
    assert_eq!(client.send(many).await.status, 431);

    // What two servers in a row could read as different requests.
    let authorization = format!("Authorization: Bearer {token}");
    let smuggled = "DELETE /api/v1/login HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let raw = |head: &str, body: &str| {
        let mut stream = connect(&gateway);
        let text =
            format!("POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\n{head}\r\n\r\n{body}");
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        rest(stream)
    };
    let length = "Content-Type: application/json\r\nContent-Length: 2";
    let two_lengths = raw(&format!("{length}\r\nContent-Length: 50"), &format!("{{}}{smuggled}"));
    assert!(two_lengths.starts_with("HTTP/1.1 400"), "{two_lengths}");
    for odd in ["Transfer-Encoding: chunked, identity", "Transfer-Encoding: xchunked", "Content-Length: +2"] {
        let answer = raw(odd, &format!("0\r\n\r\n{smuggled}"));
        assert!(answer.starts_with("HTTP/1.1 400") && answer.matches("HTTP/1.1").count() == 1, "{odd}: {answer}");
    }
    let both = raw(&format!("{length}\r\nTransfer-Encoding: chunked"), &format!("0\r\n\r\n{smuggled}"));
    assert!(both.matches("HTTP/1.1 ").count() <= 1, "what follows is not read as another request: {both}");
    for folded in ["X-A: 1\r\n Authorization: Bearer x", "Bad Name: 1", "X\0: 1"] {
        assert!(raw(folded, "").starts_with("HTTP/1.1 400"), "{folded:?}");
    }
    assert_eq!(client.bearer(&token).get("/sessions").await.status, 200);
    gateway.end().await;
}

#[tokio::test]
async fn slow_clients_hold_nobody_up() {
    let gateway = plain().await;
    let token = gateway.token("alice", &[]);
    // As many as there are places, each with a byte of its head now and then.
    let slow: Vec<TcpStream> = (0..64).map(|_| connect(&gateway)).collect();
    let began = Instant::now();
    let dripping = tokio::task::spawn_blocking(move || {
        let mut open = slow;
        for byte in b"GET /sessions HTTP/1.1\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x')) {
            open.retain_mut(|stream| stream.write_all(&[*byte]).is_ok() && is_open(stream));
            if open.is_empty() {
                return began.elapsed();
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{} slow clients are still held", open.len());
            std::thread::sleep(Duration::from_millis(50));
        }
        unreachable!("the bytes have no end")
    });
    let client = gateway.livy().bearer(&token);
    assert_eq!(client.get("/sessions").await.status, 200);
    let waited = began.elapsed();
    let ended = dripping.await.unwrap();
    assert!(waited < Duration::from_secs(10), "a good client waited {waited:?}");
    assert!(ended < Duration::from_secs(10), "slow clients were held for {ended:?}");
    gateway.end().await;
}

/// Whether the other end has not closed.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut byte = [0];
    let open = loop {
        match stream.read(&mut byte) {
            Ok(0) => break false,
            Ok(_) => {}
            Err(e) => break e.kind() == ErrorKind::WouldBlock,
        }
    };
    stream.set_nonblocking(false).unwrap();
    open
}
