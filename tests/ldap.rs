//! People with names and passwords of a real directory: who they are, what is refused, and what becomes of others meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::livy::Answer;
use harness::slapd::{ACCOUNT, ACCOUNT_PASSWORD, BASE, Slapd};
use harness::{Gateway, Setup};
use reqwest::Method;
use serde_json::json;

const USERS: &[(&str, &str)] =
    &[("alice", "ou=acme"), ("bob", "ou=acme"), ("carol", "ou=globex"), ("hue", "ou=machines"), ("hub", "ou=acme")];
const GROUPS: &[(&str, &[&str])] = &[("analysts", &["alice", "carol"]), ("admins", &["bob"])];

async fn directory() -> Slapd {
    Slapd::start(USERS, GROUPS).await
}

/// Searches by the gateway's account, over StartTLS.
fn searching(slapd: &Slapd) -> Setup {
    Setup::new()
        .runs_nothing()
        .set("auth.ldap.url", &slapd.url())
        .set("auth.ldap.starttls", "true")
        .set("auth.ldap.ca", slapd.ca().to_str().unwrap())
        .set("auth.ldap.base", BASE)
        .set("auth.ldap.filter", "(|(uid={user})(mail={user}))")
        .set("auth.ldap.bind_dn", ACCOUNT)
        .set("auth.ldap.bind_password_file", slapd.password_file().to_str().unwrap())
        .set("auth.ldap.group_base", &format!("ou=groups,{BASE}"))
        .toml(
            r#"[auth]
            schemes = ["basic", "token"]
            groups = "ldap"
            tenants = [
                { tenant = "acme", branches = ["ou=acme,dc=hearth,dc=test"] },
                { tenant = "globex", branches = ["ou=globex,dc=hearth,dc=test"] },
            ]
            proxies = [
                { principal = "hue", groups = ["analysts"], addresses = ["127.0.0.1"], tenants = ["globex"] },
                { principal = "hub", users = ["*"], addresses = ["127.0.0.1"] },
            ]"#,
        )
}

/// Binds by a template, over a plain connection to this host.
fn binding(slapd: &Slapd) -> Setup {
    Setup::new()
        .runs_nothing()
        .set("auth.ldap.url", &slapd.url())
        .set("auth.ldap.user_dn", &format!("uid={{user}},ou=acme,{BASE}"))
        .set("auth.ldap.group_base", &format!("ou=groups,{BASE}"))
        .toml("[auth]\nschemes = [\"basic\"]\ngroups = \"none\"")
}

async fn login(gateway: &Gateway, user: &str, password: &str) -> Answer {
    ask(gateway, "/api/v1/login", user, password).await
}

async fn ask(gateway: &Gateway, path: &str, user: &str, password: &str) -> Answer {
    let livy = gateway.livy();
    livy.send(livy.request(Method::GET, path).basic_auth(user, Some(password))).await
}

