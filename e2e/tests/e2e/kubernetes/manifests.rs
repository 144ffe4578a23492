//! What `deploy/` renders to: the chart and the kustomization say the same, Kubernetes' schemas take it, and
//! `plimsoll check` finds nothing in it.

use crate::common::{full, skip};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::sandbox::{Dir, RunAs};
use plimsoll_e2e::toolchain::{self, Manifests};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The oldest version with what the manifests use: sidecars are on since 1.29.
const OLDEST: &str = "1.29";
const NEWEST: &str = "1.37";

/// Both without and with what is optional.
const OPTIONAL: [&str; 3] = [
    "--set=prometheusOperator.enabled=true",
    "--set=autoscaling.enabled=true",
    "--set=fleet.enabled=true",
];

fn deploy() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("a workspace").join("deploy")
}

fn tools(test: &str) -> Option<Manifests> {
    if Binary::find().is_pgbouncer {
        skip(test, "PgBouncer stands in");
        return None;
    }
    if !full() {
        // helm and kubectl are a download of 37 MB.
        skip(test, "it runs with E2E_FULL");
        return None;
    }
    toolchain::manifests().map_err(|why| skip(test, &why)).ok()
}

/// What it printed; panics with what it complained of.
fn printed(what: &str, output: Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

/// The settings of the base, with the section of the channel behind them.
fn base_settings(fleet: bool) -> String {
    let read = |part: &str| std::fs::read_to_string(deploy().join(part)).expect("there");
    let base = read("kubernetes/base/plimsoll.toml");
    match fleet {
        true => base + "\n" + &read("kubernetes/components/fleet/fleet.toml"),
        false => base,
    }
}

/// No word of helm's: the settings have no section of the channel.
const WITHOUT_SECTION: &str = "(settings without [fleet])";

fn helm(tools: &Manifests, more: &[&str]) -> Output {
    let settings = Dir::new("helm", RunAs::myself());
    let fleet = more.iter().any(|word| word.contains("fleet.enabled"));
    let text = base_settings(fleet && !more.contains(&WITHOUT_SECTION));
    let file = settings.write("plimsoll.toml", &text, RunAs::myself(), 0o644);
    let mut command = Command::new(&tools.helm);
    command
        .args(["template", "plimsoll"])
        .arg(deploy().join("helm/plimsoll"));
    // What comes by a file goes before what is set.
    if !more.iter().any(|word| word.contains("settings.text")) {
        command.arg(format!("--set-file=settings.text={}", file.display()));
    }
    let more = more.iter().filter(|word| **word != WITHOUT_SECTION);
    command
        .args(more)
        .env("HELM_CACHE_HOME", "/nonexistent")
        .env("KUBECONFIG", "/dev/null");
    command.output().expect("helm runs")
}

fn kustomize(tools: &Manifests, at: &Path) -> String {
    let mut command = Command::new(&tools.kubectl);
    command
        .arg("kustomize")
        .arg(at)
        .env("KUBECONFIG", "/dev/null");
    printed("kustomize", command.output().expect("kubectl runs"))
}

/// The overlay with everything in it that is optional.
fn kustomize_all(tools: &Manifests, dir: &Dir) -> String {
    // Kustomize takes relative paths only.
    let up = "../".repeat(dir.path().components().count() - 1);
    let at = |part: &str| {
        let path = deploy().join("kubernetes").join(part);
        let path = path.canonicalize().expect("there");
        format!(
            "  - {up}{}\n",
            path.strip_prefix("/").expect("absolute").display()
        )
    };
    let text = format!(
        "resources:\n{}components:\n{}{}{}\
         configMapGenerator:\n  - name: plimsoll\n    behavior: replace\n    files: [plimsoll.toml]\n    options: {{immutable: true}}\n",
        at("overlays/central"),
        at("components/prometheus-operator"),
        at("components/autoscaling"),
        at("components/fleet"),
    );
    let settings = base_settings(true);
    dir.write("plimsoll.toml", &settings, RunAs::myself(), 0o644);
    dir.write("kustomization.yaml", &text, RunAs::myself(), 0o644);
    kustomize(tools, dir.path())
}

/// The documents of a stream of YAML.
fn documents(tools: &Manifests, yaml: &str) -> Vec<Value> {
    const READ: &str = "import json, sys, yaml; print(json.dumps([d for d in yaml.safe_load_all(sys.stdin) if d]))";
    let mut child = Command::new(&tools.python)
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut input = child.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, yaml.as_bytes()).expect("written");
    drop(input);
    let text = printed("YAML", child.wait_with_output().expect("an end"));
    serde_json::from_str(&text).expect("JSON")
}

