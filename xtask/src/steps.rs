//! Runs a list of commands, each with a budget of time. A step over its budget
//! is ended and fails: a hang must not look like a slow day.

mod unsteady;

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::cargo;

/// One command and how long it may take.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) budget: Duration,
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(&'static str, &'static str)>,
    /// A few tests of it that fail are tried again: see `unsteady`.
    pub(crate) tries_again: bool,
}

impl Step {
    pub(crate) fn new(name: &str, budget_s: u64, program: &str, args: &[&str]) -> Step {
        Step {
            name: name.to_owned(),
            budget: Duration::from_secs(budget_s),
            program: program.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
            tries_again: false,
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

    /// Says that its tests may be tried again, as few as `unsteady` allows.
    pub(crate) fn tries_again(mut self) -> Step {
        self.tries_again = true;
        self
    }
}

/// Runs them in order, stops at the first failure, and prints what each took.
/// Returns the closing lines of the test runners among them, in their own words.
pub(crate) fn run(title: &str, steps: &[Step]) -> Result<Vec<String>, String> {
    let started = Instant::now();
    let budget: Duration = steps.iter().map(|step| step.budget).sum();
    println!("{title}: {} steps, at most {}", steps.len(), time(budget));
    let mut closing = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let shown = format!("{} {}", step.program, step.args.join(" "));
        let (place, limit) = (
            format!("[{}/{}] {}", i + 1, steps.len(), step.name),
            time(step.budget),
        );
        println!("\n{place} (budget {limit}): {shown}");
        let began = Instant::now();
        let heard = run_one(step).or_else(|failed| unsteady::tried_again(step, failed));
        closing.extend(
            heard.map_err(|failed| format!("step `{}` {}\n  {shown}", step.name, failed.text))?,
        );
        println!("{place}: {} of {limit}", time(began.elapsed()));
    }
    println!(
        "\n{title}: all {} steps passed in {}",
        steps.len(),
        time(started.elapsed())
    );
    Ok(closing)
}

/// What a step said that failed.
#[derive(Debug)]
struct Failed {
    text: String,
    /// The tests that failed, and the closing lines of the runners; none when something else did.
    tests: Vec<String>,
    closing: Vec<String>,
}

impl Failed {
    fn because(text: String) -> Failed {
        Failed {
            text,
            tests: Vec::new(),
            closing: Vec::new(),
        }
    }
}

fn run_one(step: &Step) -> Result<Vec<String>, Failed> {
    let mut command = if step.program == "cargo" {
        cargo::command()
    } else {
        Command::new(&step.program)
    };
    let mut child = command
        .args(&step.args)
        .envs(step.env.iter().copied())
        .stdin(Stdio::null())
        .current_dir(crate::repository())
        .stdout(Stdio::piped())
        // A group of its own, so that what it started can be ended with it.
        .process_group(0)
        .spawn()
        .map_err(|error| Failed::because(format!("could not run {}: {error}", step.program)))?;
    let guard =
        Guard::over(child.id()).map_err(|error| Failed::because(format!("/bin/sh: {error}")))?;
    let lines = lines_of(&mut child);
    let mut heard = Heard::default();
    match follow(&mut child, &lines, step.budget, &mut heard) {
        Some(status) if status.success() => {
            guard.dismiss();
            Ok(heard.closing)
        }
        Some(status) => Err(Failed {
            text: format!("failed: {status}"),
            tests: heard.failed,
            closing: heard.closing,
        }),
        None => {
            drop(guard);
            child.wait().ok();
            let limit = time(step.budget);
            let text = format!("took longer than its budget of {limit} and was ended");
            Err(Failed::because(text))
        }
    }
}

/// What test runners say on the way.
#[derive(Default)]
struct Heard {
    /// Their last lines.
    closing: Vec<String>,
    /// The tests that failed.
    failed: Vec<String>,
}

impl Heard {
    fn line(&mut self, line: &str) {
        if line.starts_with("test result: ") {
            if !line.contains(" 0 passed; 0 failed; 0 ignored") {
                self.closing.push(line.to_owned());
            }
        } else if let Some(name) = (line.strip_prefix("test "))
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
            .map(|name| name.trim_end_matches(" - should panic"))
        {
            self.failed.push(name.to_owned());
        }
    }
}

/// Passes on what the step prints until it ends. `None`: not within the budget.
fn follow(
    child: &mut Child,
    lines: &Receiver<String>,
    budget: Duration,
    heard: &mut Heard,
) -> Option<ExitStatus> {
    let deadline = Instant::now() + budget;
    let mut ended = None;
    loop {
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(line) => {
                println!("{line}");
                heard.line(&line);
                continue;
            }
            // Ended and silent: what a grandchild may still print is not waited for.
            Err(_) if ended.is_some() => return ended,
            Err(_) => ended = child.try_wait().ok().flatten(),
        }
        if ended.is_none() && Instant::now() >= deadline {
            return None;
        }
    }
}

/// How often a silent step is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the child prints, line by line. The bound holds the child back rather than filling our memory.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1_000);
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender
                    .send(String::from_utf8_lossy(&line).into_owned())
                    .is_err()
                {
                    return;
                }
            }
        });
    }
    receiver
}

/// Ends a step's process group when it is dropped, and also when we are ended:
/// Ctrl-C reaches us, but not the step's own group. A shell waits on a pipe
/// from us; the kernel closes it however we end.
struct Guard {
    shell: Child,
}

impl Guard {
    fn over(pid: u32) -> io::Result<Guard> {
        let shell = Command::new("/bin/sh")
            .args([
                "-c",
                "trap '' HUP INT TERM; read _ || kill -s KILL -- \"-$1\"",
                "sh",
            ])
            .arg(pid.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Guard { shell })
    }

    /// The step has ended by itself.
    fn dismiss(mut self) {
        if let Some(pipe) = &mut self.shell.stdin {
            pipe.write_all(b"done\n").ok();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shell.stdin = None;
        self.shell.wait().ok();
    }
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
    }

    #[test]
    fn the_runners_closing_lines_come_back_in_their_own_words() {
        let script = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'; echo other; \
                      echo 'test result: ok. 0 passed; 0 failed; 0 ignored'";
        let closing = run("test", &[shell(script, Duration::from_secs(60))]);
        assert_eq!(
            closing,
            Ok(vec![
                "test result: ok. 3 passed; 0 failed; 0 ignored".to_owned()
            ])
        );
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
