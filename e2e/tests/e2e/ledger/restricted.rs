//! A monitor's role without `pg_read_all_stats`: it sees that others' sessions are there,
//! and not where they come from.

use super::*;

#[test]
fn without_the_grant_the_line_holds_and_a_part_of_it_is_left_unused() {
    let test = "without_the_grant";
    if !full() {
        return skip(test, "only with E2E_FULL");
    }
    let Some(etcd) = started(test) else {
        return;
    };
    let server = managed("");
    let poolers: Vec<Pooler> = (0..3)
        .map(|_| Pooler::start(ledger(&server, &etcd.url())))
        .collect();
    wake(&poolers);
    let outcome = Outcome::default();
    let most = AtomicUsize::new(0);
    let target = targets(&poolers);
    let shared = std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        for number in 0..150 {
            let (outcome, target) = (&outcome, &target[number % 3]);
            scope.spawn(move || outcome.ask(target));
        }
        scope.spawn(|| watch(&outcome, &server, &most));
        until("each to have a share, and all to sit", || {
            let some = shares(&poolers).iter().all(|share| *share > LINE / 8);
            (some && monitors(&server) == SEATS).then_some(())
        });
        let served = outcome.good.load(Ordering::Relaxed);
        until("load", || {
            (outcome.good.load(Ordering::Relaxed) > served + 10_000).then_some(())
        });
        shares(&poolers)
    });
    outcome.none_failed();
    let most = most.into_inner();
    let sum: usize = shared.iter().sum();
    eprintln!(
        "without pg_read_all_stats: shares {shared:?}, {sum} of {LINE}; most at the server {most}"
    );
    assert!(most <= LINE + 1, "{most} connections");
    // Half of what members state is taken for others', so two thirds of the line are what is left.
    assert!((LINE / 2..=LINE * 4 / 5).contains(&sum), "{shared:?}");
    until("what is unknown to be said", || {
        let row = budget(&poolers[0]);
        row.last()?
            .contains("GRANT pg_read_all_stats")
            .then_some(())
    });
}
