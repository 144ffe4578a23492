//! The command line of `plimsoll demo`.

use clap::Args;

/// How the demonstration runs.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// End by itself after this many seconds (for scripts and CI)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: Option<u32>,
    /// Begin this outage after some seconds; the end says what happened
    #[arg(long, value_name = "NUMBER", value_enum)]
    pub outage: Option<OutageWord>,
    /// Whether the guards act in it, or only watch
    #[arg(long, value_name = "WORD", value_enum, default_value_t = DemoGuard::On, requires = "outage")]
    pub guard: DemoGuard,
}

/// An outage of the reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum OutageWord {
    /// An update cuts the limit.
    #[value(name = "000")]
    CutLimit,
    /// A script overwrites the settings.
    #[value(name = "001")]
    Overwritten,
    /// A surge, and a pool without a limit.
    #[value(name = "002")]
    Surge,
    /// Traffic outgrows the limit.
    #[value(name = "003")]
    Growth,
    /// A release leaks connections.
    #[value(name = "004")]
    Leak,
}

impl OutageWord {
    /// The report's number.
    pub fn number(self) -> &'static str {
        match self {
            OutageWord::CutLimit => "000",
            OutageWord::Overwritten => "001",
            OutageWord::Surge => "002",
            OutageWord::Growth => "003",
            OutageWord::Leak => "004",
        }
    }
}

/// Whether the guards act.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum DemoGuard {
    /// They act.
    On,
    /// They only watch.
    Off,
}
