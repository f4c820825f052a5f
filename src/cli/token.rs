//! `hearth token`: makes API tokens as an operator, such as the first one; lists and revokes anybody's.

use std::process::ExitCode;

use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::desk::{Desk, operator, owner};
use super::serve::Settings;
use crate::access::resource::Account;
use crate::access::{CreateToken, ViewTokens};
use crate::identity::token::{NewToken, Token, Tokens};
use crate::identity::{DEFAULT_TENANT, Principal, Scope};
use crate::store::Range;
use crate::time::Span;

/// Rows that are shown together.
const STEP: i64 = 1_000;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Makes a token and shows its secret, this once.
    Create(Box<New>),
    /// Lists tokens that are neither revoked nor over.
    List(Of),
    /// Revokes a token: within a second no gateway takes it.
    Revoke {
        /// Its id, as `list` shows it.
        token: Uuid,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// Whose it is.
    #[arg(long)]
    user: String,
    /// Their groups, besides those that auth.groups tells; may be given more than once.
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
}

/// Whose tokens or logins.
#[derive(Debug, clap::Args)]
pub(super) struct Of {
    /// Whose; without it everybody's of the tenant.
    #[arg(long)]
    user: Option<String>,
    /// Their tenant.
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
}

impl Of {
    /// The account, and the operator who asks for it.
    pub(super) fn account(self) -> (Principal, Account) {
        let user = self.user.unwrap_or_else(|| Account::EVERYBODY.to_owned());
        (operator(&self.tenant), Account { tenant: self.tenant, user })
    }
}

/// The ranges of a list that is shown whole.
pub(super) fn steps() -> impl Iterator<Item = Range> {
    (0..).map(|step| Range { from: step * STEP, size: STEP })
}

fn scope(text: &str) -> Result<Scope, String> {
    let all = [Scope::View, Scope::Attach, Scope::Manage];
    let found = all.into_iter().find(|scope| scope.as_str() == text);
    found.ok_or_else(|| format!("there are {}", all.map(Scope::as_str).join(", ")))
}

pub(super) fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    let config = settings.load()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let desk = Desk::open(&config)?;
        let tokens = Tokens::new(desk.pool().clone(), config.auth.token_ttl);
        let said = match command {
            Command::Create(new) => create(&desk, &tokens, *new).await,
            Command::List(of) => list(&desk, &tokens, of).await,
            Command::Revoke { token } => {
                let revoked = desk.access().revoke_token(&tokens, &operator(DEFAULT_TENANT), token).await;
                revoked.map(|()| vec![format!("{token} is revoked")]).map_err(Into::into)
            }
        };
        desk.close().await;
        said?.iter().for_each(|line| say(line));
        Ok(ExitCode::SUCCESS)
    })
}

async fn create(desk: &Desk, tokens: &Tokens, new: New) -> anyhow::Result<Vec<String>> {
    let New { user, groups, tenant, name, scope, ttl } = new;
    let owner = owner(&user, groups, &tenant)?;
    let by = desk.access().require::<CreateToken, _>(&owner, Account::of(&owner)).await?;
    // The audit names the OS user on whose command line it is made, and the owner as whom it is for.
    let me = Principal { user: owner.user.clone(), via: Some(operator(&tenant).user), ..operator(&tenant) };
    let new = NewToken { name, scope, ttl: ttl.map(|span| span.0) };
    let (token, secret) = desk.access().create_token(tokens, &by, &me, new).await?;
    let head = format!(
        "{} for {} until {}; keep it, it is not shown again:",
        token.scope.as_str(),
        token.owner,
        token.expires_at
    );
    Ok(vec![head, secret.expose_secret().to_owned()])
}

async fn list(desk: &Desk, tokens: &Tokens, of: Of) -> anyhow::Result<Vec<String>> {
    let (me, account) = of.account();
    let of = desk.access().require::<ViewTokens, _>(&me, account).await?;
    let mut lines = Vec::new();
    for range in steps() {
        let page = desk.access().tokens(tokens, &of, range).await?;
        lines.extend(page.rows.iter().map(line));
        if page.rows.is_empty() {
            break;
        }
    }
    Ok(lines)
}

fn line(token: &Token) -> String {
    let used = token.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {}", at.to_rfc3339()));
    format!(
        "{}  {}/{}  {:?}  {}, made {} by {}, {used}, until {}",
        token.id,
        token.tenant,
        token.owner,
        token.name,
        token.scope.as_str(),
        token.created_at.to_rfc3339(),
        token.made_by,
        token.expires_at.to_rfc3339()
    )
}

#[expect(clippy::print_stdout, reason = "what the command is asked for")]
fn say(line: &str) {
    println!("{line}");
}
