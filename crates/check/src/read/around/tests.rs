//! What one file says of another.

use crate::{Files, Options, Report, Severity};

fn check(files: &[(&str, &str)]) -> Report {
    let mut all = Files::default();
    for (path, text) in files {
        all.add(*path, *text);
    }
    crate::check(&all, &Options::default())
}

fn sums(files: &[(&str, &str)]) -> Vec<String> {
    let report = check(files);
    let fleet = report
        .findings()
        .iter()
        .filter(|f| f.rule.id == "fleet-over-server");
    fleet.map(|f| f.why.clone()).collect()
}

const SERVER: (&str, &str) = ("postgresql.conf", "max_connections = 100\n");

fn deployment(replicas: u32, env: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  replicas: {replicas}\n  strategy: {{type: Recreate}}\n  template:\n    spec:\n      containers:\n        - name: web\n{env}"
    )
}

const URL: &str = "          env:\n            - {name: DATABASE_URL, value: \"postgresql://a@pg/b?connection_limit=10\"}\n";

#[test]
fn a_config_map_of_another_file_reaches_its_workload() {
    let web = deployment(12, "          envFrom: [{configMapRef: {name: env}}]\n");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: env}\ndata: {DATABASE_URL: \"postgresql://a@pg/b?connection_limit=10\"}\n";
    for files in [
        [("a.yaml", web.as_str()), ("b.yaml", map), SERVER],
        [("z.yaml", web.as_str()), ("b.yaml", map), SERVER],
    ] {
        let found = sums(&files);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("12 copies × 10"), "{found:?}");
    }
    // Of two with one name, the nearer; of two that are as near, none.
    let near = map.replace("limit=10", "limit=2");
    let files = [
        ("prod/a.yaml", web.as_str()),
        ("prod/b.yaml", &near),
        ("dev/b.yaml", map),
        SERVER,
    ];
    assert_eq!(sums(&files), [""; 0]);
}

#[test]
fn compose_s_env_files_and_extends_are_followed() {
    let common = (
        "base/common.yml",
        "services:\n  base:\n    image: shop\n    env_file: [db.env]\n    environment: {RAILS_MAX_THREADS: 4}\n",
    );
    let env = (
        "base/db.env",
        "DATABASE_URL=postgres://a@db/b\nRAILS_MAX_THREADS=40\nWEB_CONCURRENCY=5\n",
    );
    let compose = (
        "compose.yml",
        "services:\n  web:\n    extends: {file: ./base/common.yml, service: base}\n    deploy: {replicas: 6}\n",
    );
    let found = sums(&[common, env, compose, SERVER]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("web (6 copies × 5 processes × 4)"),
        "{found:?}"
    );
    let circle = (
        "compose.yml",
        "services:\n  a:\n    extends: b\n  b:\n    extends: {file: compose.yml, service: a}\n",
    );
    check(&[circle]);
}

