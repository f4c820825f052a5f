//! The commands.

mod agent;
mod audit;
mod contexts;
mod desk;
mod doctor;
mod grant;
mod handles;
mod import_livy;
mod launcher;
mod login;
mod migrate;
mod policy;
mod serve;
mod token;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::context::launch::{child, enter};
use crate::shim;

/// Spark as a service: a gateway that speaks Apache Livy's REST API and more.
#[derive(Debug, Parser)]
#[command(name = "hearth", version, propagate_version = true)]
struct Hearth {
    #[command(flatten)]
    settings: serve::Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a gateway until it is told to stop.
    Serve {
        /// The standard input is the launcher that was started with this gateway.
        #[arg(long, hide = true)]
        attached: bool,
    },
    /// Runs a launcher, which starts drivers as the OS users they belong to, for a gateway that has no privileges. Needs root, or the
    /// capabilities CAP_SETUID, CAP_SETGID and CAP_KILL.
    Launcher {
        /// The standard input is the gateway.
        #[arg(long, hide = true)]
        attached: bool,
    },
    /// Brings the schema of the database up to this version.
    Migrate,
    /// Says what is wrong with the set-up (Spark, Java, Python, Postgres, ports, folders, certificates, schemes), and what to do about it.
    Doctor,
    /// The agent that runs inside Spark drivers.
    #[command(subcommand)]
    Agent(agent::Agent),
    /// The policies that decide who may do what.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Says what a livy.conf is in Hearth's words: each key mapped, ignored, or refused with the reason.
    ImportLivy {
        /// The folder with livy.conf.
        #[arg(long)]
        conf: PathBuf,
    },
    /// Who did what: shows, exports, verifies and prunes the audit.
    #[command(subcommand)]
    Audit(audit::Command),
    /// API tokens of people and programs: makes, lists, revokes them.
    #[command(subcommand)]
    Token(token::Command),
    /// Contexts, the Spark applications that sessions live in: lists them, makes, describes, stops and restarts them, shows their logs.
    Contexts(contexts::Contexts),
    /// Lists the handles: named data in contexts, with what they take and who read them last.
    Handles(handles::Handles),
    /// Logins of browsers: lists and ends them.
    #[command(subcommand)]
    Login(login::Command),
    /// Whom contexts, sessions, batches and handles are shared with.
    #[command(subcommand)]
    Grant(grant::Command),
    /// Watches one launched program, or runs one as another OS user. Started by Hearth itself.
    #[command(hide = true)]
    Child(Child),
}

#[derive(Debug, clap::Args)]
struct Child {
    /// The launch folder.
    #[arg(required_unless_present_any = ["user", "enter"], conflicts_with = "user")]
    folder: Option<PathBuf>,
    /// Watch as this OS user, the gateway's.
    #[arg(long, requires = "folder")]
    gateway: Option<String>,
    /// Do as the OS user what the standard input says.
    #[arg(long, conflicts_with_all = ["folder", "user"])]
    enter: bool,
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
    let Hearth { settings, command } = Hearth::parse();
    match command {
        Command::Serve { attached } => report(serve::serve(&settings, attached)),
        Command::Launcher { attached } => report(launcher::launcher(&settings, attached)),
        Command::Migrate => report(migrate::migrate(&settings)),
        Command::Doctor => report(doctor::doctor(&settings)),
        Command::Agent(command) => report(agent::run(&settings, command)),
        Command::Policy(command) => report(policy::run(&settings, command)),
        Command::ImportLivy { conf } => report(import_livy::run(&conf)),
        Command::Audit(command) => report(audit::run(&settings, command)),
        Command::Token(command) => report(token::run(&settings, command)),
        Command::Contexts(asked) => report(contexts::run(&settings, asked)),
        Command::Handles(asked) => report(handles::handles(&settings, &asked)),
        Command::Login(command) => report(login::run(&settings, command)),
        Command::Grant(command) => report(grant::run(&settings, command)),
        Command::Child(Child { enter: true, .. }) => enter::run(),
        Command::Child(Child { folder: Some(folder), gateway, .. }) => child::run(&folder, gateway.as_deref()),
        Command::Child(Child { user, argv, .. }) => {
            let Err(e) = shim::exec_as(&user.unwrap_or_default(), &argv);
            eprintln!("hearth: {e}");
            // As a shell says it: the program could not be run.
            ExitCode::from(126)
        }
    }
}

fn report(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|e| {
        eprintln!("hearth: {e:#}");
        ExitCode::FAILURE
    })
}
