//! Where Hearth answers otherwise than the Livy that was recorded, and why that is right for its clients.

use std::collections::BTreeSet;

/// Recordings that nothing is compared with, by name: what this version does not offer, or offers otherwise.
const EXEMPT: [&str; 9] =
    ["metrics", "ping", "healthcheck", "root", "ui-redirect", "connect", "job-unknown", "version", "denied-"];

/// A difference that is meant.
struct Difference {
    /// Name of the recording, or its beginning and `*`.
    recording: &'static str,
    /// The difference as [`crate::shape`] tells it, or its beginning and `*`.
    what: &'static str,
    /// Why, and the client that was looked at.
    because: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        recording: "session-*",
        what: ".owner: null -> text",
        because: "The owner is always known. Hue's job browser and sparkmagic show it; the Java client takes a text or null.",
    },
    Difference { recording: "sessions-one", what: ".sessions[].owner: null -> text", because: "As in a session." },
    Difference {
        recording: "batch-*",
        what: ".owner: null -> text",
        because: "As in a session; Airflow and pylivy read no owner of a batch.",
    },
    Difference { recording: "batches", what: ".sessions[].owner: null -> text", because: "As in a batch." },
    Difference {
        recording: "session-*",
        what: ".appId: null -> text",
        because: "A local application has an id too. Zeppelin, sparkmagic and pylivy take a text or null.",
    },
    Difference { recording: "sessions-one", what: ".sessions[].appId: null -> text", because: "As in a session." },
    Difference {
        recording: "session-shared-idle",
        what: ".appInfo.sparkUiUrl: null -> text",
        because: "The Spark UI is on by default; sparkmagic and Zeppelin link it.",
    },
    Difference {
        recording: "session-stopped-statements",
        what: "*",
        because: "Results outlive their session. Only Livy's own page lists statements, and it takes a list.",
    },
    Difference {
        recording: "statement-spark-alone-exit",
        what: "*",
        because: "Results outlive their session. Zeppelin restarts by the answer to a POST, not to this GET.",
    },
    Difference {
        recording: "statement-while-starting",
        what: "*",
        because: "A statement is taken and waits. Clients that poll for idle first (sparkmagic, pylivy, Hue) never see it.",
    },
    Difference {
        recording: "statement-shared-no-kind",
        what: "*",
        because: "The request is wrong, so 400, and without a stack trace; Zeppelin always sends a kind.",
    },
    Difference {
        recording: "statement-shared-cobol",
        what: "*",
        because: "The request is wrong, so 400, and without a stack trace; no client sends it.",
    },
    Difference {
        recording: "statement-cancelled-running",
        what: ".output.ename: \"Error\" -> \"Cancelled\"",
        because: "Says what happened. Zeppelin and sparkmagic look at the state `cancelled`, not at the name.",
    },
    Difference {
        recording: "statements*",
        what: ".statements[].output.ename: \"Error\" -> \"Cancelled\"",
        because: "As in the statement itself.",
    },
    Difference {
        recording: "completion-pyspark",
        what: "*",
        because: "Names of the session are offered; Livy completes no Python. Zeppelin takes any list.",
    },
    Difference {
        recording: "batch-local-file",
        what: "*",
        because: "A local file is read as the user whose code runs, so no folder has to be opened to it; Airflow sends such paths.",
    },
    Difference {
        recording: "statement-sparkr-*",
        what: "*",
        because: "There is no R interpreter in this version; sparklyr and Hue show the reason in msg.",
    },
    Difference {
        recording: "statement-spark-json-rdd",
        what: ".output.data.application/json: 10 elements -> 20",
        because: "All of a small RDD, not silently its first ten; sparklyr and Hue take any length.",
    },
    Difference {
        recording: "statement-spark-json-in-a-later-statement",
        what: "*",
        because: "%json knows the variables of earlier statements, as it does in Python.",
    },
    Difference {
        recording: "statement-spark-json-wrong-name",
        what: "*",
        because: "%json shows the value that it names, or says that there is none; sparklyr always names one that is there.",
    },
    Difference {
        recording: "statement-spark-table-dataframe-collect",
        what: "*",
        because: "Rows of a DataFrame make a table, as they do in Python; Hue shows it.",
    },
    Difference { recording: "statement-spark-sql-magic", what: "*", because: "%sql is a magic here." },
    Difference { recording: "statement-pyspark-sql-magic", what: "*", because: "%sql is a magic here." },
    Difference {
        recording: "statement-spark-alone-table-dataframe",
        what: "*",
        because: "A DataFrame makes a table; Livy's answer was an error of its JSON library.",
    },
    Difference { recording: "statement-spark-alone-json-dataframe", what: "*", because: "A DataFrame makes JSON." },
    Difference {
        recording: "statement-spark-alone-stop-context-then-statement",
        what: "*",
        because: "Without its SparkContext a session is over, and says so; in Livy it stayed idle and every job failed.",
    },
    Difference {
        recording: "statement-sql-two-statements",
        what: "*",
        because: "Several SQL statements run in order and the last one's result is shown; dbt sends one at a time.",
    },
    Difference {
        recording: "statement-pyspark-json-missing",
        what: "*",
        because: "An error is an error output; Livy put a kernel message into the data, which sparkmagic and Hue show as text.",
    },
    Difference {
        recording: "statement-pyspark-json-extra-words",
        what: "*",
        because: "An error is an error output, as above.",
    },
    Difference {
        recording: "statement-pyspark-table-missing",
        what: "*",
        because: "An error is an error output, as above.",
    },
    Difference {
        recording: "statement-pyspark-matplot-missing",
        what: "*",
        because: "An error is an error output, as above.",
    },
    Difference {
        recording: "statement-pyspark-matplot",
        what: ".output.data.text/plain: added",
        because: "An empty text beside a plot: Hue fails without one, and sparkmagic and Zeppelin take the image first.",
    },
    Difference {
        recording: "statement-pyspark-table-dataframe",
        what: ".output.data.*",
        because: "The rows of the DataFrame, where Livy showed its type as text.",
    },
    Difference {
        recording: "statement-pyspark-alone-*",
        what: "*",
        because: "Livy's interpreter died of each of these and never came back; here the next statement runs.",
    },
];

/// Whether a recording needs no comparison.
pub fn is_exempt(name: &str) -> bool {
    EXEMPT.iter().any(|exempt| name == *exempt || (exempt.ends_with('-') && name.starts_with(exempt)))
}

/// Fails when something differs that is not in the table, or the table tells of what no longer differs.
pub fn check(found: &BTreeSet<(String, String)>) {
    let unmeant: Vec<_> = found
        .iter()
        .filter(|(name, what)| !DIFFERENCES.iter().any(|d| matches(d.recording, name) && matches(d.what, what)))
        .collect();
    let stale: Vec<_> = DIFFERENCES
        .iter()
        .filter(|d| !found.iter().any(|(name, what)| matches(d.recording, name) && matches(d.what, what)))
        .map(|d| (d.recording, d.what, d.because))
        .collect();
    assert!(unmeant.is_empty() && stale.is_empty(), "not meant: {unmeant:#?}\nno longer there: {stale:#?}");
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}
