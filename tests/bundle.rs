//! The agent is compiled against a real Spark: once, whole, and with readable errors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use hearth::config;
use hearth::context::launch::bundle::{self, Error};
use hearth::context::launch::environment::Environment;
use hearth::context::launch::spark_home::{self, SparkHome};

mod real;

async fn spark(environment: &Environment) -> SparkHome {
    spark_home::find(&real::profile(&real::spark_35()), environment).await.unwrap()
}

#[tokio::test]
async fn the_agent_compiles_against_the_newest_spark() {
    let environment = config::environment();
    let spark = spark_home::find(&real::profile(&real::spark_4()), &environment).await.unwrap();
    assert_eq!(spark.scala, "2.13");
    let cache = tempfile::tempdir().unwrap();
    assert!(bundle::agent(&spark, None, cache.path(), &environment).await.unwrap().jar.is_file());
}

#[tokio::test]
async fn callers_at_once_compile_once_and_the_rest_is_there() {
    let environment = config::environment();
    let spark = spark(&environment).await;
    let cache = tempfile::tempdir().unwrap();
    let one = || bundle::agent(&spark, None, cache.path(), &environment);
    let (a, b, c) = tokio::join!(one(), one(), one());
    let agent = a.unwrap();
    assert_eq!(agent, b.unwrap());
    assert_eq!(agent, c.unwrap());
    assert!(agent.python.join("hearth_runner/__main__.py").is_file());

    let mut jar = zip::ZipArchive::new(File::open(&agent.jar).unwrap()).unwrap();
    assert_eq!(jar.by_index(0).unwrap().name(), "META-INF/MANIFEST.MF");
    assert!(jar.by_name("hearth/agent/Agent.class").is_ok());
    let names: Vec<_> = fs::read_dir(cache.path().join("agent")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "the folder and its lock, no draft: {names:?}");

    let made = fs::metadata(&agent.jar).unwrap().modified().unwrap();
    let began = Instant::now();
    assert_eq!(one().await.unwrap(), agent);
    assert!(began.elapsed().as_millis() < 1_000, "from the cache");
    assert_eq!(fs::metadata(&agent.jar).unwrap().modified().unwrap(), made);
}

#[tokio::test]
async fn a_refusal_of_the_compiler_is_told_and_leaves_nothing() {
    let environment = config::environment();
    let real = spark(&environment).await;
    // A Spark without its own classes: the compiler is there, what the agent builds on is not.
    let folder = tempfile::tempdir().unwrap();
    let jars = folder.path().join("spark/jars");
    fs::create_dir_all(&jars).unwrap();
    for entry in fs::read_dir(real.path.join("jars")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if ["scala-", "jline", "jna"].iter().any(|start| name.starts_with(start)) {
            std::os::unix::fs::symlink(&path, jars.join(name)).unwrap();
        }
    }
    let poor = SparkHome { path: folder.path().join("spark"), ..real };
    let cache = folder.path().join("cache");
    let error = bundle::agent(&poor, None, &cache, &environment).await.unwrap_err();
    assert!(matches!(error, Error::Compile { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("scala/hearth/agent/") && text.contains("error:"), "{text}");
    let left = fs::read_dir(cache.join("agent")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_jar_made_beforehand_is_taken_and_a_missing_one_is_named() {
    let environment = config::environment();
    let spark = spark(&environment).await;
    let cache = tempfile::tempdir().unwrap();
    let jar = cache.path().join("made.jar");
    let missing = bundle::agent(&spark, Some(&jar), cache.path(), &environment).await.unwrap_err();
    assert!(missing.to_string().contains("made.jar"), "{missing}");
    fs::write(&jar, "").unwrap();
    let agent = bundle::agent(&spark, Some(&jar), cache.path(), &environment).await.unwrap();
    assert_eq!(agent.jar, jar);
    assert!(agent.python.join("hearth_runner/__main__.py").is_file());
    let other = SparkHome { scala: "2.11".to_owned(), ..spark };
    let error = bundle::agent(&other, None, Path::new(cache.path()), &environment).await.unwrap_err();
    assert!(error.to_string().contains("Scala 2.11"), "{error}");
}
