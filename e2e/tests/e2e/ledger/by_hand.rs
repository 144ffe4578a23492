//! Somebody deletes the ledger's keys by hand.

use super::*;

const TOLD: &str = "keys of the ledger were deleted in etcd";

fn told(pooler: &Pooler) -> usize {
    pooler.log().matches(TOLD).count()
}

/// All keys, and then rows alone: each instance says so once, keeps its share, never
/// gets more, and takes its place again by itself.
#[test]
fn keys_deleted_by_hand_are_noticed_and_nobody_crosses_the_line() {
    let test = "keys_deleted_by_hand";
    if !full() {
        return skip(test, "only with E2E_FULL");
    }
    let Some(etcd) = started(test) else {
        return;
    };
    let server = managed(GRANTS);
    let poolers: Vec<Pooler> = (0..3)
        .map(|_| Pooler::start(ledger(&server, &etcd.url())))
        .collect();
    wake(&poolers);
    let all: Vec<&Pooler> = poolers.iter().collect();
    let outcome = Outcome::default();
    let most = AtomicUsize::new(0);
    let target = targets(&poolers);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        for number in 0..120 {
            let (outcome, target) = (&outcome, &target[number % 3]);
            scope.spawn(move || outcome.ask(target));
        }
        all_shared("before", 3, &all);
        until("all to sit", || (monitors(&server) == SEATS).then_some(()));
        scope.spawn(|| watch(&outcome, &server, &most));
        let base = format!("plimsoll/1/default/127.0.0.1:{}", server.port());
        for (times, prefix) in [(1, format!("{base}/")), (2, format!("{base}/rows/"))] {
            let before = shares(all.clone());
            if let Err(why) = etcd.control(&["del", "--prefix", &prefix]) {
                return skip(test, &why);
            }
            let began = Instant::now();
            until("all to notice", || {
                all.iter().all(|p| told(p) >= times).then_some(())
            });
            let noticed = shares(all.clone());
            eprintln!(
                "{prefix}: noticed after {:?}, shares {before:?}, then {noticed:?}",
                began.elapsed()
            );
            assert_eq!(noticed, before, "they stand");
            until("all to be joined again", || {
                let joined = |p: &&Pooler| state(p) == "joined";
                all.iter().all(joined).then_some(())
            });
            eprintln!("joined again after {:?}", began.elapsed());
            all_shared("after that", 3, &all);
            // What moves again: one needs nothing, and others may have it.
            let served = outcome.good.load(Ordering::Relaxed);
            until("load", || {
                (outcome.good.load(Ordering::Relaxed) > served + 2000).then_some(())
            });
        }
    });
    outcome.none_failed();
    for pooler in &poolers {
        let log = pooler.log();
        assert_eq!(told(pooler), 2, "once each time: {log}");
        assert!(log.contains("were deleted"), "the reason: {log}");
    }
    let most = most.into_inner();
    let all = outcome.most.load(Ordering::Relaxed);
    eprintln!("line {LINE}, most at the server {most}, with monitor sessions {all}");
    // A keeper that sits alone sees a line that is longer by two.
    assert!(most < LINE + SEATS, "{most} connections");
    assert!(all <= LINE + SEATS + 1, "{all} with monitor sessions");
}
