//! `hearth grant`: shares contexts, sessions, batches and handles as an operator.

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::desk::{Desk, operator};
use super::serve::Settings;
use crate::access::grant::{Grant, Level, NewGrant};
use crate::access::role::Subject;
use crate::access::target::Target;
use crate::access::{Action, Allowed, Share, Shareable, ViewGrants};
use crate::id::{Called, GrantId};
use crate::identity::{DEFAULT_TENANT, Principal};
use crate::store::Range;
use crate::time::Span;
use crate::{batch, context, handle, session};

/// Grants that are listed at most; a thing has no more.
pub(super) const ALL: Range = Range { from: 0, size: 1000 };

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lets a user or a group do something with a context, session, batch or handle.
    Add {
        #[command(flatten)]
        on: On,
        /// Whom: user:NAME or group:NAME.
        #[arg(long)]
        to: Subject,
        /// How much: view, attach or manage; of a handle read, write or manage.
        #[arg(long, value_parser = level)]
        level: Level,
        /// How long, such as 8h; without it until it is revoked.
        #[arg(long)]
        expires_in: Option<Span>,
        /// That the grantee is meant to act as the person that its code runs as. Only the owner can confirm it.
        #[arg(long)]
        confirm_identity: bool,
    },
    /// Lists the grants on a context, session, batch or handle.
    List {
        #[command(flatten)]
        on: On,
    },
    /// Takes a grant back.
    Revoke {
        #[command(flatten)]
        on: On,
        /// Its id, as `list` shows it.
        grant: GrantId,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct On {
    /// Which, such as session/0, context/etl, batch/7, handle/ID.
    #[arg(long)]
    on: Target,
    /// The tenant in which names are looked up.
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
}

fn level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| format!("there are {}", Level::ALL.map(Level::as_str).join(", ")))
}

pub(super) fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let desk = Desk::open(&config)?;
        let shown = act(&desk, command).await;
        desk.close().await;
        for grant in shown? {
            say(&grant);
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Does it; the grants to be shown.
async fn act(desk: &Desk, command: Command) -> anyhow::Result<Vec<Grant>> {
    match command {
        Command::Add { on, to, level, expires_in, confirm_identity } => {
            let expires_at = expires_in.map(|Span(time)| crate::time::now() + time);
            let new = NewGrant { level, to, expires_at, confirm_identity };
            let me = operator(&on.tenant);
            Ok(vec![match open::<Share>(desk, &me, &on.on).await? {
                Opened::Context(on) => desk.access().grant(&me, &on, new, None).await?,
                Opened::Session(on) => desk.access().grant(&me, &on, new, None).await?,
                Opened::Batch(on) => desk.access().grant(&me, &on, new, None).await?,
                Opened::Handle(on) => desk.access().grant(&me, &on, new, None).await?,
            }])
        }
        Command::List { on } => match open::<ViewGrants>(desk, &operator(&on.tenant), &on.on).await? {
            Opened::Context(on) => list(desk, &on).await,
            Opened::Session(on) => list(desk, &on).await,
            Opened::Batch(on) => list(desk, &on).await,
            Opened::Handle(on) => list(desk, &on).await,
        },
        Command::Revoke { on, grant } => {
            let me = operator(&on.tenant);
            Ok(vec![match open::<Share>(desk, &me, &on.on).await? {
                Opened::Context(on) => desk.access().revoke(&me, &on, grant).await?,
                Opened::Session(on) => desk.access().revoke(&me, &on, grant).await?,
                Opened::Batch(on) => desk.access().revoke(&me, &on, grant).await?,
                Opened::Handle(on) => desk.access().revoke(&me, &on, grant).await?,
            }])
        }
    }
}

async fn list<R: Shareable>(desk: &Desk, on: &Allowed<ViewGrants, R>) -> anyhow::Result<Vec<Grant>> {
    Ok(desk.access().grants(on, ALL).await?.rows)
}

/// A thing that can be shared, opened for `A`.
enum Opened<A> {
    Context(Allowed<A, context::Context>),
    Session(Allowed<A, session::View>),
    Batch(Allowed<A, batch::View>),
    Handle(Allowed<A, handle::Handle>),
}

async fn open<A: Action>(desk: &Desk, me: &Principal, on: &Target) -> anyhow::Result<Opened<A>> {
    Ok(match on {
        Target::Context(called) => Opened::Context(desk.contexts.open(me, called).await?),
        Target::Session(called) => Opened::Session(desk.sessions.open(me, Called::read(called)).await?),
        Target::Batch(called) => Opened::Batch(desk.batches.open(me, Called::read(called)).await?),
        Target::Handle(called) => {
            let id = called.parse().context("a handle is named by its id, as `hearth handles` shows it")?;
            Opened::Handle(desk.handles.open(me, id).await?)
        }
        other => bail!("{other} cannot be shared: contexts, sessions, batches and handles can"),
    })
}

#[expect(clippy::print_stdout, reason = "the answer to the command")]
fn say(g: &Grant) {
    println!("{}", line(g));
}

/// A grant, as it is listed.
pub(super) fn line(g: &Grant) -> String {
    let until = g.expires_at.map_or(String::new(), |at| format!(", until {}", at.to_rfc3339()));
    let identity = if g.identity_confirmed { ", identity confirmed" } else { "" };
    format!(
        "{}  {} to {}{identity}, by {} at {}{until}",
        g.id,
        g.level.as_str(),
        g.to,
        g.created_by,
        g.created_at.to_rfc3339()
    )
}