/// Objects by kind and name, without what the two ways of rendering must differ in: the hash in the ConfigMap's name,
/// and what a chart says of itself.
fn objects(tools: &Manifests, yaml: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for mut object in documents(tools, yaml) {
        let kind = object["kind"].as_str().expect("a kind").to_owned();
        for (field, ours) in [
            (
                "labels",
                &[
                    "helm.sh/chart",
                    "app.kubernetes.io/managed-by",
                    "app.kubernetes.io/version",
                ][..],
            ),
            ("annotations", &["helm.sh/resource-policy"][..]),
        ] {
            if let Some(map) = object["metadata"][field].as_object_mut() {
                map.retain(|key, _| !ours.contains(&key.as_str()));
            }
        }
        let unhashed = |name: &mut Value| {
            let text = name.as_str().expect("a name");
            let (stem, hash) = text.rsplit_once('-').expect("a hash");
            assert_eq!(hash.len(), 10, "{text}");
            *name = Value::from(stem);
        };
        match kind.as_str() {
            "ConfigMap" => unhashed(&mut object["metadata"]["name"]),
            "Deployment" => {
                let volumes = &mut object["spec"]["template"]["spec"]["volumes"];
                for volume in volumes.as_array_mut().expect("volumes") {
                    if volume.get("configMap").is_some() {
                        unhashed(&mut volume["configMap"]["name"]);
                    }
                }
            }
            _ => {}
        }
        let name = object["metadata"]["name"].as_str().expect("a name");
        let twice = found.insert(format!("{kind}/{name}"), object.clone());
        assert!(twice.is_none(), "{kind}/{name} is there twice");
    }
    found
}

#[test]
fn the_chart_and_the_kustomization_are_the_same_objects() {
    let Some(tools) = tools("the_chart_and_the_kustomization_are_the_same_objects") else {
        return;
    };
    let dir = Dir::new("overlay", RunAs::myself());
    let central = kustomize(&tools, &deploy().join("kubernetes/overlays/central"));
    let all = kustomize_all(&tools, &dir);
    for (kustomized, more, count) in [(central, &[][..], 7), (all, &OPTIONAL[..], 10)] {
        let kustomized = objects(&tools, &kustomized);
        let charted = objects(&tools, &printed("helm", helm(&tools, more)));
        let names = |of: &BTreeMap<String, Value>| of.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&kustomized), names(&charted));
        assert_eq!(kustomized.len(), count);
        for (name, object) in &kustomized {
            let both = [object, &charted[name]].map(|o| format!("{o:#}"));
            assert_eq!(both[0], both[1], "{name}");
        }
    }
}

#[test]
fn every_object_is_valid_by_kubernetes_schemas() {
    let Some(tools) = tools("every_object_is_valid_by_kubernetes_schemas") else {
        return;
    };
    let dir = Dir::new("schemas", RunAs::myself());
    let rendered = [
        ("all", kustomize_all(&tools, &dir)),
        (
            "sidecar",
            kustomize(&tools, &deploy().join("kubernetes/overlays/sidecar")),
        ),
        (
            "chart",
            printed(
                "helm",
                helm(
                    &tools,
                    &[
                        "--set=settings.change=inPlace,settings.baseline=x,priorityClassName=high",
                        "--set=nodeSelector.disk=ssd,imagePullSecrets[0].name=registry",
                        "--set=service.annotations.a=b,serviceAccount.annotations.a=b,podLabels.a=b",
                        "--set=env[0].name=A,env[0].value=b,tolerations[0].operator=Exists",
                    ],
                ),
            ),
        ),
    ];
    for (name, yaml) in rendered {
        let file = dir.write(&format!("{name}.yaml"), &yaml, RunAs::myself(), 0o644);
        for version in [OLDEST, NEWEST] {
            let mut command = Command::new(&tools.validate);
            command.args(["--strict", "-k", version]).arg(&file);
            let output = command.output().expect("it runs");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(output.status.success(), "{name}, {version}: {said}");
            let passed = said.lines().filter(|line| line.contains("passed")).count();
            // The Prometheus operator's kinds are not Kubernetes' own.
            let foreign = said.lines().filter(|line| line.starts_with("WARN")).count();
            let count = documents(&tools, &yaml).len();
            assert_eq!(passed + foreign, count, "{said}");
            assert!(foreign <= 2 && passed >= 2, "{said}");
        }
    }
}

