//! The labelled corpus: what is found of what hurts, and what is said against
//! settings that are fine.
//!
//! Each directory under `corpus/` that has an `expect.toml` is a case: its
//! other files are checked together. `PLIMSOLL_CORPUS_REPORT=1` prints every
//! miss even when the test passes (with `--nocapture`).
//!
//! ```toml
//! allowed = ["size-over-server"]    # rules that may speak up besides
//!
//! [[finding]]
//! rule = "limit-unlimited"
//! file = "app/db.py"
//! line = 6                          # of the wrong value; 0: the file as a whole
//! also = ["postgresql.conf:3"]      # other places that are as right
//! why = "one sentence"
//! ```
//!
//! or `good = true`: no warning and no error may be found. `before = "before"`
//! names a directory with the settings that served until then.

#![allow(clippy::print_stdout, reason = "the table is what this test is for")]

use check::{Files, Options, RULES, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, Table};

const RECALL_MIN: f64 = 0.95;
const FALSE_ALARMS_MAX: f64 = 0.05;
const CASES_MIN: usize = 200;
const CASES_PER_RULE_MIN: usize = 5;

/// These need more than the files of one directory: a running value, another
/// environment, a lock file, a file that cannot be read, a key that was renamed.
const NOT_HERE: [&str; 5] = [
    "key-renamed",
    "unreadable",
    "changed-much",
    "values-differ",
    "server-differs",
];

/// A file and a line.
type Spot = (String, usize);

/// Paths inside a directory, and what stands there.
type Contents = Vec<(String, Vec<u8>)>;

struct Case {
    name: String,
    good: bool,
    allowed: Vec<String>,
    expected: Vec<Expected>,
    files: Contents,
    /// What served before.
    before: Option<Contents>,
}

struct Expected {
    rule: String,
    /// The first is the value that is wrong; the others are as right.
    spots: Vec<Spot>,
    why: String,
}

struct Found {
    rule: &'static str,
    severity: Severity,
    spot: Spot,
    message: String,
}

#[derive(Default)]
struct Tally {
    expected: u64,
    found: u64,
    good: u64,
    good_with_alarm: u64,
    bad: u64,
    bad_with_alarm: u64,
}

#[test]
fn the_checker_finds_what_hurts_and_leaves_the_rest_alone() {
    let mut all = Tally::default();
    let mut dialects: BTreeMap<String, Tally> = BTreeMap::new();
    let mut misses = String::new();
    for case in cases() {
        let dialect = case.name.split('/').next().unwrap_or_default().to_owned();
        let one = judge(&case, &mut misses);
        all.add(&one);
        dialects.entry(dialect).or_default().add(&one);
    }
    let report = table(&all, &dialects);
    println!("{report}");
    let recall = share(all.found, all.expected);
    let on_good = share(all.good_with_alarm, all.good);
    let on_bad = share(all.bad_with_alarm, all.bad);
    let passed = recall >= RECALL_MIN && on_good <= FALSE_ALARMS_MAX && on_bad <= FALSE_ALARMS_MAX;
    if std::env::var_os("PLIMSOLL_CORPUS_REPORT").is_some() {
        println!("{misses}");
    }
    assert!(passed, "\n{misses}\n{report}");
}

#[test]
fn the_labels_are_consistent() {
    let cases = cases();
    let mut by_rule: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for case in &cases {
        let name = &case.name;
        assert_ne!(case.good, !case.expected.is_empty(), "{name}: good or bad");
        for expected in &case.expected {
            let known = RULES.iter().any(|r| r.id == expected.rule);
            assert!(known, "{name}: there is no rule {}", expected.rule);
            assert!(!expected.why.is_empty(), "{name}: why?");
            for (file, line) in &expected.spots {
                let content = case.files.iter().find(|(path, _)| path == file);
                let Some((_, content)) = content else {
                    panic!("{name}: there is no file {file}");
                };
                let lines = content.iter().filter(|b| **b == b'\n').count();
                assert!(*line <= lines, "{name}: {file} has no line {line}");
            }
            by_rule.entry(&expected.rule).or_default().insert(name);
        }
    }
    for rule in RULES.iter().filter(|r| !NOT_HERE.contains(&r.id)) {
        let count = by_rule.get(rule.id).map_or(0, BTreeSet::len);
        assert!(count >= CASES_PER_RULE_MIN, "{}: {count} cases", rule.id);
    }
    let good = cases.iter().filter(|c| c.good).count();
    let bad = cases.len() - good;
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
    assert!(
        good.abs_diff(bad) * 10 <= cases.len(),
        "{good} good, {bad} bad"
    );
}

