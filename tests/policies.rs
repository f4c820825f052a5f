//! What the policies mean, as a table that is reviewed; and which policies a site may not have.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fmt::Write as _;

use hearth::access::Verb;
use hearth::access::engine::{Engine, Granted, Identity, Question};
use hearth::access::explain::actions_on;
use hearth::access::grant::Level;
use hearth::access::policy::Policies;
use hearth::access::resource::{Facts, Kind, Owned};
use hearth::access::role::Role;
use hearth::identity::{Principal, Scheme, Scope};
use uuid::Uuid;

/// Somebody, and what reaches them of a thing that alice of acme owns and Hue made for her.
struct Actor {
    name: &'static str,
    user: &'static str,
    tenant: &'static str,
    roles: &'static [Role],
    is_proxy: bool,
    scope: Scope,
    granted: Option<Granted>,
    attaches: bool,
}

const NOBODY: Actor = Actor {
    name: "",
    user: "bob",
    tenant: "acme",
    roles: &[],
    is_proxy: false,
    scope: Scope::Manage,
    granted: None,
    attaches: false,
};

const fn granted(level: Level, identity_confirmed: bool) -> Option<Granted> {
    Some(Granted { level, identity_confirmed })
}

const ACTORS: &[Actor] = &[
    Actor { name: "owner", user: "alice", ..NOBODY },
    Actor { name: "owner, token: attach", user: "alice", scope: Scope::Attach, ..NOBODY },
    Actor { name: "owner, token: view", user: "alice", scope: Scope::View, ..NOBODY },
    Actor { name: "the proxy", user: "hue", is_proxy: true, ..NOBODY },
    Actor { name: "the proxy's name", user: "hue", ..NOBODY },
    Actor { name: "another proxy", user: "hub", is_proxy: true, ..NOBODY },
    Actor { name: "grant: view", granted: granted(Level::View, false), ..NOBODY },
    Actor { name: "grant: attach", granted: granted(Level::Attach, false), ..NOBODY },
    Actor { name: "grant: attach, confirmed", granted: granted(Level::Attach, true), ..NOBODY },
    Actor { name: "grant: manage", granted: granted(Level::Manage, false), ..NOBODY },
    Actor { name: "grant: manage, confirmed", granted: granted(Level::Manage, true), ..NOBODY },
    Actor { name: "grant: read", granted: granted(Level::Read, false), ..NOBODY },
    Actor { name: "grant: write", granted: granted(Level::Write, false), ..NOBODY },
    Actor { name: "owner, attaches", user: "alice", attaches: true, ..NOBODY },
    Actor { name: "attaches to its context", attaches: true, ..NOBODY },
    Actor { name: "attaches, token: view", attaches: true, scope: Scope::View, ..NOBODY },
    Actor { name: "stranger", ..NOBODY },
    Actor { name: "tenant admin", roles: &[Role::TenantAdmin], ..NOBODY },
    Actor { name: "operator", tenant: "default", roles: &[Role::Operator], ..NOBODY },
    Actor { name: "auditor", tenant: "default", roles: &[Role::Auditor], ..NOBODY },
    Actor { name: "elsewhere", tenant: "umbrella", ..NOBODY },
    Actor { name: "elsewhere, same name", user: "alice", tenant: "umbrella", ..NOBODY },
    Actor { name: "elsewhere, proxy", user: "hue", tenant: "umbrella", is_proxy: true, ..NOBODY },
    Actor { name: "elsewhere, admin", tenant: "umbrella", roles: &[Role::TenantAdmin], ..NOBODY },
];

/// A handle that Alice has made in a context of Carol's, through Hue as she always does.
fn in_anothers() -> Facts<'static> {
    let Facts::Owned(handle) = owned(Kind::Handle) else { unreachable!("it is owned") };
    let context = Owned::new(Kind::Context, Uuid::nil(), "acme", "carol", None, "carol", "default");
    Facts::Owned(Owned { within: Some(Box::new(context)), ..handle })
}

