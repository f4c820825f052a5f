//! `hearth policy`: checks policies, says what they decide, tries new ones.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::SecondsFormat;

use super::desk::{Desk, operator};
use super::serve::Settings;
use crate::access::explain::{Explanation, check_action, somebody};
use crate::access::policy::Policies;
use crate::access::resource::{Account, ProfileName, Tenant};
use crate::access::target::Target;
use crate::access::trial::{self, Change, Trial};
use crate::access::{Resource, Verb, View};
use crate::id::Called;
use crate::identity::{DEFAULT_TENANT, Principal};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Policy {
    /// Says whether policies are valid, without taking them up.
    Check {
        /// Their folder; else that of the configuration.
        folder: Option<PathBuf>,
    },
    /// Says what the policies decide of an action, and which of them.
    Explain(Explain),
    /// Tries policies against what was decided lately, without taking them up; exits with 1 when something would have come out otherwise.
    Try {
        /// Their folder.
        folder: PathBuf,
        /// Only what members of this tenant asked.
        #[arg(long)]
        tenant: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// Who wants to do it.
    #[arg(long)]
    user: String,
    /// A group of theirs; may be given several times.
    #[arg(long = "group")]
    groups: Vec<String>,
    /// Their tenant.
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
    /// What they want to do, such as view, attach, manage, createSession.
    #[arg(long, value_parser = verb)]
    action: Verb,
    /// To what, such as session/0, context/etl, batch/7, profile/default.
    #[arg(long)]
    on: Target,
}

fn verb(text: &str) -> Result<Verb, String> {
    let known = || format!("there are {}", Verb::ALL.map(Verb::as_str).join(", "));
    Verb::parse(text).ok_or_else(known)
}

pub(super) fn run(settings: &Settings, command: Policy) -> anyhow::Result<ExitCode> {
    match command {
        Policy::Check { folder } => check(settings, folder),
        Policy::Explain(asked) => at_desk(settings, async |desk| {
            say(&asked, &explain(desk, &asked).await?);
            Ok(ExitCode::SUCCESS)
        }),
        Policy::Try { folder, tenant } => {
            let policies =
                Policies::load(Some(&folder)).with_context(|| format!("the policies of {}", folder.display()))?;
            at_desk(settings, async |desk| {
                let mut db = desk.pool().acquire().await?;
                let trial = trial::run(&mut db, policies, tenant.as_deref()).await?;
                drop(db);
                Ok(tell(&trial))
            })
        }
    }
}

fn at_desk(settings: &Settings, work: impl AsyncFnOnce(&Desk) -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let desk = Desk::open(&config)?;
        let done = work(&desk).await;
        desk.close().await;
        done
    })
}

/// One line for each decision that would have come out otherwise, then how many.
#[expect(clippy::print_stdout, reason = "the answer to the command")]
fn tell(trial: &Trial) -> ExitCode {
    for Change { question: q, decided_at, policies, verdict } in &trial.changes {
        let (was, is) = if verdict.allowed { ("denied", "allowed") } else { ("allowed", "denied") };
        let by = |ids: &[String]| if ids.is_empty() { "no policy".to_owned() } else { ids.join(", ") };
        println!(
            "{}  {} of {} {} {}: was {was} by {}, would be {is} by {}",
            decided_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            q.user,
            q.tenant,
            q.verb.as_str(),
            q.on,
            by(policies),
            by(&verdict.policies)
        );
    }
    if trial.unknown > 0 {
        println!("{} decisions of another version of Hearth were passed over", trial.unknown);
    }
    println!("{} of {} decisions would have come out otherwise", trial.changes.len(), trial.tried);
    if trial.changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

#[expect(clippy::print_stdout, reason = "the answer to the command")]
fn check(settings: &Settings, folder: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let folder = match folder {
        Some(folder) => folder,
        None => PathBuf::from(settings.load()?.access.policies),
    };
    if folder.as_os_str().is_empty() {
        bail!("there are no policies of the site: name their folder, or set access.policies");
    }
    let policies = Policies::load(Some(&folder)).with_context(|| format!("the policies of {}", folder.display()))?;
    for odd in policies.warnings() {
        println!("warn  {odd}");
    }
    let of_site = policies.listed().iter().filter(|p| p.id.starts_with("site:")).count();
    println!("ok    {of_site} policies of {} are valid beside Hearth's own", folder.display());
    Ok(ExitCode::SUCCESS)
}

async fn explain(desk: &Desk, asked: &Explain) -> anyhow::Result<Explanation> {
    let (me, about) = (operator(&asked.tenant), somebody(&asked.tenant, &asked.user, asked.groups.clone()));
    match &asked.on {
        Target::Context(called) => {
            let context = desk.contexts.open::<View>(&me, called).await?;
            of(desk, &about, asked.action, &*context).await
        }
        Target::Session(called) => {
            let session = desk.sessions.open::<View>(&me, Called::read(called)).await?;
            of(desk, &about, asked.action, &*session).await
        }
        Target::Batch(called) => {
            let batch = desk.batches.open::<View>(&me, Called::read(called)).await?;
            of(desk, &about, asked.action, &*batch).await
        }
        Target::Handle(called) => {
            let id = called.parse().context("a handle is named by its id, as `hearth handles` shows it")?;
            let handle = desk.handles.open::<View>(&me, id).await?;
            of(desk, &about, asked.action, &*handle).await
        }
        Target::Profile(name) => {
            desk.contexts.profile(name)?;
            of(desk, &about, asked.action, &ProfileName(name.clone())).await
        }
        Target::Account(user) => {
            let account = Account { tenant: asked.tenant.clone(), user: user.clone() };
            of(desk, &about, asked.action, &account).await
        }
        Target::Tenant(name) => of(desk, &about, asked.action, &Tenant(name.clone())).await,
    }
}

async fn of<R: Resource>(desk: &Desk, about: &Principal, action: Verb, on: &R) -> anyhow::Result<Explanation> {
    check_action(action, &on.facts())?;
    Ok(desk.access().explain(about, action, on).await?)
}

#[expect(clippy::print_stdout, reason = "the answer to the command")]
fn say(asked: &Explain, e: &Explanation) {
    println!("{} {} {}: {}", asked.user, asked.action.as_str(), asked.on, e.outcome.as_str());
    let or_none = |list: Vec<&str>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    println!("  policies: {}", or_none(e.policies.iter().map(String::as_str).collect()));
    println!("  roles:    {}", or_none(e.roles.iter().map(|r| r.as_str()).collect()));
    println!("  granted:  {}", e.granted.map_or("none", |g| g.level.as_str()));
    if let Some(told) = &e.told {
        println!("  told:     {told}");
    }
}
