//! What is measured, what that needs, and what is unknown without it: one table
//! for rules, documentation and the verdict's "unknown".

/// A measurement that conditions are judged by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Measurement {
    /// Counters of pools, applications and clients.
    Traffic,
    /// The same, before the trouble.
    Usual,
    /// Round trips of a trivial query on the monitor session.
    Probe,
    /// The server's activity view.
    Activity,
    /// TCP of the sockets to the server.
    ServerTcp,
    /// TCP of the sockets to clients.
    ClientTcp,
    /// Limits of the server and connections of others.
    Line,
    /// Errors and ends by SQLSTATE.
    Errors,
    /// The machine's processors and the event loops.
    Host,
    /// Markers: settings, releases, actions.
    Changes,
    /// Samples by application.
    Applications,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct MeasurementRow {
    /// Which.
    pub measurement: Measurement,
    /// Its name in the documentation.
    pub name: &'static str,
    /// The grant or setting that it needs.
    pub needs: &'static str,
    /// What nobody can tell without it.
    pub without: &'static str,
}

/// The table.
pub const MEASUREMENTS: &[MeasurementRow] = &[
    MeasurementRow {
        measurement: Measurement::Traffic,
        name: "use, waits, holds and service times by pool",
        needs: "nothing: the pooler counts them",
        without: "everything",
    },
    MeasurementRow {
        measurement: Measurement::Usual,
        name: "the same from before the trouble",
        needs: "a few calm seconds, or calm minutes in the state directory (`state.directory`)",
        without: "whether a figure is usual: growth, slower statements and leaks show only by absolute figures",
    },
    MeasurementRow {
        measurement: Measurement::Probe,
        name: "the round trip of a trivial query",
        needs: "a monitor session (`monitor_user`)",
        without: "whether every statement is slow or only some: the network and a saturated server look alike",
    },
    MeasurementRow {
        measurement: Measurement::Activity,
        name: "the server's activity view: who works, who waits for what",
        needs: "a monitor session (`monitor_user`) with `GRANT pg_read_all_stats`, or `pg_monitor`",
        without: "locks and their blockers, and whether statements wait at the server or on the way",
    },
    MeasurementRow {
        measurement: Measurement::ServerTcp,
        name: "round trips and segments sent again, to the server",
        needs: "Linux, TCP, and no proxy in between",
        without: "the network to the server shows only by the probe",
    },
    MeasurementRow {
        measurement: Measurement::ClientTcp,
        name: "round trips and segments sent again, to clients",
        needs: "Linux, TCP, and no proxy in between",
        without: "the network to clients",
    },
    MeasurementRow {
        measurement: Measurement::Line,
        name: "the server's connection limit, and the connections of others",
        needs: "a monitor session (`monitor_user`) with `GRANT pg_read_all_stats`, or `pg_monitor`",
        without: "whether others took the server's connections, until the server refuses some",
    },
    MeasurementRow {
        measurement: Measurement::Errors,
        name: "errors and ended connections by SQLSTATE",
        needs: "nothing: they pass through",
        without: "restarts, read-only servers and refused passwords",
    },
    MeasurementRow {
        measurement: Measurement::Host,
        name: "processor time of the machine and of the pooler, and its event loops",
        needs: "Linux, with /proc and the cgroup readable",
        without: "whether the pooler itself lacks processor time",
    },
    MeasurementRow {
        measurement: Measurement::Changes,
        name: "changes of settings, releases, actions",
        needs: "for releases: `plimsoll mark release APP VERSION`",
        without: "which change brought it",
    },
    MeasurementRow {
        measurement: Measurement::Applications,
        name: "arrivals and held connections by application",
        needs: "clients that set `application_name`",
        without: "which application it is",
    },
];

impl Measurement {
    /// Its row of the table.
    pub fn row(self) -> &'static MeasurementRow {
        let found = MEASUREMENTS.iter().find(|r| r.measurement == self);
        found.unwrap_or(&MEASUREMENTS[0])
    }
}
