//! `hearth import-livy`: what a `livy.conf` says, in Hearth's words: each key mapped, ignored with a notice, or refused with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

/// What becomes of a key.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It is this in Hearth: section, key, and value as TOML writes it.
    Mapped(Vec<(&'static str, &'static str, String)>, &'static str),
    /// It changes nothing, and why.
    Ignored(&'static str),
    /// It cannot be had, and what to do instead.
    Refused(&'static str),
}

use Fate::{Ignored, Mapped, Refused};

/// Reads `livy.conf` in a folder; the configuration goes to standard output, what became of each key to standard error. Fails when a key was
/// refused, so that nobody overlooks it.
pub(super) fn run(folder: &Path) -> anyhow::Result<ExitCode> {
    let file = folder.join("livy.conf");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let mut sections: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    let mut refused = 0;
    let keys = parse(&text);
    for (key, value) in &keys {
        match fate(key, value, &keys) {
            Mapped(to, notice) => {
                for (section, name, value) in to {
                    tell("mapped", key, &format!("{section}.{name}. {notice}"));
                    let keys = sections.entry(section).or_default();
                    let both = keys.get(name).filter(|_| name == "operators").and_then(|before| joined(before, &value));
                    keys.insert(name, both.unwrap_or(value));
                }
            }
            Ignored(why) => tell("ignored", key, why),
            Refused(why) => {
                refused += 1;
                tell("REFUSED", key, why);
            }
        }
    }
    say(&render(&sections));
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Two lists of names as one; both are JSON, as TOML's lists of texts are.
fn joined(one: &str, other: &str) -> Option<String> {
    let names = |list: &str| serde_json::from_str::<BTreeSet<String>>(list).ok();
    let all: BTreeSet<String> = names(one)?.into_iter().chain(names(other)?).collect();
    serde_json::to_string(&all).ok()
}

/// Keys and values as Spark's properties files have them: `key value`, `key = value`, `#` begins a comment. The last of a key counts.
fn parse(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let end = line.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(line.len());
            let (key, rest) = line.split_at(end);
            (plain(key), rest.trim_start_matches(|c: char| c == '=' || c.is_whitespace()).to_owned())
        })
        .collect()
}

/// The name of today for one of Livy's older names.
fn plain(key: &str) -> String {
    key.replace("csrf_protection", "csrf-protection")
        .replace("access_control", "access-control")
        .replace("allowed_users", "allowed-users")
        .replace("modify_users", "modify-users")
        .replace("view_users", "view-users")
        .replace("name_rules", "name-rules")
}

fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

fn users(value: &str) -> String {
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    serde_json::Value::from_iter(names.map(|name| format!("user:{name}"))).to_string()
}

fn one(section: &'static str, key: &'static str, value: String) -> Fate {
    Mapped(vec![(section, key, value)], "")
}

fn fate(key: &str, value: &str, all: &BTreeMap<String, String>) -> Fate {
    let is_on = value.eq_ignore_ascii_case("true");
    let other = |name: &str| all.get(name).map(String::as_str);
    match key {
        "livy.server.host" | "livy.server.port" => {
            let host = other("livy.server.host").unwrap_or("0.0.0.0");
            let port = other("livy.server.port").unwrap_or("8998");
            let notice = "Other addresses than loopback need TLS and an authentication scheme.";
            Mapped(vec![("http", "listen", text(&format!("{host}:{port}")))], notice)
        }
        "livy.ui.basePath" => one("http", "prefix", text(value)),
        "livy.keystore" | "livy.keystore.password" | "livy.key-password" | "livy.keystore.type" => Refused(
            "Hearth reads PEM files: convert the keystore (keytool -importkeystore to PKCS12, then openssl pkcs12) and set http.tls",
        ),
        "livy.server.csrf-protection.enabled" => one("http", "csrf_protection", is_on.to_string()),
        "livy.server.auth.type" => match value {
            "kerberos" => one("auth", "schemes", r#"["negotiate", "token"]"#.to_owned()),
            "ldap" => one("auth", "schemes", r#"["basic", "token"]"#.to_owned()),
            _ => Refused("Hearth has no custom filters: choose among auth.schemes"),
        },
        "livy.server.auth.kerberos.keytab" => one("auth.negotiate", "keytab", text(value)),
        "livy.server.auth.kerberos.principal" => Ignored("every HTTP/ entry of the keytab is accepted"),
        "livy.server.auth.kerberos.name-rules" if value == "DEFAULT" => Ignored("the default of krb5.conf is the same"),
        "livy.server.auth.kerberos.name-rules" => {
            Refused("names are mapped by auth_to_local of the host's krb5.conf: put the rules there")
        }
        "livy.server.auth.ldap.url" => one("auth.ldap", "url", text(value)),
        "livy.server.auth.ldap.base-dn" => one("auth.ldap", "user_dn", text(&format!("uid={{user}},{value}"))),
        "livy.server.auth.ldap.username-domain" => {
            Refused("a directory that takes user@domain is searched instead: set auth.ldap base, filter and bind_dn")
        }
        "livy.server.auth.ldap.enable-start-tls" => one("auth.ldap", "starttls", is_on.to_string()),
        "livy.server.auth.ldap.security-authentication" if value == "simple" => Ignored("it is the only one there is"),
        "livy.impersonation.enabled" if is_on => Mapped(
            vec![("profiles.default", "run_as", text("user"))],
            "Everybody's code runs as the OS user of their name; on spark:// name the workers' account: \"service:NAME\".",
        ),
        "livy.impersonation.enabled" => Refused(
            "with an authentication scheme nobody's code runs as the gateway: set profiles.default.run_as to \"service:NAME\"",
        ),
        "livy.superusers" => superusers(value),
        "livy.server.access-control.enabled" => Ignored("access is always controlled: see policies/README.md"),
        "livy.server.access-control.allowed-users" if value.trim() == "*" => Ignored("everybody who is known may come"),
        "livy.server.access-control.allowed-users" => Refused(
            "write a policy that forbids everything to others, and name its folder in access.policies (policies/examples)",
        ),
        "livy.server.access-control.modify-users" => Mapped(
            vec![("access", "operators", users(value))],
            "Operators see, share and stop everything, and run no code in it.",
        ),
        "livy.server.access-control.view-users" => {
            Refused("nobody sees everybody's work by configuration: owners grant view, to groups too")
        }
        "livy.spark.master" => one("profiles.default", "master", text(value)),
        "livy.server.spark-home" => one("profiles.default", "spark_home", text(value)),
        "livy.file.local-dir-whitelist" => {
            let roots = value.split(',').map(str::trim).filter(|root| !root.is_empty());
            one("profiles.default", "file_roots", serde_json::Value::from_iter(roots).to_string())
        }
        "livy.server.session.timeout" => one("session", "idle_timeout", text(value)),
        "livy.server.session.ttl" => one("session", "ttl", text(value)),
        "livy.server.session.state-retain.sec" => one("session", "retain", text(value)),
        "livy.rsc.sql.num-rows" => match value.parse::<u32>() {
            Ok(rows) => one("session", "max_rows", rows.to_string()),
            Err(_) => Refused("it is no number"),
        },
        _ if key.starts_with("livy.server.auth.") => Refused("Hearth has no custom filters: choose among auth.schemes"),
        _ if key.starts_with("livy.server.launch.kerberos.") => {
            Refused("Hearth does not launch with a Kerberos ticket of its own yet")
        }
        _ if key.starts_with("livy.server.recovery.") || key.starts_with("livy.server.zookeeper.") => {
            Ignored("everything is in Postgres: set database.url")
        }
        _ if key.starts_with("livy.server.thrift.") => Refused("there is no JDBC door"),
        "livy.server.session.timeout-check" if value.trim() == "false" => one("session", "idle_timeout", text("0s")),
        "livy.server.session.max-creation" => {
            Ignored("launches stand in line: see launch.concurrency and launch.queue")
        }
        "livy.spark.deploy-mode" if value.trim() == "cluster" => {
            Refused("drivers run beside the gateway (client mode) and outlive it; there is no cluster mode")
        }
        _ if key.starts_with("livy.server.access") || key.contains("auth") || key.contains("csrf") => Refused(
            "Hearth knows no such key of Livy's, and it may be about security: take it out, or set what it meant by hand",
        ),
        _ => Ignored("Hearth has no such setting"),
    }
}

/// Livy's superusers see and do everything, and may be anybody: two things in Hearth.
fn superusers(value: &str) -> Fate {
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    let rule = |name| format!("{{ principal = {}, users = [\"*\"], addresses = [\"127.0.0.1\"] }}", text(name));
    let rules: Vec<String> = names.map(rule).collect();
    Mapped(
        vec![("access", "operators", users(value)), ("auth", "proxies", format!("[{}]", rules.join(", ")))],
        "They may act for others from the addresses of auth.proxies alone: put theirs there.",
    )
}

fn render(sections: &BTreeMap<&str, BTreeMap<&str, String>>) -> String {
    let mut text = String::from("# Made from a livy.conf.\n");
    for (section, keys) in sections {
        text.push_str(&format!("\n[{section}]\n"));
        for (key, value) in keys {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text
}

#[expect(clippy::print_stdout, reason = "what the command is asked for")]
fn say(text: &str) {
    print!("{text}");
}

/// Values are not repeated: some are passwords.
#[expect(clippy::print_stderr, reason = "beside what the command is asked for")]
fn tell(what: &str, key: &str, why: &str) {
    eprintln!("{what}: {key}: {}", why.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVY: &str = "\
        # a comment\n\
        livy.server.port = 8999\n\
        livy.server.auth.type kerberos\n\
        livy.server.auth.kerberos.keytab=/etc/livy.keytab\n\
        livy.impersonation.enabled = true\n\
        livy.superusers = hue, ops\n\
        livy.server.csrf_protection.enabled = true\n\
        livy.server.session.timeout = 30m\n\
        livy.keystore.password = secret\n";

    fn sections(conf: &str) -> (BTreeMap<&'static str, BTreeMap<&'static str, String>>, usize) {
        let keys = parse(conf);
        let (mut sections, mut refused) = (BTreeMap::<_, BTreeMap<_, _>>::new(), 0);
        for (key, value) in &keys {
            match fate(key, value, &keys) {
                Mapped(to, _) => {
                    for (section, name, value) in to {
                        sections.entry(section).or_default().insert(name, value);
                    }
                }
                Refused(_) => refused += 1,
                Ignored(_) => {}
            }
        }
        (sections, refused)
    }

    #[test]
    fn what_comes_out_is_a_configuration_of_hearth() {
        let (sections, refused) = sections(LIVY);
        assert_eq!(refused, 1, "the keystore's password");
        let text = render(&sections);
        assert!(!text.contains("secret"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hearth.toml");
        fs::write(&file, &text).unwrap();
        let overrides = crate::config::Overrides { file: Some(file), ..Default::default() };
        let config = crate::config::Config::load(&overrides).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(config.http.listen.port(), 8999);
        assert!(config.http.csrf_protection);
        assert_eq!(config.auth.schemes.len(), 2);
        assert_eq!(config.auth.proxies.len(), 2);
        assert_eq!(config.auth.negotiate.keytab, Path::new("/etc/livy.keytab"));
        assert_eq!(config.session.idle_timeout, "30m".parse().unwrap());
    }

    #[test]
    fn a_key_that_cannot_be_had_is_refused_with_the_reason() {
        for (key, value) in [
            ("livy.server.auth.type", "custom"),
            ("livy.server.auth.custom.class", "x.Y"),
            ("livy.server.access-control.allowed-users", "a,b"),
            ("livy.impersonation.enabled", "false"),
            ("livy.server.auth.kerberos.name-rules", "RULE:[1:$1]"),
        ] {
            assert!(matches!(fate(key, value, &BTreeMap::new()), Refused(_)), "{key}");
        }
        assert!(matches!(fate("livy.rsc.jars", "x", &BTreeMap::new()), Ignored(_)));
    }
}
