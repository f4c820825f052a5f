//! `hearth audit`: reads, exports, verifies and prunes the audit.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;

use super::desk::operator;
use super::serve::Settings;
use crate::audit::chain::Written;
use crate::audit::key::{Key, hex};
use crate::audit::trail::{self, Wanted};
use crate::audit::{Audit, prune, verify};
use crate::config::Config;
use crate::id::GatewayId;
use crate::identity::DEFAULT_TENANT;
use crate::store::embedded::Embedded;
use crate::store::{self, Address};
use crate::time::{self, Span};

/// Events read together.
const STEP: i64 = 1_000;
/// How often a follower looks.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Shows the last events.
    Tail {
        /// How many.
        #[arg(long, short = 'n', default_value_t = 50)]
        lines: i64,
        /// Goes on with those that come.
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        filter: Filter,
    },
    /// Writes all events as JSON lines.
    Export {
        /// After this event's number.
        #[arg(long, default_value_t = 0)]
        after: i64,
        #[command(flatten)]
        filter: Filter,
    },
    /// Verifies every chain: that nothing was changed, removed, or cut off its end.
    Verify {
        /// A file of heads that was kept elsewhere; without it the one of the state folder.
        #[arg(long)]
        heads: Option<PathBuf>,
        /// A public key (hexadecimal) whose signatures are taken, beside that of the state folder. May be given more than once.
        #[arg(long = "key")]
        keys: Vec<String>,
    },
    /// Removes what is old, and signs where each chain begins from now on.
    Prune {
        /// How old, such as 365d.
        #[arg(long)]
        older_than: Span,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Filter {
    /// Events of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Events of this actor, or on behalf of them.
    #[arg(long)]
    actor: Option<String>,
    /// Events of this word, such as statement.submitted.
    #[arg(long)]
    event: Option<String>,
    /// Events on the thing of this id.
    #[arg(long)]
    resource: Option<String>,
}

impl Filter {
    fn after(&self, after: i64) -> Wanted {
        let Self { tenant, actor, event, resource } = self.clone();
        Wanted { after, tenant, actor, event, resource, most: STEP }
    }
}

pub(super) fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let address = if config.database.url.expose_secret().is_empty() {
            Embedded::running(&config.home).context("finding the embedded Postgres")?
        } else {
            Address::from_url(&config.database.url)?
        };
        let pool = store::pool(&address, 1);
        let outcome = act(&config, &pool, command).await;
        pool.close().await;
        outcome
    })
}

async fn act(config: &Config, pool: &PgPool, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Tail { lines, follow, filter } => {
            let mut after = trail::before_last(pool, lines.max(0)).await?;
            loop {
                after = show(pool, after, &filter, text).await?;
                if !follow {
                    return Ok(ExitCode::SUCCESS);
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Command::Export { after, filter } => {
            let json = |event: &Written| serde_json::to_string(event).unwrap_or_default();
            show(pool, after, &filter, json).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify { heads, keys } => {
            let path = heads.unwrap_or_else(|| verify::heads_of(&config.home));
            let kept = match verify::read_heads(&path) {
                Ok(kept) => kept,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    say(&format!("no heads are kept in {}: an end that was cut off may go unseen", path.display()));
                    Vec::new()
                }
                Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
            };
            let keys: Option<Vec<_>> = keys.iter().map(|key| crate::audit::key::unhex(key)).collect();
            let mut keys = keys.context("--key is not hexadecimal")?;
            if let Some(own) = Key::find(&config.home).context("opening the key of the state folder")? {
                keys.push(own.public().to_vec());
            }
            if keys.is_empty() {
                say("no key is known here: give --key, or anybody's signature is taken");
            }
            let report = verify::verify(pool, &kept, &keys).await?;
            for wrong in &report.wrong {
                say(&format!("WRONG: {wrong}"));
            }
            say(&format!("{} chains, {} events proven, {} faults", report.chains, report.events, report.wrong.len()));
            Ok(if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Prune { older_than } => {
            let key = Key::open(&config.home).context("opening the key of the state folder")?;
            let audit = Audit::new(GatewayId::generate(), &config.audit);
            let before = time::now() - older_than.0;
            let gone = prune::prune(pool, audit, &key, &operator(DEFAULT_TENANT), before).await?;
            say(&format!("{gone} events removed; the checkpoints are signed by {}", hex(key.public())));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Shows the events after a number, and returns the last one's.
async fn show(
    pool: &PgPool,
    mut after: i64,
    filter: &Filter,
    line: impl Fn(&Written) -> String,
) -> anyhow::Result<i64> {
    loop {
        let events = trail::read(pool, &filter.after(after)).await?;
        for event in &events {
            say(&line(event));
            after = event.event_id;
        }
        if events.is_empty() {
            return Ok(after);
        }
    }
}

/// An event in one line for people.
fn text(event: &Written) -> String {
    let actor = match &event.on_behalf_of {
        Some(user) => format!("{} for {user}", event.actor),
        None => event.actor.clone(),
    };
    let on = match (&event.resource_kind, &event.resource_id) {
        (Some(kind), Some(id)) => format!(" {kind}/{id}"),
        _ => String::new(),
    };
    let detail = event.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let address = event.address.as_deref().unwrap_or("-");
    let (at, tenant, word, outcome) = (event.at.to_rfc3339(), &event.tenant, &event.event, &event.outcome);
    // Names and details were said by people: nothing of them may move the cursor or begin a line.
    format!("{at} {tenant}/{actor} {address} {word} {outcome}{on}{detail}").replace(char::is_control, " ")
}

#[expect(clippy::print_stdout, reason = "what the command is asked for")]
fn say(line: &str) {
    println!("{line}");
}
