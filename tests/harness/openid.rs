//! A real OpenID provider: oidc-provider on a loopback port, over TLS, and a browser that logs in there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use reqwest::header::{LOCATION, SET_COOKIE};
use reqwest::{Client, Method, Url};
use serde_json::Value;

use super::certificates::Authority;
use super::keeper::Keeper;

/// Where the provider sends browsers back to.
pub const REDIRECT: &str = "https://hearth.test/login/callback";
/// The secret of the client `hearth`.
pub const CLIENT_SECRET: &str = "canary-client-secret";

/// A running provider.
pub struct Provider {
    keeper: Keeper,
    node: PathBuf,
    packages: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Provider {
    /// Starts one that signs with a new key named `key`.
    pub async fn start(key: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/openid-provider");
        let printed = tokio::task::spawn_blocking(move || Command::new(script).output().unwrap()).await.unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let printed = String::from_utf8(printed.stdout).unwrap();
        let (node, packages) = printed.trim().split_once('\n').unwrap();
        let keeper = Keeper::new("TERM");
        Authority::new(keeper.folder()).sign("provider", &["localhost"]);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut provider = Self { keeper, node: node.into(), packages: packages.into(), port, server: None };
        provider.resume(key).await;
        provider
    }

    /// Its issuer.
    pub fn issuer(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The CA of its certificate.
    pub fn ca(&self) -> PathBuf {
        self.keeper.folder().join("ca.pem")
    }

    /// A file with [`CLIENT_SECRET`].
    pub fn secret_file(&self) -> PathBuf {
        let file = self.keeper.folder().join("client-secret");
        fs::write(&file, CLIENT_SECRET).unwrap();
        file
    }

    /// The private half of a key that it has signed with, as PKCS #1.
    pub fn private_key(&self, key: &str) -> Vec<u8> {
        fs::read(self.keeper.folder().join(format!("{key}.der"))).unwrap()
    }

    /// The public half, as PEM.
    pub fn public_key(&self, key: &str) -> Vec<u8> {
        fs::read(self.keeper.folder().join(format!("{key}.pem"))).unwrap()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts it again on the same port; from now on it signs with this key and shows no other.
    pub async fn resume(&mut self, key: &str) {
        let mut server = Command::new(&self.node)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openid-provider/server.mjs"))
            .args([&self.packages, self.keeper.folder()])
            .args([&self.port.to_string(), key])
            .current_dir(self.keeper.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = server.stdout.take().unwrap();
        self.server = Some(server);
        let (tell, told) = mpsc::channel();
        // Reads to the end, so that the provider never writes to a closed pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok).filter(|line| line == "ready") {
                let _ = tell.send(line);
            }
        });
        let ready = tokio::task::spawn_blocking(move || told.recv_timeout(super::BOUND)).await.unwrap();
        ready.expect("the provider starts");
    }

    /// A token that the provider gives the client `etl` for this audience.
    pub async fn token(&self, audience: &str, scope: &str) -> String {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("grant_type", "client_credentials"), ("resource", audience), ("scope", scope)])
            .finish();
        let request = self.client().post(format!("{}/token", self.issuer())).basic_auth("etl", Some("etl-secret"));
        let answer = request.header("content-type", FORM).body(form).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    /// Logs `user` in where a browser was sent; the address to which the provider sends it back.
    pub async fn log_in(&self, location: &str, user: &str) -> Url {
        let client = self.client();
        let mut cookies = BTreeMap::new();
        let (mut method, mut url, mut form) = (Method::GET, location.parse::<Url>().unwrap(), None);
        for _ in 0..20 {
            let jar: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut request = client.request(method, url.clone()).header("cookie", jar.join("; "));
            if let Some(form) = form.take() {
                request = request.header("content-type", FORM).body(form);
            }
            let answer = request.send().await.unwrap();
            for cookie in answer.headers().get_all(SET_COOKIE) {
                let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            method = Method::GET;
            if let Some(next) = answer.headers().get(LOCATION) {
                url = url.join(next.to_str().unwrap()).unwrap();
                if url.as_str().starts_with(REDIRECT) {
                    return url;
                }
                continue;
            }
            // One of the provider's own pages: the name, then the consent.
            let page = answer.text().await.unwrap();
            let prompt = if page.contains(r#"value="login""#) { "login" } else { "consent" };
            assert!(page.contains(r#"name="prompt""#), "no page to log in on: {page}");
            form = Some(format!("prompt={prompt}&login={user}&password=any"));
            method = Method::POST;
        }
        panic!("the provider sends the browser in circles");
    }

    fn client(&self) -> Client {
        super::livy::use_aws_lc();
        let ca = reqwest::Certificate::from_pem(&fs::read(self.ca()).unwrap()).unwrap();
        Client::builder()
            .add_root_certificate(ca)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap()
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}
