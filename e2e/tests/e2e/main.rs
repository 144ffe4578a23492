//! One binary for every topic: one link, one initdb, one PostgreSQL for all that do not need their own.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::print_stderr)]

mod common;

mod oracle;

mod apart;
mod auth;
mod budget;
mod cancel;
mod caps;
mod capture;
mod ci_page;
mod connections;
mod console;
mod console_commands;
mod demo_page;
mod drivers;
mod error_texts;
mod etcd_client;
mod exporters;
mod fail_unsafe;
mod failover;
mod faults;
mod fleet;
mod guarded;
mod guards;
mod hba;
mod hostile;
mod hosts;
mod http;
mod in_place;
mod instances;
mod kubernetes;
mod leaks;
mod leases;
mod ledger;
mod limits;
mod log_style;
mod measures;
mod process;
mod production;
mod queue;
mod rehearse;
mod reload;
mod replication;
mod restarts;
mod rotation;
mod settings;
mod shape;
mod statements;
mod takeover;
mod tls;
mod top;
mod trial;
mod watch;
