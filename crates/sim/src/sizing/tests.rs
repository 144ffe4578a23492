//! Auto reaches the best fixed size on every workload, and rests there.

use super::*;

#[test]
fn auto_is_as_good_as_the_best_fixed_size() {
    let mut failures = Vec::new();
    let mut lines = Vec::new();
    for workload in all() {
        let line = compare(&workload, 1);
        if line.share() < 0.97 {
            failures.push(format!("{}: {:.3} of the best", line.name, line.share()));
        }
        let most = line.auto.changes_in_a_minute();
        if most > pool::AUTO_CHANGES_PER_MINUTE + 1 {
            failures.push(format!("{}: {most} changes in a minute", line.name));
        }
        lines.push(line);
    }
    assert!(
        failures.is_empty(),
        "{}\n{}",
        failures.join("\n"),
        markdown(&lines)
    );
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let workloads = all();
    let short = Workload {
        seconds: 20,
        from: 10,
        ..workloads[0].clone()
    };
    let a = run(&short, Sizing::Auto, 5);
    let b = run(&short, Sizing::Auto, 5);
    assert_eq!((a.goodput, a.changes), (b.goodput, b.changes));
}

#[test]
fn after_minutes_the_size_rests() {
    for name in ["cpu, knee at 25", "cpu and sleep", "two classes"] {
        let found = all().into_iter().find(|workload| workload.name == name);
        let long = Workload {
            seconds: 900,
            from: 600,
            ..found.expect("a workload of that name")
        };
        let auto = run(&long, Sizing::Auto, 3);
        let changes = auto.changes_from(600);
        assert!(changes <= 10, "{name}: {changes} in five minutes");
    }
}