#[test]
fn every_rule_has_its_page() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules");
    let index = std::fs::read_to_string(pages.join("README.md")).expect("the index");
    for rule in RULES {
        let page = std::fs::read_to_string(pages.join(format!("{}.md", rule.id)));
        let page = page.unwrap_or_else(|e| panic!("{}: {e}", rule.id));
        assert!(page.starts_with(&format!("# {}\n", rule.id)), "{}", rule.id);
        assert!(page.lines().count() <= 60, "{}: too long", rule.id);
        let link = format!("[{0}]({0}.md)", rule.id);
        assert!(index.contains(&link), "the index lacks {link}");
        assert!(
            index.contains(rule.title),
            "the index lacks the title of {}",
            rule.id
        );
    }
}

/// Checks one case; what was missed or wrongly said goes to `misses`.
fn judge(case: &Case, misses: &mut String) -> Tally {
    let mut tally = Tally::default();
    let found = run(case);
    for expected in &case.expected {
        tally.expected += 1;
        if found.iter().any(|f| expected.is(f)) {
            tally.found += 1;
        } else {
            let (file, line) = &expected.spots[0];
            let _ = writeln!(
                misses,
                "missed   {}/{file}:{line} {} ({})",
                case.name, expected.rule, expected.why
            );
            for near in found.iter().filter(|f| f.rule == expected.rule) {
                let _ = writeln!(misses, "         but at {}:{}", near.spot.0, near.spot.1);
            }
        }
    }
    let alarms: Vec<&Found> = found
        .iter()
        .filter(|f| f.severity > Severity::Note)
        .filter(|f| !case.expected.iter().any(|e| e.is(f)))
        .filter(|f| !case.allowed.iter().any(|rule| rule == f.rule))
        .collect();
    for alarm in &alarms {
        let kind = if case.good { "alarm" } else { "besides" };
        let _ = writeln!(
            misses,
            "{kind:8} {}/{}:{} {}: {}",
            case.name, alarm.spot.0, alarm.spot.1, alarm.rule, alarm.message
        );
    }
    let alarmed = u64::from(!alarms.is_empty());
    if case.good {
        tally.good = 1;
        tally.good_with_alarm = alarmed;
    } else {
        tally.bad = 1;
        tally.bad_with_alarm = alarmed;
    }
    tally
}

fn run(case: &Case) -> Vec<Found> {
    let mut options = Options::default();
    if let Some(before) = &case.before {
        let report = check::check(&files(before), &Options::default());
        options.before = Some(report.facts().clone());
    }
    let report = check::check(&files(&case.files), &options);
    let found = report.open().map(|finding| {
        let path = report.files().path(finding.place.file);
        let position = report.position(&finding.place);
        Found {
            rule: finding.rule.id,
            severity: finding.severity,
            spot: (
                path.to_string_lossy().into_owned(),
                position.map_or(0, |p| p.line),
            ),
            message: finding.message.clone(),
        }
    });
    found.collect()
}

fn files(contents: &Contents) -> Files {
    let mut files = Files::default();
    for (path, content) in contents {
        files.add(path, content.clone());
    }
    files
}

impl Expected {
    fn is(&self, found: &Found) -> bool {
        self.rule == found.rule && self.spots.contains(&found.spot)
    }
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.expected += other.expected;
        self.found += other.found;
        self.good += other.good;
        self.good_with_alarm += other.good_with_alarm;
        self.bad += other.bad;
        self.bad_with_alarm += other.bad_with_alarm;
    }
}

fn table(all: &Tally, dialects: &BTreeMap<String, Tally>) -> String {
    let mut out = format!(
        "{:18} {:>32} {:>32} {:>32}\n",
        "dialect",
        "found of what hurts",
        "good cases with an alarm",
        "bad cases with another alarm"
    );
    let total = ("all".to_owned(), all);
    let rows = dialects.iter().map(|(name, tally)| (name.clone(), tally));
    for (name, tally) in rows.chain([total]) {
        let _ = writeln!(
            out,
            "{name:18} {:>32} {:>32} {:>32}",
            interval(tally.found, tally.expected),
            interval(tally.good_with_alarm, tally.good),
            interval(tally.bad_with_alarm, tally.bad),
        );
    }
    out
}

