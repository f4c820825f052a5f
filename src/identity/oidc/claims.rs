//! What the claims of a verified token say of somebody.

use serde_json::{Map, Value};

use super::config::Config;
use crate::identity::{Person, Scope, is_user_name};

/// Which claims say what; `a.b` is the claim `b` inside the claim `a`, unless there is a claim of that very name.
#[derive(Debug, Clone)]
pub struct Claims {
    /// The user's name.
    pub user_claim: String,
    /// The groups; empty: the token does not tell.
    pub groups_claim: String,
    /// The tenant; empty: the token does not tell.
    pub tenant_claim: String,
}

/// A token that is genuine, but names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A claim that is needed is missing or no possible name.
    #[error("the claim {0:?} is missing or is not a name")]
    Claim(String),
    /// The address is not known to be theirs.
    #[error("the user is their e-mail address, which is not verified (email_verified)")]
    Email,
    /// Some groups stand elsewhere (OpenID Connect Core 5.6.2), so that it is not known which the user has.
    #[error("the groups are not in the token (distributed claims): ask the provider for fewer of them")]
    Elsewhere,
}

impl Claims {
    /// As configured.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let (user_claim, groups_claim) = (config.user_claim.clone(), config.groups_claim.clone());
        Self { user_claim, groups_claim, tenant_claim: config.tenant_claim.clone() }
    }

    /// Who that is.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn person(&self, claims: &Map<String, Value>) -> Result<Person, Unfit> {
        let name = |claim: &str| {
            let found = find(claims, claim).and_then(Value::as_str).filter(|name| is_user_name(name));
            found.map(str::to_owned).ok_or_else(|| Unfit::Claim(claim.to_owned()))
        };
        let user = name(&self.user_claim)?;
        if self.user_claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err(Unfit::Email);
        }
        let tenant = (!self.tenant_claim.is_empty()).then(|| name(&self.tenant_claim)).transpose()?;
        Ok(Person { groups: self.groups(claims)?, tenant, scope: scope(claims), ..Person::named(&user) })
    }

    fn groups(&self, claims: &Map<String, Value>) -> Result<Vec<String>, Unfit> {
        if self.groups_claim.is_empty() {
            return Ok(Vec::new());
        }
        if claims.get("_claim_names").is_some_and(|names| names.get(&self.groups_claim).is_some()) {
            return Err(Unfit::Elsewhere);
        }
        let groups = match find(claims, &self.groups_claim) {
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one.as_str()],
            _ => Vec::new(),
        };
        // Keycloak writes groups as paths.
        let plain = groups.into_iter().map(|group| group.strip_prefix('/').unwrap_or(group));
        Ok(plain.filter(|group| is_user_name(group)).map(str::to_owned).collect())
    }
}

fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// The most that `hearth:view`, `hearth:attach` and `hearth:manage` among the scopes allow; everything when none is there.
fn scope(claims: &Map<String, Value>) -> Scope {
    let words = claims.get("scope").and_then(Value::as_str).unwrap_or_default().split(' ');
    let ours: Vec<&str> = words.filter_map(|word| word.strip_prefix("hearth:")).collect();
    if ours.is_empty() {
        return Scope::Manage;
    }
    let named = [Scope::Manage, Scope::Attach].into_iter().find(|scope| ours.contains(&scope.as_str()));
    named.unwrap_or(Scope::View)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn person(claims: Value) -> Result<Person, Unfit> {
        let by = Claims {
            user_claim: "preferred_username".into(),
            groups_claim: "realm_access.roles".into(),
            tenant_claim: "org".into(),
        };
        by.person(claims.as_object().unwrap())
    }

    #[test]
    fn claims_say_who_somebody_is() {
        let ann = json!({"sub": "1", "preferred_username": "ann", "org": "acme", "scope": "openid hearth:view",
                         "realm_access": {"roles": ["/analysts", "a b", 7]}});
        let ann = person(ann).unwrap();
        assert_eq!((ann.user.as_str(), ann.tenant.as_deref(), ann.scope), ("ann", Some("acme"), Scope::View));
        assert_eq!(ann.groups, ["analysts"]);
    }

    #[test]
    fn a_token_that_names_nobody_is_unfit() {
        assert_eq!(person(json!({"sub": "ann", "org": "acme"})), Err(Unfit::Claim("preferred_username".into())));
        assert_eq!(person(json!({"preferred_username": "ann"})), Err(Unfit::Claim("org".into())));
        assert!(person(json!({"preferred_username": "ann,x", "org": "acme"})).is_err());
        let by = Claims { user_claim: "email".into(), groups_claim: "groups".into(), tenant_claim: String::new() };
        let of = |claims: Value| by.person(claims.as_object().unwrap());
        assert_eq!(of(json!({"email": "ann@x"})), Err(Unfit::Email));
        assert!(of(json!({"email": "ann@x", "email_verified": true})).is_ok());
        let elsewhere = json!({"email": "ann@x", "email_verified": true, "_claim_names": {"groups": "src1"}});
        assert_eq!(of(elsewhere), Err(Unfit::Elsewhere));
    }
}
