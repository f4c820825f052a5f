//! What people do with their own login: API tokens, each with its line in the audit.

use secrecy::SecretString;
use uuid::Uuid;

use super::resource::Account;
use super::{Access, Allowed, CreateToken, RevokeToken};
use crate::audit::Event;
use crate::identity::token::{Error, NewToken, Token, Tokens};

impl Access {
    /// Makes a token, and returns its secret, which is never shown again.
    ///
    /// # Errors
    /// Those of [`Tokens::create`], the database's.
    pub async fn create_token(
        &self,
        tokens: &Tokens,
        by: &Allowed<CreateToken, Account>,
        new: NewToken,
    ) -> Result<(Token, SecretString), Error> {
        let mut tx = self.pool().begin().await?;
        let (token, secret) = tokens.create(&mut tx, by.who(), new).await?;
        let told = format!("{} {} until {}", token.scope.as_str(), token.id, token.expires_at);
        self.audit().record(&mut tx, by.entry(Event::TokenCreated).with(told)).await?;
        tx.commit().await?;
        Ok((token, secret))
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// No such token of theirs, the database's.
    pub async fn revoke_token(
        &self,
        tokens: &Tokens,
        by: &Allowed<RevokeToken, Account>,
        id: Uuid,
    ) -> Result<(), Error> {
        let mut tx = self.pool().begin().await?;
        let revoked = tokens.revoke(&mut tx, by.who(), id).await?;
        self.audit().record(&mut tx, by.entry(Event::TokenRevoked).with(id.to_string())).await?;
        tx.commit().await?;
        tokens.forget(revoked).await;
        Ok(())
    }
}
