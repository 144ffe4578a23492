//! What a kubelet does to the mounts of a pod: contents that are swapped, files that never change, a root that nobody
//! may write, and a share of the processors.

use super::{Pod, Volume, probe};
use crate::common::{server, skip};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{Dir, RunAs, free_port, until};
use plimsoll_e2e::server::PASSWORD;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The user of the manifests.
const USER: u32 = 10001;

/// The volumes of a pod, below one directory.
struct Volumes {
    dir: Dir,
    settings: Volume,
    secrets: Volume,
    ports: (u16, u16),
}

impl Volumes {
    fn new() -> Volumes {
        let dir = Dir::new("pod", RunAs::myself());
        let settings = Volume::new(dir.path().join("settings"));
        let secrets = Volume::new(dir.path().join("secrets"));
        for name in ["state", "run"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let mut volumes = Volumes {
            dir,
            settings,
            secrets,
            ports: (free_port(), free_port()),
        };
        volumes.secrets.write(&[("app", PASSWORD)]);
        let text = volumes.text("20");
        volumes.write(&text);
        volumes
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, size: &str) -> String {
        let (port, metrics) = self.ports;
        format!(
            "[listen]\ntcp = [\"127.0.0.1:{port}\"]\nunix = \"{dir}/run\"\n\
             [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n\
             [settings]\nsource = \"deploy\"\n\
             [auth]\ntype = \"trust\"\nadmin_users = [\"admin\"]\n\
             [server]\nline = 60\n[pool]\nsize = {size}\n\
             [database.app]\nhost = \"127.0.0.1\"\nport = {server}\nuser = \"postgres\"\n\
             password_file = \"{dir}/secrets/app\"\n\
             [[user]]\nname = \"app\"\n[[user]]\nname = \"admin\"\n",
            dir = self.dir.path().display(),
            server = server().port(),
        )
    }

    fn write(&mut self, text: &str) {
        self.settings.write(&[("plimsoll.toml", text)]);
    }

    /// `plimsoll run`, as the manifests say it.
    fn arguments(&self) -> Vec<String> {
        vec![
            "run".into(),
            self.settings.file("plimsoll.toml").display().to_string(),
            format!("--state={}/state", self.at("state").display()),
        ]
    }

    fn start(&self, command: Command) -> Pod {
        let mut pod = Pod::start(command, &self.at("log"), self.ports);
        pod.wait_until_ready();
        pod
    }

    fn target(&self, database: &str, user: &str) -> Target {
        Target::tcp("127.0.0.1", self.ports.0, database, user)
    }

    fn serves(&self) {
        let mut client = Client::login(&self.target("app", "app")).expect("login");
        assert_eq!(client.value("select 1").expect("served"), "1");
    }

    fn size(&self) -> String {
        let mut console = Client::login(&self.target("pgbouncer", "admin")).expect("console");
        let rows = console.rows("SHOW CONFIG").expect("rows");
        let row = rows.into_iter().find(|row| row[0] == "default_pool_size");
        row.expect("there")[1].clone()
    }

    fn wait_for_size(&self, size: &str) {
        until(&format!("a pool of {size}"), || {
            (self.size() == size).then_some(())
        });
    }

    /// Whether the file says what serves.
    fn drift(&self) -> bool {
        let (_, text) = probe(self.ports.1, "/metrics").expect("metrics");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("plimsoll_settings_state{state=\"drift\"} "));
        line.expect("the figure") != "0"
    }

    fn wait_for_drift(&self, drift: bool) {
        until("what the file is called", || {
            (self.drift() == drift).then_some(())
        });
    }
}

fn stands_in(test: &str) -> bool {
    let pgbouncer = Binary::find().is_pgbouncer;
    if pgbouncer {
        skip(test, "PgBouncer watches no file");
    }
    pgbouncer
}

/// Two looks of the watch over the files, and some.
fn two_looks() {
    let end = Instant::now() + Duration::from_millis(2500);
    until("two looks", || (Instant::now() > end).then_some(()));
}