#[tokio::test]
async fn the_directory_says_who_somebody_is() {
    let slapd = directory().await;
    let gateway = searching(&slapd).start().await;

    let nobody = gateway.livy().get("/sessions").await;
    assert_eq!(nobody.status, 401);
    assert!(nobody.headers.get_all("www-authenticate").iter().any(|v| v.to_str().unwrap().starts_with("Basic ")));

    let first = login(&gateway, "alice", "alice's password").await;
    let known = first.expect(200);
    assert_eq!(
        (&known["user"], &known["tenant"], &known["groups"], &known["scheme"]),
        (&json!("alice"), &json!("acme"), &json!(["analysts"]), &json!("basic"))
    );
    let cookie = first.header("set-cookie").split(';').next().unwrap().to_owned();
    let livy = gateway.livy();
    let by_cookie = livy.send(livy.request(Method::GET, "/api/v1/login").header("cookie", cookie)).await.expect(200);
    assert_eq!(
        (&by_cookie["user"], &by_cookie["groups"], &by_cookie["scheme"]),
        (&json!("alice"), &json!(["analysts"]), &json!("cookie"))
    );
    let again = login(&gateway, "alice", "alice's password").await;
    assert_eq!((again.status, again.header("set-cookie")), (200, ""), "what is remembered begins no login");

    // One person has one name, however it is written.
    for spelling in ["ALICE", "alice@hearth.test"] {
        assert_eq!(login(&gateway, spelling, "alice's password").await.expect(200)["user"], "alice");
    }
    assert_eq!(login(&gateway, "carol", "carol's password").await.expect(200)["tenant"], "globex");

    // A proxy speaks for the members of a group that the directory knows, in their own tenant.
    let hue = ask(&gateway, "/api/v1/login?doAs=carol", "hue", "hue's password").await.expect(200);
    assert_eq!(
        (&hue["user"], &hue["via"], &hue["tenant"], &hue["groups"]),
        (&json!("carol"), &json!("hue"), &json!("globex"), &json!(["analysts"]))
    );
    assert_eq!(ask(&gateway, "/api/v1/login?doAs=bob", "hue", "hue's password").await.status, 403);
    // Alice is in that group too, but of a tenant that hue's rule does not name; hub has no tenant but its own.
    assert_eq!(ask(&gateway, "/api/v1/login?doAs=alice", "hue", "hue's password").await.status, 403);
    let hub = async |user: &str| {
        let answer = ask(&gateway, &format!("/api/v1/login?doAs={user}"), "hub", "hub's password").await;
        (answer.status, answer.json()["tenant"].clone())
    };
    assert_eq!(hub("alice").await, (200, json!("acme")));
    assert_eq!(hub("carol").await.0, 403);
    assert_eq!(
        hub("nobody-in-particular").await,
        (200, json!("acme")),
        "without a rule of their own, where the proxy belongs"
    );

    let log = gateway.log();
    for secret in [ACCOUNT_PASSWORD, "alice's password"] {
        assert!(!log.contains(secret), "no password in the log");
    }
    gateway.end().await;
}

#[tokio::test]
async fn nobody_comes_in_by_a_wrong_an_empty_or_a_crafted_name_or_password() {
    let slapd = directory().await;
    for setup in [searching(&slapd), binding(&slapd)] {
        let gateway = setup.set("log.filter", "info,hearth=debug,ldap3=trace").start().await;
        for (user, password) in [
            ("alice", "wrong"),
            ("alice", ""),
            ("", ""),
            ("", "alice's password"),
            ("nobody", "alice's password"),
            ("bob", "alice's password"),
            ("*", "alice's password"),
            ("a*", "alice's password"),
            ("alice)(uid=*", "alice's password"),
            ("*)(uid=alice))(|(uid=*", "alice's password"),
            ("alice,ou=acme", "alice's password"),
            ("alice+cn=alice", "alice's password"),
            ("alice\u{0}", "alice's password"),
            (" alice", "alice's password"),
            ("al\\69ce", "alice's password"),
        ] {
            let answer = login(&gateway, user, password).await;
            // Names that can be nobody's are slowed together.
            assert!(matches!(answer.status, 401 | 429), "{user:?} {password:?}: {answer}");
            assert!(matches!(answer.json()["code"].as_str(), Some("unauthenticated" | "too_many")));
        }
        assert_eq!(login(&gateway, "bob", "bob's password").await.expect(200)["user"], "bob");
        assert!(!gateway.log().contains("'s password"), "no password in the log");
        gateway.end().await;
    }
}

#[tokio::test]
async fn a_directory_that_is_away_is_no_reason_to_refuse_anybody() {
    let mut slapd = directory().await;
    let gateway = binding(&slapd).start().await;
    let known = login(&gateway, "ALICE", "alice's password").await.expect(200);
    assert_eq!((&known["user"], &known["groups"]), (&json!("alice"), &json!(["analysts"])));

    slapd.stop();
    let away = login(&gateway, "bob", "bob's password").await;
    assert_eq!(away.status, 503, "{away}");
    assert!(!away.header("retry-after").is_empty());
    assert_eq!(login(&gateway, "ALICE", "alice's password").await.status, 200, "what is remembered is good meanwhile");
    assert_eq!(login(&gateway, "alice", "wrong").await.status, 503);
    slapd.resume().await;
    assert_eq!(login(&gateway, "bob", "bob's password").await.status, 200);
    gateway.end().await;

    // Over TLS a directory whose certificate is another's is as good as away.
    let stranger = tempfile::tempdir().unwrap();
    let ca = harness::certificates::Authority::new(stranger.path()).pem();
    let gateway = searching(&slapd).set("auth.ldap.ca", ca.to_str().unwrap()).start().await;
    assert_eq!(login(&gateway, "bob", "bob's password").await.status, 503);
    gateway.end().await;
}

