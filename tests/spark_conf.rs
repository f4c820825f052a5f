//! The policy of Spark conf knows every key that the Sparks themselves know: a key of a new Spark is classed before it can be asked for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::Setup;
use hearth::context::launch::conf_policy;
use serde_json::json;

/// Prints the keys of Spark's registry, which the objects that declare them fill when they are loaded.
const KEYS: &str = r#"
val declaring = Seq("internal.config.package", "internal.config.Deploy", "internal.config.History", "internal.config.Kryo", "internal.config.Network",
  "internal.config.Python", "internal.config.R", "internal.config.Status", "internal.config.Streaming", "internal.config.UI", "internal.config.Worker",
  "sql.internal.SQLConf", "sql.internal.StaticSQLConf", "streaming.StreamingConf")
declaring.foreach(name => Class.forName("org.apache.spark." + name + "$"))
val registry = Class.forName("org.apache.spark.internal.config.ConfigEntry$")
val known = registry.getMethod("knownConfigs").invoke(registry.getField("MODULE$").get(null)).asInstanceOf[java.util.Map[String, AnyRef]]
known.keySet.toArray.map(_.toString).filter(_.startsWith("spark.")).sorted.foreach(println)
"#;

#[tokio::test]
async fn every_key_of_both_sparks_is_classed() {
    let gateway = Setup::new().start().await;
    let livy = gateway.livy();
    for profile in ["default", "spark4"] {
        let session = livy.session(json!({"kind": "spark", "conf": {"hearth.profile": profile}})).await;
        let said = livy.text(&session, KEYS).await;
        let keys: Vec<&str> = said.lines().filter(|line| line.starts_with("spark.") && !line.contains(' ')).collect();
        assert!(keys.len() > 900, "{profile}: {said:.2000}");
        let unknown: Vec<&&str> = keys.iter().filter(|key| conf_policy::class(key).is_none()).collect();
        assert!(unknown.is_empty(), "{profile}: policies/spark-conf.toml has no class for {unknown:#?}");
        livy.delete(&session).await;
    }
    gateway.end().await;
}
