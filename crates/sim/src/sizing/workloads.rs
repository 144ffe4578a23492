//! The workloads that the size must fit.

use super::server::{Scaling, Step};

/// One kind of transaction.
#[derive(Clone, Debug)]
pub struct Class {
    /// Of a thousand transactions, so many are of this kind.
    pub permille: u32,
    /// What it does.
    pub steps: Vec<Step>,
}

/// Who comes, at the second `t`.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// So many clients, each of which waits for its answer and then thinks
    /// this long, microseconds.
    Closed {
        /// Clients at a second.
        clients: fn(f64) -> u32,
        /// Mean pause between transactions.
        think_us: u64,
    },
    /// So many transactions per second, whatever happens.
    Open {
        /// Transactions per second, at a second.
        rate: fn(f64) -> f64,
        /// A client that waits longer for its turn goes, and tries again.
        patience_us: Option<u64>,
        /// A transaction that takes longer is done in vain, and tried again.
        gives_up_us: Option<u64>,
    },
}

/// A server, and who uses it.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name in the table.
    pub name: &'static str,
    /// How the server scales at a second.
    pub scaling: fn(f64) -> Scaling,
    /// The kinds of transactions at a second.
    pub classes: fn(f64) -> Vec<Class>,
    /// Who comes.
    pub load: Load,
    /// Stated cores of the server.
    pub cores: Option<u32>,
    /// Seconds of the run.
    pub seconds: u64,
    /// Goodput counts from this second on.
    pub from: u64,
}

fn one(steps: &[Step]) -> Vec<Class> {
    vec![Class {
        permille: 1000,
        steps: steps.to_vec(),
    }]
}

fn scaling(sigma: f64, kappa: f64) -> Scaling {
    Scaling {
        sigma,
        kappa,
        waiter: 0.05,
    }
}

const MILLI: u64 = 1000;

fn closed(clients: fn(f64) -> u32) -> Load {
    Load::Closed {
        clients,
        think_us: 2 * MILLI,
    }
}

fn base() -> Workload {
    Workload {
        name: "",
        scaling: |_| scaling(0.02, 0.0003),
        classes: |_| one(&[Step::Cpu(10 * MILLI)]),
        load: closed(|_| 80),
        cores: None,
        seconds: 150,
        from: 60,
    }
}

/// Every workload, in the order of the table.
pub fn all() -> Vec<Workload> {
    let mut all = bound_by_one_thing();
    all.extend(changing());
    all.extend(several_things());
    all
}

fn bound_by_one_thing() -> Vec<Workload> {
    vec![
        Workload {
            name: "cpu, knee at 25",
            scaling: |_| scaling(0.03, 0.0015),
            cores: Some(8),
            ..base()
        },
        Workload {
            name: "cpu, knee at 10",
            scaling: |_| scaling(0.03, 0.01),
            ..base()
        },
        Workload {
            name: "cpu, serial part 10 %",
            scaling: |_| scaling(0.1, 0.0),
            ..base()
        },
        Workload {
            name: "sleep",
            classes: |_| one(&[Step::Sleep(80 * MILLI)]),
            load: closed(|_| 150),
            ..base()
        },
        Workload {
            name: "one row lock",
            classes: |_| {
                one(&[
                    Step::Cpu(MILLI),
                    Step::Lock(0),
                    Step::Cpu(MILLI),
                    Step::Sleep(4 * MILLI),
                ])
            },
            load: closed(|_| 60),
            ..base()
        },
        Workload {
            name: "thinking in transactions",
            classes: |_| {
                one(&[
                    Step::Cpu(2 * MILLI),
                    Step::Think(60 * MILLI),
                    Step::Cpu(2 * MILLI),
                ])
            },
            load: closed(|_| 140),
            ..base()
        },
        Workload {
            name: "nearly idle",
            load: Load::Open {
                rate: |_| 5.0,
                patience_us: None,
                gives_up_us: None,
            },
            ..base()
        },
    ]
}

fn changing() -> Vec<Workload> {
    vec![
        Workload {
            name: "bursts, 3 s of 10",
            classes: |_| one(&[Step::Cpu(2 * MILLI), Step::Sleep(20 * MILLI)]),
            load: Load::Closed {
                clients: |t| if t % 10.0 < 3.0 { 120 } else { 3 },
                think_us: 20 * MILLI,
            },
            ..base()
        },
        Workload {
            name: "growing",
            classes: |_| one(&[Step::Cpu(3 * MILLI), Step::Sleep(30 * MILLI)]),
            load: closed(|t| 5 + (t * 0.6) as u32),
            seconds: 200,
            ..base()
        },
        Workload {
            name: "surge at 60 s",
            scaling: |_| scaling(0.02, 0.0008),
            classes: |_| one(&[Step::Cpu(6 * MILLI), Step::Sleep(6 * MILLI)]),
            load: closed(|t| if t < 60.0 { 4 } else { 120 }),
            from: 75,
            ..base()
        },
        Workload {
            name: "slow decay",
            classes: |_| one(&[Step::Cpu(3 * MILLI), Step::Sleep(30 * MILLI)]),
            load: closed(|t| 120 - (t * 0.5) as u32),
            seconds: 200,
            ..base()
        },
        Workload {
            name: "sleep, then cpu at 90 s",
            scaling: |_| scaling(0.03, 0.0015),
            classes: |t| match t < 90.0 {
                true => one(&[Step::Sleep(80 * MILLI)]),
                false => one(&[Step::Cpu(10 * MILLI)]),
            },
            load: closed(|_| 150),
            seconds: 240,
            from: 140,
            ..base()
        },
    ]
}

fn several_things() -> Vec<Workload> {
    vec![
        Workload {
            name: "cpu and sleep",
            scaling: |_| scaling(0.03, 0.003),
            classes: |_| one(&[Step::Cpu(5 * MILLI), Step::Sleep(20 * MILLI)]),
            load: closed(|_| 120),
            ..base()
        },
        Workload {
            name: "two classes",
            scaling: |_| scaling(0.03, 0.002),
            classes: |_| {
                vec![
                    Class {
                        permille: 950,
                        steps: vec![Step::Cpu(5 * MILLI)],
                    },
                    Class {
                        permille: 50,
                        steps: vec![Step::Sleep(400 * MILLI)],
                    },
                ]
            },
            load: closed(|_| 150),
            ..base()
        },
        Workload {
            name: "a lock beside others",
            classes: |_| {
                vec![
                    Class {
                        permille: 300,
                        steps: vec![Step::Lock(0), Step::Cpu(MILLI), Step::Sleep(4 * MILLI)],
                    },
                    Class {
                        permille: 700,
                        steps: vec![Step::Sleep(30 * MILLI)],
                    },
                ]
            },
            load: closed(|_| 100),
            ..base()
        },
        Workload {
            name: "retry storm",
            scaling: |_| scaling(0.03, 0.0015),
            load: Load::Open {
                rate: |_| 1400.0,
                patience_us: Some(1_000_000),
                gives_up_us: Some(120 * MILLI),
            },
            ..base()
        },
    ]
}
