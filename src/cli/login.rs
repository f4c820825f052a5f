//! `hearth login`: lists and ends anybody's logins, as an operator.

use std::process::ExitCode;

use uuid::Uuid;

use super::desk::{Desk, operator};
use super::serve::Settings;
use super::token::{Of, steps};
use crate::access::ViewLogins;
use crate::identity::DEFAULT_TENANT;
use crate::identity::login::{Login, Logins};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists logins that are not over.
    List(Of),
    /// Ends a login: within a second no gateway takes its cookie.
    End {
        /// Its id, as `list` shows it.
        login: Uuid,
    },
}

pub(super) fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let desk = Desk::open(&config)?;
        let logins = Logins::new(desk.pool().clone(), config.auth.login_idle, config.auth.login_ttl);
        let said = act(&desk, &logins, command).await;
        desk.close().await;
        said?.iter().for_each(|line| say(line));
        Ok(ExitCode::SUCCESS)
    })
}

async fn act(desk: &Desk, logins: &Logins, command: Command) -> anyhow::Result<Vec<String>> {
    let of = match command {
        Command::List(of) => of,
        Command::End { login } => {
            desk.access().end_login(logins, &operator(DEFAULT_TENANT), login).await?;
            return Ok(vec![format!("{login} is over")]);
        }
    };
    let (me, account) = of.account();
    let of = desk.access().require::<ViewLogins, _>(&me, account).await?;
    let mut lines = Vec::new();
    for range in steps() {
        let page = desk.access().logins(logins, &of, range).await?;
        lines.extend(page.rows.iter().map(line));
        if page.rows.is_empty() {
            break;
        }
    }
    Ok(lines)
}

fn line(login: &Login) -> String {
    let address = login.address.as_deref().unwrap_or("-");
    let used = login.last_used_at.map_or_else(|| "not used since".to_owned(), |at| format!("used {}", at.to_rfc3339()));
    format!(
        "{}  {}/{}  by {} from {address} at {}, {used}, until {}",
        login.id,
        login.tenant,
        login.owner,
        login.scheme,
        login.created_at.to_rfc3339(),
        login.expires_at.to_rfc3339()
    )
}

#[expect(clippy::print_stdout, reason = "what the command is asked for")]
fn say(line: &str) {
    println!("{line}");
}
