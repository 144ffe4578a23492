//! Real-looking manifests, and what they say.

use super::*;
use crate::facts::{Limit, Mode};

fn facts(text: &str) -> Facts {
    let mut facts = Facts::default();
    read(FileId(0), text, &Around::default(), &mut facts);
    facts
}

const SHOP: &str = "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: web
spec:
  scaleTargetRef:
    kind: Deployment
    name: web
  minReplicas: 3
  maxReplicas: 10
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: web-env
data:
  WEB_CONCURRENCY: \"2\"
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: web
          image: registry.example.com/shop:1.2
          command: [bundle, exec, puma]
          args: [-t, \"5:16\"]
          envFrom:
            - configMapRef:
                name: web-env
          env:
            - name: DB_POOL_SIZE
              value: \"16\"
            - name: DATABASE_URL
              valueFrom:
                secretKeyRef: { name: db, key: url }
---
apiVersion: v1
kind: Secret
metadata:
  name: db
stringData:
  url: postgres://app:s3cret@db/shop
";

#[test]
fn a_deployment_runs_as_often_as_its_autoscaler_lets_it() {
    let facts = facts(SHOP);
    assert!(facts.broken.is_empty());
    let [web] = &facts.workloads[..] else {
        panic!("{:?}", facts.workloads)
    };
    assert_eq!((web.replicas.value, web.surge.value), (10, 3));
    assert_eq!(&SHOP[web.replicas.place().unwrap().range.clone()], "10");
    assert_eq!(web.processes.as_ref().unwrap().value, 2);
    assert_eq!(web.threads.as_ref().unwrap().value, 16);
    let pool = &facts.pools[0];
    assert_eq!(pool.size.value, Limit::Of(16));
    assert_eq!(&SHOP[pool.size.place().unwrap().range.clone()], "16");
    assert_eq!(facts.within, [(0, 0)]);
    let url = web
        .environment
        .iter()
        .find(|v| v.name == "DATABASE_URL")
        .unwrap();
    assert!(url.value.is_empty());
    assert_eq!(
        &SHOP[facts.secrets[0].place.range.clone()],
        "postgres://app:s3cret@db/shop"
    );
}

#[test]
fn surge_is_rounded_up_and_recreate_has_none() {
    for (kind, spec, replicas, surge) in [
        ("Deployment", "", 1, 1),
        ("Deployment", "replicas: 10", 10, 3),
        (
            "Deployment",
            "replicas: 10\n  strategy: {rollingUpdate: {maxSurge: 2}}",
            10,
            2,
        ),
        (
            "Deployment",
            "replicas: 10\n  strategy: {rollingUpdate: {maxSurge: 15%}}",
            10,
            2,
        ),
        (
            "Deployment",
            "replicas: 10\n  strategy: {type: Recreate}",
            10,
            0,
        ),
        ("StatefulSet", "replicas: 4", 4, 0),
        ("DaemonSet", "", 1, 0),
        ("Job", "parallelism: 6", 6, 0),
        (
            "Deployment",
            "replicas: {{ .Values.replicas | default 4 }}",
            4,
            1,
        ),
        ("Deployment", "replicas: {{ .Values.replicas }}", 1, 1),
    ] {
        let text = format!(
            "apiVersion: apps/v1\nkind: {kind}\nmetadata:\n  name: a\nspec:\n  {spec}\n  template:\n    spec:\n      containers:\n        - image: shop\n"
        );
        let facts = facts(&text);
        assert_eq!(facts.workloads.len(), 1, "{text}");
        let found = &facts.workloads[0];
        assert_eq!(
            (found.replicas.value, found.surge.value),
            (replicas, surge),
            "{kind} {spec}"
        );
        assert!(facts.odd.is_empty());
    }
}

#[test]
fn an_autoscaler_in_another_file_counts() {
    let mut facts = Facts::default();
    let web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template: {spec: {containers: [{image: a}]}}\n";
    read(FileId(0), web, &Around::default(), &mut facts);
    let scale = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec:\n  scaleTargetRef: {name: web}\n  maxReplicas: 8\n";
    read(FileId(1), scale, &Around::default(), &mut facts);
    let web = &facts.workloads[0];
    assert_eq!((web.replicas.value, web.surge.value), (8, 2));
    assert_eq!(web.replicas.place().unwrap().file, FileId(1));
}

#[test]
fn settings_files_in_a_config_map_are_read_where_they_stand() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: pool\ndata:\n  pgbouncer.ini: |\n    [databases]\n    shop = host=db pool_size=25\n    [pgbouncer]\n    pool_mode = transaction\n  notes.txt: |\n    pool_size=1\n";
    let facts = facts(text);
    let [pool] = &facts.pools[..] else {
        panic!("{:?}", facts.pools)
    };
    assert_eq!(
        (pool.name.as_str(), pool.size.value),
        ("shop", Limit::Of(25))
    );
    assert_eq!(&text[pool.size.place().unwrap().range.clone()], "25");
    assert_eq!(pool.mode.as_ref().unwrap().value, Mode::Transaction);
}

