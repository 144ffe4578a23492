//! Nothing is wrong, though much happens.

use super::{Kind, nothing};
use crate::load::Work;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "nothing.quiet",
        what: "a usual day",
        truth: None,
        or: None,
        share: 2,
        alone: false,
        prepare: nothing,
        strike: |_, _| Ok(()),
    },
    Kind {
        name: "nothing.bursts",
        what: "short bursts of three times the demand, well below the limit",
        truth: None,
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| plan.settings.size = rng.between(12, 20) as u32,
        strike: |stage, rng| {
            let web = stage.app("web");
            let (think, times) = (web.thinks(), rng.between(2, 3));
            for _ in 0..times {
                web.think(think / 3.0);
                stage.rest(1.5);
                web.think(think);
                stage.rest(2.0);
            }
            Ok(())
        },
    },
    Kind {
        name: "nothing.deploy",
        what: "every application is released, its clients log in again",
        truth: None,
        or: None,
        share: 2,
        alone: false,
        prepare: nothing,
        strike: |stage, rng| {
            for app in &stage.plan.apps {
                let release = format!("7.{}.0", rng.between(0, 9));
                let _ = stage.front.mark_release(&app.name, &release);
                app.deploy(&release);
                stage.rest(1.0);
            }
            Ok(())
        },
    },
    Kind {
        name: "nothing.batch",
        what: "a batch with long statements, and room for it",
        truth: None,
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, _| plan.settings.size = 12,
        strike: |stage, _| {
            let worker = stage.app("worker");
            worker.also(
                2,
                Work::query(
                    "select count(*) from orders o join items i on i.id = o.item where o.id < 3000",
                ),
            );
            worker.also(1, Work::query("select report(300)"));
            Ok(())
        },
    },
    Kind {
        name: "nothing.raise",
        what: "somebody raises the limit",
        truth: None,
        or: None,
        share: 1,
        alone: false,
        prepare: nothing,
        strike: |stage, _| stage.front.change(|settings| settings.size += 4),
    },
];
