//! The commands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::context::launch::child;
use crate::shim;

/// Spark as a service: a gateway that speaks Apache Livy's REST API and more.
#[derive(Debug, Parser)]
#[command(name = "hearth", version, propagate_version = true)]
struct Hearth {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watches one launched program, or runs one as another OS user. Started by Hearth itself.
    #[command(hide = true)]
    Child(Child),
}

#[derive(Debug, clap::Args)]
struct Child {
    /// The launch folder.
    #[arg(required_unless_present = "user", conflicts_with = "user")]
    folder: Option<PathBuf>,
    /// The OS user to become.
    #[arg(long = "as", requires = "argv")]
    user: Option<String>,
    /// The program to become, with its arguments.
    #[arg(last = true)]
    argv: Vec<OsString>,
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    match Hearth::parse().command {
        Command::Child(Child { folder: Some(folder), .. }) => child::run(&folder),
        Command::Child(Child { user, argv, .. }) => {
            let Err(e) = shim::exec_as(&user.unwrap_or_default(), &argv);
            eprintln!("hearth: {e}");
            // As a shell says it: the program could not be run.
            ExitCode::from(126)
        }
    }
}
