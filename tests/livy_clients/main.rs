//! Clients of Livy as people install them, unmodified, each from its creation of a session to its end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;

use std::path::Path;

use harness::{Setup, python};

/// The clients without what they only need inside a notebook or with Kerberos, whose packages are built with a C compiler.
const CLIENTS: &[&str] = &[
    "--no-deps",
    "livy==0.8.0",
    "livy-uploads==0.1.5",
    "sparkmagic==0.23.0",
    "hdijupyterutils==0.23.0",
    "autovizwidget==0.23.0",
    "requests-kerberos==0.15.0",
    "pyspnego==0.12.4",
];
const NEEDED: &[&str] = &[
    "cryptography",
    "ipykernel==7.4.0",
    "ipywidgets==8.1.9",
    "jupyter-server==2.21.1",
    "nest-asyncio==1.6.0",
    "pandas==2.3.3",
    "plotly==6.5.0",
    "python-dotenv==1.2.1",
    "requests==2.34.2",
    "requests-toolbelt==1.0.0",
];

/// Needs more than all the others together, and other versions of it.
const AIRFLOW: &[&str] =
    &["apache-airflow==3.3.2", "apache-airflow-providers-apache-livy==4.6.4", "apache-airflow-providers-http==6.3.0"];
const MCP: &[&str] = &["emr-livy-mcp==0.1.0", "mcp==1.30.0"];

#[tokio::test]
async fn real_clients_work() {
    let python = python("tests-clients", &[CLIENTS, NEEDED]).await;
    work(&python, &["pylivy", "sparkmagic", "livy-uploads"]).await;
}

#[tokio::test]
async fn airflow_works() {
    work(&python("tests-airflow", &[AIRFLOW]).await, &["airflow"]).await;
}

#[tokio::test]
async fn an_mcp_server_works() {
    work(&python("tests-mcp", &[MCP]).await, &["emr-livy-mcp"]).await;
}

async fn work(python: &Path, clients: &[&str]) {
    let gateway = Setup::new().start().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/livy_clients/clients.py");
    for client in clients {
        let run = tokio::process::Command::new(python)
            .arg(&script)
            .args([*client, &gateway.url()])
            .arg(gateway.home())
            .env("HOME", gateway.home())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .kill_on_drop(true)
            .output();
        let done = tokio::time::timeout(harness::COLD * 2, run).await.expect("it ends").unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success() && said.contains("well"), "{client}: {said}");
        let left = gateway.livy().get("/sessions").await.expect(200);
        assert_eq!(left["total"], 0, "{client} left sessions: {left}");
    }
    gateway.end().await;
}
