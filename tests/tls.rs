//! TLS: clients and drivers over it, client certificates, a new certificate without an end to open connections, slow clients.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::certificates::Authority;
use harness::livy::use_aws_lc;
use harness::os_users::OsUsers;
use harness::{BOUND, COLD, Setup, until};
use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};

fn client(authority: &Authority, identity: Option<(&Path, &Path)>) -> Client {
    use_aws_lc();
    let read = |path: &Path| std::fs::read(path).unwrap();
    let trusted = Certificate::from_pem(&read(&authority.pem())).unwrap();
    let builder = Client::builder().add_root_certificate(trusted).no_proxy().timeout(COLD).tls_info(true);
    match identity {
        Some((certificate, key)) => {
            let pem = [read(certificate), read(key)].concat();
            builder.identity(Identity::from_pem(&pem).unwrap()).build().unwrap()
        }
        None => builder.build().unwrap(),
    }
}

fn with_certificates(folder: &Path) -> (Authority, Setup) {
    let authority = Authority::new(folder);
    let (certificate, key) = authority.sign("gateway", &["localhost", "127.0.0.1"]);
    let setup = Setup::new()
        .set("http.tls.certificate", certificate.to_str().unwrap())
        .set("http.tls.key", key.to_str().unwrap())
        .set("http.tls.client_ca", authority.pem().to_str().unwrap())
        .toml("[auth]\nschemes = [\"certificate\"]\ngroups = \"none\"");
    (authority, setup)
}

#[tokio::test]
async fn as_root_people_with_certificates_run_code_and_drivers_know_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let (users, sparks) = (OsUsers::new(&["system-gate", "alice"]), tempfile::tempdir().unwrap());
    let (authority, setup) = with_certificates(folder.path());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let (uid, gid) = users.account(0);
    for entry in fs::read_dir(folder.path()).unwrap() {
        chown(entry.unwrap().path(), Some(uid.as_raw()), Some(gid.as_raw())).unwrap();
    }
    let me = users.name(1);
    let (certificate, key) = authority.sign(me, &[]);
    let mut gateway = setup.run_as_users(users.name(0), sparks.path()).start().await;
    let (known, unknown) = (client(&authority, Some((&certificate, &key))), client(&authority, None));
    let url = |path: &str| format!("{}{path}", gateway.url());
    assert_eq!(unknown.get(url("/sessions")).send().await.unwrap().status(), 401);
    let login: Value = known.get(url("/api/v1/login")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&login["user"], &login["scheme"]), (&json!(me), &json!("certificate")));

    let post = |path: &str, body: Value| known.post(url(path)).json(&body).send();
    let session: Value = post("/sessions?wait=120", json!({"kind": "pyspark"})).await.unwrap().json().await.unwrap();
    let id = session["id"].as_i64().unwrap();
    assert_eq!(session["state"], "idle", "{session}");
    let code = |code: &str| json!({ "code": code });
    let path = format!("/sessions/{id}/statements?wait=60");
    let answer: Value = post(&path, code("1+1")).await.unwrap().json().await.unwrap();
    assert_eq!(answer["output"]["data"]["text/plain"], "2", "{answer}");

    // The driver outlives the gateway, and knows the one that comes by the same certificate.
    gateway.kill().await;
    gateway.restart().await;
    let url = |path: &str| format!("{}{path}", gateway.url());
    let post = |path: &str, body: Value| known.post(url(path)).json(&body).send();
    let again: Value = post(&path, code("1+2")).await.unwrap().json().await.unwrap();
    assert_eq!(again["output"]["data"]["text/plain"], "3", "{again}");
    gateway.end().await;
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, setup) = with_certificates(folder.path());
    let gateway = setup.runs_nothing().start().await;
    let url = format!("{}/healthz", gateway.url());
    let shown = async |client: &Client| {
        let answer = client.get(&url).send().await.unwrap();
        answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
    };
    let open = client(&authority, None);
    let first = shown(&open).await;
    authority.sign("gateway", &["localhost", "127.0.0.1"]);
    let second = until("the new certificate is shown", BOUND, async || {
        let second = shown(&client(&authority, None)).await;
        (second != first).then_some(second)
    })
    .await;
    assert_eq!(shown(&open).await, first, "an open connection keeps what it has");
    std::fs::write(folder.path().join("gateway.pem"), "no certificate").unwrap();
    until("the broken file is told", BOUND, async || gateway.log().contains("the last good one stays").then_some(()))
        .await;
    assert_eq!(shown(&client(&authority, None)).await, second);
    gateway.end().await;
}

#[tokio::test]
async fn both_versions_of_tls_and_of_http_are_spoken_and_all_are_asked_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, setup) = with_certificates(folder.path());
    let (certificate, key) = authority.sign("alice", &[]);
    let gateway = setup.runs_nothing().start().await;
    let (url, ca) = (format!("{}/api/v1/login", gateway.url()), authority.pem());
    let identity = ["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    for tls in ["1.2", "1.3"] {
        for (http, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
            for (status, identity) in [("401", &[][..]), ("200", &identity[..])] {
                let said = Command::new("curl")
                    .args([
                        "-sS",
                        "--noproxy",
                        "*",
                        "--max-time",
                        "60",
                        "-o",
                        "/dev/null",
                        "-w",
                        "%{http_code} %{http_version}",
                    ])
                    .args(["--cacert", ca.to_str().unwrap(), &format!("--tlsv{tls}"), "--tls-max", tls, http, &url])
                    .args(identity)
                    .output()
                    .unwrap();
                let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
                assert_eq!(out, format!("{status} {version}"), "TLS {tls}: {err}");
            }
        }
    }
    gateway.end().await;
}

#[tokio::test]
async fn whoever_says_nothing_or_plain_text_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, setup) = with_certificates(folder.path());
    let gateway = setup.runs_nothing().set("http.limits.header_timeout", "1s").start().await;
    let address = gateway.url().trim_start_matches("https://").to_owned();
    let mut silent = TcpStream::connect(&address).unwrap();
    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        for stream in [&mut silent, &mut plain] {
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let mut rest = Vec::new();
            // The end, or a reset; never the time limit above.
            if let Err(e) = stream.read_to_end(&mut rest) {
                assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
            }
        }
    });
    ended.await.unwrap();
    let alive = client(&authority, None).get(format!("{}/healthz", gateway.url())).send().await.unwrap();
    assert_eq!(alive.status(), 200);
    gateway.end().await;
}
