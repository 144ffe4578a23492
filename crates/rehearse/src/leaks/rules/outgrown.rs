//! Pools that a program outgrows.

use super::{Finding, Kind, Limits, about};
use crate::leaks::facts::{Connection, Moment, Pid, Record};
use crate::leaks::held;
use std::collections::BTreeMap;

/// Connections of one process, as one user, to one database.
pub(crate) type Group<'a> = (Option<Pid>, &'a str, &'a str);

pub(crate) fn group(connection: &Connection) -> Group<'_> {
    (connection.pid, &connection.user, &connection.database)
}

/// The most connections at once, the moment at which they were reached, and by which
/// connection.
pub(crate) fn peaks(record: &Record) -> BTreeMap<Group<'_>, Peak> {
    let mut turns: Vec<(Moment, bool, usize)> = Vec::new();
    for (at, connection) in record.connections.iter().enumerate() {
        if connection.ready {
            turns.push((connection.opened, true, at));
            turns.push((held::ended_at(record, connection), false, at));
        }
    }
    // An end counts before a beginning at the same moment.
    turns.sort();
    let mut peaks: BTreeMap<Group<'_>, (u32, Peak)> = BTreeMap::new();
    for (_, opens, at) in turns {
        let Some(connection) = record.connections.get(at) else {
            continue;
        };
        let (now, peak) = peaks.entry(group(connection)).or_default();
        if opens {
            *now += 1;
            if *now > peak.most {
                peak.most = *now;
                peak.by.push(at);
            }
        } else {
            *now = now.saturating_sub(1);
        }
    }
    peaks
        .into_iter()
        .map(|(key, (_, peak))| (key, peak))
        .collect()
}

/// The most connections of a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Peak {
    /// So many at once.
    pub(crate) most: u32,
    /// Which connection was the first, the second, … at once.
    by: Vec<usize>,
}

pub(super) fn judge(record: &Record, limits: Limits) -> Vec<Finding> {
    let Some(pool) = limits.pool else {
        return Vec::new();
    };
    let outgrown = peaks(record).into_iter().filter(|(_, p)| p.most > pool);
    outgrown
        .filter_map(|(_, peak)| {
            let first = *peak.by.get(pool as usize)?;
            let connection = record.connections.get(first)?;
            let request = connection.requests.iter().find(|r| r.does.works);
            let mut finding = about(
                record,
                connection,
                Kind::PoolOutgrown,
                connection.opened,
                request,
            );
            finding.place = connection.deeds.iter().find_map(|(_, deed)| match deed {
                crate::leaks::facts::Deed::Borrowed(place)
                | crate::leaks::facts::Deed::Opened(place) => {
                    (!place.is_empty()).then(|| place.clone())
                }
                _ => None,
            });
            finding.evidence.push(format!(
                "One process had {} connections at once; the pool is to have {pool}. This is the \
                 one that was too many first.",
                peak.most
            ));
            Some(finding)
        })
        .collect()
}
