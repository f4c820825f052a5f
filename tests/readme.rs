//! The README's commands, as they stand there, by the shell.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod harness;

use std::process::Command;

use harness::{Gateway, Setup};
use serde_json::{Value, json};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The commands between two markers of the README, block by block, for this gateway.
fn commands(marker: &str, gateway: &Gateway) -> Vec<String> {
    let readme = std::fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    let marked = readme.split(&format!("<!-- {marker} -->")).nth(1).expect("the README has two such markers");
    let blocks = marked.split("```bash\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.map(|block| block.replace("http://127.0.0.1:8998", &gateway.url())).collect()
}

/// What a shell in the repository's folder says, of somebody who has nothing in their home folder yet.
async fn shell(commands: String) -> String {
    let home = tempfile::tempdir().unwrap();
    let run =
        move || Command::new("bash").args(["-euc", &commands]).env("HOME", home.path()).current_dir(ROOT).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn last_answer(said: &str) -> Value {
    serde_json::from_str(said.trim().lines().last().unwrap()).unwrap()
}

#[tokio::test]
async fn the_words_of_shakespeare_are_counted() {
    let gateway = Setup::new().start().await;
    let commands = commands("word count", &gateway).concat();
    assert_eq!(commands.matches("curl ").count(), 3, "{commands}");
    let last = last_answer(&shell(commands).await);
    let table = &last["output"]["data"]["application/vnd.livy.table.v1+json"];
    let types: Vec<_> = table["headers"].as_array().unwrap().iter().map(|header| header["type"].clone()).collect();
    assert_eq!(types, ["STRING_TYPE", "BIGINT_TYPE"], "{last}");
    let top = json!([["the", 5437], ["I", 4403], ["to", 3923], ["and", 3678]]);
    assert_eq!(table["data"].as_array().unwrap()[..4], *top.as_array().unwrap(), "{last}");
    gateway.end().await;
}

#[tokio::test]
async fn three_terminals_share_an_rdd() {
    let gateway = Setup::new().start().await;
    let terminals = commands("three terminals", &gateway);
    assert_eq!(terminals.len(), 4, "{terminals:?}");
    let [first, second, third, http] = [0, 1, 2, 3].map(|at: usize| terminals[at].clone());
    let put = last_answer(&shell(first).await);
    assert_eq!(put["output"]["status"], "ok", "{put}");
    let got = last_answer(&shell(second).await);
    assert!(got["output"]["data"]["text/plain"].as_str().unwrap().contains("Alaska"), "{got}");
    let said = shell(third).await;
    assert_eq!(said.trim().lines().last(), Some("{'ak': 'Alaska'} {'ny': 'New York'}"), "{said}");
    let said = shell(http).await;
    assert!(said.contains("\nca,California\r\n"), "{said}");
    assert_eq!(last_answer(&said)["level"], "read", "{said}");
    gateway.end().await;
}
