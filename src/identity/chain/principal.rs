//! From a person to a principal: groups, tenant, and for whom they may speak.

use std::sync::Arc;

use super::{Chain, Shown};
use crate::identity::attempt::Refusal;
use crate::identity::directory::Told;
use crate::identity::{Credential, Kept, Origin, Person, Principal, Scheme, is_user_name};
use crate::time;

impl Chain {
    /// The principal of a person: their groups and tenant, and whether they are a proxy.
    pub(super) async fn principal(&self, shown: &Shown, origin: &Origin) -> Result<Principal, Refusal> {
        let person = &shown.person;
        let directory = &self.0.directory;
        let (shown_by, told) = match (shown.scheme, person.shown_by) {
            (Scheme::Cookie | Scheme::Token, Some(by)) => (Some(by), directory.look_again(&person.user, by).await?),
            // Of a row of before that is known no more: its groups stay.
            (Scheme::Cookie | Scheme::Token, None) => (None, Told::default()),
            (by, _) => (Some(by), directory.look_up(&person.user, by).await?),
        };
        let keeps = shown_by.is_none_or(|by| directory.keeps(by));
        let kept: Arc<[String]> = if keeps { person.groups.as_slice().into() } else { Arc::default() };
        let mut groups = person.groups.clone();
        groups.extend(told.groups.iter().cloned());
        let branch = person.branch.clone().or(told.branch);
        groups.sort();
        groups.dedup();
        let tenant = match &person.tenant {
            Some(told) => told.clone(),
            None => self.0.tenants.of(&Person { groups: groups.clone(), branch, ..Person::clone(person) }).to_owned(),
        };
        // What cannot be taken back is believed for as long as a login.
        let credential = person.credential.clone();
        let credential = credential.unwrap_or_else(|| Credential::Until(time::now() + self.0.logins.ttl()));
        Ok(Principal {
            user: person.user.as_str().into(),
            groups: groups.into(),
            tenant: tenant.into(),
            via: None,
            scheme: shown.scheme,
            scope: person.scope,
            speaks_for: self.0.proxies.rule(&person.user, origin.address),
            origin: origin.clone(),
            kept: Kept { groups: kept, shown_by },
            credentials: Arc::new([credential]),
        })
    }

    /// The principal of `wanted`, for whom a trusted proxy speaks (`doAs`, `proxyUser`). Whoever names themselves stays who they are.
    ///
    /// # Errors
    /// [`Refusal::Impersonation`] when the caller is no proxy, or not for that user or from that address; [`Refusal::Away`] when the
    /// source of groups is.
    pub async fn act_for(&self, caller: &Principal, wanted: &str) -> Result<Principal, Refusal> {
        if caller.scheme == Scheme::Local || (*caller.user == *wanted && caller.via.is_none()) {
            return Ok(caller.clone());
        }
        if !is_user_name(wanted) {
            return Err(Refusal::BadName);
        }
        let refused = || Refusal::Impersonation { user: caller.user.to_string(), wanted: wanted.to_owned() };
        let rule = caller.speaks_for.as_ref().filter(|_| caller.via.is_none()).ok_or_else(refused)?;
        // The name is all that is shown of whom it speaks for, by whatever scheme the proxy has shown itself.
        let Told { groups, branch } = self.0.directory.look_up(wanted, Scheme::Local).await?;
        let is_named = rule.users.iter().any(|user| user == wanted);
        let is_meant = (rule.names(wanted) || rule.has_group_of(&groups)) && !self.0.proxies.is_proxy(wanted);
        if !is_named && !is_meant {
            return Err(refused());
        }
        let person = Person { groups: groups.to_vec(), branch, ..Person::named(wanted) };
        // Without a rule of their own, those it speaks for belong where the proxy does.
        let tenant: Arc<str> = self.0.tenants.fitting(&person).map_or_else(|| caller.tenant.clone(), Into::into);
        if !rule.reaches(&tenant, &caller.tenant) {
            return Err(refused());
        }
        Ok(Principal {
            user: wanted.into(),
            groups,
            tenant,
            via: Some(caller.user.clone()),
            speaks_for: None,
            kept: Kept::default(),
            ..caller.clone()
        })
    }
}
