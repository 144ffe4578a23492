//! The deployment examples in `docs/examples/deploy`, run as they stand: the
//! hook by a real git, the manifests' commands over their own mounts, the CI
//! jobs' script lines by a real shell.
#![allow(clippy::disallowed_methods)] // Processes and files: a test of IO.

use granit_parser::{Event, Parser};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const GOOD: &str = "[databases]\nshop = host=db user=app\n[pgbouncer]\npool_mode = transaction\nmax_db_connections = 60\ndefault_pool_size = 50\n";
const BAD: &str = "[databases]\nshop = host=db user=app\n[pgbouncer]\npool_mode = transaction\nmax_db_connections = 60\ndefault_pool_size = 5\nmin_pool_size = 50\nquery_wait_timeout = 0\n";
const GOOD_TOML: &str = "[listen]\ntcp = [\"127.0.0.1:6432\"]\n[pool]\nsize = 10\n[auth]\ntype = \"trust\"\n[database.shop]\nhost = \"db\"\n";

/// A directory of this test alone, gone with it; `bin` in it holds plimsoll.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path =
            std::env::temp_dir().join(format!("plimsoll-deploy-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("bin")).expect("a directory");
        let program = path.join("bin/plimsoll");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_plimsoll"), program).expect("a link");
        Place(path)
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    /// A program in a directory here, with our plimsoll and without anybody's
    /// settings for git.
    fn command(&self, program: &str, directory: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .current_dir(self.0.join(directory))
            .env("PATH", format!("{}:{path}", self.0.join("bin").display()))
            .env("HOME", &self.0)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.com")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.com")
            .env_remove("GIT_DIR")
            .env_remove("GIT_INDEX_FILE")
            .env_remove("GIT_WORK_TREE");
        command
    }

    fn git(&self, directory: &str, arguments: &[&str]) -> Output {
        let mut git = self.command("git", directory);
        git.args(["-c", "init.defaultBranch=main"]).args(arguments);
        git.output().expect("git runs")
    }

    fn git_well(&self, directory: &str, arguments: &[&str]) {
        let output = self.git(directory, arguments);
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            said(&output)
        );
    }

    /// One line of a job, as a CI's shell runs it.
    fn shell(&self, directory: &str, line: &str) -> Output {
        let mut shell = self.command("sh", directory);
        shell
            .args(["-e", "-c", line])
            .env("CI_DEFAULT_BRANCH", "main");
        shell.output().expect("sh runs")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn example(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/deploy");
    directory.join(name)
}

/// YAML, as far as the examples need it.
#[derive(Clone, Debug)]
enum Yaml {
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    fn at(&self, path: &[&str]) -> &Yaml {
        path.iter().fold(self, |node, key| match node {
            Yaml::Map(pairs) => {
                let found = pairs.iter().find(|(k, _)| k == key);
                &found.unwrap_or_else(|| panic!("no {key} in {node:?}")).1
            }
            _ => panic!("{node:?} has no {key}"),
        })
    }

    fn get(&self, key: &str) -> Option<&Yaml> {
        match self {
            Yaml::Map(pairs) => pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    fn items(&self) -> &[Yaml] {
        match self {
            Yaml::List(items) => items,
            _ => panic!("{self:?} is no list"),
        }
    }

    fn text(&self) -> &str {
        match self {
            Yaml::Text(text) => text,
            _ => panic!("{self:?} is no text"),
        }
    }
}

/// The first document of an example.
fn yaml(name: &str) -> Yaml {
    let text = fs::read_to_string(example(name)).expect("the example");
    let mut events = Parser::new_from_str(&text).map(|event| match event {
        Ok((event, _)) => event,
        Err(error) => panic!("{name}: {error}"),
    });
    let first = events.find(|e| {
        matches!(
            e,
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)
        )
    });
    node(first.expect("a document"), &mut events)
}

fn node<'a>(event: Event<'a>, rest: &mut impl Iterator<Item = Event<'a>>) -> Yaml {
    match event {
        Event::Scalar(text, ..) => Yaml::Text(text.to_string()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match rest.next().expect("an end") {
                    Event::SequenceEnd => return Yaml::List(items),
                    event => items.push(node(event, rest)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut pairs = Vec::new();
            loop {
                match rest.next().expect("an end") {
                    Event::MappingEnd => return Yaml::Map(pairs),
                    event => {
                        let key = node(event, rest).text().to_owned();
                        let value = rest.next().expect("a value");
                        pairs.push((key, node(value, rest)));
                    }
                }
            }
        }
        other => panic!("{other:?} in an example"),
    }
}

#[test]
fn the_git_hook_refuses_what_would_hurt_and_accepts_the_rest() {
    let place = Place::new("hook");
    place.git_well(".", &["init", "-q", "repo"]);
    let hook = place.0.join("repo/.git/hooks/pre-commit");
    fs::create_dir_all(hook.parent().expect("a parent")).expect("a directory");
    fs::copy(example("pre-commit"), &hook).expect("the hook");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("ours");
    let commit = || {
        place.git_well("repo", &["add", "--all"]);
        place.git("repo", &["commit", "-q", "-m", "a change"])
    };
    // No settings at all, and a picture.
    place.file("repo/README.md", "hello\n");
    place.file("repo/logo.png", "\u{0}\u{1}binary");
    let first = commit();
    assert!(first.status.success(), "{}", said(&first));
    place.file("repo/etc/pgbouncer.ini", GOOD);
    let good = commit();
    assert!(good.status.success(), "{}", said(&good));
    place.file("repo/etc/pgbouncer.ini", BAD);
    let bad = commit();
    assert!(!bad.status.success(), "{}", said(&bad));
    assert!(
        said(&bad).contains("error[min-above-max]"),
        "{}",
        said(&bad)
    );
    assert!(
        said(&bad).contains("etc/pgbouncer.ini:7:"),
        "{}",
        said(&bad)
    );
    // What is staged counts, not what lies there.
    place.file("repo/etc/pgbouncer.ini", GOOD);
    let still = place.git("repo", &["commit", "-q", "-m", "staged"]);
    assert!(!still.status.success(), "{}", said(&still));
    place.git_well("repo", &["reset", "-q", "--hard"]);
    place.file("repo/notes.txt", "more\n");
    let after = commit();
    assert!(after.status.success(), "{}", said(&after));
    let log = place.git("repo", &["rev-list", "--count", "HEAD"]);
    assert_eq!(said(&log).trim(), "3");
}

#[test]
fn the_pre_commit_frameworks_hook_names_the_files_that_it_checks() {
    let hook = &yaml("pre-commit-config.yaml").at(&["repos"]).items()[0].clone();
    let hook = &hook.at(&["hooks"]).items()[0];
    let place = Place::new("framework");
    let matches = |path: &str| {
        let line = format!(
            "printf '%s\\n' {path} | grep -qE '{}'",
            hook.at(&["files"]).text()
        );
        place.shell(".", &line).status.success()
    };
    for path in [
        "pgbouncer.ini",
        "a/plimsoll.toml",
        "shop/settings.py",
        "config/database.yml",
        "src/application-prod.yml",
        ".env",
    ] {
        assert!(matches(path), "{path}");
    }
    for path in ["README.md", "settings.pyc", "logo.png"] {
        assert!(!matches(path), "{path}");
    }
    for (text, expected) in [(GOOD, true), (BAD, false)] {
        place.file("pgbouncer.ini", text);
        let line = format!("{} pgbouncer.ini", hook.at(&["entry"]).text());
        let output = place.shell(".", &line);
        assert_eq!(output.status.success(), expected, "{}", said(&output));
    }
}

/// A container's command over its own mounts, which lie in a directory here.
fn run_container(place: &Place, pod: &Yaml, container: &Yaml, settings: &str) -> Output {
    let volumes: Vec<&str> = pod
        .at(&["volumes"])
        .items()
        .iter()
        .map(|v| v.at(&["name"]).text())
        .collect();
    let mounts = container.at(&["volumeMounts"]).items();
    let mount = &mounts[0];
    assert!(volumes.contains(&mount.at(&["name"]).text()), "{volumes:?}");
    assert_eq!(mount.at(&["readOnly"]).text(), "true");
    let mounted = mount.at(&["mountPath"]).text();
    let here = place.0.join("root").join(mounted.trim_start_matches('/'));
    let mut words = container.at(&["command"]).items().iter().map(Yaml::text);
    let program = words.next().expect("a program");
    let arguments: Vec<String> = words
        .map(|word| match word.strip_prefix(mounted) {
            Some(rest) => {
                let file = here.join(rest.trim_start_matches('/'));
                fs::create_dir_all(&here).expect("a directory");
                fs::write(&file, settings).expect("a file");
                file.display().to_string()
            }
            None => word.to_owned(),
        })
        .collect();
    assert!(
        arguments.iter().any(|a| a.starts_with('/')),
        "{arguments:?}"
    );
    let mut command = place.command(program, ".");
    command.args(arguments).output().expect("it runs")
}

#[test]
fn the_manifests_commands_stop_what_would_hurt() {
    let bad = GOOD_TOML.replace("size = 10", "size = 10\nmin_size = 50");
    let unknown = GOOD_TOML.replace("size = 10", "sise = 10");
    for (name, list) in [
        ("init-container.yaml", "initContainers"),
        ("argocd-presync.yaml", "containers"),
    ] {
        let manifest = yaml(name);
        let pod = manifest.at(&["spec", "template", "spec"]);
        let container = &pod.at(&[list]).items()[0];
        for (settings, code) in [(GOOD_TOML, 0), (bad.as_str(), 1), (unknown.as_str(), 1)] {
            let place = Place::new(name);
            let output = run_container(&place, pod, container, settings);
            assert_eq!(
                output.status.code(),
                Some(code),
                "{name}: {}",
                said(&output)
            );
        }
    }
    let hook = yaml("argocd-presync.yaml");
    let notes = hook.at(&["metadata", "annotations"]);
    assert_eq!(notes.at(&["argocd.argoproj.io/hook"]).text(), "PreSync");
    // A failed check is not tried again until it passes.
    assert_eq!(hook.at(&["spec", "backoffLimit"]).text(), "0");
    assert_eq!(
        hook.at(&["spec", "template", "spec", "restartPolicy"])
            .text(),
        "Never"
    );
    // The check sees what the pooler will.
    let deployment = yaml("init-container.yaml");
    let pod = deployment.at(&["spec", "template", "spec"]);
    let path = |list: &str| pod.at(&[list]).items()[0].at(&["command"]).items()[2].text();
    assert_eq!(path("initContainers"), path("containers"));
}

/// The steps of the GitHub job, as a runner takes them: whether the job passed,
/// and all that was written.
fn run_action(place: &Place) -> (bool, String) {
    let workflow = yaml("github-action.yml");
    let (mut passed, mut log) = (true, String::new());
    for step in workflow.at(&["jobs", "check", "steps"]).items() {
        let Some(line) = step.get("run") else {
            continue;
        };
        let always = step.get("if").is_some_and(|c| c.text() == "always()");
        if !passed && !always {
            continue;
        }
        // Nothing is installed outside of this test.
        let line = line.text().replace(
            "/usr/local/bin",
            &place.0.join("installed").display().to_string(),
        );
        let output = place.shell(".", &line);
        passed &= output.status.success();
        log += &said(&output);
    }
    (passed, log)
}

#[test]
fn the_github_job_s_lines_pass_and_fail() {
    for (old, new, expected, words) in [
        (GOOD, GOOD, true, ""),
        (
            GOOD,
            BAD,
            false,
            "::error file=new/deploy/pgbouncer.ini,line=7",
        ),
        // Tidy by itself, but a tenth of what serves.
        (
            GOOD,
            &GOOD.replace("= 50", "= 5"),
            false,
            "title=changed-much",
        ),
    ] {
        let place = Place::new("github");
        fs::create_dir_all(place.0.join("installed")).expect("a directory");
        place.file("old/deploy/pgbouncer.ini", old);
        place.file("new/deploy/pgbouncer.ini", new);
        fs::create_dir_all(place.0.join("new/ci")).expect("a directory");
        fs::copy(
            env!("CARGO_BIN_EXE_plimsoll"),
            place.0.join("new/ci/plimsoll"),
        )
        .expect("a copy");
        let (passed, log) = run_action(&place);
        assert_eq!(passed, expected, "{log}");
        assert!(log.contains(words), "{words}: {log}");
        assert!(place.0.join("installed/plimsoll").exists());
        let sarif =
            fs::read_to_string(place.0.join("settings.sarif")).expect("it is written always");
        assert!(sarif.contains("\"version\":\"2.1.0\""), "{sarif}");
        assert_eq!(
            sarif.contains("min-above-max\",\"level"),
            new == BAD,
            "{sarif}"
        );
    }
}

#[test]
fn the_gitlab_job_s_lines_pass_and_fail() {
    for (name, new, expected) in [("good", GOOD, true), ("bad", BAD, false)] {
        let place = Place::new(&format!("gitlab-{name}"));
        place.git_well(".", &["init", "-q", "origin"]);
        place.file("origin/deploy/pgbouncer.ini", GOOD);
        place.git_well("origin", &["add", "--all"]);
        place.git_well("origin", &["commit", "-q", "-m", "what serves"]);
        place.git_well(".", &["clone", "-q", "origin", "work"]);
        place.git_well("work", &["checkout", "-q", "-b", "change"]);
        place.file("work/deploy/pgbouncer.ini", new);
        place.git_well(
            "work",
            &["commit", "-q", "-a", "--allow-empty", "-m", "a change"],
        );
        let job = yaml("gitlab-ci.yml");
        let (mut passed, mut log) = (true, String::new());
        for line in job.at(&["check-settings", "script"]).items() {
            let old = place.0.join("old").display().to_string();
            let output = place.shell("work", &line.text().replace("/tmp/old", &old));
            log += &said(&output);
            if !output.status.success() {
                passed = false;
                break;
            }
        }
        assert_eq!(passed, expected, "{log}");
        assert!(log.contains("files:"), "plimsoll did not run: {log}");
    }
}
