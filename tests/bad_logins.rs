//! A flood of bad credentials: who is known gets in meanwhile, the audit stays small and still says how many there were.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::slapd::{BASE, Slapd};
use harness::{Setup, livy};
use reqwest::{Client, RequestBuilder};

const BAD: usize = 10_000;

fn client(address: [u8; 4]) -> Client {
    livy::use_aws_lc();
    Client::builder().no_proxy().local_address(IpAddr::from(Ipv4Addr::from(address))).build().unwrap()
}

/// The `number`th bad login: by a password, by an API token, or by an API token in the place of a password.
fn bad(request: RequestBuilder, number: usize) -> RequestBuilder {
    match number % 4 {
        0 => request.basic_auth("alice", Some(number)),
        1 => request.basic_auth(format!("user{number}"), Some("secret")),
        2 => request.bearer_auth(format!("hearth_{number}")),
        _ => request.basic_auth("alice", Some(format!("hearth_{number}"))),
    }
}

/// Memory of a process that is its own, bytes.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn ten_thousand_bad_logins_stop_nobody_and_fill_nothing() {
    let slapd = Slapd::start(&[("alice", "ou=acme"), ("bob", "ou=acme")], &[]).await;
    let mut gateway = Setup::new()
        .runs_nothing()
        .set("auth.ldap.url", &slapd.url())
        .set("auth.ldap.user_dn", &format!("uid={{user}},ou=acme,{BASE}"))
        .toml("[auth]\nschemes = [\"basic\", \"token\"]\ngroups = \"none\"")
        .start()
        .await;
    let url = format!("{}/api/v1/login", gateway.url());
    let token = gateway.token("carol", &[]);
    // Bob has logged in before, from where the flood will come.
    let flooded = client([127, 0, 0, 1]);
    let login = flooded.get(&url).basic_auth("bob", Some("bob's password")).send().await.unwrap();
    let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let before = memory(gateway.pid());

    let (sent, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicI64::new(0)));
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..32_u8 {
        // Half of them from one address, the others each from their own.
        let client = client([127, 0, 0, if sender % 2 == 0 { 1 } else { 100 + sender }]);
        let (url, sent, refused) = (url.clone(), sent.clone(), refused.clone());
        senders.spawn(async move {
            loop {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                if number >= BAD {
                    break;
                }
                let status = bad(client.get(&url), number).send().await.unwrap().status().as_u16();
                assert!(matches!(status, 401 | 429), "a bad login was answered with {status}");
                refused.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // Meanwhile: a token and a cookie from the very address of the flood, passwords from elsewhere, that of alice too.
    let (elsewhere, mut known, mut slowest) = (client([127, 0, 0, 2]), 0, Duration::ZERO);
    while !senders.is_empty() {
        let good = [
            flooded.get(&url).bearer_auth(&token),
            flooded.get(&url).header("cookie", &cookie),
            elsewhere.get(&url).basic_auth("alice", Some("alice's password")),
            elsewhere.get(&url).basic_auth("bob", Some("bob's password")),
        ];
        for request in good {
            let began = Instant::now();
            assert_eq!(request.send().await.unwrap().status(), 200);
            (known, slowest) = (known + 1, slowest.max(began.elapsed()));
        }
        while let Some(ended) = senders.try_join_next() {
            ended.unwrap();
        }
    }
    let grown = memory(gateway.pid()).saturating_sub(before) >> 20;
    let refused = refused.load(Ordering::Relaxed);
    assert_eq!(usize::try_from(refused).unwrap(), BAD);
    assert!(slowest < Duration::from_secs(5), "a good login took {slowest:?}");
    assert!(grown < 64, "{grown} MiB more");

    // What was only counted is written at the end of each minute, and here at the end of the gateway.
    gateway.terminate().await;
    let mut db = gateway.database().connect().await;
    let details: Vec<Option<String>> =
        sqlx::query_scalar("select detail from audit_event where event = 'login' and outcome = 'refused'")
            .fetch_all(&mut db)
            .await
            .unwrap();
    let count = |detail: &Option<String>| {
        let text = detail.as_deref().unwrap();
        text.split_once(" more")
            .map_or(1, |(counted, _)| counted.split(' ').next_back().unwrap().parse::<i64>().unwrap())
    };
    eprintln!("{} rows; {known} good logins meanwhile, the slowest {slowest:?}; {grown} MiB more", details.len());
    assert_eq!(details.iter().map(count).sum::<i64>(), refused, "every one is accounted for: {details:?}");
    assert!(details.len() < 500, "{} rows", details.len());
    gateway.restart().await;
    assert_eq!(client([127, 0, 0, 1]).get(&url).bearer_auth(&token).send().await.unwrap().status(), 200);
    gateway.end().await;
}
