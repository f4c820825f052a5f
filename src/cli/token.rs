//! `hearth token`: makes API tokens as an operator, such as the first one.

use std::process::ExitCode;

use secrecy::ExposeSecret as _;

use super::desk::Desk;
use super::serve::Settings;
use crate::access::CreateToken;
use crate::access::resource::Account;
use crate::identity::token::{NewToken, Tokens};
use crate::identity::{DEFAULT_TENANT, Origin, Principal, Scheme, Scope};
use crate::time::Span;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Makes a token and shows its secret, this once.
    Create {
        /// Whose it is.
        #[arg(long)]
        user: String,
        /// Their groups; may be given more than once.
        #[arg(long = "group")]
        groups: Vec<String>,
        /// Their tenant.
        #[arg(long, default_value = DEFAULT_TENANT)]
        tenant: String,
        /// What it is called.
        #[arg(long)]
        name: String,
        /// The most it may be used for: view, attach or manage.
        #[arg(long, default_value = "manage", value_parser = scope)]
        scope: Scope,
        /// How long it lives, such as 90d; without it as long as auth.token_ttl allows.
        #[arg(long)]
        ttl: Option<Span>,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    let all = [Scope::View, Scope::Attach, Scope::Manage];
    let found = all.into_iter().find(|scope| scope.as_str() == text);
    found.ok_or_else(|| format!("there are {}", all.map(Scope::as_str).join(", ")))
}

pub(super) fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    let Command::Create { user, groups, tenant, name, scope, ttl } = command;
    let names = [&user, &tenant].into_iter().chain(&groups);
    if let Some(bad) = names.into_iter().find(|name| !crate::identity::is_user_name(name)) {
        anyhow::bail!("{bad:?} cannot be a name");
    }
    tokio::runtime::Runtime::new()?.block_on(async {
        let desk = Desk::open(&config)?;
        let made = async {
            // The token is theirs; that an operator made it for them on the machine itself, the audit tells by the scheme.
            let who = Principal {
                groups: groups.into(),
                tenant: tenant.into(),
                scope: Scope::Manage,
                ..Principal::unknown(Some(&user), Scheme::Token, &Origin::default())
            };
            let tokens = Tokens::new(desk.pool().clone(), config.auth.token_ttl);
            let by = desk.access().require::<CreateToken, _>(&who, Account::of(&who)).await?;
            let new = NewToken { name, scope, ttl: ttl.map(|span| span.0) };
            anyhow::Ok(desk.access().create_token(&tokens, &by, new).await?)
        };
        let made = made.await;
        desk.close().await;
        let (token, secret) = made?;
        say(&format!(
            "{} for {} until {}; keep it, it is not shown again:",
            token.scope.as_str(),
            token.owner,
            token.expires_at
        ));
        say(secret.expose_secret());
        Ok(ExitCode::SUCCESS)
    })
}

#[expect(clippy::print_stdout, reason = "what the command is asked for")]
fn say(line: &str) {
    println!("{line}");
}
