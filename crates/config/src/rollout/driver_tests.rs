//! Changes from their proposal to their end, with a data plane of one line.

use super::*;
use crate::plan::PoolSize;
use crate::rollout::Origin;
use crate::{Memory, load};
use events::snapshot::PoolRow;
use events::{CloseReason, RefuseReason};

/// What a shell does: it serves, writes down, and says yes.
struct Shell {
    driver: Driver,
    now: Time,
    serves: Arc<Plan>,
    snapshot: Snapshot,
    /// Checkouts per look, and how long each waits, given the pool's size.
    waits: fn(u32) -> (u32, u64),
    checked: bool,
    predicted: Verdict,
    said: Vec<String>,
    /// Sizes that served, in their order.
    sizes: Vec<u32>,
}

fn plan(pool: &str) -> Arc<Plan> {
    let text = format!("[pool]\n{pool}\n[database.app]\nhost = \"db\"\n");
    Arc::new(load("p.toml".as_ref(), &Memory::default().file("p.toml", text)).expect("good"))
}

fn size(plan: &Plan) -> u32 {
    match plan.default_pool_size {
        PoolSize::Fixed(n) => n,
        PoolSize::Auto => 0,
    }
}

impl Shell {
    fn new(first: &str, waits: fn(u32) -> (u32, u64)) -> Shell {
        let plan = plan(first);
        let current = Current {
            version: 1,
            plan: Arc::clone(&plan),
        };
        let row = PoolRow {
            database: "app".into(),
            user: "anna".into(),
            ..PoolRow::default()
        };
        let mut shell = Shell {
            driver: Driver::new(current, JudgeSettings::default()),
            now: Time::from_micros(1),
            serves: plan,
            snapshot: Snapshot {
                pools: vec![row],
                closes: vec![0; CloseReason::COUNT],
                refusals: vec![0; RefuseReason::COUNT],
                ..Snapshot::default()
            },
            waits,
            checked: true,
            predicted: Verdict::Fine,
            said: Vec::new(),
            sizes: Vec::new(),
        };
        for _ in 0..40 {
            shell.look(Duration::from_secs(2));
        }
        shell
    }

    fn look(&mut self, after: Duration) {
        self.now = self.now.after(after);
        let (checkouts, wait_ms) = (self.waits)(size(&self.serves));
        self.snapshot.at = self.now;
        for _ in 0..checkouts {
            self.snapshot.pools[0]
                .wait
                .record(Duration::from_millis(wait_ms));
        }
        self.driver.look(&Arc::new(self.snapshot.clone()));
        self.act();
    }

    fn propose(
        &mut self,
        version: u64,
        text: &str,
        now: bool,
        forced: bool,
    ) -> Result<(), Refusal> {
        self.look(Duration::from_millis(10));
        let proposal = Proposal {
            version,
            plan: plan(text),
            origin: Origin::Apply,
            now,
            forced,
        };
        self.driver.propose(self.now, proposal)?;
        self.act();
        Ok(())
    }

    fn act(&mut self) {
        while let Some(action) = self.driver.poll_action() {
            let answer = match action {
                Action::Record { version, state, .. } => {
                    self.said.push(format!("v{version} {}", state.label()));
                    continue;
                }
                Action::Check(proposal) => (proposal.version, Input::Checked(self.checked)),
                Action::Predict { version, .. } => (version, Input::Predicted(self.predicted)),
                Action::Probe { version, .. } => (version, Input::Probed(true)),
                Action::Serve { version, plan } => {
                    self.sizes.push(size(&plan));
                    self.serves = plan;
                    (version, Input::Serves)
                }
                Action::Serving { version } => {
                    self.said.push(format!("v{version} serves"));
                    continue;
                }
                Action::Guard { mode, text, .. } => {
                    self.said.push(format!("guard {}: {text}", mode.label()));
                    continue;
                }
                Action::Note { text, .. } => {
                    self.said.push(format!("note: {text}"));
                    continue;
                }
                Action::Ended(ended) => {
                    self.said.push(format!("end v{}", ended.version));
                    continue;
                }
            };
            let (version, input) = answer;
            let note = String::new();
            let answer = Answer {
                version,
                input,
                note,
            };
            self.driver.answer(self.now, answer);
        }
    }

