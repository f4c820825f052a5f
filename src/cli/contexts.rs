//! `hearth contexts`: contexts as an operator sees and handles them. What is to become of one is written to its row; the gateway of its host
//! acts on that within seconds.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::desk::{Desk, all, operator, owner};
use super::grant;
use super::serve::Settings;
use crate::access::{Manage, View, ViewGrants};
use crate::context::clock::Deadline;
use crate::context::log::Wanted;
use crate::context::{Context, NewContext, State};
use crate::identity::{DEFAULT_TENANT, Principal};
use crate::session;
use crate::time::Span;

/// Between two looks at a log that is followed.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Contexts {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    listed: Listed,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists contexts, newest first; so does no command at all.
    List(Listed),
    /// Says all about one: its application, sessions and grants, when it will end, who ended it.
    Describe {
        #[command(flatten)]
        which: Which,
    },
    /// Makes one for somebody. The gateway of this state folder launches it.
    Create(Box<New>),
    /// Ends one, and its sessions with it.
    Stop {
        #[command(flatten)]
        which: Which,
        /// How long to wait until it is over, such as 60s.
        #[arg(long, default_value = "0s")]
        wait: Span,
    },
    /// Begins one again, also one that is over: a new application under the same name and grants. Its sessions end, durable handles come back.
    Restart {
        #[command(flatten)]
        which: Which,
        /// How long to wait until it is ready, such as 60s.
        #[arg(long, default_value = "0s")]
        wait: Span,
    },
    /// Shows what its application has logged.
    Log {
        #[command(flatten)]
        which: Which,
        /// How many of the last lines.
        #[arg(long, default_value_t = 100)]
        lines: i64,
        /// Goes on as lines come, until it is over.
        #[arg(long)]
        follow: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Listed {
    /// Those that are over, too.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Its id or name.
    context: String,
    /// The tenant in which the name is looked up.
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
}

#[derive(Debug, clap::Args)]
struct New {
    /// Its name.
    name: String,
    /// Whose it is: operators own nothing.
    #[arg(long)]
    user: String,
    /// Their groups, as far as policies ask for them; may be given more than once.
    #[arg(long = "group")]
    groups: Vec<String>,
    /// Their tenant.
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
    /// The profile to make it from.
    #[arg(long)]
    profile: Option<String>,
    /// How long nothing may run in it, such as 1h; 0s: for ever. Without it as the profile says.
    #[arg(long)]
    idle_timeout: Option<Span>,
    /// How long to wait until it is ready, such as 60s.
    #[arg(long, default_value = "0s")]
    wait: Span,
}

pub(super) fn run(settings: &Settings, Contexts { command, listed }: Contexts) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let desk = Desk::open(&config)?;
        let done = act(&desk, command.unwrap_or(Command::List(listed))).await;
        desk.close().await;
        done.map(|()| ExitCode::SUCCESS)
    })
}

async fn act(desk: &Desk, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(listed) => list(desk, &listed).await,
        Command::Describe { which } => describe(desk, &which).await,
        Command::Create(new) => create(desk, *new).await,
        Command::Stop { which, wait } => {
            let context = desk.contexts.open::<Manage>(&operator(&which.tenant), &which.context).await?;
            desk.contexts.stop(&context, "stopped").await?;
            show(desk, &context, wait, |c| c.state == State::Ended).await
        }
        Command::Restart { which, wait } => restart(desk, &which, wait).await,
        Command::Log { which, lines, follow } => log(desk, &which, lines, follow).await,
    }
}

async fn list(desk: &Desk, listed: &Listed) -> anyhow::Result<()> {
    let me = operator(DEFAULT_TENANT);
    let found = all(async |range| desk.contexts.list(&me, range).await).await?;
    found.iter().filter(|c| listed.all || c.ended_at.is_none()).for_each(|c| say(&line(c)));
    Ok(())
}

async fn create(desk: &Desk, new: New) -> anyhow::Result<()> {
    let New { name, user, groups, tenant, profile, idle_timeout, wait } = new;
    // The audit names the OS user on whose command line it is made, and the owner as whom it is for.
    let who = Principal { via: Some(operator(&tenant).user), ..owner(&user, groups, &tenant)? };
    let new =
        NewContext { name: Some(name), profile, outlives_sessions: true, idle: idle_timeout, ..NewContext::default() };
    let made = desk.contexts.create(&who, new, None).await?;
    desk.contexts.let_go(made.id).await?;
    show(desk, &made, wait, |c| matches!(c.state, State::Ready | State::Ended)).await
}

async fn restart(desk: &Desk, which: &Which, wait: Span) -> anyhow::Result<()> {
    let context = desk.contexts.open::<Manage>(&operator(&which.tenant), &which.context).await?;
    let here = desk.contexts.host();
    if context.state == State::Ended && context.host != here {
        bail!("it ran on {}, and this is {here}: restart it there, or through a gateway's API", context.host);
    }
    desk.contexts.restart(&context, None).await?;
    desk.contexts.let_go(context.id).await?;
    let before = context.application.as_ref().map(|a| a.id);
    let is_new = |c: &Context| c.application.as_ref().map(|a| a.id) != before;
    show(desk, &context, wait, |c| c.state == State::Ended || (c.state == State::Ready && is_new(c))).await
}