#[tokio::test]
async fn over_tls_from_the_beginning_too() {
    let slapd = directory().await;
    let ldaps = || {
        let setup = searching(&slapd).set("auth.ldap.url", &slapd.tls_url()).set("auth.ldap.starttls", "false");
        setup.set("auth.ldap.cache", "0s")
    };
    let gateway = ldaps().start().await;
    assert_eq!(login(&gateway, "alice", "alice's password").await.expect(200)["groups"], json!(["analysts"]));
    assert_eq!(login(&gateway, "alice", "wrong").await.status, 401);
    gateway.end().await;

    // A directory whose certificate is another's, or for another name, hears no password.
    let stranger = tempfile::tempdir().unwrap();
    let ca = harness::certificates::Authority::new(stranger.path()).pem();
    let gateway = ldaps().set("auth.ldap.ca", ca.to_str().unwrap()).start().await;
    assert_eq!(login(&gateway, "alice", "alice's password").await.status, 503);
    gateway.end().await;
    let by_another_name = slapd.tls_url().replace("localhost", "127.0.0.2");
    let gateway = ldaps().set("auth.ldap.url", &by_another_name).start().await;
    assert_eq!(login(&gateway, "alice", "alice's password").await.status, 503);
    gateway.end().await;
}

#[tokio::test]
async fn who_guesses_is_slowed_and_nobody_else() {
    const GUESSES: usize = 10_000;
    let slapd = directory().await;
    // Nothing is remembered, so that every login asks the directory.
    let gateway = searching(&slapd).set("auth.ldap.cache", "0s").start().await;
    let url = format!("{}/api/v1/login", gateway.url());
    harness::livy::use_aws_lc();
    let client = |address: [u8; 4]| {
        reqwest::Client::builder()
            .no_proxy()
            .local_address(std::net::IpAddr::from(Ipv4Addr::from(address)))
            .build()
            .unwrap()
    };

    // Somebody tries everybody's password, and alice's most of all.
    let (guessed, slowed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut guessers = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (client, url, guessed, slowed) = (client([127, 0, 0, 1]), url.clone(), guessed.clone(), slowed.clone());
        guessers.spawn(async move {
            loop {
                let guess = guessed.fetch_add(1, Ordering::Relaxed);
                if guess >= GUESSES || Instant::now() > deadline {
                    break;
                }
                let user = if guess.is_multiple_of(2) { "alice".to_owned() } else { format!("user{guess}") };
                let answer = client.get(&url).basic_auth(user, Some(guess.to_string())).send().await.unwrap();
                match answer.status().as_u16() {
                    401 => {}
                    429 => {
                        assert!(answer.headers().contains_key("retry-after"));
                        slowed.fetch_add(1, Ordering::Relaxed);
                    }
                    other => panic!("a guess was answered with {other}"),
                }
            }
        });
    }
    // Meanwhile others log in from elsewhere, alice too.
    let elsewhere = client([127, 0, 0, 2]);
    let (mut logins, mut slowest) = (0, Duration::ZERO);
    while !guessers.is_empty() {
        for user in ["alice", "bob", "carol"] {
            let began = Instant::now();
            let password = format!("{user}'s password");
            let answer = elsewhere.get(&url).basic_auth(user, Some(password)).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{user} from elsewhere");
            (logins, slowest) = (logins + 1, slowest.max(began.elapsed()));
        }
        while let Some(ended) = guessers.try_join_next() {
            ended.unwrap();
        }
    }
    let (guessed, slowed) = (guessed.load(Ordering::Relaxed).min(GUESSES), slowed.load(Ordering::Relaxed));
    eprintln!("{guessed} guesses, {slowed} of them slowed; meanwhile {logins} logins, the slowest {slowest:?}");
    assert!(guessed > 500 && slowed > guessed / 4, "{guessed} guesses, {slowed} slowed");
    assert!(slowest < Duration::from_secs(5), "a login took {slowest:?}");
    // The right password of the pair that guessed is not looked at either, so that a guess that is right is not told apart.
    let guess = client([127, 0, 0, 1]).get(&url).basic_auth("alice", Some("alice's password")).send().await.unwrap();
    assert_eq!(guess.status(), 429);
    gateway.end().await;
}