    /// Looks as often as the driver asks for, until nothing is open.
    fn finish(&mut self) -> Duration {
        let from = self.now;
        for _ in 0..2_000 {
            if self.driver.open().is_none() {
                return spent(from, self.now);
            }
            self.look(self.driver.look_after(self.now));
        }
        panic!("no end: {:?}", self.driver.open().map(|o| o.state));
    }
}

/// Below ten connections clients wait.
fn enough_is_ten(size: u32) -> (u32, u64) {
    if size < 10 { (30, 900) } else { (100, 0) }
}

#[test]
fn a_cut_that_nobody_feels_goes_down_in_steps_and_stays() {
    let mut shell = Shell::new("size = 80", enough_is_ten);
    shell.propose(2, "size = 20", false, false).expect("begun");
    shell.finish();
    assert_eq!(shell.sizes, [57, 40, 29, 20]);
    assert_eq!(shell.driver.current().version, 2);
    assert_eq!(shell.said.last().map(String::as_str), Some("end v2"));
}

#[test]
fn a_cut_to_a_tenth_is_refused_by_the_prediction_and_reverted_when_forced() {
    let mut shell = Shell::new("size = 50", enough_is_ten);
    shell.predicted = Verdict::Worse;
    shell.propose(2, "size = 5", false, false).expect("begun");
    assert_eq!(
        shell.said,
        ["v2 checking", "v2 predicting", "v2 refused", "end v2"]
    );
    assert!(shell.sizes.is_empty(), "it never served");

    shell.said.clear();
    shell.propose(3, "size = 5", false, true).expect("begun");
    let took = shell.finish();
    assert_eq!(shell.sizes, [29, 16, 9, 50], "back as soon as it hurts");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(shell.driver.current().version, 1);
    assert!(
        shell
            .said
            .iter()
            .any(|s| s.starts_with("guard enforce: app/anna:"))
    );
}

#[test]
fn more_room_acts_at_once_even_where_a_cut_is_under_way() {
    let mut shell = Shell::new("size = 50", enough_is_ten);
    shell.propose(2, "size = 30", false, false).expect("begun");
    assert_eq!(shell.sizes, [45]);
    let busy = shell.propose(3, "size = 40", false, false);
    assert!(
        matches!(busy, Err(Refusal::Busy { version: 2, .. })),
        "{busy:?}"
    );
    shell
        .propose(4, "size = 60", false, false)
        .expect("it only gives");
    assert_eq!(shell.sizes, [45, 50, 60]);
    shell.finish();
    assert_eq!(shell.driver.current().version, 4);
}

#[test]
fn a_second_rescue_begins_where_the_first_one_ended() {
    let mut shell = Shell::new("size = 50", enough_is_ten);
    shell.propose(2, "size = 60", false, false).expect("begun");
    shell
        .propose(3, "size = 80", false, false)
        .expect("it only gives");
    assert_eq!(shell.sizes, [60, 80], "no way back in between");
    assert_eq!(shell.driver.current().version, 2);
    shell.finish();
    assert_eq!(shell.driver.current().version, 3);
}

#[test]
fn what_serves_whole_is_kept_by_the_next_change_whatever_it_is() {
    let mut shell = Shell::new("size = 50", enough_is_ten);
    shell.propose(2, "size = 60", false, false).expect("begun");
    shell.propose(3, "size = 40", false, false).expect("begun");
    assert_eq!(
        shell.sizes,
        [60, 55],
        "in steps from where the first one ended"
    );
    shell.finish();
    assert_eq!(shell.driver.current().version, 3);
}

#[test]
fn what_supersedes_and_is_refused_leaves_the_old_values_whole() {
    let mut shell = Shell::new("size = 50", enough_is_ten);
    shell.propose(2, "size = 30", false, false).expect("begun");
    shell.checked = false;
    shell.propose(3, "size = 60", false, false).expect("begun");
    assert_eq!(shell.driver.open().map(|o| o.state), None);
    assert_eq!(shell.sizes.last(), Some(&50));
    assert_eq!(shell.driver.current().version, 1);
}

