//! Runs a list of commands, each with a budget of time. A step over its budget
//! is ended and fails: a hang must not look like a slow day.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// One command and how long it may take.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) budget: Duration,
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(&'static str, &'static str)>,
}

impl Step {
    pub(crate) fn new(name: &str, budget_s: u64, program: &str, args: &[&str]) -> Step {
        Step {
            name: name.to_owned(),
            budget: Duration::from_secs(budget_s),
            program: program.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
        }
    }

    /// A step of cargo's, with the cargo that runs us.
    pub(crate) fn cargo(name: &str, budget_s: u64, args: &[&str]) -> Step {
        Step::new(name, budget_s, "cargo", args)
    }

    /// Sets an environment variable for the step.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Step {
        self.env.push((name, value));
        self
    }
}

/// Runs them in order, stops at the first failure, and prints what each took.
pub(crate) fn run(title: &str, steps: &[Step]) -> Outcome {
    let started = Instant::now();
    let budget: Duration = steps.iter().map(|step| step.budget).sum();
    println!("{title}: {} steps, at most {}", steps.len(), time(budget));
    for (i, step) in steps.iter().enumerate() {
        let shown = format!("{} {}", step.program, step.args.join(" "));
        println!(
            "\n[{}/{}] {} (budget {}): {shown}",
            i + 1,
            steps.len(),
            step.name,
            time(step.budget)
        );
        let took =
            run_one(step).map_err(|text| format!("step `{}` {text}\n  {shown}", step.name))?;
        println!(
            "[{}/{}] {}: {} of {}",
            i + 1,
            steps.len(),
            step.name,
            time(took),
            time(step.budget)
        );
    }
    println!(
        "\n{title}: all {} steps passed in {}",
        steps.len(),
        time(started.elapsed())
    );
    Ok(())
}

fn run_one(step: &Step) -> Result<Duration, String> {
    let program = if step.program == "cargo" {
        std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
    } else {
        step.program.clone()
    };
    let started = Instant::now();
    let mut child = Command::new(&program)
        .args(&step.args)
        .envs(step.env.iter().copied())
        .current_dir(crate::repository())
        .stdin(Stdio::null())
        // A group of its own, so that what it started can be ended with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("could not run {program}: {error}"))?;
    match wait(&mut child, step.budget) {
        Some(status) if status.success() => Ok(started.elapsed()),
        Some(status) => Err(format!("failed: {status}")),
        None => {
            end_group(child.id());
            child.wait().ok();
            Err(format!(
                "took longer than its budget of {} and was ended",
                time(step.budget)
            ))
        }
    }
}

/// `None`: not ended within the budget.
fn wait(child: &mut Child, budget: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + budget;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The standard library cannot signal a group; the shell can.
fn end_group(pid: u32) {
    Command::new("/bin/sh")
        .args(["-c", "kill -s KILL -- \"-$1\"", "sh", &pid.to_string()])
        .status()
        .ok();
}

/// "4 min 05 s", "12.3 s".
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, _) => format!("{:.1} s", duration.as_secs_f64()),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, rest) => format!("{minutes} min {rest:02} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, budget: Duration) -> Step {
        Step {
            budget,
            ..Step::new("a step", 0, "/bin/sh", &["-c", script])
        }
    }

    #[test]
    fn the_first_failure_stops_the_rest_and_is_named() {
        let minute = Duration::from_secs(60);
        let error = run("test", &[shell("exit 3", minute), shell("exit 0", minute)]);
        let text = error.expect_err("the first step fails");
        assert!(
            text.contains("`a step` failed") && text.contains('3'),
            "{text}"
        );
        assert_eq!(run("test", &[shell("exit 0", minute)]), Ok(()));
    }

    #[test]
    fn a_step_over_its_budget_is_ended_with_all_it_started() {
        // The inner shell would hold the step open for a minute; killing only its parent is not enough.
        let started = Instant::now();
        let error = run(
            "test",
            &[shell("sh -c 'sleep 60'; true", Duration::from_millis(200))],
        );
        let text = error.expect_err("over budget");
        assert!(text.contains("longer than its budget"), "{text}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn times_read_well() {
        let table = [
            (300, "0.3 s"),
            (59_940, "59.9 s"),
            (120_000, "2 min"),
            (245_000, "4 min 05 s"),
        ];
        for (ms, text) in table {
            assert_eq!(time(Duration::from_millis(ms)), text);
        }
    }
}
