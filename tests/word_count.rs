//! The most frequent words of Shakespeare's plays, in each language, on each line of Spark.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use harness::{Gateway, Setup};
use serde_json::{Value, json};

/// Word and count, by splitting at spaces.
const TOP: [(&str, i64); 4] = [("the", 5437), ("I", 4403), ("to", 3923), ("and", 3678)];

fn plays() -> String {
    format!("{}/examples/shakespeare.txt", env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Value {
    TOP.iter().map(|(word, count)| json!([word, count])).collect()
}

async fn data(gateway: &Gateway, session: &str, kind: &str, code: &str) -> Value {
    let statement = gateway.livy().run(session, json!({ "code": code, "kind": kind })).await;
    assert_eq!(statement["output"]["status"], "ok", "{statement}");
    statement["output"]["data"].clone()
}

async fn count_words(gateway: &Gateway, profile: &str) {
    let body = json!({ "kind": "shared", "conf": { "hearth.profile": profile } });
    let session = gateway.livy().session(body).await;
    let plays = plays();

    let scala = format!(
        "val counts = sc.textFile(\"{plays}\").flatMap(_.split(\" \")).filter(_.nonEmpty).map((_, 1L)).reduceByKey(_ + _)\n\
         val top = counts.sortBy(-_._2).take(4).toSeq"
    );
    data(gateway, &session, "spark", &scala).await;
    let table = data(gateway, &session, "spark", "%table top").await["application/vnd.livy.table.v1+json"].clone();
    assert_eq!(types(&table), ["STRING_TYPE", "BIGINT_TYPE"], "{table}");
    assert_eq!(table["data"], rows());
    let as_json = data(gateway, &session, "spark", "%json top").await;
    assert_eq!(as_json.as_object().unwrap().len(), 1, "{as_json}");
    assert!(as_json["application/json"].to_string().contains("5437"), "{as_json}");

    let python = format!(
        "words = sc.textFile('{plays}').flatMap(lambda line: line.split(' ')).filter(len)\n\
         counts = words.map(lambda word: (word, 1)).reduceByKey(lambda a, b: a + b)\n\
         top = counts.toDF(['word', 'n']).orderBy('n', ascending=False).limit(4)\n\
         listed = [list(row) for row in top.collect()]"
    );
    data(gateway, &session, "pyspark", &python).await;
    let table = data(gateway, &session, "pyspark", "%table top").await["application/vnd.livy.table.v1+json"].clone();
    assert_eq!(types(&table), ["STRING_TYPE", "BIGINT_TYPE"], "{table}");
    assert_eq!(table["data"], rows());
    assert_eq!(data(gateway, &session, "pyspark", "%json listed").await["application/json"], rows());

    data(gateway, &session, "sql", &format!("create temporary view lines using text options (path '{plays}')")).await;
    let query = "select word, count(*) as n from (select explode(split(value, ' ')) as word from lines) \
                 where word <> '' group by word order by n desc limit 4";
    let answer = data(gateway, &session, "sql", query).await["application/json"].clone();
    assert_eq!(answer["data"], rows());
    let types: Vec<_> = answer["schema"]["fields"].as_array().unwrap().iter().map(|f| f["type"].clone()).collect();
    assert_eq!(types, ["string", "long"]);
    gateway.livy().delete(&session).await.expect(200);
}

fn types(table: &Value) -> Vec<&str> {
    table["headers"].as_array().unwrap().iter().map(|h| h["type"].as_str().unwrap()).collect()
}

/// One gateway, both lines of Spark, chosen by profile.
#[tokio::test]
async fn in_every_language_on_both_sparks() {
    let gateway = Setup::new().start().await;
    count_words(&gateway, "default").await;
    count_words(&gateway, "spark4").await;
    gateway.end().await;
}
