//! Kinds of sessions and statements: which interpreter runs the code.

use std::fmt;
use std::str::FromStr;

/// What a session's code is written in, unless a statement says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Scala.
    Spark,
    /// Python.
    Pyspark,
    /// R.
    Sparkr,
    /// SQL.
    Sql,
    /// No default: every statement names its own. Livy's default.
    Shared,
}

/// A text that names no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid kind: {0}")]
pub struct UnknownKind(pub String);

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Spark, Self::Pyspark, Self::Sparkr, Self::Sql, Self::Shared];

    /// The canonical name, which answers carry (sparklyr requires `spark`; pylivy knows no other than these).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spark => "spark",
            Self::Pyspark => "pyspark",
            Self::Sparkr => "sparkr",
            Self::Sql => "sql",
            Self::Shared => "shared",
        }
    }

    /// The interpreter that a session of this kind wants at once.
    #[must_use]
    pub fn warm(self) -> Option<&'static str> {
        (self != Self::Shared).then_some(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Takes Livy's names and those that its clients still send (`pyspark3`: old pylivy, Zeppelin).
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text {
            "spark" | "scala" => Ok(Self::Spark),
            "pyspark" | "python" | "pyspark3" => Ok(Self::Pyspark),
            "sparkr" | "r" => Ok(Self::Sparkr),
            "sql" => Ok(Self::Sql),
            "shared" => Ok(Self::Shared),
            other => Err(UnknownKind(other.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
