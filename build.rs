//! Embeds the agent's sources: writes `agent_sources.rs`, a list of every Scala and Python file with its bytes.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const FOLDERS: &[&str] = &["scala", "scala-2.12", "scala-2.13", "spark-3", "spark-4", "python"];

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=migrations");
    let agent = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("agent");
    let mut files = Vec::new();
    println!("cargo:rerun-if-changed=agent");
    for folder in FOLDERS.iter().map(|name| agent.join(name)).filter(|folder| folder.is_dir()) {
        collect(&folder, &mut files)?;
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&agent).map_err(io::Error::other)?;
        writeln!(list, "    ({:?}, include_bytes!({:?})),", name, file).map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    fs::write(PathBuf::from(variable("OUT_DIR")?).join("agent_sources.rs"), list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "scala" || e == "py") {
            files.push(path);
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "cargo speaks to a build script by variables")]
fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(io::Error::other)
}
