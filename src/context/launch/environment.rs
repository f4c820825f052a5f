//! What launches take from the environment that Hearth itself was started with. Read once, in `config`; nothing else of it
//! ever reaches a launched program, for it may hold secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Variables that a launched program gets as Hearth got them: where things are and how text looks, never who one is.
pub const PASSED: &[&str] = &[
    "HADOOP_CONF_DIR",
    "HADOOP_HOME",
    "HOME",
    "KRB5_CONFIG",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "SPARK_CONF_DIR",
    "SPARK_DIST_CLASSPATH",
    "TZ",
    "USER",
    "YARN_CONF_DIR",
];

/// The part of Hearth's environment that launches go by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `SPARK_HOME`.
    pub spark_home: Option<PathBuf>,
    /// `JAVA_HOME`.
    pub java_home: Option<PathBuf>,
    /// `PYSPARK_PYTHON`.
    pub pyspark_python: Option<String>,
    /// Those of [`PASSED`] that are set.
    pub passed: BTreeMap<String, String>,
}

impl Environment {
    /// Takes what matters from all variables. An empty value counts as none.
    #[must_use]
    pub fn from_variables(all: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut new = Self::default();
        for (name, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "SPARK_HOME" => new.spark_home = Some(value.into()),
                "JAVA_HOME" => new.java_home = Some(value.into()),
                "PYSPARK_PYTHON" => new.pyspark_python = Some(value),
                other if PASSED.contains(&other) => {
                    new.passed.insert(name, value);
                }
                _ => {}
            }
        }
        new
    }

    /// The value of a passed variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.passed.get(name).map(String::as_str)
    }

    /// The file of a program: of that name in the folders of `PATH`, or the path itself when it is one.
    #[must_use]
    pub fn which(&self, program: &str) -> Option<PathBuf> {
        if program.contains('/') {
            return Some(PathBuf::from(program)).filter(|p| p.is_file());
        }
        std::env::split_paths(self.get("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin"))
            .map(|folder| folder.join(program))
            .find(|p| p.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_behind() {
        let variables =
            [("AWS_SECRET_ACCESS_KEY", "s"), ("HEARTH__DATABASE__URL", "u"), ("PATH", "/bin"), ("JAVA_HOME", "")];
        let environment = Environment::from_variables(variables.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(environment.passed.keys().collect::<Vec<_>>(), ["PATH"]);
        assert_eq!(environment.java_home, None);
        assert_eq!(environment.which("sh"), Some("/bin/sh".into()));
        assert_eq!(environment.which("no-such-program"), None);
    }
}
