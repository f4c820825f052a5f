//! `hearth doctor` on the ways in: what it says of real servers and files that are well, and of those that are not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::fs;
use std::os::unix::net::UnixListener;

use harness::certificates::Authority;
use harness::kdc::{Kdc, REALM};
use harness::openid::{CLIENT_SECRET, Provider, REDIRECT};
use harness::postgres::Database;
use harness::slapd::{ACCOUNT, ACCOUNT_PASSWORD, BASE, Slapd};
use harness::{Gateway, Setup};

/// What the doctor says with some keys set otherwise, and whether all is well.
fn doctor(gateway: &Gateway, keys: &[(&str, &str)]) -> (bool, String) {
    let said = gateway.hearth_with(keys, &["doctor"]);
    (said.status.success(), String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned())
}

#[tokio::test]
async fn the_ways_in_are_looked_at() {
    let kdc = Kdc::start(&["alice"]).await;
    let slapd = Slapd::start(&[("alice", "ou=acme")], &[]).await;
    let mut provider = Provider::start("first").await;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let (certificate, key) = authority.sign("gateway", &["localhost", "127.0.0.1"]);
    let (_, other_key) = authority.sign("other", &["localhost"]);
    let ended = authority.sign_until("ended", &["localhost"], -1);
    let ending = authority.sign_until("ending", &["localhost"], 10);
    let socket = folder.path().join("launcher.sock");
    let _listens = UnixListener::bind(&socket).unwrap();
    let gateway = Setup::new()
        .runs_nothing()
        .set("launch.launcher", socket.to_str().unwrap())
        .env("KRB5_CONFIG", kdc.conf().display())
        .set("http.tls.certificate", certificate.to_str().unwrap())
        .set("http.tls.key", key.to_str().unwrap())
        .set("auth.negotiate.keytab", kdc.keytab().to_str().unwrap())
        .set("auth.ldap.url", &slapd.tls_url())
        .set("auth.ldap.ca", slapd.ca().to_str().unwrap())
        .set("auth.ldap.base", BASE)
        .set("auth.ldap.bind_dn", ACCOUNT)
        .set("auth.ldap.bind_password_file", slapd.password_file().to_str().unwrap())
        .set("auth.oidc.issuer", &provider.issuer())
        .set("auth.oidc.ca", provider.ca().to_str().unwrap())
        .set("auth.oidc.client_secret_file", provider.secret_file().to_str().unwrap())
        .toml(&format!(
            r#"[auth]
            schemes = ["negotiate", "basic", "bearer", "token"]
            groups = "none"
            [auth.oidc]
            audience = ["https://hearth.test"]
            client_id = "hearth"
            redirect = "{REDIRECT}""#
        ))
        .start()
        .await;
    let (well, said) = doctor(&gateway, &[]);
    assert!(well, "{said}");
    for line in [
        format!("ok    certificate {}", certificate.display()),
        format!("HTTP/localhost@{REALM}"),
        format!("ok    directory {}", slapd.tls_url()),
        format!("ok    OpenID provider {}, 1 keys", provider.issuer()),
        format!("ok    launcher at {}", socket.display()),
    ] {
        assert!(said.contains(&line), "{line}:\n{said}");
    }
    assert!(!said.contains("host/localhost"), "entries for others are not ours: {said}");
    let (_, said) = doctor(&gateway, &[("auth.ldap.url", &slapd.url()), ("auth.ldap.starttls", "true")]);
    assert!(said.contains(&format!("ok    directory {}, StartTLS", slapd.url())), "{said}");

    let stranger = tempfile::tempdir().unwrap();
    let ca = Authority::new(stranger.path()).pem();
    let wrong_password = folder.path().join("wrong-password");
    fs::write(&wrong_password, "canary-wrong-password").unwrap();
    let (ca, wrong_password) = (ca.to_str().unwrap(), wrong_password.to_str().unwrap());
    let alice = kdc.keytab().with_file_name("alice.keytab");
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    for (keys, line) in [
        (vec![("auth.negotiate.keytab", text(&alice))], "has no entry HTTP/"),
        (vec![("auth.negotiate.keytab", text(&key))], "it is no keytab"),
        (vec![("auth.negotiate.keytab", "/nonexistent".into())], "No such file"),
        (vec![("auth.ldap.ca", ca.into())], "FAIL  the directory"),
        (vec![("auth.ldap.bind_password_file", wrong_password.into())], "binding as auth.ldap.bind_dn: result 49"),
        (vec![("auth.ldap.url", "ldaps://localhost:1".into())], "FAIL  the directory ldaps://localhost:1"),
        (vec![("auth.ldap.url", "ldap://directory.example".into())], "without TLS"),
        (vec![("auth.oidc.issuer", "https://localhost:1".into())], "FAIL  the OpenID provider https://localhost:1"),
        (vec![("auth.oidc.issuer", format!("{}/", provider.issuer()))], "calls itself"),
        (vec![("http.tls.key", text(&other_key))], "FAIL  http.tls"),
        (vec![("http.tls.certificate", text(&ended.0)), ("http.tls.key", text(&ended.1))], "ended at"),
        (vec![("http.tls.certificate", text(&ending.0)), ("http.tls.key", text(&ending.1))], "warn  the certificate"),
        (vec![("launch.launcher", "/nonexistent".into())], "FAIL  the launcher's socket"),
    ] {
        let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let (well, said) = doctor(&gateway, &keys);
        assert!(said.contains(line), "{keys:?} should say {line:?}:\n{said}");
        assert_eq!(well, line.starts_with("warn"), "{keys:?}:\n{said}");
        for secret in [ACCOUNT_PASSWORD, CLIENT_SECRET, "canary-wrong-password"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    provider.stop();
    assert!(doctor(&gateway, &[]).1.contains("FAIL  the OpenID provider"));
    gateway.end().await;
}

#[tokio::test]
async fn a_schema_that_is_not_there_or_of_before_is_told() {
    let gateway = Setup::new().start().await;
    let (empty, home) = (Database::shared().await, tempfile::tempdir().unwrap());
    let home = home.path().to_str().unwrap();
    let mut db = gateway.database().connect().await;
    sqlx::query("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)")
        .execute(&mut db)
        .await
        .unwrap();
    for (url, line) in [
        (empty.url(), "the database is empty: run `hearth migrate`"),
        (gateway.database().url(), "1 migrations behind"),
    ] {
        let keys = [("database.url", url), ("database.migrate", "false"), ("http.listen", "localhost:0")];
        let (well, said) = doctor(&gateway, &keys);
        assert!(!well && said.contains(line), "{said}");
        let served = gateway.hearth_with(&keys, &["serve", "--home", home]);
        let said = String::from_utf8_lossy(&[served.stdout, served.stderr].concat()).into_owned();
        assert!(!served.status.success() && said.contains(line), "{said}");
    }
    empty.drop_it().await;
    gateway.end().await;
}
