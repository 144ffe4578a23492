//! Somebody deletes the ledger's keys by hand.

use super::*;

const TOLD: &str = "keys of the ledger were deleted in etcd";

fn told(pooler: &Pooler) -> usize {
    pooler.log().matches(TOLD).count()
}

/// Of clients that all ask one instance, it must get more than its part of three.
fn alone(target: &Target, pooler: &Pooler) {
    let outcome = Outcome::default();
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&outcome);
        for _ in 0..80 {
            scope.spawn(|| outcome.ask(target));
        }
        let began = Instant::now();
        until("its share to grow", || {
            (shares([pooler])[0] > LINE / 2).then_some(())
        });
        eprintln!("its share has grown after {:?}", began.elapsed());
    });
    outcome.none_failed();
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
            // All want as much, so shares move until they are alike: also after the first time.
            until("shares to be alike", || {
                let alike = |share: &usize| *share + 2 >= LINE / 3;
                shares(all.clone()).iter().all(alike).then_some(())
            });
            if let Err(why) = etcd.control(&["del", "--prefix", &prefix]) {
                return skip(test, &why);
            }
            let began = Instant::now();
            until("all to notice", || {
                all.iter().all(|p| told(p) >= times).then_some(())
            });
            let noticed = shares(all.clone());
            eprintln!(
                "{prefix}: noticed after {:?}, shares {noticed:?}",
                began.elapsed()
            );
            assert!(noticed.iter().sum::<usize>() <= LINE + 1, "{noticed:?}");
            until("all to be joined again", || {
                let now = shares(all.clone());
                let states: Vec<String> = all.iter().map(|p| state(p)).collect();
                if states.iter().all(|state| state == "forgotten") {
                    assert_eq!(now, noticed, "they stand");
                }
                states.iter().all(|state| state == "joined").then_some(())
            });
            eprintln!("joined again after {:?}", began.elapsed());
        }
        // And they move again: who goes on alone gets all of it.
        outcome.stop.store(true, Ordering::Relaxed);
        let target = targets(&poolers).remove(0);
        alone(&target, &poolers[0]);
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
