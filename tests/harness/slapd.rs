//! A real directory: OpenLDAP's slapd on a loopback port, with TLS and its data in a folder of its own.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::certificates::Authority;
use super::keeper::Keeper;
use super::postgres::{hand_over, os_user};
use super::until;

/// The top of the tree.
pub const BASE: &str = "dc=hearth,dc=test";
/// Who may search.
pub const ACCOUNT: &str = "cn=gateway,dc=hearth,dc=test";
/// The account's password.
pub const ACCOUNT_PASSWORD: &str = "canary-account-password";

/// A running directory.
pub struct Slapd {
    keeper: Keeper,
    port: u16,
    tls_port: u16,
    server: Option<Child>,
}

impl Slapd {
    /// Starts one with these users, each a name and their branch below [`BASE`] (`ou=acme`); their password is `NAME's password`. Of the
    /// groups, each a name and its members' names, below `ou=groups`.
    pub async fn start(users: &[(&str, &str)], groups: &[(&str, &[&str])]) -> Self {
        // TERM ends a slapd in order.
        let keeper = Keeper::new("TERM");
        let folder = keeper.folder();
        hand_over(folder);
        Authority::new(folder).sign("slapd", &["localhost", "127.0.0.1"]);
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [port, tls_port] = free.each_ref().map(|listener| listener.local_addr().unwrap().port());
        drop(free);
        fs::write(folder.join("slapd.conf"), conf(folder)).unwrap();
        fs::write(folder.join("tree.ldif"), tree(users, groups)).unwrap();
        let data = folder.join("data");
        fs::create_dir(&data).unwrap();
        hand_over(&data);
        let added = command("slapadd", folder).args(["-f", "slapd.conf", "-l", "tree.ldif"]).output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let mut slapd = Self { keeper, port, tls_port, server: None };
        slapd.resume().await;
        slapd
    }

    /// Its address, by the name that its certificate is for.
    pub fn url(&self) -> String {
        format!("ldap://localhost:{}", self.port)
    }

    /// Its address for TLS from the beginning.
    pub fn tls_url(&self) -> String {
        format!("ldaps://localhost:{}", self.tls_port)
    }

    /// The CA of its certificate.
    pub fn ca(&self) -> PathBuf {
        self.keeper.folder().join("ca.pem")
    }

    /// A file with the password of [`ACCOUNT`].
    pub fn password_file(&self) -> PathBuf {
        let file = self.keeper.folder().join("account-password");
        fs::write(&file, format!("{ACCOUNT_PASSWORD}\n")).unwrap();
        file
    }

    /// Changes its data as LDIF says.
    pub fn modify(&self, ldif: &str) {
        let mut modify = command("ldapmodify", self.keeper.folder());
        modify.args([
            "-x",
            "-H",
            &format!("ldap://127.0.0.1:{}", self.port),
            "-D",
            &format!("cn=root,{BASE}"),
            "-w",
            "root",
        ]);
        let mut modify = modify.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        std::io::Write::write_all(&mut modify.stdin.take().unwrap(), ldif.as_bytes()).unwrap();
        assert!(modify.wait().unwrap().success(), "{ldif}");
    }

    /// Ends it; its data stay.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts it again on the same port.
    pub async fn resume(&mut self) {
        let (port, tls) = (self.port, self.tls_port);
        // The second address is none that its certificate is for.
        let listen = format!("ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls} ldaps://127.0.0.2:{tls}");
        // With a level of debugging it stays in the foreground.
        let server =
            command("slapd", self.keeper.folder()).args(["-d", "0", "-f", "slapd.conf", "-h", &listen]).spawn();
        self.server = Some(server.unwrap());
        for port in [self.port, self.tls_port] {
            let listens = async || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
            until("slapd listens", super::BOUND, listens).await;
        }
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn conf(folder: &Path) -> String {
    let at = folder.display();
    format!(
        "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\npidfile {at}/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
         TLSCertificateFile {at}/slapd.pem\nTLSCertificateKeyFile {at}/slapd.key\n\
         access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by anonymous none\n\
         database mdb\nsuffix \"{BASE}\"\nrootdn \"cn=root,{BASE}\"\nrootpw root\ndirectory {at}/data\ndbnosync\n"
    )
}

fn tree(users: &[(&str, &str)], groups: &[(&str, &[&str])]) -> String {
    let mut text = format!(
        "dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: hearth\no: Hearth\n\n\
         dn: {ACCOUNT}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: gateway\n\
         userPassword: {ACCOUNT_PASSWORD}\n\n"
    );
    let mut branches: Vec<&str> = users.iter().map(|(_, branch)| *branch).chain(["ou=groups"]).collect();
    branches.sort_unstable();
    branches.dedup();
    for branch in branches {
        let name = branch.trim_start_matches("ou=");
        text.push_str(&format!("dn: {branch},{BASE}\nobjectClass: organizationalUnit\nou: {name}\n\n"));
    }
    for (user, branch) in users {
        text.push_str(&format!(
            "dn: uid={user},{branch},{BASE}\nobjectClass: inetOrgPerson\nuid: {user}\ncn: {user}\nsn: {user}\n\
             mail: {user}@hearth.test\nuserPassword: {user}'s password\n\n"
        ));
    }
    for (group, members) in groups {
        text.push_str(&format!("dn: cn={group},ou=groups,{BASE}\nobjectClass: groupOfNames\ncn: {group}\n"));
        for member in *members {
            let (user, branch) = users.iter().find(|(user, _)| user == member).expect("a member is a user");
            text.push_str(&format!("member: uid={user},{branch},{BASE}\n"));
        }
        text.push('\n');
    }
    text
}

/// A command of the directory, as a user who is not root.
fn command(program: &str, folder: &Path) -> Command {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    command.env("PATH", path).current_dir(folder).stdin(Stdio::null());
    if let Some(user) = os_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}