/// Waits until `done` holds, or the time is over, and says what it is then.
async fn show(desk: &Desk, context: &Context, wait: Span, done: impl Fn(&Context) -> bool) -> anyhow::Result<()> {
    let now = desk.contexts.wait(context.id, wait.0, done).await?.context("its row is gone")?;
    say(&line(&now));
    Ok(())
}

async fn describe(desk: &Desk, which: &Which) -> anyhow::Result<()> {
    let me = operator(&which.tenant);
    let context = desk.contexts.open::<View>(&me, &which.context).await?;
    let deadlines = desk.contexts.deadlines_of(std::slice::from_ref(&*context)).await?;
    for (name, value) in facts(&context, deadlines.get(&context.id)) {
        say(&format!("{name:<12}{value}"));
    }
    let sessions = all(async |range| desk.sessions.list(&me, range, true).await).await?;
    for view in sessions.iter().filter(|v| v.session.context_id == context.id && v.session.ended_at.is_none()) {
        say(&format!("{:<12}{}", "session", of_session(view)));
    }
    let shared = desk.contexts.open::<ViewGrants>(&me, &context.id.to_string()).await?;
    for given in desk.access().grants(&shared, grant::ALL).await?.rows {
        say(&format!("{:<12}{}", "grant", grant::line(&given)));
    }
    Ok(())
}

/// What is known of a context, by name; what is not is left out.
fn facts(c: &Context, deadline: Option<&Deadline>) -> Vec<(&'static str, String)> {
    let time = |at: Option<crate::time::Timestamp>| at.map(|at| at.to_rfc3339());
    let application = c.application.as_ref();
    let via = c.via.as_ref().map_or(String::new(), |via| format!(" through {via}"));
    let ends = |d: &Deadline| format!("{} if nothing happens (idle timeout {})", d.at.to_rfc3339(), d.time);
    let all = [
        ("id", Some(c.id.to_string())),
        ("name", c.name.clone()),
        ("state", Some(c.state.as_str().to_owned())),
        ("owner", Some(format!("{}/{}{via}", c.tenant, c.owner))),
        ("runs as", Some(c.run_as.clone())),
        ("profile", Some(c.profile.clone())),
        ("host", Some(c.host.clone())),
        ("created", time(Some(c.created_at))),
        ("ready", time(c.ready_at)),
        ("ends", deadline.map(ends)),
        ("ended", time(c.ended_at)),
        ("ended by", c.ended_by.as_ref().map(ToString::to_string)),
        ("cause", c.cause.clone()),
        ("launches", application.map(|a| a.attempt.to_string())),
        ("spark", application.and_then(|a| a.spark_version.clone())),
        ("application", application.and_then(|a| a.cluster_id.clone())),
        ("spark ui", application.and_then(|a| a.ui_url.clone())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn of_session(view: &session::View) -> String {
    let s = &view.session;
    let (name, kind, state) = (s.name.as_deref().unwrap_or("-"), s.kind.as_str(), view.state.as_str());
    format!("{}  {}  {name}  {kind}  {state}  {}", s.id, s.livy_id, s.owner)
}

fn line(c: &Context) -> String {
    let name = c.name.as_deref().unwrap_or("-");
    let ended = c.ended_at.map_or(String::new(), |at| format!(", ended {}", at.to_rfc3339()));
    let cause = c.cause.as_ref().map_or(String::new(), |cause| format!(": {cause}"));
    let (state, created) = (c.state.as_str(), c.created_at.to_rfc3339());
    let (tenant, owner, run_as, profile) = (&c.tenant, &c.owner, &c.run_as, &c.profile);
    format!(
        "{}  {name}  {state}  {tenant}/{owner} as {run_as}, profile {profile}, created {created}{ended}{cause}",
        c.id
    )
}

async fn log(desk: &Desk, which: &Which, lines: i64, follow: bool) -> anyhow::Result<()> {
    let context = desk.contexts.open::<View>(&operator(&which.tenant), &which.context).await?;
    let page = desk.contexts.log(&context, Wanted { from: None, size: Some(lines) }).await?;
    page.lines.iter().for_each(|line| say(line));
    if follow { follow_log(desk, Context::clone(&context), page.dropped + page.total).await } else { Ok(()) }
}

/// Shows lines from this number on, counted from the first that there was, until the context is over.
async fn follow_log(desk: &Desk, mut now: Context, mut next: i64) -> anyhow::Result<()> {
    loop {
        // What was logged until the end is there once the row says that it has ended.
        let (was_over, of) = (now.state == State::Ended, now.application.as_ref().map(|a| a.id));
        now = desk.contexts.wait(now.id, Duration::ZERO, |_| true).await?.context("its row is gone")?;
        if now.application.as_ref().map(|a| a.id) != of {
            next = 0;
        }
        let oldest = desk.contexts.log_by_id(now.id, Wanted { from: None, size: Some(0) }).await?.dropped;
        let from = Some((next - oldest).max(0));
        let page = desk.contexts.log_by_id(now.id, Wanted { from, size: None }).await?;
        page.lines.iter().for_each(|line| say(line));
        next = page.dropped + page.from + i64::try_from(page.lines.len()).unwrap_or(0);
        if was_over && page.lines.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[expect(clippy::print_stdout, reason = "the answer to the command")]
fn say(line: &str) {
    println!("{line}");
}
