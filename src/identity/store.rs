//! Rows of logins and API tokens.

use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::secret::Hash;
use super::token::{NewToken, Token};
use super::{Person, Principal, Scheme, Scope};
use crate::store::{Page, Range};
use crate::time::Span;

/// The login of this hash, unless it is over. Says that it is used, at most once a minute.
pub async fn use_login(pool: &PgPool, hash: &Hash, idle: Span) -> Result<Option<Person>, sqlx::Error> {
    let found = sqlx::query!(
        r#"select tenant, owner, groups, coalesce(last_used_at < now() - interval '1 minute', true) as "is_stale!"
           from login
           where secret_hash = $1 and ended_at is null and expires_at > now()
             and coalesce(last_used_at + make_interval(secs => $2), created_at + interval '5 minutes') > now()"#,
        hash.as_slice(),
        idle.0.as_secs_f64()
    )
    .fetch_optional(pool)
    .await?;
    let Some(login) = found else { return Ok(None) };
    if login.is_stale {
        sqlx::query!("update login set last_used_at = now() where secret_hash = $1", hash.as_slice())
            .execute(pool)
            .await?;
    }
    Ok(Some(Person { tenant: Some(login.tenant), groups: login.groups, ..Person::named(&login.owner) }))
}

/// Stores a login.
pub async fn insert_login(
    pool: &PgPool,
    hash: &Hash,
    who: &Principal,
    by: Scheme,
    ttl: Span,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into login (secret_hash, tenant, owner, groups, scheme, expires_at)
         values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))",
        hash.as_slice(),
        &*who.tenant,
        &*who.user,
        &*who.groups,
        by.as_str(),
        ttl.0.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Ends a login.
pub async fn end_login(pool: &PgPool, hash: &Hash) -> Result<(), sqlx::Error> {
    sqlx::query!("update login set ended_at = now() where secret_hash = $1 and ended_at is null", hash.as_slice())
        .execute(pool)
        .await?;
    Ok(())
}

/// Forgets logins that were over a day ago, and tokens that were over a month ago.
pub async fn forget_old(pool: &PgPool) -> Result<(), sqlx::Error> {
    // A client that keeps no cookies begins a login with each call and uses none.
    sqlx::query!(
        "delete from login where least(expires_at, ended_at) < now() - interval '1 day'
                              or last_used_at is null and created_at < now() - interval '5 minutes'"
    )
    .execute(pool)
    .await?;
    sqlx::query!("delete from api_token where least(expires_at, revoked_at) < now() - interval '30 days'")
        .execute(pool)
        .await?;
    Ok(())
}

/// The token of this hash, unless it is over. Says that it is used, at most once a minute.
pub async fn use_token(pool: &PgPool, hash: &Hash) -> Result<Option<(Uuid, Person)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"select token_id, tenant, owner, groups, scope,
                  coalesce(last_used_at < now() - interval '1 minute', true) as "is_stale!"
           from api_token where secret_hash = $1 and revoked_at is null and expires_at > now()"#,
        hash.as_slice()
    )
    .fetch_optional(pool)
    .await?;
    let Some(token) = found else { return Ok(None) };
    if token.is_stale {
        sqlx::query!("update api_token set last_used_at = now() where token_id = $1", token.token_id)
            .execute(pool)
            .await?;
    }
    let scope = scope(&token.scope);
    let person = Person { tenant: Some(token.tenant), groups: token.groups, scope, ..Person::named(&token.owner) };
    Ok(Some((token.token_id, person)))
}

/// A scope as the table writes it; a word that this version does not know allows least.
fn scope(word: &str) -> Scope {
    [Scope::Manage, Scope::Attach].into_iter().find(|scope| scope.as_str() == word).unwrap_or(Scope::View)
}

/// How many tokens somebody has.
pub async fn count_tokens(db: impl PgExecutor<'_>, tenant: &str, owner: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from api_token
           where tenant = $1 and owner = $2 and revoked_at is null and expires_at > now()"#,
        tenant,
        owner
    )
    .fetch_one(db)
    .await
}

/// Stores a token. A name that was of a token that is over may be used again.
pub async fn insert_token(
    db: &mut PgConnection,
    id: Uuid,
    hash: &Hash,
    who: &Principal,
    new: &NewToken,
    ttl: Span,
) -> Result<Token, sqlx::Error> {
    sqlx::query!(
        "update api_token set revoked_at = now()
         where tenant = $1 and owner = $2 and name = $3 and revoked_at is null and expires_at <= now()",
        &*who.tenant,
        &*who.user,
        new.name
    )
    .execute(&mut *db)
    .await?;
    let row = sqlx::query!(
        "insert into api_token (token_id, tenant, owner, groups, name, scope, secret_hash, made_by, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $3, now() + make_interval(secs => $8))
         returning created_at, expires_at",
        id,
        &*who.tenant,
        &*who.user,
        &*who.groups,
        new.name,
        new.scope.as_str(),
        hash.as_slice(),
        ttl.0.as_secs_f64()
    )
    .fetch_one(db)
    .await?;
    Ok(Token {
        id,
        tenant: who.tenant.to_string(),
        owner: who.user.to_string(),
        name: new.name.clone(),
        scope: new.scope,
        created_at: row.created_at,
        last_used_at: None,
        expires_at: row.expires_at,
    })
}

/// Somebody's tokens that are not over, newest first.
pub async fn list_tokens(pool: &PgPool, tenant: &str, owner: &str, range: Range) -> Result<Page<Token>, sqlx::Error> {
    let rows = sqlx::query!(
        "select token_id, name, scope, created_at, last_used_at, expires_at from api_token
         where tenant = $1 and owner = $2 and revoked_at is null and expires_at > now()
         order by created_at desc, token_id offset $3 limit $4",
        tenant,
        owner,
        range.from,
        range.size
    )
    .fetch_all(pool)
    .await?;
    let total = count_tokens(pool, tenant, owner).await?;
    let rows = rows.into_iter().map(|row| Token {
        id: row.token_id,
        tenant: tenant.to_owned(),
        owner: owner.to_owned(),
        name: row.name,
        scope: scope(&row.scope),
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
    });
    Ok(Page { rows: rows.collect(), total })
}

/// Revokes somebody's token, and returns its hash.
pub async fn revoke_token(
    db: &mut PgConnection,
    tenant: &str,
    owner: &str,
    id: Uuid,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        "update api_token set revoked_at = now()
         where token_id = $1 and tenant = $2 and owner = $3 and revoked_at is null returning secret_hash",
        id,
        tenant,
        owner
    )
    .fetch_optional(db)
    .await
}