/// `hits/all share % (low–high)`, with Wilson's interval of 95 %.
fn interval(hits: u64, all: u64) -> String {
    if all == 0 {
        return "–".to_owned();
    }
    let (low, high) = wilson(hits, all);
    format!(
        "{hits}/{all} {:.1} % ({:.1}–{:.1})",
        share(hits, all) * 100.0,
        low * 100.0,
        high * 100.0
    )
}

fn share(hits: u64, all: u64) -> f64 {
    if all == 0 {
        0.0
    } else {
        hits as f64 / all as f64
    }
}

/// Wilson's score interval: it stays honest for small counts and for shares
/// near 0 and 1.
fn wilson(hits: u64, all: u64) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    let (n, p) = (all as f64, share(hits, all));
    let middle = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    let within = |share: f64| share.clamp(0.0, 1.0) + 0.0;
    (
        within((middle - spread) / whole),
        within((middle + spread) / whole),
    )
}

#[test]
fn wilsons_interval_is_the_textbooks() {
    let (low, high) = wilson(95, 100);
    assert!((low - 0.8882).abs() < 0.0005, "{low}");
    assert!((high - 0.9785).abs() < 0.0005, "{high}");
    let (low, high) = wilson(0, 100);
    assert!(low.abs() < 1e-9, "{low}");
    assert!((high - 0.0370).abs() < 0.0005, "{high}");
}

fn cases() -> Vec<Case> {
    // Another directory of cases, such as one that nobody has tuned to.
    let root = std::env::var_os("PLIMSOLL_CORPUS_ROOT").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"));
    let mut directories = Vec::new();
    walk(&root, &mut |path| {
        if path.ends_with("expect.toml") {
            directories.push(path.parent().expect("a directory").to_owned());
        }
    });
    directories.iter().map(|dir| case(&root, dir)).collect()
}

fn case(root: &Path, directory: &Path) -> Case {
    let name = relative(root, directory);
    let text = std::fs::read_to_string(directory.join("expect.toml")).expect("expect.toml");
    let labels: DocumentMut = text.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
    let before = labels.get("before").and_then(Item::as_str);
    let before = before.map(|path| directory.join(path));
    let findings = labels.get("finding").and_then(Item::as_array_of_tables);
    Case {
        good: labels.get("good").and_then(Item::as_bool).unwrap_or(false),
        allowed: texts(labels.get("allowed")),
        expected: findings
            .into_iter()
            .flatten()
            .map(|table| expected(&name, table))
            .collect(),
        files: contents(directory, before.as_deref()),
        before: before.map(|before| contents(&before, None)),
        name,
    }
}

/// What stands below `directory`, but not below `except`.
fn contents(directory: &Path, except: Option<&Path>) -> Contents {
    let mut all = Contents::new();
    walk(directory, &mut |path| {
        let excepted = except.is_some_and(|except| path.starts_with(except));
        if !excepted && !path.ends_with("expect.toml") {
            let content = std::fs::read(path).expect("a file of the corpus");
            all.push((relative(directory, path), content));
        }
    });
    all
}

fn expected(name: &str, table: &Table) -> Expected {
    let text = |key: &str| {
        let value = table.get(key).and_then(Item::as_str);
        value
            .unwrap_or_else(|| panic!("{name}: no {key}"))
            .to_owned()
    };
    let line = table.get("line").and_then(Item::as_integer).expect("line");
    let line = usize::try_from(line).expect("a line");
    let mut spots = vec![(text("file"), line)];
    for also in texts(table.get("also")) {
        let (file, line) = also.rsplit_once(':').expect("file:line");
        spots.push((file.to_owned(), line.parse().expect("a line")));
    }
    Expected {
        rule: text("rule"),
        spots,
        why: text("why"),
    }
}

fn texts(item: Option<&Item>) -> Vec<String> {
    let array = item.and_then(Item::as_array);
    let values = array.into_iter().flatten().filter_map(|v| v.as_str());
    values.map(str::to_owned).collect()
}

/// All files below, in the order of their names.
fn walk(directory: &Path, each: &mut impl FnMut(&Path)) {
    let entries = std::fs::read_dir(directory).expect("a directory of the corpus");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, each);
        } else {
            each(&path);
        }
    }
}

fn relative(root: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(root).expect("below the root");
    inner.to_string_lossy().into_owned()
}
