//! A class data archive is made of a real Spark, and a real driver starts from it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use hearth::config;
use hearth::context::launch::archive;
use hearth::context::launch::java_command::JavaCommand;
use hearth::context::launch::spark_home;

mod real;

#[tokio::test]
async fn an_archive_is_made_once_and_taken_by_the_jvm() {
    let environment = config::environment();
    let spark = spark_home::find(&real::profile(&real::spark_35()), &environment).await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let command = JavaCommand::of(&spark, cache.path(), &environment).await;
    let one = || archive::make(&spark, &command, cache.path(), &environment);
    let (first, second) = tokio::join!(one(), one());
    let made = first.unwrap().unwrap();
    assert_eq!(second.unwrap().as_ref(), Some(&made));
    assert_eq!(archive::path(&spark, &command, cache.path()), Some(made.clone()));
    assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o644);
    let left: Vec<_> = fs::read_dir(made.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the archive and its lock: {left:?}");

    // The JVM says of each class where it took it from.
    let JavaCommand::Java { class_path, options } = &command else { unreachable!("there is no spark-env.sh") };
    let output = Command::new(&spark.java.program)
        .args(["-cp", class_path, "-Xlog:class+load"])
        .args(options)
        .arg(format!("-XX:SharedArchiveFile={}", made.display()))
        .args(["org.apache.spark.deploy.SparkSubmit", "--version"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let class = said.lines().find(|line| line.contains("org.apache.spark.deploy.SparkSubmit ")).unwrap();
    assert!(class.contains("shared objects file (top)"), "{class}");
}

#[tokio::test]
async fn there_is_none_where_the_jvm_could_not_take_it() {
    let environment = config::environment();
    let spark = spark_home::find(&real::profile(&real::spark_35()), &environment).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("core-site.xml"), "").unwrap();
    let class_path = format!("{}:{}/jars/*", folder.path().display(), spark.path.display());
    let command = JavaCommand::Java { class_path, options: Vec::new() };
    assert_eq!(archive::path(&spark, &command, folder.path()), None);
    assert_eq!(archive::path(&spark, &JavaCommand::Script("/spark-submit".into()), folder.path()), None);
}