fn owned(kind: Kind) -> Facts<'static> {
    let owned = Owned::new(kind, Uuid::nil(), "acme", "alice", Some("hue"), "alice", "default");
    let within = (kind == Kind::Handle)
        .then(|| Box::new(Owned::new(Kind::Context, Uuid::nil(), "acme", "alice", Some("hue"), "alice", "default")));
    Facts::Owned(Owned { within, ..owned })
}

fn things() -> Vec<(&'static str, Facts<'static>, Identity)> {
    let person = Identity { is_person: true, may_share: false };
    let shared = Identity { is_person: true, may_share: true };
    let service = Identity { is_person: false, may_share: false };
    let account = Facts::Account { tenant: "acme".into(), user: "alice".into() };
    vec![
        ("a context that runs as alice", owned(Kind::Context), person),
        ("a context that runs as alice, of a profile that shares identities", owned(Kind::Context), shared),
        ("a context that runs as a service account", owned(Kind::Context), service),
        ("a session that runs as alice", owned(Kind::Session), person),
        ("a batch", owned(Kind::Batch), person),
        ("a handle", owned(Kind::Handle), person),
        ("a handle in a context of another", in_anothers(), person),
        ("a profile", Facts::Profile("default".into()), Identity::UNKNOWN),
        ("alice's account", account, Identity::UNKNOWN),
        ("the tenant acme", Facts::Tenant("acme".into()), Identity::UNKNOWN),
    ]
}

fn principal(actor: &Actor) -> Principal {
    Principal {
        user: actor.user.into(),
        groups: ["staff".to_owned()].into(),
        tenant: actor.tenant.into(),
        scheme: Scheme::Negotiate,
        scope: actor.scope,
        ..Principal::local()
    }
}

/// `✔` or the status that a door answers with, and the policies that led to it.
fn cell(engine: &Engine, actor: &Actor, verb: Verb, on: &Facts<'_>, identity: Identity) -> String {
    let who = principal(actor);
    let is_handle = matches!(on, Facts::Owned(owned) if owned.kind == Kind::Handle);
    let ask = |verb| {
        let question = Question::new(&who, actor.roles, verb, on.clone());
        engine.evaluate(&Question {
            is_proxy: actor.is_proxy,
            granted: actor.granted,
            attaches: actor.attaches && is_handle,
            identity,
            ..question
        })
    };
    let verdict = ask(verb);
    let seen = !on.is_seen_first() || ask(Verb::View).allowed;
    let sign = match (seen, verdict.allowed) {
        (false, _) => "404",
        (true, false) => "403",
        (true, true) => "✔",
    };
    let policies: Vec<_> = verdict.policies.iter().map(|p| p.trim_start_matches("base:")).collect();
    if policies.is_empty() { sign.to_owned() } else { format!("{sign} {}", policies.join("+")) }
}

