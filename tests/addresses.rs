//! From where a caller comes, when something stands before the gateway: believed of those alone whom the configuration names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use harness::livy::Livy;
use harness::{BOUND, Gateway, Setup, until};
use reqwest::{Client, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

/// Where the client is that the proxies tell of (RFC 5737), and one of those who tell.
const CLIENT: &str = "203.0.113.7";
const BALANCER: [u8; 4] = [127, 0, 0, 2];

/// Hue may speak for alice, from the client's address alone.
fn setup(http: &str) -> Setup {
    Setup::new().runs_nothing().toml(&format!("[http]\n{http}")).toml(&format!(
        "[auth]\nschemes = [\"token\"]\ngroups = \"none\"\nproxies = [{{ principal = \"hue\", users = [\"alice\"], addresses = [{CLIENT:?}] }}]"
    ))
}

/// Waits until the audit holds a refusal from this address, one of the events named.
async fn is_noted(gateway: &Gateway, event: &str, address: &str) {
    let noted = async || {
        let count: i64 = sqlx::query_scalar(
            "select count(*) from audit_event where event = $1 and outcome = 'refused' and address = $2",
        )
        .bind(event)
        .bind(address)
        .fetch_one(&mut gateway.database().connect().await)
        .await
        .unwrap();
        (count > 0).then_some(())
    };
    until(&format!("{event} refused from {address} is in the audit"), BOUND, noted).await;
}

/// What `GET /api/v1/sessions?doAs=alice` answers to hue, by this head, from this address; empty when the gateway hangs up.
async fn raw(gateway: &Gateway, from: [u8; 4], head: &[u8], token: &str) -> String {
    let to: SocketAddr = gateway.url().strip_prefix("http://").unwrap().parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::from(from), 0).into()).unwrap();
    let mut link = socket.connect(to).await.unwrap();
    let request = format!(
        "GET /api/v1/sessions?doAs=alice HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    link.write_all(&[head, request.as_bytes()].concat()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is closed before all was read ends in a reset.
    let _ = link.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn forwarded_addresses_are_believed_of_named_proxies() {
    let gateway = setup("forwarded_for_from = [\"127.0.0.2\"]").start().await;
    let token = gateway.token("hue", &[]);
    let url = format!("{}/api/v1/sessions?doAs=alice", gateway.url());
    let from = |address: [u8; 4]| {
        harness::livy::use_aws_lc();
        Client::builder().no_proxy().local_address(IpAddr::from(Ipv4Addr::from(address))).build().unwrap()
    };
    let ask = async |address, forwarded: &str| {
        let request = from(address).get(&url).bearer_auth(&token).header("x-forwarded-for", forwarded);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(BALANCER, CLIENT).await, 200);
    // What the client wrote itself stands before what the balancer appended.
    assert_eq!(ask(BALANCER, &format!("{CLIENT}, 198.51.100.1")).await, 403);
    is_noted(&gateway, "act_for", "198.51.100.1").await;
    // Anybody else may write what they like.
    assert_eq!(ask([127, 0, 0, 1], CLIENT).await, 403);
    is_noted(&gateway, "act_for", "127.0.0.1").await;

    // A bad credential is written down with where it came from, too.
    let bad = from(BALANCER).get(&url).bearer_auth("hearth_wrong").header("x-forwarded-for", CLIENT);
    assert_eq!(bad.send().await.unwrap().status(), 401);
    is_noted(&gateway, "login", CLIENT).await;
    gateway.end().await;
}

#[tokio::test]
async fn heads_of_the_proxy_protocol_are_read_from_named_proxies() {
    let gateway = setup("proxy_protocol_from = [\"127.0.0.2\"]").start().await;
    let token = gateway.token("hue", &[]);
    let text = |client: &str| format!("PROXY TCP4 {client} 127.0.0.1 40000 8998\r\n").into_bytes();
    let answers = async |from, head: &[u8], status: &str| {
        let said = raw(&gateway, from, head, &token).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{:?}: {said}", String::from_utf8_lossy(head));
    };
    answers(BALANCER, &text(CLIENT), "200").await;
    answers(BALANCER, &text("198.51.100.1"), "403").await;
    is_noted(&gateway, "act_for", "198.51.100.1").await;
    // Version 2: the signature, PROXY over TCP/IPv4, twelve bytes of addresses and ports.
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend(CLIENT.parse::<Ipv4Addr>().unwrap().octets());
    binary.extend([127, 0, 0, 1, 0x9c, 0x40, 0x23, 0x26]);
    answers(BALANCER, &binary, "200").await;
    // The balancer's own check of health speaks for itself.
    answers(BALANCER, b"PROXY UNKNOWN\r\n", "403").await;
    is_noted(&gateway, "act_for", "127.0.0.2").await;

    // From a balancer nothing is taken without, from others nothing with such a head.
    for head in [&b""[..], b"PROXY TCP4 nonsense\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"] {
        assert_eq!(raw(&gateway, BALANCER, head, &token).await, "");
    }
    answers([127, 0, 0, 1], &text(CLIENT), "400").await;
    let plain: Livy = gateway.livy().bearer(&token);
    let refused = plain.send(plain.request(Method::GET, "/api/v1/sessions?doAs=alice")).await;
    assert_eq!(refused.status, 403, "{refused}");
    plain.get("/api/v1/sessions").await.expect(200);
    gateway.end().await;
}
