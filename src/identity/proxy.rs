//! Trusted proxies: a principal that may act for others (Hue, a notebook hub), as Hadoop has them.

use std::net::IpAddr;
use std::sync::Arc;

use super::config::ProxyRule;

/// The rules of all proxies.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<Arc<ProxyRule>>);

impl Proxies {
    /// Checks the rules.
    ///
    /// # Errors
    /// Names the rule that speaks for nobody or from nowhere.
    pub fn new(rules: Vec<ProxyRule>) -> Result<Self, String> {
        for rule in &rules {
            let name = &rule.principal;
            if !super::is_user_name(name) {
                return Err(format!("auth.proxies: {name:?} is not a user's name"));
            }
            if rule.users.is_empty() && rule.groups.is_empty() {
                return Err(format!("auth.proxies: {name:?} may speak for nobody; give it users or groups"));
            }
            if let Some(bad) = rule.tenants.iter().find(|tenant| *tenant != "*" && !super::is_user_name(tenant)) {
                return Err(format!("auth.proxies: {name:?}: {bad:?} is not a tenant's name"));
            }
            if rule.addresses.is_empty() {
                return Err(format!("auth.proxies: {name:?} may speak from nowhere; give it addresses"));
            }
        }
        Ok(Self(rules.into_iter().map(Arc::new).collect()))
    }

    /// The rule by which this user may speak for others from this address.
    #[must_use]
    pub fn rule(&self, user: &str, address: Option<IpAddr>) -> Option<Arc<ProxyRule>> {
        let address = address?;
        let fits = |rule: &&Arc<ProxyRule>| {
            rule.principal == user && rule.addresses.iter().any(|network| network.contains(&address))
        };
        self.0.iter().find(fits).cloned()
    }

    /// Whether this user is a proxy, from wherever.
    #[must_use]
    pub fn is_proxy(&self, user: &str) -> bool {
        self.0.iter().any(|rule| rule.principal == user)
    }
}

impl ProxyRule {
    /// Whether the users that it names include this one.
    #[must_use]
    pub fn names(&self, user: &str) -> bool {
        self.users.iter().any(|named| named == user || named == "*")
    }

    /// Whether it speaks for people of this tenant when its own is `own`.
    #[must_use]
    pub fn reaches(&self, tenant: &str, own: &str) -> bool {
        tenant == own || self.tenants.iter().any(|named| named == tenant || named == "*")
    }

    /// Whether one of these groups is among its own.
    #[must_use]
    pub fn has_group_of(&self, groups: &[String]) -> bool {
        groups.iter().any(|group| self.groups.contains(group))
    }
}