#[test]
fn the_policies_mean_what_was_reviewed() {
    let engine = Engine::new(Policies::load(None).unwrap());
    let mut table = String::new();
    for (name, on, identity) in things() {
        let verbs = actions_on(&on);
        let rows: Vec<Vec<String>> = ACTORS
            .iter()
            .map(|actor| {
                let cells = verbs.iter().map(|verb| cell(&engine, actor, *verb, &on, identity));
                [actor.name.to_owned()].into_iter().chain(cells).collect()
            })
            .collect();
        let head: Vec<String> =
            [String::new()].into_iter().chain(verbs.iter().map(|v| v.as_str().to_owned())).collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|i| [&head].into_iter().chain(&rows).map(|row| row[i].chars().count()).max().unwrap())
            .collect();
        writeln!(table, "{name}").unwrap();
        for row in [&head].into_iter().chain(&rows) {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(table, "  {}", cells.join("  ").trim_end()).unwrap();
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_verdict_is_found_again_only_for_the_same_question() {
    let engine = Engine::new(Policies::load(None).unwrap());
    let (alice, bob) = (principal(&ACTORS[0]), principal(&NOBODY));
    let ask = |who| engine.decide(&Question::new(who, &[], Verb::View, owned(Kind::Session)));
    assert!(ask(&alice).0.allowed);
    assert!(!ask(&alice).1, "it was kept");
    assert!(!ask(&bob).0.allowed);
    let grouped =
        |groups: &[&str]| Principal { groups: groups.iter().map(|g| (*g).to_owned()).collect(), ..bob.clone() };
    let digest = |who: &Principal| Question::new(who, &[], Verb::View, owned(Kind::Session)).digest();
    assert_ne!(digest(&grouped(&["ab", "c"])), digest(&grouped(&["a", "bc"])));
    assert_ne!(digest(&grouped(&["a"])), digest(&grouped(&["a", ""])));
}

fn load(text: &str) -> Result<Policies, String> {
    Policies::from_texts(&[("test.cedar".to_owned(), text.to_owned())]).map_err(|e| e.to_string())
}

#[test]
fn a_site_may_not_widen_who_sees_what() {
    for text in [
        "permit (principal, action, resource);",
        r#"permit (principal, action == Action::"view", resource);"#,
        r#"permit (principal, action in [Action::"manage", Action::"viewTokens"], resource);"#,
        r#"permit (principal in Group::"staff", action in Action::"reads", resource);"#,
        r#"permit (principal, action == Action::"readAudit", resource);"#,
    ] {
        let e = load(text).unwrap_err();
        assert!(e.contains("test.cedar") && e.contains("policy0") && e.contains("permits"), "{e}");
    }
    load(r#"permit (principal in Group::"leads", action == Action::"manage", resource);"#).unwrap();
}

#[test]
fn policies_that_are_not_valid_are_refused_by_name() {
    for (text, said) in [
        ("forbid (principal, action, resource", "line 1"),
        ("\n\nforbid (principal; action, resource);", "line 3"),
        (r#"forbid (principal, action == Action::"fly", resource);"#, "fly"),
        (r#"forbid (principal, action == Action::"view", resource) when { resource.color == "red" };"#, "color"),
        (r#"forbid (principal, action == Action::"view", resource) when { resource.via == principal };"#, "via"),
        (
            r#"forbid (principal == User::"x", action == Action::"view", resource) when { principal.tenant == "acme" };"#,
            "site:test/policy0: ",
        ),
        (r#"@id("t") forbid (principal == ?principal, action, resource);"#, "t is a template"),
        (
            r#"@id("same") forbid (principal, action == Action::"share", resource);
               @id("same") forbid (principal, action == Action::"manage", resource);"#,
            "same",
        ),
    ] {
        let e = load(text).unwrap_err();
        assert!(e.contains(said), "{text}: {e}");
    }
}

#[test]
fn a_site_policy_forbids_and_says_why() {
    let policies = load(
        r#"@id("interns") @advice("ask the platform team")
           forbid (principal in Group::"staff", action == Action::"createSession", resource == Profile::"gpu");"#,
    )
    .unwrap();
    let engine = Engine::new(policies);
    let who = principal(&NOBODY);
    let ask = |profile: &'static str| {
        engine.evaluate(&Question::new(&who, &[], Verb::CreateSession, Facts::Profile(profile.into())))
    };
    let verdict = ask("gpu");
    assert_eq!((verdict.allowed, verdict.policies.as_slice()), (false, ["site:interns".to_owned()].as_slice()));
    assert_eq!(verdict.advice, ["ask the platform team"]);
    assert!(ask("small").allowed);
}

#[test]
fn the_examples_are_valid() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/examples");
    let policies = Policies::load(Some(&folder)).unwrap();
    assert!(policies.listed().iter().filter(|p| p.id.starts_with("site:")).count() >= 6);
}

#[test]
fn the_catalogue_and_the_schema_name_the_same_actions() {
    let schema = hearth::access::policy::SCHEMA;
    for verb in Verb::ALL {
        let declared = schema
            .lines()
            .filter_map(|l| l.strip_prefix("action "))
            .find(|l| l.split(|c: char| !c.is_alphanumeric()).any(|word| word == verb.as_str()));
        let line = declared.unwrap_or_else(|| panic!("{} is not declared", verb.as_str()));
        assert_eq!(line.contains("in [reads]"), verb.only_reads(), "{line}");
    }
}