/// The settings that a rendered ConfigMap holds.
fn settings(tools: &Manifests, yaml: &str) -> String {
    let documents = documents(tools, yaml);
    let map = documents.iter().find(|o| o["kind"] == "ConfigMap");
    let text = map.expect("a ConfigMap")["data"]["plimsoll.toml"].as_str();
    text.expect("settings").to_owned()
}

/// A duration of the settings, in whole seconds.
fn seconds(settings: &str, key: &str) -> u64 {
    let line = settings.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.trim_start().strip_prefix("= \"")?;
        value.split_once("s\"")
    });
    line.expect("the key").0.parse().expect("seconds")
}

#[test]
fn the_settings_in_what_is_rendered_pass_the_check_and_fit_the_pod() {
    let Some(tools) = tools("the_settings_in_what_is_rendered_pass_the_check_and_fit_the_pod")
    else {
        return;
    };
    let dir = Dir::new("rendered", RunAs::myself());
    let overlay = |name: &str| deploy().join("kubernetes/overlays").join(name);
    for (name, yaml) in [
        ("central", kustomize(&tools, &overlay("central"))),
        ("sidecar", kustomize(&tools, &overlay("sidecar"))),
        ("chart", printed("helm", helm(&tools, &[]))),
        ("fleet", printed("helm", helm(&tools, &OPTIONAL[2..]))),
        (
            "all",
            kustomize_all(&tools, &Dir::new("all", RunAs::myself())),
        ),
    ] {
        let text = settings(&tools, &yaml);
        for (file, text) in [("plimsoll.toml", &text), ("all.yaml", &yaml)] {
            let file = dir.write(file, text, RunAs::myself(), 0o644);
            let mut check = Command::new(Binary::find().path);
            check.args(["check", "--fail-on", "note"]).arg(&file);
            let said = printed(name, check.output().expect("it runs"));
            assert!(said.contains("0 errors, 0 warnings, 0 notes"), "{said}");
        }
        let documents = documents(&tools, &yaml);
        let deployment = documents.iter().find(|o| o["kind"] == "Deployment");
        let spec = &deployment.expect("a Deployment")["spec"]["template"]["spec"];
        let grace = spec["terminationGracePeriodSeconds"].as_u64();
        let drain = seconds(&text, "drain_delay") + seconds(&text, "drain");
        assert!(grace.expect("stated") >= drain + 10, "{name}: {drain} s");
        let of = |kind: &str| spec[kind].as_array().into_iter().flatten();
        let ours = of("containers")
            .chain(of("initContainers"))
            .find(|c| c["name"] == "plimsoll");
        let ours = ours.expect("the container");
        assert_eq!(ours["securityContext"]["readOnlyRootFilesystem"], true);
        for mount in ours["volumeMounts"].as_array().expect("mounts") {
            assert!(mount.get("subPath").is_none(), "it is never updated");
        }
        let ports = ours["ports"].as_array().expect("ports");
        for port in ports.iter().filter(|p| p["name"] != "fleet") {
            let number = port["containerPort"].to_string();
            assert!(text.contains(&format!(":{number}\"")), "{name}: {number}");
        }
    }
}