#[test]
fn a_config_map_is_taken_whole_or_held() {
    if stands_in("a_config_map_is_taken_whole_or_held") {
        return;
    }
    let mut volumes = Volumes::new();
    let mut command = Command::new(Binary::find().path);
    command.args(volumes.arguments());
    let pod = volumes.start(command);
    volumes.serves();
    // The next content is written by and by; until the swap nobody is led there.
    let text = volumes.text("24");
    let (half, _) = text.split_at(text.len() / 2);
    let new = volumes.settings.prepare(&[("plimsoll.toml", half)]);
    two_looks();
    assert!(!volumes.drift() && volumes.size() == "20");
    std::fs::write(new.join("plimsoll.toml"), &text).expect("write");
    volumes.settings.swap(&new);
    volumes.wait_for_size("24");
    // Half a file, whole by the kubelet's account; then a ConfigMap without the key, so that the link leads nowhere.
    let half = half.to_owned() + "\n[po";
    volumes.write(&half);
    volumes.wait_for_drift(true);
    volumes.settings.write(&[("plimsoll.yaml", &half)]);
    two_looks();
    assert!(volumes.drift());
    assert_eq!(volumes.size(), "24");
    volumes.serves();
    assert!(pod.is_ready(), "what serves is good: {}", pod.said());
    let text = volumes.text("26");
    volumes.write(&text);
    volumes.wait_for_size("26");
    volumes.wait_for_drift(false);
}

