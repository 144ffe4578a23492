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
        let mut sums = Vec::new();
        until("load", || {
            sums.push(shares(&poolers).iter().sum::<usize>());
            (outcome.good.load(Ordering::Relaxed) > served + 20_000).then_some(())
        });
        sums
    });
    outcome.none_failed();
    let most = most.into_inner();
    let (least, mean) = (
        shared.iter().min(),
        shared.iter().sum::<usize>() / shared.len(),
    );
    eprintln!(
        "without pg_read_all_stats: {mean} of {LINE} are shared out on average, between {least:?} \
         and {:?}; most at the server {most}",
        shared.iter().max()
    );
    assert!(most <= LINE + 1, "{most} connections");
    // Of what members state, which is true within a factor of two, half is taken for theirs.
    assert!((LINE / 8..LINE * 4 / 5).contains(&mean), "{mean}");
    until("what is unknown to be said", || {
        let row = budget(&poolers[0]);
        row.last()?
            .contains("GRANT pg_read_all_stats")
            .then_some(())
    });
}
