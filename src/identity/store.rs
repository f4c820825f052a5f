//! Rows of logins and API tokens.

use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::login::Login;
use super::secret::Hash;
use super::token::{NewToken, Token};
use super::{Credential, Person, Principal, Scheme, Scope};
use crate::store::{Page, Range};
use crate::time::Span;

/// The login of this hash, unless it is over. Says that it is used, at most once a minute.
pub async fn use_login(pool: &PgPool, hash: &Hash, idle: Span) -> Result<Option<Person>, sqlx::Error> {
    let found = sqlx::query!(
        r#"select tenant, owner, groups, kept_groups, scheme, coalesce(last_used_at < now() - interval '1 minute', true) as "is_stale!"
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
    let person = Person { tenant: Some(login.tenant), ..Person::named(&login.owner) };
    let person = with_groups(person, login.groups, login.kept_groups, Some(&login.scheme));
    Ok(Some(Person { credential: Some(Credential::Login(*hash)), ..person }))
}

/// A person with the groups of a row: those that stay, and by which scheme the others are found anew; all stay in a row of before.
fn with_groups(person: Person, groups: Vec<String>, kept: Option<Vec<String>>, scheme: Option<&str>) -> Person {
    match (kept, scheme.and_then(Scheme::parse)) {
        (Some(groups), Some(shown_by)) => Person { groups, shown_by: Some(shown_by), ..person },
        _ => Person { groups, shown_by: None, ..person },
    }
}

/// What a row keeps of the groups; null where all stay.
fn kept(who: &Principal) -> Option<&[String]> {
    who.kept.shown_by.map(|_| &*who.kept.groups)
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
        "insert into login (secret_hash, tenant, owner, groups, scheme, expires_at, kept_groups, address)
         values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6), $7, $8)",
        hash.as_slice(),
        &*who.tenant,
        &*who.user,
        &*who.groups,
        by.as_str(),
        ttl.0.as_secs_f64(),
        kept(who),
        who.origin.address.map(|address| address.to_string())
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

/// Logins that are not over, newest first.
pub async fn list_logins(
    pool: &PgPool,
    tenant: &str,
    owner: Option<&str>,
    idle: Span,
    range: Range,
) -> Result<Page<Login>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Login,
        "select login_id as id, tenant, owner, groups, scheme, address, created_at, last_used_at, expires_at from login
         where tenant = $1 and ($2::text is null or owner = $2) and ended_at is null and expires_at > now()
           and coalesce(last_used_at + make_interval(secs => $3), created_at + interval '5 minutes') > now()
         order by created_at desc, login_id offset $4 limit $5",
        tenant,
        owner,
        idle.0.as_secs_f64(),
        range.from,
        range.size
    )
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from login
           where tenant = $1 and ($2::text is null or owner = $2) and ended_at is null and expires_at > now()
             and coalesce(last_used_at + make_interval(secs => $3), created_at + interval '5 minutes') > now()"#,
        tenant,
        owner,
        idle.0.as_secs_f64()
    )
    .fetch_one(pool)
    .await?;
    Ok(Page { rows, total })
}

/// Tenant and name of whose login this is.
pub async fn login_owner(pool: &PgPool, id: Uuid) -> Result<Option<(String, String)>, sqlx::Error> {
    let row = sqlx::query!("select tenant, owner from login where login_id = $1", id).fetch_optional(pool).await?;
    Ok(row.map(|row| (row.tenant, row.owner)))
}

/// Ends somebody's login by its id, and returns its hash.
pub async fn end_login_of(
    db: &mut PgConnection,
    (tenant, owner): (&str, &str),
    id: Uuid,
    by: &str,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        "update login set ended_at = now(), ended_by = $4
         where login_id = $1 and tenant = $2 and owner = $3 and ended_at is null returning secret_hash",
        id,
        tenant,
        owner,
        by
    )
    .fetch_optional(db)
    .await
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
        r#"select token_id, tenant, owner, groups, kept_groups, scheme, scope,
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
    let person = Person { tenant: Some(token.tenant), scope, ..Person::named(&token.owner) };
    let person = with_groups(person, token.groups, token.kept_groups, token.scheme.as_deref());
    Ok(Some((token.token_id, Person { credential: Some(Credential::Token(*hash)), ..person })))
}

/// A scope as the table writes it; a word that this version does not know allows least.
fn scope(word: &str) -> Scope {
    [Scope::Manage, Scope::Attach].into_iter().find(|scope| scope.as_str() == word).unwrap_or(Scope::View)
}

/// How many tokens somebody has; how many there are in the tenant, when nobody is named.
pub async fn count_tokens(db: impl PgExecutor<'_>, tenant: &str, owner: Option<&str>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from api_token
           where tenant = $1 and ($2::text is null or owner = $2) and revoked_at is null and expires_at > now()"#,
        tenant,
        owner
    )
    .fetch_one(db)
    .await
}

/// Stores a token. A name that was of a token that is over may be used again.
pub async fn insert_token(
    db: &mut PgConnection,
    (id, hash): (Uuid, &Hash),
    who: &Principal,
    made_by: &str,
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
        "insert into api_token (token_id, tenant, owner, groups, name, scope, secret_hash, made_by, expires_at, scheme,
                                kept_groups)
         values ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9), $10, $11)
         returning created_at, expires_at",
        id,
        &*who.tenant,
        &*who.user,
        &*who.groups,
        new.name,
        new.scope.as_str(),
        hash.as_slice(),
        made_by,
        ttl.0.as_secs_f64(),
        who.kept.shown_by.map(Scheme::as_str),
        kept(who)
    )
    .fetch_one(db)
    .await?;
    Ok(Token {
        id,
        tenant: who.tenant.to_string(),
        owner: who.user.to_string(),
        groups: who.groups.to_vec(),
        keeps_groups: who.keeps_groups(),
        made_by: made_by.to_owned(),
        name: new.name.clone(),
        scope: new.scope,
        created_at: row.created_at,
        last_used_at: None,
        expires_at: row.expires_at,
    })
}

/// Tokens that are not over, newest first.
pub async fn list_tokens(
    pool: &PgPool,
    tenant: &str,
    owner: Option<&str>,
    range: Range,
) -> Result<Page<Token>, sqlx::Error> {
    let rows = sqlx::query!(
        "select token_id, owner, groups, kept_groups, made_by, name, scope, created_at, last_used_at, expires_at
         from api_token
         where tenant = $1 and ($2::text is null or owner = $2) and revoked_at is null and expires_at > now()
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
        owner: row.owner,
        keeps_groups: !row.kept_groups.as_ref().unwrap_or(&row.groups).is_empty(),
        groups: row.groups,
        made_by: row.made_by,
        name: row.name,
        scope: scope(&row.scope),
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
    });
    Ok(Page { rows: rows.collect(), total })
}

/// Tenant and name of whose token this is.
pub async fn token_owner(pool: &PgPool, id: Uuid) -> Result<Option<(String, String)>, sqlx::Error> {
    let row = sqlx::query!("select tenant, owner from api_token where token_id = $1", id).fetch_optional(pool).await?;
    Ok(row.map(|row| (row.tenant, row.owner)))
}

/// Revokes somebody's token, and returns its hash.
pub async fn revoke_token(
    db: &mut PgConnection,
    (tenant, owner): (&str, &str),
    id: Uuid,
    by: &str,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        "update api_token set revoked_at = now(), revoked_by = $4
         where token_id = $1 and tenant = $2 and owner = $3 and revoked_at is null returning secret_hash",
        id,
        tenant,
        owner,
        by
    )
    .fetch_optional(db)
    .await
}