/// A shell line in a mount namespace of its own, with the pod's directory as `$1`, its `plimsoll` there, and the
/// arguments of `run` after it; `None` where the system gives no namespace.
fn in_namespace(test: &str, volumes: &Volumes, line: &str) -> Option<Command> {
    let may = Command::new("unshare")
        .args(["--mount", "--propagation=private", "mount", "-t", "tmpfs"])
        .args(["tmpfs", "/mnt"])
        .output();
    if !may.is_ok_and(|output| output.status.success()) {
        skip(test, "no mount namespace: it needs root and unshare");
        return None;
    }
    let program = volumes.at("plimsoll");
    std::fs::write(&program, "").expect("a place for the program");
    let bound = format!(
        "set -e; mount --bind {} \"$1/plimsoll\"; dir=$1; shift\n{line}",
        Binary::find().path.display()
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation=private", "sh", "-c", &bound, "sh"])
        .arg(volumes.dir.path())
        .args(volumes.arguments());
    Some(command)
}

/// `kubectl exec -i`: as the same user, in the same mounts.
fn exec(pod: &Pod, volumes: &Volumes, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("nsenter")
        .args(["--mount", &format!("--target={}", pod.process.pid())])
        .args(unprivileged())
        .arg(volumes.at("plimsoll"))
        .args(arguments)
        .arg("--socket")
        .arg(volumes.at("run"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut pipe = child.stdin.take().expect("piped");
    // Who reads nothing may have ended.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    let output = child.wait_with_output().expect("an end");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

/// The manifests' securityContext.
fn unprivileged() -> Vec<String> {
    let line = format!(
        "setpriv --reuid={USER} --regid={USER} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all"
    );
    line.split(' ').map(str::to_owned).collect()
}

/// As `defaultMode` 0440 and `fsGroup` do it.
fn for_the_group(volume: &Volume) {
    let now = volume.path.join("..data").canonicalize().expect("there");
    for entry in std::fs::read_dir(now).expect("read").flatten() {
        chown(entry.path(), None, Some(USER)).expect("chown");
        let mode = std::fs::Permissions::from_mode(0o440);
        std::fs::set_permissions(entry.path(), mode).expect("chmod");
    }
}

#[test]
fn a_root_that_nobody_may_write_and_no_rights_are_enough() {
    let test = "a_root_that_nobody_may_write_and_no_rights_are_enough";
    if stands_in(test) {
        return;
    }
    let mut volumes = Volumes::new();
    for_the_group(&volumes.secrets);
    // Two emptyDirs, with the modes that a kubelet gives them, and nothing else that can be written.
    let line = format!(
        "for v in state run; do mount -t tmpfs -o mode=2777,gid={USER} tmpfs $dir/$v; done\n\
         mount -o remount,bind,ro /; if mountpoint -q /tmp; then mount -o remount,bind,ro /tmp; fi\n\
         if touch $dir/x 2>/dev/null; then echo 'the root can be written'; exit 1; fi\n\
         exec {} $dir/plimsoll \"$@\"",
        unprivileged().join(" ")
    );
    let Some(command) = in_namespace(test, &volumes, &line) else {
        return;
    };
    let pod = volumes.start(command);
    volumes.serves();
    let text = volumes.text("24");
    volumes.write(&text);
    volumes.wait_for_size("24");
    let history = exec(&pod, &volumes, &["history"], "");
    assert!(history.lines().count() >= 2, "{history}");
    exec(&pod, &volumes, &["status"], "");
    // A person is faster than git: there is no shell, and nowhere to copy a file to.
    let now = ["apply", "-", "--now", "--reason", "the pool is full"];
    exec(&pod, &volumes, &now, &volumes.text("28"));
    assert_eq!(volumes.size(), "28");
    // The history is on the emptyDir, for its owner alone.
    let state = PathBuf::from(format!("/proc/{}/root", pod.process.pid()));
    let state = state.join(
        volumes
            .at("state/state")
            .strip_prefix("/")
            .expect("absolute"),
    );
    let mode = state.metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(state.join("settings.db").exists());
    let said = pod.said();
    for part in ["Read-only", "ermission denied", "ERROR", "in memory"] {
        assert!(!said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_file_that_is_mounted_alone_never_changes_and_the_log_says_so() {
    let test = "a_file_that_is_mounted_alone_never_changes_and_the_log_says_so";
    if stands_in(test) {
        return;
    }
    let mut volumes = Volumes::new();
    // subPath: what the link leads to now is bound over the file's place.
    let alone = volumes.at("alone.toml");
    std::fs::write(&alone, "").expect("a place");
    let line = format!(
        "mount --bind $dir/settings/plimsoll.toml {alone}; mount --bind $dir/secrets/app $dir/secret\n\
         shift 2; exec $dir/plimsoll run {alone} \"$@\"",
        alone = alone.display()
    );
    std::fs::write(volumes.at("secret"), "").expect("a place");
    let text = volumes.text("20").replace("secrets/app", "secret");
    volumes.write(&text);
    let Some(command) = in_namespace(test, &volumes, &line) else {
        return;
    };
    let pod = volumes.start(command);
    volumes.serves();
    let said = pod.said();
    for file in [alone.as_path(), &volumes.at("secret")] {
        let told = said
            .lines()
            .any(|line| line.contains(&file.display().to_string()) && line.contains("subPath"));
        assert!(told, "{}: {said}", file.display());
    }
    let text = volumes.text("24");
    volumes.write(&text);
    two_looks();
    assert_eq!(volumes.size(), "20");
    assert!(!volumes.drift(), "the pod sees the old file");
    assert!(pod.is_ready());
}

#[test]
fn a_directory_that_is_mounted_is_no_matter() {
    let test = "a_directory_that_is_mounted_is_no_matter";
    if stands_in(test) {
        return;
    }
    let volumes = Volumes::new();
    let line = "mount --bind $dir/settings $dir/settings; exec $dir/plimsoll \"$@\"";
    let Some(command) = in_namespace(test, &volumes, line) else {
        return;
    };
    let pod = volumes.start(command);
    assert!(!pod.said().contains("subPath"), "{}", pod.said());
}

/// What it said of the processors that it sees, with a quota as a container has it.
fn processors(test: &str, quota: &str) -> Option<(usize, usize)> {
    let volumes = Volumes::new();
    let cgroup = volumes.at("cgroup");
    std::fs::create_dir(&cgroup).expect("a directory");
    let write = |path: &Path, text: &str| std::fs::write(path, text).expect("write");
    write(&cgroup.join("cgroup.controllers"), "cpu memory pids\n");
    write(&cgroup.join("cpu.max"), &format!("{quota} 100000\n"));
    write(&volumes.at("own"), "0::/\n");
    // A container sees its own cgroup as the root of version 2's tree.
    let line = "mount --bind $dir/cgroup /sys/fs/cgroup; mount --bind $dir/own /proc/$$/cgroup\n\
                exec $dir/plimsoll \"$@\"";
    let command = in_namespace(test, &volumes, line)?;
    let pod = volumes.start(command);
    let said = pod.said();
    let figure = |key: &str| {
        let (_, rest) = said
            .split_once(key)
            .unwrap_or_else(|| panic!("{key}: {said}"));
        let figure = rest.split(|c: char| !c.is_ascii_digit()).next();
        figure.expect("a figure").parse().expect("a number")
    };
    Some((figure("processors="), figure("workers=")))
}

#[test]
fn the_quota_of_the_cgroup_decides_the_workers() {
    let test = "the_quota_of_the_cgroup_decides_the_workers";
    if stands_in(test) {
        return;
    }
    let machine = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for (quota, processors_most) in [("50000", 1), ("100000", 1), ("250000", 2), ("max", 64)] {
        let Some(found) = processors(test, quota) else {
            return;
        };
        let seen = processors_most.min(machine);
        assert_eq!(found, (seen, seen.div_ceil(2)), "quota {quota}");
    }
}
