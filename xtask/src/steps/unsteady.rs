//! A few tests that fail in the crowd are tried again, alone. On a busy machine one of two thousand
//! tests may lose a race with the clock, and one verdict over all of them must not hang on it. What was
//! tried again is told by name, as a fault to mend: it is never silent, and it is never many.

use super::{Failed, Step, run_one, time};
use std::time::Duration;

/// More than so many are no accident.
const TESTS_MAX: usize = 3;
/// Each must pass so often, one after another.
const PASSES: usize = 2;
/// What one pass over them may take.
const BUDGET: Duration = Duration::from_secs(90);

/// Tries the tests that failed again.
///
/// # Errors
/// The first failure, where the step allows no second try, too many tests failed, or one did again.
pub(super) fn tried_again(step: &Step, failed: Failed) -> Result<Vec<String>, Failed> {
    let tests = names(&failed);
    if !step.tries_again || tests.is_empty() || tests.len() > TESTS_MAX {
        return Err(failed);
    }
    for _ in 0..PASSES {
        let alone = alone(step, &tests);
        println!(
            "\nonce more, alone (budget {}): cargo {}",
            time(BUDGET),
            alone.args.join(" ")
        );
        if let Err(again) = run_one(&alone) {
            let text = format!("{}; again alone: {}", failed.text, again.text);
            return Err(Failed { text, ..failed });
        }
    }
    let mut closing = failed.closing;
    for test in &tests {
        closing.push(format!(
            "unsteady, to be mended: {test} failed in `{}` and then passed {PASSES} times alone",
            step.name
        ));
    }
    Ok(closing)
}

/// Each name once: tests of two crates may share one.
fn names(failed: &Failed) -> Vec<String> {
    let mut names = failed.tests.clone();
    names.sort_unstable();
    names.dedup();
    names
}

/// The same command for these tests only.
fn alone(step: &Step, tests: &[String]) -> Step {
    let mut args = step.args.clone();
    args.extend(["--".to_owned(), "--exact".to_owned()]);
    args.extend(tests.iter().cloned());
    Step {
        name: step.name.clone(),
        budget: BUDGET,
        program: step.program.clone(),
        args,
        env: vec![("RUST_TEST_THREADS", "1")],
        tries_again: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runner whose one test fails the first so many times.
    fn runner(directory: &std::path::Path, failures: usize) -> Step {
        let script = format!(
            "echo x >> {count}; \
             if [ $(wc -l < {count}) -le {failures} ]; then echo 'test a::b ... FAILED'; exit 1; fi; \
             echo 'test result: ok. 1 passed; 0 failed; 0 ignored'",
            count = directory.join("count").display()
        );
        let step = Step::new("tests", 60, "/bin/sh", &["-c", &script]);
        step.tries_again()
    }

    #[test]
    fn what_passes_alone_is_named_and_what_fails_again_fails() {
        let directory =
            std::env::temp_dir().join(format!("plimsoll-unsteady-{}", std::process::id()));
        for (failures, passes) in [(0, true), (1, true), (2, false), (3, false)] {
            std::fs::create_dir_all(&directory).expect("a directory");
            let run = crate::steps::run("test", &[runner(&directory, failures)]);
            std::fs::remove_dir_all(&directory).expect("removed");
            assert_eq!(run.is_ok(), passes, "{failures}: {run:?}");
            let told = run
                .unwrap_or_default()
                .iter()
                .any(|line| line.contains("a::b"));
            assert_eq!(told, failures == 1, "{failures}");
        }
    }

    #[test]
    fn many_and_other_failures_are_not_tried_again() {
        for script in [
            "exit 1",
            "for i in 1 2 3 4; do echo \"test a$i ... FAILED\"; done; [ -n \"$RUST_TEST_THREADS\" ]",
        ] {
            let step = Step::new("tests", 60, "/bin/sh", &["-c", script]);
            let step = step.env("RUST_TEST_THREADS", "");
            assert!(
                crate::steps::run("test", &[step.tries_again()]).is_err(),
                "{script}"
            );
        }
    }

    #[test]
    fn a_step_that_allows_no_second_try_gets_none() {
        let script = "echo 'test a ... FAILED'; [ \"$RUST_TEST_THREADS\" = 1 ]";
        let step =
            Step::new("tests", 60, "/bin/sh", &["-c", script]).env("RUST_TEST_THREADS", "12");
        assert!(crate::steps::run("test", &[step]).is_err());
    }
}