#[test]
fn operators_clusters_are_servers_and_poolers() {
    let text = "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata:\n  name: shop\nspec:\n  instances: 3\n  postgresql:\n    parameters:\n      max_connections: \"400\"\n---\napiVersion: postgresql.cnpg.io/v1\nkind: Pooler\nmetadata:\n  name: shop-pooler\nspec:\n  cluster:\n    name: shop\n  instances: 2\n  pgbouncer:\n    poolMode: transaction\n    parameters:\n      max_client_conn: \"1000\"\n      default_pool_size: \"30\"\n";
    let found = facts(text);
    assert_eq!(found.servers[0].max_connections.value, 400);
    let pool = &found.pools[0];
    assert_eq!(pool.size.value, Limit::Of(30));
    assert_eq!(pool.target.host.as_deref(), Some("shop"));
    assert_eq!(found.workloads[0].replicas.value, 2);
    let text = "apiVersion: acid.zalan.do/v1\nkind: postgresql\nmetadata:\n  name: shop\nspec:\n  enableConnectionPooler: true\n  connectionPooler:\n    numberOfInstances: 4\n    maxDBConnections: 100\n    mode: session\n  postgresql:\n    parameters:\n      max_connections: \"250\"\n";
    let found = facts(text);
    assert_eq!(found.servers[0].max_connections.value, 250);
    assert_eq!(found.pools[0].cap.as_ref().unwrap().value, Limit::Of(25));
    assert_eq!(found.pools[0].mode.as_ref().unwrap().value, Mode::Session);
}

#[test]
fn charts_that_are_no_yaml_yet_are_left_alone() {
    let text = "{{- if .Values.enabled }}\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ include \"shop.name\" . }}\n  labels:\n    {{- include \"shop.labels\" . | nindent 4 }}\nspec:\n  template:\n    spec:\n      containers:\n        - name: shop\n          image: \"{{ .Values.image }}:{{ .Values.tag }}\"\n          env:\n            {{- toYaml .Values.env | nindent 12 }}\n            - name: DB_POOL\n              value: {{ .Values.pool | default 12 | quote }}\n{{- end }}\n";
    let facts = facts(text);
    assert!(facts.broken.is_empty());
    assert_eq!(facts.pools[0].size.value, Limit::Of(12));
    assert_eq!(facts.pools[0].name, "…");
    assert_eq!(facts.variables[0].1, "Values.pool");
}

#[test]
fn what_is_no_manifest_is_no_panic() {
    for text in [
        "",
        "kind: Deployment",
        "kind: [Deployment]",
        "kind: List\nitems: 5",
        "kind: Secret\nstringData: x",
        "kind: ConfigMap\ndata:\n  a: |\n",
        "kind: ConfigMap\ndata:\n  postgresql.conf: |",
    ] {
        assert!(facts(text).workloads.is_empty());
    }
    assert_eq!(facts("kind: [").broken.len(), 1);
    let text = "kind: ConfigMap\ndata:\n  DB_PASSWORD: hunter2\n  URL: postgres://a:b1@c/d\n---\nkind: Secret\ndata:\n  password: aHVudGVyMg==\n---\nkind: Secret\nstringData:\n  password: ${PASSWORD}\n";
    assert_eq!(facts(text).secrets.len(), 3);
}
