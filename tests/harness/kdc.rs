//! A real MIT KDC on a loopback port, with its realm in a folder of its own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::keeper::Keeper;
use super::postgres::{hand_over, os_user};
use super::until;

/// The realm.
pub const REALM: &str = "HEARTH.TEST";

/// Another name of the gateway, for which its keytab has an entry too.
pub const OTHER_HOST: &str = "gate.hearth.test";

/// A running KDC.
#[derive(Debug)]
pub struct Kdc {
    keeper: Keeper,
    server: Child,
}

impl Kdc {
    /// Starts one that knows `HTTP/localhost`, [`OTHER_HOST`] and these users, each with a keytab.
    pub async fn start(users: &[&str]) -> Self {
        // TERM ends a KDC.
        let keeper = Keeper::new("TERM");
        let folder = keeper.folder();
        hand_over(folder);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = folder.display();
        fs::write(
            folder.join("krb5.conf"),
            format!(
                "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
                 dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n forwardable = true\n\
                 [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n \
                 auth_to_local = RULE:[1:$1](^svc-.*)s/^svc-//\n  auth_to_local = DEFAULT\n }}\n"
            ),
        )
        .unwrap();
        fs::write(
            folder.join("kdc.conf"),
            format!(
                "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n[realms]\n {REALM} = {{\n  \
                 database_name = {at}/principal\n  key_stash_file = {at}/stash\n  acl_file = {at}/acl\n }}\n\
                 [logging]\n kdc = FILE:{at}/kdc.log\n"
            ),
        )
        .unwrap();
        run(command("kdb5_util", folder).args(["create", "-s", "-P", "master", "-r", REALM]));
        let other = format!("HTTP/{OTHER_HOST}");
        for principal in users.iter().copied().chain(["HTTP/localhost", "host/localhost", &other]) {
            let keytab = if principal.contains('/') { "gateway" } else { principal };
            admin(folder, &format!("addprinc -randkey {principal}"));
            admin(folder, &format!("ktadd -k {at}/{keytab}.keytab {principal}"));
        }
        let server =
            command("krb5kdc", folder).args(["-n"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let listens = async || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        until("the KDC listens", super::BOUND, listens).await;
        Self { keeper, server }
    }

    /// Its krb5.conf.
    pub fn conf(&self) -> PathBuf {
        self.keeper.folder().join("krb5.conf")
    }

    /// The gateway's keytab, which has a `host/` entry too.
    pub fn keytab(&self) -> PathBuf {
        self.keeper.folder().join("gateway.keytab")
    }

    /// Where the library may note what it has seen.
    pub fn replay_cache(&self) -> String {
        format!("file2:{}/replays", self.keeper.folder().display())
    }

    /// Gets a ticket; the cache that holds it.
    pub fn ticket(&self, user: &str) -> String {
        let folder = self.keeper.folder();
        let cache = format!("FILE:{}/cc_{user}", folder.display());
        let keytab = folder.join(format!("{user}.keytab"));
        run(Command::new("kinit")
            .env("KRB5_CONFIG", self.conf())
            .args(["-c", &cache, "-k", "-t"])
            .arg(keytab)
            .arg(format!("{user}@{REALM}")));
        cache
    }

    /// `curl --negotiate` as this user, with further arguments; its whole output, heads first.
    pub fn curl(&self, user: &str, arguments: &[&str]) -> String {
        let cache = self.ticket(user);
        let output = run(Command::new("curl")
            .env("KRB5_CONFIG", self.conf())
            .env("KRB5CCNAME", cache)
            .args(["--silent", "--show-error", "--include", "--negotiate", "-u", ":"])
            .args(arguments));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A command of the KDC, as a user who is not root.
fn command(program: &str, folder: &Path) -> Command {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    command.env("KRB5_CONFIG", folder.join("krb5.conf")).env("KRB5_KDC_PROFILE", folder.join("kdc.conf"));
    command.env("PATH", path).current_dir(folder).stdin(Stdio::null());
    if let Some(user) = os_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

fn admin(folder: &Path, line: &str) {
    run(command("kadmin.local", folder).args(["-r", REALM, "-q", line]));
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}: run the tests with `make test`"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
