//! What answers show of a conf: a value that is secret stands there as on Spark's own pages. Whoever sent it knows it; whoever may only look
//! has no use for it.

use std::collections::BTreeMap;

use super::resources::Resources;

/// What stands in the place of a secret (Spark's own text).
pub const REDACTED: &str = "*********(redacted)";

/// Parts of keys whose values are secret: those of Spark's `spark.redaction.regex`, and of what Hadoop's file systems call theirs.
const SECRET: &[&str] = &[
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "credential",
    "access.key",
    "access_key",
    "accesskey",
    "account.key",
    "api.key",
    "api_key",
    "apikey",
    "private.key",
    "fs.azure.sas",
];

/// Inside of a value they show that one of its parts is secret, as in the URL of a database.
const INSIDE: &[&str] = &["password=", "secret=", "token=", "accesskey=", "accountkey="];

/// The conf as answers show it.
#[must_use]
pub fn shown(conf: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    conf.iter().map(|(key, value)| (key.as_str(), if is_secret(key, value) { REDACTED } else { value })).collect()
}

impl Resources {
    /// These as answers show them.
    #[must_use]
    pub fn shown(&self) -> Self {
        let conf = shown(&self.conf).into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { conf, ..self.clone() }
    }
}

fn is_secret(key: &str, value: &str) -> bool {
    let (key, value) = (key.to_lowercase(), value.to_lowercase());
    SECRET.iter().any(|part| key.contains(part))
        || INSIDE.iter().any(|part| value.contains(part))
        || value.split_once("://").is_some_and(|(_, rest)| {
            let place = rest.split(['/', '?']).next().unwrap_or_default();
            place.split_once('@').is_some_and(|(user, _)| user.contains(':'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (key, value) in [
            ("spark.hadoop.fs.s3a.secret.key", "x"),
            ("spark.hadoop.fs.s3a.access.key", "x"),
            ("spark.hadoop.fs.azure.account.key.me.dfs.core.windows.net", "x"),
            ("spark.executorEnv.DB_PASSWORD", "x"),
            ("spark.mine", "jdbc:postgresql://h/d?user=a&Password=x"),
            ("spark.mine", "https://ann:x@host/path"),
        ] {
            assert!(is_secret(key, value), "{key}={value}");
        }
        for (key, value) in [
            ("spark.executor.memory", "2g"),
            ("spark.hadoop.fs.s3a.endpoint", "https://s3.example:9000/bucket@1"),
            ("spark.sql.shuffle.partitions", "8"),
        ] {
            assert!(!is_secret(key, value), "{key}={value}");
        }
    }
}
