//! Holds the shape of the sources: who may know whom, how long a file may be, what a module may not be called.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io;
use std::path::{Path, PathBuf};

/// The modules of the crate from the top down. A module may use those on lower rungs, never one on its own or above.
/// `src/lib.rs` says what each is for.
const CHAIN: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["gateway"],
    &["config"],
    &["http"],
    &["batch"],
    &["handle"],
    &["statement"],
    &["session"],
    &["context"],
    &["access"],
    &["audit"],
    &["identity"],
    &["store"],
    &["telemetry"],
    &["life"],
    &["home", "shim"],
    &["kind", "id", "time"],
];

/// Crates that only some may use, by the beginning of the path below `src/`: the protocol stays in the front doors, errors without a
/// type in the commands. `context/driver` speaks over the WebSocket that the driver's door has opened.
const RESERVED: &[(&str, &[&str])] = &[
    ("axum", &["http/", "gateway.rs", "context/driver/"]),
    ("clap", &["cli/", "main.rs"]),
    ("anyhow", &["cli/", "main.rs", "gateway.rs"]),
];

/// Modules that never speak SQL themselves: they call the slices.
const WITHOUT_SQL: &[&str] = &["main", "cli", "gateway", "config", "http", "telemetry", "life"];

/// Names that say nothing of what a module holds.
const FORBIDDEN: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"];

/// No file holds more than one thing for longer than this.
const LINES: usize = 500;

#[test]
fn a_module_uses_only_what_stands_below_it() {
    let mut wrong = Vec::new();
    for file in files("src", &["rs"]).unwrap() {
        let user = module_of(&file);
        let text = code_of(&file).unwrap();
        for used in uses(&text, "crate").into_iter().chain(uses(&text, "hearth")) {
            let allowed = used == user || matches!((rung(&user), rung(&used)), (Some(a), Some(b)) if a < b);
            // An item of the crate's root, such as `crate::VERSION`, is nobody's.
            if !allowed && is_module(&used) {
                wrong.push(format!("{} ({user}) uses {used}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "the arrow points up; invert it with data, or a sink that gateway.rs connects:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_module_climbs_to_the_root_by_super() {
    let mut wrong = Vec::new();
    for file in files("src", &["rs"]).unwrap() {
        let text = code_of(&file).unwrap();
        // A module of tests inside a file stands one level deeper than the file.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        if text.contains(&"super::".repeat(depth(&file))) {
            wrong.push(file.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "write crate:: so that the path can be seen:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_rung() {
    let text = std::fs::read_to_string(at("src/lib.rs")).unwrap();
    let mut declared: Vec<&str> = text
        .lines()
        .filter_map(|l| l.strip_prefix("pub mod ").or_else(|| l.strip_prefix("mod "))?.strip_suffix(';'))
        .collect();
    let mut placed: Vec<&str> = CHAIN.iter().copied().flatten().copied().filter(|m| *m != "main").collect();
    declared.sort_unstable();
    placed.sort_unstable();
    assert_eq!(declared, placed, "give the module its place in CHAIN and in the map of src/lib.rs");
}

#[test]
fn protocols_stay_in_the_front_doors() {
    let mut wrong = Vec::new();
    for file in files("src", &["rs"]).unwrap() {
        let text = code_of(&file).unwrap();
        let below = file.strip_prefix(at("src")).unwrap().to_str().unwrap();
        for (name, allowed) in RESERVED {
            if !allowed.iter().any(|a| below.starts_with(a)) && mentions(&text, &format!("{name}::")) {
                wrong.push(format!("{} uses {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_front_doors_speak_no_sql() {
    let speaks =
        |text: &str| ["query!(", "query_as!(", "query_scalar!(", "sqlx::query"].iter().any(|q| text.contains(q));
    let wrong: Vec<_> = files("src", &["rs"])
        .unwrap()
        .into_iter()
        .filter(|f| WITHOUT_SQL.contains(&module_of(f).as_str()) && speaks(&code_of(f).unwrap()))
        .collect();
    assert!(wrong.is_empty(), "this belongs into a slice: {wrong:?}");
}

#[test]
fn no_file_is_too_long_or_called_nothing() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches", "agent", "python"] {
        for file in files(folder, &["rs", "scala", "py"]).unwrap() {
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            if lines > LINES {
                wrong.push(format!("{} has {lines} lines: which second thing does it hold?", file.display()));
            }
            let named = |part: &Path| part.file_stem().and_then(|n| n.to_str()).is_some_and(|n| FORBIDDEN.contains(&n));
            if file.strip_prefix(at("")).unwrap().ancestors().any(named) {
                wrong.push(format!("{}: name the noun it is about", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every file below a folder with one of these endings, in order. A folder that is not there has none.
fn files(folder: &str, endings: &[&str]) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![at(folder)]);
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| endings.contains(&e)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The file's lines without comments, so that documentation may speak of anything.
fn code_of(file: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().map(|l| if l.trim_start().starts_with("//") { "" } else { l }).collect::<Vec<_>>().join("\n"))
}

/// `src/http/livy/mod.rs` is of `http`, `src/life.rs` of `life`; `src/lib.rs` is of no module and uses none.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(at("src")).unwrap_or(file);
    let first = inside.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    first.trim_end_matches(".rs").to_owned()
}

/// How many `super::` lead from the file's module to the root.
fn depth(file: &Path) -> usize {
    let inside = file.strip_prefix(at("src")).unwrap_or(file).with_extension("");
    let own = inside.file_name().is_some_and(|n| n != "mod");
    (inside.components().count() - usize::from(!own)).max(1)
}

fn rung(module: &str) -> Option<usize> {
    CHAIN.iter().position(|rung| rung.contains(&module))
}

fn is_module(name: &str) -> bool {
    rung(name).is_some()
}

/// Whether `word` stands in the text as the beginning of a path, not as the end of a longer name.
fn mentions(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(i, _)| begins_path(text, i))
}

fn begins_path(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$')
}

/// The first names of all paths below `root`: `a` and `b` of `root::a::X` and of `use root::{a::X, b::{Y, Z}}`.
fn uses(text: &str, root: &str) -> Vec<String> {
    let start = format!("{root}::");
    let mut names = Vec::new();
    for (i, _) in text.match_indices(&start).filter(|(i, _)| begins_path(text, *i)) {
        let rest = &text[i + start.len()..];
        match rest.strip_prefix('{') {
            None => names.push(name(rest)),
            Some(group) => {
                let mut depth = 0_i32;
                let mut fresh = true;
                for (j, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => fresh = true,
                        c if fresh && (c.is_alphanumeric() || c == '_') => {
                            fresh = false;
                            names.push(name(&group[j..]));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

/// The identifier that a text begins with.
fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn paths_are_read_as_they_are_written() {
    let text = "use crate::{kind::{Kind, Classify}, id::Id};\nlet x = crate::time::now(); $crate::macro_rules; other_crate::life::x";
    assert_eq!(uses(text, "crate"), ["kind", "id", "time"]);
    assert_eq!(
        (depth(&at("src/life.rs")), depth(&at("src/http/mod.rs")), depth(&at("src/http/livy/wire.rs"))),
        (1, 1, 3)
    );
}
