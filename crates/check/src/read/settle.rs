//! After all files are read: what one file leaves to a variable, another may set.

use super::value::number;
use crate::facts::{Facts, Limit, Pool, Tool, Value, Workload};
use crate::place::Place;
use std::collections::BTreeSet;

/// Gives pools that are sized by a variable the value which a workload's
/// environment sets, and links them to those workloads. A pool that was only
/// guessed from the same variable is taken away.
pub(crate) fn settle(facts: &mut Facts) {
    super::live::between(facts);
    managers(facts);
    let mut guessed = BTreeSet::new();
    for at in 0..facts.pools.len() {
        let Some(name) = variable(facts, at) else {
            continue;
        };
        let set: Vec<(usize, u64, Place)> = set(facts, &name);
        let Some((_, value, place)) = set.iter().max_by_key(|(_, value, _)| *value) else {
            continue;
        };
        if let Some(pool) = facts.pools.get_mut(at) {
            pool.size = Value::stated(Limit::Of(*value), place.clone());
        }
        for (workload, _, place) in &set {
            if !facts.within.contains(&(at, *workload)) {
                facts.within.push((at, *workload));
            }
            let same = |(other, pool): &(usize, &Pool)| {
                *other != at
                    && pool.tool == Tool::Rails
                    && pool.place.file == place.file
                    && pool.size.place() == Some(place)
            };
            let pools = facts.pools.iter().enumerate();
            guessed.extend(pools.filter(same).map(|(other, _)| other));
        }
    }
    without(facts, &guessed);
}

/// A process manager's own file says how many processes and threads each copy
/// of the workload has that runs it: the two are one.
fn managers(facts: &mut Facts) {
    let is_manager = |w: &Workload| matches!(w.tool, Tool::Gunicorn | Tool::Puma);
    let mut managers = facts
        .workloads
        .iter()
        .enumerate()
        .filter(|(_, w)| is_manager(w));
    let (Some((at, manager)), None) = (managers.next(), managers.next()) else {
        return;
    };
    let manager = manager.clone();
    let deployed = |w: &Workload| matches!(w.tool, Tool::Compose | Tool::Kubernetes);
    let runs = |program: Option<&str>| {
        let all = facts.workloads.iter().enumerate();
        let found = all.filter(|(_, w)| deployed(w) && w.runs == program);
        found.map(|(at, _)| at).collect::<Vec<usize>>()
    };
    let mut meant = runs(manager.runs);
    if meant.is_empty() {
        // The image's own command starts it, where only one can be meant.
        meant = runs(None);
        if meant.len() != 1 {
            return;
        }
    }
    for at in &meant {
        let Some(workload) = facts.workloads.get_mut(*at) else {
            continue;
        };
        let stated = |v: &Option<Value<u64>>| v.as_ref().is_some_and(Value::is_stated);
        if !stated(&workload.processes) {
            workload.processes = manager.processes.clone().or(workload.processes.take());
        }
        if !stated(&workload.threads) {
            workload.threads = manager.threads.clone().or(workload.threads.take());
        }
    }
    facts.workloads.remove(at);
    facts.within.retain(|(_, workload)| *workload != at);
    for (_, workload) in &mut facts.within {
        *workload -= usize::from(*workload > at);
    }
}

/// The variable whose default sizes a pool.
fn variable(facts: &Facts, at: usize) -> Option<String> {
    let place = facts.pools.get(at)?.size.place()?;
    let found = facts.variables.iter().find(|(of, _)| of == place);
    found.map(|(_, name)| name.clone())
}

/// The workloads that set it, each with its value.
fn set(facts: &Facts, name: &str) -> Vec<(usize, u64, Place)> {
    let workloads = facts.workloads.iter().enumerate();
    let found = workloads.filter_map(|(at, workload)| {
        let variable = workload.environment.iter().rev().find(|v| v.name == name)?;
        Some((at, number(&variable.value)?, variable.place.clone()))
    });
    found.collect()
}

/// Takes pools away; the others keep their links.
fn without(facts: &mut Facts, gone: &BTreeSet<usize>) {
    if gone.is_empty() {
        return;
    }
    let moved = |at: usize| at - gone.range(..at).count();
    facts.within.retain(|(at, _)| !gone.contains(at));
    for (at, _) in &mut facts.within {
        *at = moved(*at);
    }
    let mut at = 0;
    facts.pools.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Kind;
    use crate::place::FileId;
    use std::path::Path;

    #[test]
    fn a_workload_sizes_the_pool_that_the_application_leaves_to_it() {
        let rails = "production:\n  adapter: postgresql\n  pool: <%= ENV.fetch(\"RAILS_MAX_THREADS\") { 5 } %>\n";
        let compose = "services:\n  web:\n    environment:\n      DATABASE_URL: postgres://u@db/x\n      RAILS_MAX_THREADS: 16\n    scale: 3\n  cron:\n    environment: {RAILS_MAX_THREADS: 2, DB_POOL: 4}\n";
        let mut facts = Facts::default();
        crate::read::read(
            Kind::Compose,
            FileId(0),
            Path::new("c.yml"),
            compose,
            &mut facts,
        );
        crate::read::read(
            Kind::RailsDatabase,
            FileId(1),
            Path::new("d.yml"),
            rails,
            &mut facts,
        );
        assert_eq!(facts.pools.len(), 3);
        settle(&mut facts);
        let names: Vec<_> = facts.pools.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["cron", "production"]);
        assert_eq!(facts.pools[1].size.value, Limit::Of(16));
        assert_eq!(facts.within, [(0, 1), (1, 0), (1, 1)]);
    }

    #[test]
    fn a_default_stays_where_nobody_sets_it() {
        let rails = "production:\n  adapter: postgresql\n  pool: <%= ENV.fetch(\"P\", 5) %>\n";
        let mut facts = Facts::default();
        crate::read::read(
            Kind::RailsDatabase,
            FileId(0),
            Path::new("d.yml"),
            rails,
            &mut facts,
        );
        let before = facts.clone();
        settle(&mut facts);
        assert_eq!(facts, before);
    }
}