#[test]
fn a_person_s_order_stays_and_is_told_once_that_it_hurts() {
    let mut shell = Shell::new("size = 50", enough_is_ten);
    shell.propose(2, "size = 5", true, false).expect("begun");
    shell.finish();
    assert_eq!(shell.sizes, [5]);
    assert_eq!(shell.driver.current().version, 2);
    let notes: Vec<&String> = shell
        .said
        .iter()
        .filter(|s| s.starts_with("note"))
        .collect();
    assert_eq!(notes.len(), 1, "{:?}", shell.said);
    // And a rollback is one proposal back.
    shell.propose(3, "size = 50", true, false).expect("begun");
    assert_eq!(shell.sizes, [5, 50]);
}

#[test]
fn where_the_guard_only_watches_nothing_is_staged_and_nothing_taken_back() {
    let mut shell = Shell::new(
        "size = 50\n[guards]\nauto_revert = \"observe\"",
        enough_is_ten,
    );
    let text = "size = 5\n[guards]\nauto_revert = \"observe\"";
    shell.propose(2, text, false, false).expect("begun");
    shell.finish();
    assert_eq!(shell.sizes, [5]);
    let guard: Vec<&String> = shell
        .said
        .iter()
        .filter(|s| s.starts_with("guard"))
        .collect();
    assert_eq!(guard.len(), 1, "counted once: {:?}", shell.said);
    assert!(guard[0].starts_with("guard observe"), "{guard:?}");
}

#[test]
fn a_change_cannot_switch_off_its_own_judge() {
    let mut shell = Shell::new("size = 50", enough_is_ten);
    let text = "size = 5\n[guards]\nauto_revert = \"off\"";
    shell.propose(2, text, false, true).expect("begun");
    shell.finish();
    assert_eq!(shell.driver.current().version, 1);
}

#[test]
fn what_the_console_set_holds_through_steps_and_the_way_back() {
    // Only pgbouncer.ini knows SET.
    let ini = |size: u32| {
        let text = format!(
            "[databases]\napp = host=db user=u\n[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = any\ndefault_pool_size = {size}\n"
        );
        let files = Memory::default().file("p.ini", text);
        let plan = load("p.ini".as_ref(), &files).unwrap_or_else(|e| panic!("{}", e.render()));
        let mut plan = plan;
        plan.guards = events::Guards::all(GuardMode::Enforce);
        Arc::new(plan)
    };
    let mut shell = Shell::new("size = 50", enough_is_ten);
    let current = Current {
        version: 1,
        plan: ini(50),
    };
    shell.driver = Driver::new(current, JudgeSettings::default());
    shell.look(Duration::from_millis(10));
    let proposal = Proposal {
        version: 2,
        plan: ini(20),
        origin: Origin::Reload,
        now: false,
        forced: false,
    };
    shell.driver.propose(shell.now, proposal).expect("begun");
    shell.act();
    shell.driver.overlay("query_wait_timeout", "7");
    assert!(shell.driver.rollback(shell.now, "asked"));
    shell.act();
    let seven = Some(Duration::from_secs(7));
    assert_eq!(shell.serves.query_wait_timeout, seven);
    assert_eq!(size(&shell.serves), 50);
}

#[test]
fn a_new_start_takes_up_what_the_journal_says() {
    let mut shell = Shell::new("size = 50", enough_is_ten);
    let proposal = || Proposal {
        version: 2,
        plan: plan("size = 5"),
        origin: Origin::Apply,
        now: false,
        forced: false,
    };
    let tightens = Nature {
        tightens: true,
        ..Nature::default()
    };
    let half = State::Staging {
        step: 2,
        of: 4,
        serves: true,
    };
    shell.driver.resume(shell.now, proposal(), tightens, half);
    shell.act();
    assert_eq!(shell.sizes, [50]);
    assert_eq!(shell.said, ["v2 reverting", "v2 rolled_back", "end v2"]);

    shell.said.clear();
    shell
        .driver
        .resume(shell.now, proposal(), tightens, State::Predicting);
    shell.act();
    assert_eq!(shell.said[..2], ["v2 checking", "v2 predicting"]);
}
