//! What the `plimsoll` binary is made of: the command line, and the commands
//! that start a pooler.
//!
//! It wires; it decides nothing that a core could decide. The one invariant:
//! whatever a command started (threads, a private PostgreSQL, a directory) is
//! gone when the command is, however it ends.
//!
//! ```text
//!   main ─► cli (arguments) ─► commands ─► proxy, control, sandbox
//! ```
//!
//! ```
//! use clap::Parser;
//! // `run` without a file, a URL or --sandbox is a usage error.
//! assert!(plimsoll::cli::Cli::try_parse_from(["plimsoll", "run"]).is_err());
//! ```
// A shell: clocks, threads and the environment live here and only here.
#![allow(clippy::disallowed_methods)]

mod account;
mod api;
pub mod cli;
mod client;
pub mod commands;
mod daemon;
mod fetch;
mod measuring;
mod pid_file;
mod plane;
mod said;
pub mod sandbox;
pub mod serve;
mod stage;
mod systemd;
mod takeover;