#[test]
fn a_change_of_settings_is_a_rollout_or_happens_in_place() {
    let Some(tools) = tools("a_change_of_settings_is_a_rollout_or_happens_in_place") else {
        return;
    };
    let rendered = |more: &[&str]| documents(&tools, &printed("helm", helm(&tools, more)));
    let map = |of: &[Value]| of.iter().find(|o| o["kind"] == "ConfigMap").cloned();
    let pod = |of: &[Value]| {
        let found = of.iter().find(|o| o["kind"] == "Deployment");
        found.expect("a Deployment")["spec"]["template"].clone()
    };
    let other = "--set-string=settings.text=[pool]\nsize = 7\n";
    let (before, after) = (rendered(&[]), rendered(&[other]));
    let name = |of: &[Value]| map(of).expect("a ConfigMap")["metadata"]["name"].clone();
    assert_ne!(name(&before), name(&after));
    assert_ne!(pod(&before), pod(&after), "so the pods are replaced");
    assert_eq!(map(&before).expect("there")["immutable"], true);
    let place = "--set=settings.change=inPlace";
    let (before, after) = (rendered(&[place]), rendered(&[place, other]));
    assert_eq!(name(&before), "plimsoll");
    assert_eq!(pod(&before), pod(&after), "so the pods stay");
    assert_ne!(map(&before), map(&after));
    assert!(map(&before).expect("there").get("immutable").is_none());
    let base = "--set-string=settings.baseline=[pool]\nsize = 6\n";
    let with = rendered(&[base]);
    let data = &map(&with).expect("there")["data"];
    assert_eq!(data["baseline.toml"], "[pool]\nsize = 6\n");
    let arguments = pod(&with)["spec"]["containers"][0]["args"].to_string();
    assert!(arguments.contains("--baseline=/etc/plimsoll/baseline.toml"));
}

#[test]
fn the_channel_has_its_key_and_its_section_or_is_refused() {
    let Some(tools) = tools("the_channel_has_its_key_and_its_section_or_is_refused") else {
        return;
    };
    let enabled = "--set=fleet.enabled=true";
    let rendered = |more: &[&str]| printed("helm", helm(&tools, more));
    let with = rendered(&[enabled, "--set=fleet.secret=ours"]);
    assert!(with.contains("secretName: ours"), "{with}");
    assert!(!rendered(&[]).contains("/run/secrets/fleet"));
    let output = helm(&tools, &[enabled, WITHOUT_SECTION]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("[fleet]"),
        "{said}"
    );
    // What the settings name is what is mounted and what the Service is called.
    let documents = documents(&tools, &with);
    let names: Vec<_> = documents
        .iter()
        .filter(|o| o["kind"] == "Service")
        .collect();
    assert!(
        names
            .iter()
            .any(|o| o["metadata"]["name"] == "plimsoll-peers")
    );
    let text = settings(&tools, &with);
    assert!(
        text.contains("\"plimsoll-peers:6433\"") && text.contains("\"/run/secrets/fleet/key\""),
        "{text}"
    );
}

#[test]
fn values_that_are_misspelt_are_refused() {
    let Some(tools) = tools("values_that_are_misspelt_are_refused") else {
        return;
    };
    for (value, part) in [
        ("--set=replcas=4", "replcas"),
        ("--set=replicas=0", "replicas"),
        ("--set=fleet.key=abc", "fleet"),
        ("--set-string=settings.text=", "settings/text"),
        ("--set=settings.change=rolling", "settings/change"),
        ("--set=resources.limit.cpu=1", "resources"),
        ("--set=networkPolicy.egressPorts={}", "egressPorts"),
        (
            "--set=podDisruptionBudget.maxUnavailable=0",
            "maxUnavailable",
        ),
        (
            "--set-string=prometheusOperator.runbookBase=a\"b",
            "runbookBase",
        ),
    ] {
        let output = helm(&tools, &[value]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{value} is taken");
        assert!(said.contains(part), "{value}: {said}");
    }
}

#[test]
fn the_rules_are_those_that_plimsoll_exports() {
    let Some(tools) = tools("the_rules_are_those_that_plimsoll_exports") else {
        return;
    };
    let base = "https://wiki.example.com/plimsoll";
    let exported = |base: &str| {
        let mut command = Command::new(Binary::find().path);
        command.args(["export", "prometheus-rules", "--runbook-base", base]);
        let text = printed("export", command.output().expect("it runs"));
        documents(&tools, &text).remove(0)["groups"].clone()
    };
    let rule = |yaml: &str| {
        let documents = documents(&tools, yaml);
        let found = documents
            .into_iter()
            .find(|o| o["kind"] == "PrometheusRule");
        found.expect("a rule")["spec"]["groups"].clone()
    };
    let dir = Dir::new("rules", RunAs::myself());
    let ours = rule(&kustomize_all(&tools, &dir));
    assert_eq!(
        ours,
        exported("docs/playbook.md"),
        "copy it anew to deploy/: `plimsoll export prometheus-rules`"
    );
    let set = format!("--set=prometheusOperator.runbookBase={base}");
    let charted = helm(&tools, &[&OPTIONAL[..], &[set.as_str()]].concat());
    assert_eq!(rule(&printed("helm", charted)), exported(base));
}