#[test]
fn overlays_change_copies_and_variables() {
    let base = deployment(2, URL);
    let base = ("base/web.yaml", base.as_str());
    let prod = |text: &'static str| ("overlays/prod/kustomization.yaml", text);
    let dev = (
        "overlays/dev/kustomization.yaml",
        "replicas: [{name: web, count: 90}]\n",
    );
    assert_eq!(
        sums(&[base, prod("resources: [../../base]\n"), SERVER]),
        [""; 0]
    );
    for (text, more) in [
        ("replicas:\n  - name: web\n    count: 15\n", None),
        (
            "patches:\n  - path: p.yaml\n",
            Some(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 15}\n",
            ),
        ),
        (
            "patches:\n  - patch: |-\n      apiVersion: apps/v1\n      kind: Deployment\n      metadata: {name: web}\n      spec: {replicas: 15}\n",
            None,
        ),
        (
            "patches:\n  - target: {kind: Deployment, name: web}\n    patch: |-\n      - op: replace\n        path: /spec/replicas\n        value: 15\n",
            None,
        ),
    ] {
        let patch = ("overlays/prod/p.yaml", more.unwrap_or("x: 1\n"));
        let found = sums(&[base, prod(text), dev, patch, SERVER]);
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].contains("15 copies × 10"), "{text}: {found:?}");
    }
    let env = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n        - name: web\n          env: [{name: DATABASE_URL, value: \"postgresql://a@pg/b?connection_limit=60\"}]\n";
    let found = sums(&[
        base,
        prod("patches: [{path: p.yaml}]\n"),
        ("overlays/prod/p.yaml", env),
        SERVER,
    ]);
    assert!(found[0].contains("2 copies × 60"), "{found:?}");
    let secret = check(&[prod(
        "secretGenerator:\n  - name: s\n    literals: [\"DB_PASSWORD=Ahw4iethei\"]\n",
    )]);
    assert_eq!(secret.findings().len(), 1);
}

#[test]
fn a_chart_s_values_say_copies() {
    let values = |text: &'static str| [("values.yaml", text), SERVER];
    let env = "env: {DATABASE_URL: \"postgresql://a@pg/b?connection_limit=10\"}\n";
    for (text, expected) in [
        (
            "replicaCount: 12\nenv: {DATABASE_URL: \"postgresql://a@pg/b?connection_limit=10\"}\n",
            1,
        ),
        (
            "replicaCount: 2\nautoscaling: {enabled: true, maxReplicas: 20}\nextraEnv: [{name: DATABASE_URL, value: \"postgresql://a@pg/b?connection_limit=10\"}]\n",
            1,
        ),
        (
            "replicaCount: 2\nautoscaling: {enabled: false, maxReplicas: 20}\nenv: {DATABASE_URL: \"postgresql://a@pg/b?connection_limit=10\"}\n",
            0,
        ),
        (
            "web:\n  replicaCount: 12\n  env: {DATABASE_URL: \"postgresql://a@pg/b?connection_limit=10\"}\n",
            1,
        ),
        ("redis:\n  replicaCount: 12\n", 0),
    ] {
        assert_eq!(sums(&values(text)).len(), expected, "{text}");
    }
    assert!(!env.is_empty());
}

#[test]
fn a_process_manager_s_file_multiplies_the_copies_that_run_it() {
    let settings = (
        "settings.py",
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'HOST': 'db'}}\n",
    );
    let gunicorn = ("gunicorn.conf.py", "workers = 5\nthreads = 4\n");
    let web = deployment(
        6,
        "          image: shop\n          command: [gunicorn, -c, gunicorn.conf.py, shop.wsgi]\n",
    );
    let found = sums(&[settings, gunicorn, ("web.yaml", &web), SERVER]);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("6 copies × 20 threads × 1"), "{found:?}");
}

#[test]
fn an_application_server_s_request_is_the_outer_time() {
    let pgbouncer = "[databases]\na = host=b user=c\n[pgbouncer]\nmax_db_connections = 20\nquery_wait_timeout = 60\n";
    let order = |gunicorn: &str| {
        let report = check(&[("pgbouncer.ini", pgbouncer), ("gunicorn.conf.py", gunicorn)]);
        let all = report.findings().iter();
        all.filter(|f| f.rule.id == "timeout-order" && f.severity > Severity::Note)
            .count()
    };
    assert_eq!(order("workers = 2\ntimeout = 30\n"), 1);
    assert_eq!(order("workers = 2\ntimeout = 90\n"), 0);
    assert_eq!(order("workers = 2\ntimeout = 0\n"), 0);
    // Then it is the worker's, not the request's.
    assert_eq!(order("workers = 2\nthreads = 4\ntimeout = 30\n"), 0);
    assert_eq!(
        order("workers = 2\nworker_class = 'uvicorn.workers.UvicornWorker'\ntimeout = 30\n"),
        0
    );
}
