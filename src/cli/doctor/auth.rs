//! What `hearth doctor` finds of the ways in: certificates, and what each scheme stands on.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::Uid;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Finding, PATIENCE};
use crate::config::Config;
use crate::http::tls;
use crate::identity::directory::Source;
use crate::identity::oidc::Oidc;
use crate::identity::proxy::Proxies;
use crate::identity::tenant::Tenants;
use crate::identity::{Scheme, keytab, ldap};
use crate::shim::Program;
use crate::time;

/// A certificate that ends sooner is told.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Looks at everything by which somebody gets in.
pub(super) async fn look_at(config: &Config) -> Vec<Finding> {
    let has = |scheme| config.auth.schemes.contains(&scheme);
    let mut findings = Vec::new();
    if config.http.tls.is_on() {
        findings.push(certificate(&config.http.tls));
    }
    findings.extend(rules(config));
    if has(Scheme::Negotiate) {
        findings.push(kerberos(&config.auth.negotiate.keytab));
    }
    if has(Scheme::Basic) || has(Scheme::Negotiate) && config.auth.groups == Source::Ldap {
        findings.push(directory(&config.auth.ldap).await);
    }
    if has(Scheme::Bearer) {
        findings.push(provider(config).await);
    }
    findings.extend(launcher(config).await);
    findings.extend(closed(config));
    findings
}

/// Whether key and certificate belong together, and how long the certificate lasts.
fn certificate(files: &tls::Config) -> Finding {
    let checked = tls::Tls::check(files).and_then(|()| tls::valid(files));
    let (from, until) = match checked {
        Ok(valid) => valid,
        Err(e) => return Finding::Fail(e.to_string()),
    };
    let (now, file) = (time::now(), files.certificate.display());
    if until <= now {
        return Finding::Fail(format!("the certificate {file} ended at {until}: renew it"));
    }
    if from > now {
        return Finding::Fail(format!("the certificate {file} begins at {from}: correct this machine's clock"));
    }
    if until <= now + SOON {
        return Finding::Warn(format!("the certificate {file} ends at {until}: renew it"));
    }
    Finding::Ok(format!("certificate {file} and its key, until {until}"))
}

fn rules(config: &Config) -> Vec<Finding> {
    let wrong = [Tenants::new(config.auth.tenants.clone()).err(), Proxies::new(config.auth.proxies.clone()).err()];
    wrong.into_iter().flatten().map(Finding::Fail).collect()
}

fn kerberos(file: &Path) -> Finding {
    if !cfg!(feature = "kerberos") {
        return Finding::Fail("auth.schemes has \"negotiate\", but this build has no Kerberos".to_owned());
    }
    if file.as_os_str().is_empty() {
        return Finding::Fail("auth.schemes has \"negotiate\", but auth.negotiate.keytab names no keytab".to_owned());
    }
    let principals = match keytab::principals(file) {
        Ok(principals) => principals,
        Err(e) => return Finding::Fail(format!("auth.negotiate.keytab: {e}")),
    };
    let names: Vec<&str> = principals.iter().filter(|p| p.starts_with("HTTP/")).map(String::as_str).collect();
    if names.is_empty() {
        return Finding::Fail(
            "auth.negotiate.keytab has no entry HTTP/…: add that of the name by which clients come (ktadd HTTP/host)"
                .to_owned(),
        );
    }
    Finding::Ok(format!("keytab with {}", names.join(", ")))
}

async fn directory(config: &ldap::Config) -> Finding {
    let reached = async {
        let client = ldap::Client::new(config).map_err(|e| e.to_string())?;
        client.reach().await.map_err(|e| format!("the directory {} (auth.ldap): {e}", config.url))
    };
    match reached.await {
        Ok(()) => Finding::Ok(format!("directory {}{}", config.url, if config.starttls { ", StartTLS" } else { "" })),
        Err(why) => Finding::Fail(why),
    }
}

async fn provider(config: &Config) -> Finding {
    let issuer = &config.auth.oidc.issuer;
    let oidc = match Oidc::new(&config.auth.oidc) {
        Ok(oidc) => oidc,
        Err(e) => return Finding::Fail(e.to_string()),
    };
    match oidc.reach().await {
        Ok(keys) => Finding::Ok(format!("OpenID provider {issuer}, {keys} keys")),
        Err(why) => Finding::Fail(format!("the OpenID provider {issuer} (auth.oidc.issuer): {why}")),
    }
}

/// Whether the launcher listens, where it is another process with a socket.
async fn launcher(config: &Config) -> Option<Finding> {
    let socket = Some(&config.launch.launcher).filter(|socket| !socket.is_empty())?;
    let told = format!("the launcher's socket {socket} (launch.launcher)");
    Some(match timeout(PATIENCE, UnixStream::connect(socket)).await {
        Ok(Ok(_)) => Finding::Ok(format!("launcher at {socket}")),
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            Finding::Warn(format!("{told} is for the gateway's OS user alone: run this as that user"))
        }
        Ok(Err(e)) => Finding::Fail(format!("{told}: {e}: start `hearth launcher`")),
        Err(_) => Finding::Fail(format!("{told} does not answer")),
    })
}

/// Files that the OS user that Hearth becomes cannot read; none where that is the user who asks.
fn closed(config: &Config) -> Vec<Finding> {
    let user = &config.launch.gateway_user;
    let Ok(program) = Program::current() else { return Vec::new() };
    if !Uid::effective().is_root() || user.is_empty() {
        return Vec::new();
    }
    let (auth, tls) = (&config.auth, &config.http.tls);
    let files = [
        ("http.tls.certificate", &tls.certificate),
        ("http.tls.key", &tls.key),
        ("http.tls.client_ca", &tls.client_ca),
        ("auth.negotiate.keytab", &auth.negotiate.keytab),
        ("auth.ldap.ca", &auth.ldap.ca),
        ("auth.ldap.bind_password_file", &auth.ldap.bind_password_file),
        ("auth.oidc.ca", &auth.oidc.ca),
        ("auth.oidc.client_secret_file", &auth.oidc.client_secret_file),
    ];
    let is_closed = |path: &Path| {
        let looked = program.run_as(user, "test").arg("-r").arg(path).stderr(Stdio::null()).status();
        !looked.is_ok_and(|status| status.success())
    };
    let unread = files.into_iter().filter(|(_, path)| !path.as_os_str().is_empty() && is_closed(path));
    let told =
        |key: &str| Finding::Fail(format!("{key}: the OS user {user} cannot read the file: give it to that user"));
    unread.map(|(key, _)| told(key)).collect()
}
