//! What SHOW answers.

use super::{invalid, notice};
use crate::admin::{Figures, Handle};
use crate::columns::{self, Table, databases, internal, sessions};
use crate::guards;
use crate::leases;
use crate::measures;
use crate::users;

pub(super) fn show(handle: &Handle, what: &[&str], text: &str) -> Vec<u8> {
    let detail = matches!(
        what,
        [
            "CLIENTS"
                | "SERVERS"
                | "LEASES"
                | "USERS"
                | "LISTS"
                | "SOCKETS"
                | "ACTIVE_SOCKETS"
                | "FDS"
                | "ADVICE",
            ..
        ]
    );
    let figures = || handle.figures(detail);
    let plan = handle.plan();
    match what {
        ["BUDGET"] => crate::budget::table(&figures().snapshot),
        ["APPLICATIONS"] => measures::applications(&figures().snapshot),
        ["SOURCES"] => measures::sources(&figures().snapshot),
        ["UPSTREAMS"] => measures::upstreams(&figures().snapshot),
        ["ACTIVITY"] => measures::activity(&figures().snapshot),
        ["ERRORS"] => measures::errors(&figures().snapshot),
        ["WAITS"] => measures::waits(&figures().snapshot),
        ["POOLS"] => columns::pools(&figures(), &plan),
        ["STATS"] => columns::stats::all(&figures()),
        ["STATS_TOTALS"] => columns::stats::part(&figures(), false),
        ["STATS_AVERAGES"] => columns::stats::part(&figures(), true),
        ["TOTALS"] => columns::stats::totals(&figures()),
        ["CLIENTS"] => sessions::clients(&figures()),
        ["SERVERS"] => sessions::servers(&figures()),
        ["SOCKETS"] => sessions::sockets(&figures(), false),
        ["ACTIVE_SOCKETS"] => sessions::sockets(&figures(), true),
        ["FDS"] => sessions::files(&figures(), handle.addresses(), handle.sockets().len()),
        ["MEM"] => internal::memory(&figures(), &plan),
        ["PEER_POOLS"] => internal::peer_pools(),
        ["DNS_HOSTS"] => internal::dns_hosts(&handle.common().resolved, &plan),
        ["DNS_ZONES"] => internal::dns_zones(),
        ["LEASES"] => leases::table(&figures()),
        ["DATABASES"] => databases::table(&figures(), &plan),
        ["ADVICE"] => columns::advice(&figures()),
        ["USERS"] => users::table(&figures(), &plan),
        ["CONFIG"] => columns::settings(&plan),
        ["GUARDS"] => guards::table(&handle.guards_row(), handle.clock_now()),
        ["PINS"] => measures::pins(&figures().snapshot),
        ["SHAPE"] => shape(handle),
        ["LISTS"] => databases::lists(&figures(), &plan, handle.common().resolved.count()),
        ["PEERS"] => columns::peers(&plan),
        ["VERSION"] => columns::cell("version", version(super::in_compatibility(handle))),
        ["STATE"] => state(&figures()),
        ["CLIENT_ENCODING"] => columns::cell("client_encoding", "UTF8"),
        ["DEFAULT_TRANSACTION_ISOLATION"] => {
            columns::cell("default_transaction_isolation", "read committed")
        }
        ["STANDARD_CONFORMING_STRINGS"] => columns::cell("standard_conforming_strings", "on"),
        ["DATESTYLE"] => columns::cell("datestyle", "ISO"),
        ["TIMEZONE"] | ["TIME", "ZONE"] => columns::cell("timezone", "GMT"),
        ["HELP"] | [] => help(),
        _ => invalid(handle, text),
    }
}

/// Agents look for the first number of three parts, and decide by it which columns to expect
/// (docs/decisions/show-version.md).
fn version(compatible: bool) -> &'static str {
    match compatible {
        true => crate::PGBOUNCER_VERSION,
        false => concat!("Plimsoll ", env!("CARGO_PKG_VERSION")),
    }
}

/// The traffic's shape: a row for each line of its text.
fn shape(handle: &Handle) -> Vec<u8> {
    let mut table = Table::new(&[("shape", 25)]);
    for line in handle.shape().to_text().lines() {
        table.row(&[Some(line.to_owned())]);
    }
    table.finish("SHOW")
}

fn state(figures: &Figures) -> Vec<u8> {
    let (paused, suspended) = (figures.held.all_paused(), figures.held.suspended());
    let mut table = Table::new(&[("key", 25), ("value", 25)]);
    for (key, value) in [
        ("active", !paused && !suspended),
        ("paused", paused),
        ("suspended", suspended),
    ] {
        table.row(&[
            Some(key.to_owned()),
            Some(if value { "yes" } else { "no" }.to_owned()),
        ]);
    }
    table.finish("SHOW")
}

fn help() -> Vec<u8> {
    let mut out = Vec::new();
    notice(
        &mut out,
        "Console usage",
        Some(
            "\n\tSHOW HELP|CONFIG|DATABASES|USERS|POOLS|CLIENTS|SERVERS|LEASES|VERSION\n\
                 \tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS|LISTS|STATE|PEERS\n\
                 \tSHOW SOCKETS|ACTIVE_SOCKETS|FDS|MEM|PEER_POOLS|DNS_HOSTS|DNS_ZONES\n\
                 \tSHOW BUDGET|ADVICE|SHAPE\n\
                 \tSHOW APPLICATIONS|SOURCES|UPSTREAMS|ACTIVITY|ERRORS|WAITS\n\
                 \tSHOW GUARDS|PINS\n\
                 \tRELOAD\n\
                 \tGUARDS OFF FOR '<time>' REASON '<why>'\n\tGUARDS ON\n\
                 \tSET key = arg\n\
                 \tPAUSE [<db>]\n\tRESUME [<db>]\n\tDISABLE <db>\n\tENABLE <db>\n\tRECONNECT [<db>]\n\tKILL [<db>]\n\
                 \tSUSPEND\n\tWAIT_CLOSE [<db>]\n\
                 \tKILL_CLIENT <client_id>\n\
                 \tSHUTDOWN [WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]",
        ),
    );
    wire::back::command_complete(&mut out, "SHOW");
    out
}
