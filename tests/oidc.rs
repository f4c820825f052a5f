//! Tokens and logins of a real OpenID provider, and what is refused that looks like them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::livy::Answer;
use harness::openid::{CLIENT_SECRET, Provider, REDIRECT};
use harness::{BOUND, Gateway, Setup, until};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Client, Method};
use serde_json::{Value, json};

const AUDIENCE: &str = "https://hearth.test";

fn setup(provider: &Provider) -> Setup {
    Setup::new()
        .runs_nothing()
        .set("auth.oidc.issuer", &provider.issuer())
        .set("auth.oidc.ca", provider.ca().to_str().unwrap())
        .set("auth.oidc.client_secret_file", provider.secret_file().to_str().unwrap())
        .toml(&format!(
            r#"[auth]
            schemes = ["bearer"]
            groups = "none"
            [auth.oidc]
            audience = ["{AUDIENCE}"]
            tenant_claim = "org"
            client_id = "hearth"
            redirect = "{REDIRECT}""#
        ))
}

async fn login(gateway: &Gateway, token: &str) -> Answer {
    let livy = gateway.livy();
    livy.send(livy.request(Method::GET, "/api/v1/login").bearer_auth(token)).await
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}

/// The claims of a good token, with some changed; those that become null are left out.
fn claims(provider: &Provider, changes: Value) -> Value {
    let mut claims = json!({"iss": provider.issuer(), "aud": AUDIENCE, "sub": "id-of-eve", "preferred_username": "eve",
        "org": "acme", "iat": now(), "exp": now() + 300});
    let all = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        all.insert(name.clone(), value.clone());
    }
    all.retain(|_, value| !value.is_null());
    claims
}

fn signed(provider: &Provider, claims: &Value, header: Header) -> String {
    let key = match header.alg {
        Algorithm::HS256 => EncodingKey::from_secret(&provider.public_key("first")),
        _ => EncodingKey::from_rsa_der(&provider.private_key("first")),
    };
    encode(&header, claims, &key).unwrap()
}

fn header(algorithm: Algorithm, key: Option<&str>) -> Header {
    Header { kid: key.map(str::to_owned), ..Header::new(algorithm) }
}

#[tokio::test]
async fn a_token_of_the_provider_says_who_somebody_is() {
    let mut provider = Provider::start("first").await;
    let gateway = setup(&provider).start().await;
    let nobody = gateway.livy().get("/sessions").await;
    assert_eq!(nobody.status, 401);
    assert!(nobody.header("www-authenticate").starts_with("Bearer"));

    let token = provider.token(AUDIENCE, "hearth:view").await;
    let known = login(&gateway, &token).await.expect(200);
    assert_eq!(
        (&known["user"], &known["tenant"], &known["groups"], &known["scheme"], &known["scope"]),
        (&json!("etl"), &json!("acme"), &json!(["analysts"]), &json!("bearer"), &json!("view"))
    );
    let elsewhere = provider.token("https://elsewhere.test", "hearth:view").await;
    assert_eq!(login(&gateway, &elsewhere).await.status, 401, "a token for another");

    // What the provider would sign is good however it was made; this is what the next test changes.
    let own = signed(&provider, &claims(&provider, json!({})), header(Algorithm::RS256, Some("first")));
    assert_eq!(login(&gateway, &own).await.expect(200)["user"], "eve");

    // The provider changes its key: new tokens are good as soon as it may be asked again, those of the old key are over.
    provider.stop();
    assert_eq!(login(&gateway, &token).await.status, 200, "what is known is good while the provider is away");
    provider.resume("second").await;
    let renewed = provider.token(AUDIENCE, "hearth:attach").await;
    let known = until("the new key is found", BOUND, async || {
        let answer = login(&gateway, &renewed).await;
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(known.await["scope"], "attach");
    let old = signed(&provider, &claims(&provider, json!({"jti": "2"})), header(Algorithm::RS256, Some("first")));
    assert!(matches!(login(&gateway, &old).await.status, 401 | 429), "the old key is gone");
    assert!(!gateway.log().contains(&token), "no token in the log");
    gateway.end().await;
}

#[tokio::test]
async fn what_looks_like_a_token_is_refused() {
    let provider = Provider::start("first").await;
    let gateway = setup(&provider).start().await;
    let rs = || header(Algorithm::RS256, Some("first"));
    let good = claims(&provider, json!({}));
    let of = |changes: Value| signed(&provider, &claims(&provider, changes), rs());
    assert_eq!(login(&gateway, &of(json!({"exp": now() - 30}))).await.status, 200, "clocks may be a minute apart");

    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(&good));
    let (head, rest) = of(json!({})).split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let changed = format!("{head}.{}.{signature}", part(&claims(&provider, json!({"preferred_username": "root"}))));
    let critical = Header { crit: Some(vec!["b64".into()]), ..rs() };
    // Each from an address of its own: together they would be slowed.
    let from = async |address: u8, token: &str| {
        let client = Client::builder().no_proxy().local_address(std::net::IpAddr::from([127, 0, 1, address]));
        client.build().unwrap().get(format!("{}/api/v1/login", gateway.url())).bearer_auth(token).send().await.unwrap()
    };
    let refused = [
        ("alg=none", none),
        ("signed with the public key as a secret", signed(&provider, &good, header(Algorithm::HS256, Some("first")))),
        ("another algorithm than the key's", signed(&provider, &good, header(Algorithm::PS256, Some("first")))),
        ("an algorithm that is not allowed", signed(&provider, &good, header(Algorithm::RS512, Some("first")))),
        ("an unknown key", signed(&provider, &good, header(Algorithm::RS256, Some("other")))),
        ("critical parameters", signed(&provider, &good, critical)),
        ("changed claims", changed),
        ("over", of(json!({"exp": now() - 120}))),
        ("without an end", of(json!({"exp": null}))),
        ("an end that is none", of(json!({"exp": "tomorrow"}))),
        ("not yet", of(json!({"nbf": now() + 120}))),
        ("issued in the future", of(json!({"iat": now() + 120}))),
        ("for another", of(json!({"aud": "https://elsewhere.test"}))),
        ("for nobody", of(json!({"aud": null}))),
        ("of another issuer", of(json!({"iss": "https://elsewhere.test"}))),
        ("of nobody", of(json!({"iss": null}))),
        ("without a name", of(json!({"preferred_username": null}))),
        ("with a strange name", of(json!({"preferred_username": "../root"}))),
        ("without a tenant", of(json!({"org": null}))),
        ("of one part", "token".to_owned()),
        ("of three empty ones", "..".to_owned()),
    ];
    for (address, (what, token)) in (1..).zip(&refused) {
        assert_eq!(from(address, token).await.status(), 401, "{what}");
    }
    // From one address eve is slowed, with what is wrong alone.
    let (_, wrong) = &refused[0];
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(from(99, wrong).await.status().as_u16());
        assert_eq!(from(99, &of(json!({}))).await.status(), 200);
    }
    assert_eq!((statuses[4], statuses[6]), (401, 429), "{statuses:?}");
    gateway.end().await;
}

