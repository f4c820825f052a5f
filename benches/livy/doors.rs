//! What it costs to be known: the same read of the same session without a scheme, by an API token and by a login's cookie, and logins by
//! Kerberos in a second.
//!
//! The session is made before there is a scheme. Its driver outlives the gateway, and the next one on the same folder, which has schemes,
//! takes it up: so all reads are of one live session.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use crate::Plan;
use crate::client::Livy;
use crate::gateway::{Gateway, How};
use crate::harness::kdc::Kdc;
use crate::load::{self, Seen};
use crate::negotiate;
use crate::report::{Column, Report, Unit};

/// What is read of the session.
#[derive(Deserialize)]
struct Owned {
    owner: String,
}

/// Reads and logins with and without schemes, on a gateway of its own.
pub async fn measure(plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let time = Duration::from_secs(plan.seconds);
    let home = tempfile::Builder::new().prefix("hearth-bench").tempdir()?;
    let (open, _) = Gateway::open(home, How::default()).await?;
    let livy = Livy::new(&open.url)?;
    let session = livy.session(json!({ "kind": "pyspark" })).await?;
    let path = format!("/sessions/{session}");
    let free = load::get(livy.authority(), &path, "", time).await?;
    let user = livy.must::<Owned>(Method::GET, &path, None).await?.owner;
    let port = open.port()?;
    let home = open.leave().await?;

    // Without one in this build, or on this machine, tokens alone are measured.
    let kdc = if cfg!(feature = "kerberos") && negotiate::has_kdc() {
        Some(Kdc::start(&[user.as_str()]).await)
    } else {
        eprintln!("no krb5kdc here, or no Kerberos in this build: cookies and logins are not measured");
        None
    };
    let gateway = Gateway::open(home, guarded(kdc.as_ref(), port)).await?.0;
    let measured = known(&gateway, &user, kdc.as_ref(), &path, time, report, &free).await;
    gateway.stop(measured.is_err()).await?;
    measured
}

/// A gateway with schemes. Code of others could not be run by this one, which the benchmark does not need.
fn guarded(kdc: Option<&Kdc>, port: u16) -> How {
    let schemes = if kdc.is_some() { r#"["negotiate", "token"]"# } else { r#"["token"]"# };
    let mut config = format!(
        "[auth]\nschemes = {schemes}\ngroups = \"none\"\n[profiles.default]\nrun_as = \"user\"\n\
         [launch]\nlauncher = \"/nonexistent/launcher.sock\"\n"
    );
    let mut env = Vec::new();
    if let Some(kdc) = kdc {
        config.push_str(&format!("[auth.negotiate]\nkeytab = {:?}\n", kdc.keytab()));
        env.push(("KRB5_CONFIG", kdc.conf().display().to_string()));
        env.push(("KRB5RCACHENAME", kdc.replay_cache()));
    }
    How { config, env, port }
}

async fn known(
    gateway: &Gateway,
    user: &str,
    kdc: Option<&Kdc>,
    path: &str,
    time: Duration,
    report: &mut Report,
    free: &Seen,
) -> anyhow::Result<()> {
    let authority = gateway.url.trim_start_matches("http://");
    let token = gateway.token(user).await?;
    let by_token = load::get(authority, path, &format!("Authorization: Bearer {token}\r\n"), time).await?;
    compare("by an API token", &by_token, free, report);
    let Some(kdc) = kdc else { return Ok(()) };

    let host = format!("http://localhost:{}", gateway.port()?);
    let shown = kdc.curl(user, &[&format!("{host}/api/v1/login")]);
    let cookie = shown.lines().find_map(|l| l.to_ascii_lowercase().starts_with("set-cookie: ").then(|| l.get(12..)));
    let cookie = cookie.flatten().and_then(|c| c.split(';').next()).context("no cookie was set")?;
    let by_cookie = load::get(authority, path, &format!("Cookie: {cookie}\r\n"), time).await?;
    compare("by a cookie", &by_cookie, free, report);

    let cache = kdc.ticket(user);
    let mut clients = Vec::new();
    for _ in 0..negotiate::CLIENTS {
        // The library reads these when it is first called, so each client is a process of its own.
        clients.push(
            Command::new(std::env::current_exe()?)
                .args([negotiate::ARGUMENT, authority, &time.as_secs().to_string()])
                .env("KRB5_CONFIG", kdc.conf())
                .env("KRB5CCNAME", &cache)
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?,
        );
    }
    let mut logins = 0.0;
    for client in clients {
        let done = client.wait_with_output().await?;
        ensure!(done.status.success(), "a client that logs in failed");
        logins += String::from_utf8_lossy(&done.stdout).trim().parse::<f64>()?;
    }
    let what = format!("logins by Kerberos (SPNEGO), over {} connections", negotiate::CLIENTS);
    report.put(&what, Unit::PerSecond, Column::Hearth, vec![logins / time.as_secs_f64()]);
    Ok(())
}

fn compare(how: &str, seen: &Seen, free: &Seen, report: &mut Report) {
    let what = format!("GET /sessions/N over {} connections, {how}", load::CONNECTIONS);
    report.put(&what, Unit::PerSecond, Column::Hearth, vec![seen.rate]);
    report.put(&format!("{what}: time of one"), Unit::Ms, Column::Hearth, seen.took.clone());
    report.put(
        &format!("{what}: rate ÷ rate without a scheme"),
        Unit::Ratio,
        Column::Hearth,
        vec![seen.rate / free.rate],
    );
}
