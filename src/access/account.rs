//! What people do with their own credentials, and those who rule with others': API tokens and logins, each with its line in the audit.

use secrecy::SecretString;
use uuid::Uuid;

use super::resource::Account;
use super::{Access, Action, Allowed, CreateToken, EndLogin, Refused, RevokeToken, ViewLogins, ViewTokens};
use crate::audit::{Entry, Event};
use crate::identity::login::{self, Login, Logins};
use crate::identity::token::{self, NewToken, Token, Tokens};
use crate::identity::{Principal, is_user_name};
use crate::kind::{Classify, Kind};
use crate::store::{Page, Range};

/// A token or a login was not ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller may not.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// As tokens say it.
    #[error(transparent)]
    Token(#[from] token::Error),
    /// As logins say it.
    #[error(transparent)]
    Login(#[from] login::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(e) => e.kind(),
            Self::Token(e) => e.kind(),
            Self::Login(e) => e.kind(),
            Self::Store(e) => e.kind(),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(e: sqlx::Error) -> Self {
        Self::Store(e.into())
    }
}

impl Account {
    /// Whose credentials are listed; none: everybody's of the tenant ([`Account::EVERYBODY`]).
    fn owner(&self) -> Option<&str> {
        is_user_name(&self.user).then_some(self.user.as_str())
    }
}

impl Access {
    /// Makes a token, and returns its secret, which is never shown again. `made_by` is who the audit names: the owner, or who acts for them.
    ///
    /// # Errors
    /// Those of [`Tokens::create`], the database's.
    pub async fn create_token(
        &self,
        tokens: &Tokens,
        by: &Allowed<CreateToken, Account>,
        made_by: &Principal,
        new: NewToken,
    ) -> Result<(Token, SecretString), token::Error> {
        let mut tx = self.pool().begin().await?;
        let maker = made_by.via.as_ref().unwrap_or(&made_by.user);
        let (token, secret) = tokens.create(&mut tx, by.who(), maker, new).await?;
        let told = format!("{} {} until {}", token.scope.as_str(), token.id, token.expires_at);
        let entry = Entry { who: made_by, ..by.entry(Event::TokenCreated) };
        self.audit().record(&mut tx, entry.with(told)).await?;
        tx.commit().await?;
        Ok((token, secret))
    }

    /// Tokens of an account that are neither revoked nor over, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn tokens(
        &self,
        tokens: &Tokens,
        of: &Allowed<ViewTokens, Account>,
        range: Range,
    ) -> Result<Page<Token>, token::Error> {
        tokens.list(&of.tenant, of.owner(), range).await
    }

    /// Revokes a token: the caller's, or another's whose tokens they may see.
    ///
    /// # Errors
    /// No such token, the caller may not, the database's.
    pub async fn revoke_token(&self, tokens: &Tokens, who: &Principal, id: Uuid) -> Result<(), Error> {
        let owner = tokens.owner(id).await?;
        let by = self.rule::<ViewTokens, RevokeToken>(who, owner).await?.ok_or(token::Error::NotFound)?;
        let mut tx = self.pool().begin().await?;
        let revoked = tokens.revoke(&mut tx, (&by.tenant, &by.user), id, by.who()).await?;
        self.audit().record(&mut tx, by.entry(Event::TokenRevoked).with(id.to_string())).await?;
        tx.commit().await?;
        tokens.forget(revoked).await;
        Ok(())
    }

    /// Logins of an account that are not over, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn logins(
        &self,
        logins: &Logins,
        of: &Allowed<ViewLogins, Account>,
        range: Range,
    ) -> Result<Page<Login>, login::Error> {
        logins.list(&of.tenant, of.owner(), range).await
    }

    /// Ends a login: the caller's, or another's whose logins they may see.
    ///
    /// # Errors
    /// No such login, the caller may not, the database's.
    pub async fn end_login(&self, logins: &Logins, who: &Principal, id: Uuid) -> Result<(), Error> {
        let owner = logins.owner(id).await?;
        let by = self.rule::<ViewLogins, EndLogin>(who, owner).await?.ok_or(login::Error::NotFound)?;
        let mut tx = self.pool().begin().await?;
        let ended = logins.revoke(&mut tx, (&by.tenant, &by.user), id, by.who()).await?;
        self.audit().record(&mut tx, by.entry(Event::LoginEnded).with(id.to_string())).await?;
        tx.commit().await?;
        logins.forget(ended).await;
        Ok(())
    }

    /// The right to do `A` to what belongs to an account; none when there is nothing, or nothing that the caller may know of by `See`.
    async fn rule<See: Action, A: Action>(
        &self,
        who: &Principal,
        owner: Option<(String, String)>,
    ) -> Result<Option<Allowed<A, Account>>, Refused> {
        let Some((tenant, user)) = owner else { return Ok(None) };
        let account = Account { tenant, user };
        match self.require::<See, _>(who, account.clone()).await {
            Ok(_) => self.require::<A, _>(who, account).await.map(Some),
            Err(Refused::Denied(_)) => Ok(None),
            Err(e) => Err(e),
        }
    }
}