#[tokio::test]
async fn a_browser_logs_in_at_the_provider() {
    let mut provider = Provider::start("first").await;
    let gateway = setup(&provider).start().await;
    harness::livy::use_aws_lc();
    let browser = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let get = async |path: &str, cookie: &str| {
        let answer = browser.get(format!("{}{path}", gateway.url())).header("cookie", cookie).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
        let cookies: Vec<String> =
            answer.headers().get_all("set-cookie").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
        (answer.status().as_u16(), header("location"), cookies)
    };
    let value = |cookies: &[String], name: &str| {
        let found = cookies.iter().find(|cookie| cookie.starts_with(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("no cookie {name}: {cookies:?}")).split(';').next().unwrap().to_owned()
    };

    let (status, location, cookies) = get("/login?next=/api/v1/login%3Fx=1", "").await;
    assert_eq!(status, 303);
    assert!(location.contains("code_challenge_method=S256") && location.contains("nonce="), "{location}");
    assert!(cookies[0].contains("HttpOnly"), "{cookies:?}");
    let pending = value(&cookies, "hearth-login");
    let back = provider.log_in(&location, "alice").await;
    let callback = format!("/login/callback?{}", back.query().unwrap());

    // Another browser, or one that has begun another login, gets nothing by this answer.
    assert_eq!(get(&callback, "").await.0, 400);
    let (_, _, others) = get("/login", "").await;
    assert_eq!(get(&callback, &value(&others, "hearth-login")).await.0, 401);

    let (status, next, cookies) = get(&callback, &pending).await;
    assert_eq!((status, next.as_str()), (303, "/api/v1/login?x=1"));
    assert_eq!(value(&cookies, "hearth-login"), "hearth-login=", "the state is used up");
    let livy = gateway.livy();
    let cookie = value(&cookies, "hearth");
    let known = livy.send(livy.request(Method::GET, "/api/v1/login").header("cookie", cookie)).await.expect(200);
    assert_eq!(
        (&known["user"], &known["tenant"], &known["groups"], &known["scheme"]),
        (&json!("alice"), &json!("acme"), &json!(["analysts"]), &json!("cookie"))
    );
    assert_eq!(get(&callback, &pending).await.0, 401, "a code is good once");

    // Back to this host alone, and no login where the provider refuses or is away.
    let (_, location, cookies) = get("/login?next=https://evil.example/", "").await;
    let pending = value(&cookies, "hearth-login");
    let back = provider.log_in(&location, "bob").await;
    let (status, next, _) = get(&format!("/login/callback?{}", back.query().unwrap()), &pending).await;
    assert_eq!((status, next.as_str()), (303, "/"));
    let state = pending.split(['=', '.']).nth(1).unwrap().to_owned();
    let (status, _, cookies) = get(&format!("/login/callback?error=access_denied&state={state}"), &pending).await;
    assert_eq!(status, 401);
    assert!(!cookies.iter().any(|cookie| cookie.starts_with("hearth=")));
    provider.stop();
    let (status, _, _) = get(&format!("/login/callback?code=any&state={state}"), &pending).await;
    assert_eq!(status, 503);
    assert!(!gateway.log().contains(CLIENT_SECRET));
    gateway.end().await;
}
