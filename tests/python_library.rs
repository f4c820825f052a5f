//! The Python client library against real gateways: blocking and awaited, every scheme, a gateway that is killed under it, handles.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use harness::certificates::Authority;
use harness::slapd::{BASE, Slapd};
use harness::{COLD, Setup, python};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// What the library needs, and what it gives tables to.
const NEEDED: &[&str] = &["httpx==0.28.1", "pandas==2.3.3", "polars==2.1.0", "pyarrow==26.0.1"];

/// The library's folder.
fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// A Python that has what the library needs, and the library as it stands in the sources.
async fn interpreter() -> Command {
    command(&python("tests-library", &[NEEDED]).await)
}

fn command(interpreter: &Path) -> Command {
    let mut command = Command::new(interpreter);
    // Nothing of the developer's own configuration.
    for name in ["HEARTH_URL", "HEARTH_TOKEN", "SSL_CERT_FILE", "KRB5CCNAME"] {
        command.env_remove(name);
    }
    command.env("PYTHONPATH", library().join("src")).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    command.current_dir(library());
    command
}

/// Runs it to its end; what it said.
async fn finish(command: &mut Command) -> String {
    let done = tokio::time::timeout(COLD * 2, command.output()).await.expect("it ends").unwrap();
    said(&done)
}

fn said(done: &Output) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    said
}

/// Runs the tests of these files against a gateway.
async fn tests(url: &str, pattern: &str) {
    let mut command = interpreter().await;
    command.args([
        "-W",
        "error::ResourceWarning",
        "-m",
        "unittest",
        "discover",
        "-t",
        ".",
        "-s",
        "tests",
        "-p",
        pattern,
    ]);
    let said = finish(command.env("HEARTH_URL", url)).await;
    // An empty pattern would be a success, too.
    assert!(said.contains("OK") && !said.contains("Ran 0 tests"), "{said}");
}

/// Shows a gateway who one is by a scheme.
async fn scheme(name: &str, words: &[&str]) {
    let mut command = interpreter().await;
    let said = finish(command.arg("tests/schemes.py").arg(name).args(words)).await;
    assert!(said.contains("well"), "{name}: {said}");
}

#[tokio::test]
async fn sessions_contexts_and_batches() {
    let gateway = Setup::new().start().await;
    for pattern in ["test_parts.py", "test_sessions.py", "test_contexts.py", "test_aio.py"] {
        tests(&gateway.url(), pattern).await;
    }
    gateway.end().await;
}

#[tokio::test]
async fn handles_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("file://{}", folder.path().display());
    let gateway = Setup::new().set("profiles.default.handle_store", &store).start().await;
    tests(&gateway.url(), "test_handles.py").await;
    gateway.end().await;
}

#[tokio::test]
async fn a_gateway_that_is_killed_is_waited_for_and_nothing_runs_twice() {
    let mut gateway = Setup::new().start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = interpreter().await;
    command.arg("tests/restart.py").arg(gateway.url()).arg(folder.path().join("once"));
    let mut script = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let amid = tokio::time::timeout(COLD, lines.next_line()).await.expect("the statement runs").unwrap();
    if amid.as_deref() == Some("amid") {
        gateway.kill().await;
        gateway.restart().await;
    }
    let rest = tokio::time::timeout(COLD, lines.next_line()).await.expect("it ends").unwrap();
    let done = tokio::time::timeout(COLD, script.wait_with_output()).await.expect("it ends").unwrap();
    assert_eq!((amid.as_deref(), rest.as_deref()), (Some("amid"), Some("well")), "{}", said(&done));
    gateway.end().await;
}

#[tokio::test]
async fn passwords_and_tokens() {
    let slapd = Slapd::start(&[("alice", "ou=acme")], &[]).await;
    let gateway = Setup::new()
        .runs_nothing()
        .set("auth.ldap.url", &slapd.url())
        .set("auth.ldap.user_dn", &format!("uid={{user}},ou=acme,{BASE}"))
        .toml("[auth]\nschemes = [\"basic\", \"token\"]\ngroups = \"none\"")
        .start()
        .await;
    scheme("basic", &[&gateway.url(), "", "alice", "alice's password"]).await;
    gateway.end().await;
}

#[tokio::test]
async fn client_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let (certificate, key) = authority.sign("gateway", &["localhost", "127.0.0.1"]);
    let gateway = Setup::new()
        .runs_nothing()
        .set("http.tls.certificate", certificate.to_str().unwrap())
        .set("http.tls.key", key.to_str().unwrap())
        .set("http.tls.client_ca", authority.pem().to_str().unwrap())
        .toml("[auth]\nschemes = [\"certificate\"]\ngroups = \"none\"")
        .start()
        .await;
    let (certificate, key) = authority.sign("ann", &[]);
    let (ca, certificate, key) = (authority.pem(), certificate.display().to_string(), key.display().to_string());
    scheme("certificate", &[&gateway.url(), ca.to_str().unwrap(), "ann", &certificate, &key]).await;
    gateway.end().await;
}

#[cfg(feature = "kerberos")]
#[tokio::test]
async fn tickets_and_the_logins_they_begin() {
    let kdc = harness::kdc::Kdc::start(&["alice"]).await;
    let gateway = Setup::new()
        .runs_nothing()
        .env("KRB5_CONFIG", kdc.conf().display())
        .env("KRB5RCACHENAME", kdc.replay_cache())
        .set("auth.negotiate.keytab", kdc.keytab().to_str().unwrap())
        .toml("[auth]\nschemes = [\"negotiate\"]\ngroups = \"none\"")
        .start()
        .await;
    let url = gateway.url().replace("127.0.0.1", "localhost");
    let python = python("tests-library-kerberos", &[&["httpx==0.28.1", "pyspnego[kerberos]==0.12.4"]]).await;
    let mut ticket = command(&python);
    ticket.env("KRB5_CONFIG", kdc.conf()).env("KRB5CCNAME", kdc.ticket("alice"));
    let said = finish(ticket.args(["tests/schemes.py", "kerberos", &url, "", "alice"])).await;
    assert!(said.contains("well"), "{said}");

    // What a browser keeps stands for the ticket.
    let curl = kdc.curl("alice", &[&format!("{url}/api/v1/login")]);
    let cookie = curl.split("hearth=").nth(1).and_then(|rest| rest.split(';').next()).expect("a cookie");
    scheme("cookie", &[&url, "", "alice", cookie]).await;
    gateway.end().await;
}

#[tokio::test]
async fn plain_python_needs_only_pip_install() {
    let gateway = Setup::new().start().await;
    let folder = library();
    let python = python("tests-library-wheel", &[&["--force-reinstall", folder.to_str().unwrap()]]).await;
    let code = "import hearth, importlib.resources as r; assert (r.files('hearth') / 'py.typed').is_file(); \
                print(hearth.connect().whoami().scheme, hearth.SharedRdd.__name__)";
    let mut command = command(&python);
    command.env_remove("PYTHONPATH").env("HEARTH_URL", gateway.url()).current_dir(gateway.home());
    assert_eq!(finish(command.args(["-c", code])).await.trim(), "local SharedRdd");
    gateway.end().await;
}
