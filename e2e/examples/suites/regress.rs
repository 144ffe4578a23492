//! PostgreSQL's own regression suite: straight, then through the pooler in session mode; each difference is a row of the
//! page, with its reason.

use crate::{Outcome, fetch, table};
use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::sandbox::{Dir, RunAs};
use plimsoll_e2e::server::{Server, program};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The source of the very version that is installed, or, where archives have it no longer, the newest of the same major
/// that they have; and the headers that its C functions are compiled with.
const FETCH: &str = r#"
major=$1; package=postgresql-$major
version=$(dpkg-query -W -f '${Version}' "$package")
rm -rf tree headers sources; mkdir -p tree headers sources/lists/partial sources/cache/archives/partial
cd sources
apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u > list
own() {
  tool=$1; shift
  "$tool" -q -o Dir::Etc::sourcelist="$PWD/list" -o Dir::Etc::sourceparts=- -o Dir::State::Lists="$PWD/lists" \
    -o Dir::Cache="$PWD/cache" "$@"
}
own apt-get update
for source in "$version" $(own apt-cache showsrc --only-source "$package" | sed -n 's/^Version: //p' | sort -rV); do
  if own apt-get source --download-only "$package=$source"; then break; fi
done
apt-get -q download "postgresql-server-dev-$major=$version"
tar xjf postgresql-*.orig.tar.bz2 -C ../tree --strip-components=1 --wildcards '*/src/test/regress'
dpkg -x postgresql-server-dev-*.deb ../headers
cd ..
rm -rf sources
cp "/usr/lib/postgresql/$major/lib/autoinc.so" "/usr/lib/postgresql/$major/lib/refint.so" tree/src/test/regress
cc -O1 -fPIC -shared -w -I"headers/usr/include/postgresql/$major/server" -Itree/src/test/regress \
  -o tree/src/test/regress/regress.so tree/src/test/regress/regress.c
"#;

/// As many sessions as the suite's largest group, and a few that are still being reset.
const POOL_SIZE: &str = "60";

pub fn run(page: &Path, args: &[String]) -> Outcome {
    let (mode, table) = match args {
        [] => ("session", "regress"),
        [flag, mode] if flag == "--mode" && mode == "session" => ("session", "regress"),
        [flag, mode] if flag == "--mode" && mode == "transaction" => {
            ("transaction", "regress-transaction")
        }
        _ => return Err("--mode session|transaction".to_owned()),
    };
    let pg_regress = pg_regress()?;
    let fetched = fetch::once("regress", FETCH, &[&major(&pg_regress)?])?;
    let source = fetched.join("tree/src/test/regress");
    let straight = {
        let server = server();
        suite("straight", &server, server.port(), &pg_regress, &source)?
    };
    let pooled = {
        let server = server();
        let pooler = pooler(&server, mode);
        suite("pooled", &server, pooler.port(), &pg_regress, &source)?
    };
    let kept = fetched.join("differences");
    let differences = differences(&straight, &pooled, &kept)?;
    let rows = table::rows(page, table)?;
    judge(page, &rows, straight.outputs.len(), &differences, &kept)
}

fn server() -> Server {
    Server::start_with(&["max_connections = 200", "autovacuum = on"])
}

/// Session mode; users that the suite makes are asked for at the server.
fn pooler(server: &Server, mode: &str) -> Pooler {
    let settings = Settings::for_server(server).native(server);
    Pooler::start(
        settings
            .set("pool_mode", mode)
            .set("default_pool_size", POOL_SIZE)
            .sections("[server]\nline = 190\n"),
    )
}

/// The lines that differ, as `diff` writes them, by test.
type Differences = BTreeMap<String, Vec<String>>;

/// What one run gave: the output of each test, and which of them the suite itself calls wrong.
struct Run {
    outputs: BTreeMap<String, String>,
    failed: BTreeSet<String>,
}

fn suite(
    way: &str,
    server: &Server,
    port: u16,
    pg_regress: &Path,
    source: &Path,
) -> Result<Run, String> {
    // The server reads and writes there, as the user that it runs as.
    let run_as = RunAs::unprivileged();
    let dir = Dir::new("regress", run_as);
    let inside = dir.path().join("in");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(source)
        .arg(&inside)
        .status();
    if !copied.is_ok_and(|status| status.success()) {
        return Err(format!("{} cannot be copied", source.display()));
    }
    let bin = program("psql");
    let bin = bin.parent().unwrap_or(Path::new("/usr/bin"));
    let mut command = Command::new(pg_regress);
    command
        .arg(format!("--bindir={}", bin.display()))
        .arg(format!("--inputdir={}", inside.display()))
        .arg(format!("--outputdir={}", dir.path().display()))
        .arg(format!("--dlpath={}", inside.display()))
        .arg(format!("--schedule={}/parallel_schedule", inside.display()))
        .args(["--host=127.0.0.1", "--user=postgres", "--no-locale"])
        .args(["--encoding=UTF8", "--max-concurrent-tests=20"])
        .arg(format!("--port={port}"))
        .current_dir(dir.path());
    println!("{way}: pg_regress, a minute or two");
    let out = run_as
        .apply(&mut command)
        .output()
        .map_err(|error| format!("{}: {error}", pg_regress.display()))?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let run = read(&dir.path().join("results"), &said)?;
    if run.outputs.is_empty() {
        let errors = String::from_utf8_lossy(&out.stderr);
        return Err(format!(
            "{way}: no test ran\n{said}{errors}\n{}",
            server.log()
        ));
    }
    println!(
        "{way}: {} tests, {} differ from what PostgreSQL expects",
        run.outputs.len(),
        run.failed.len()
    );
    Ok(run)
}

/// What each test wrote, and what the suite said of it (in the words of 15 and before, and in those of 16 and later).
fn read(results: &Path, said: &str) -> Result<Run, String> {
    let mut outputs = BTreeMap::new();
    let files =
        std::fs::read_dir(results).map_err(|error| format!("no results: {error}\n{said}"))?;
    for file in files.flatten() {
        let path = file.path();
        if path.extension().is_some_and(|end| end == "out") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
            outputs.insert(
                name.into_owned(),
                String::from_utf8_lossy(&bytes).into_owned(),
            );
        }
    }
    let failed = outputs.keys().filter(|name| {
        said.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.contains(&name.as_str())
                && (words.contains(&"FAILED") || line.starts_with("not ok"))
        })
    });
    let failed = failed.cloned().collect();
    Ok(Run { outputs, failed })
}

/// The lines that differ, by test, where the output is neither what PostgreSQL expects nor what it gave straight.
fn differences(straight: &Run, pooled: &Run, kept: &Path) -> Result<Differences, String> {
    let _ = std::fs::remove_dir_all(kept);
    std::fs::create_dir_all(kept).map_err(|error| error.to_string())?;
    let mut found = Differences::new();
    let names: BTreeSet<&String> = straight
        .outputs
        .keys()
        .chain(pooled.outputs.keys())
        .collect();
    for name in names {
        let empty = String::new();
        let texts = [straight, pooled].map(|run| run.outputs.get(name).unwrap_or(&empty));
        if texts[0] == texts[1] || !pooled.failed.contains(name) {
            continue;
        }
        let files = ["straight", "pooled"].map(|way| kept.join(format!("{name}.{way}")));
        for (file, text) in files.iter().zip(texts) {
            std::fs::write(file, text).map_err(|error| error.to_string())?;
        }
        let diff = Command::new("diff").args(&files).output();
        let diff = diff.map_err(|error| format!("diff: {error}"))?.stdout;
        std::fs::write(kept.join(format!("{name}.diff")), &diff)
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&diff);
        let lines = text.lines().filter(|line| line.starts_with(['<', '>']));
        found.insert(name.clone(), lines.map(str::to_owned).collect());
    }
    Ok(found)
}

/// Every line that differs must be a row of the page. A row may be without its line: which connection a session
/// meets is chance, and with it what an earlier session left there. For the same reason some rows hold any line.
fn judge(
    page: &Path,
    rows: &[Vec<String>],
    tests: usize,
    differences: &Differences,
    kept: &Path,
) -> Outcome {
    let told: BTreeSet<(&str, String)> = rows
        .iter()
        .filter_map(|row| {
            let test = row.first()?.trim_matches('`');
            Some((test, row.get(1)?.trim_matches('`').replace("\\|", "|")))
        })
        .collect();
    let mut faults = Vec::new();
    for (name, lines) in differences {
        for line in lines {
            let known = told.contains(&(name.as_str(), line.clone()));
            if !known && !told.contains(&(name.as_str(), "any".to_owned())) {
                faults.push(format!("{name}: {line}"));
            }
        }
    }
    let differ = differences.len();
    match faults.is_empty() {
        true => Ok(format!(
            "{tests} tests; {differ} differ, each line for its reason; 0 unexplained"
        )),
        false => Err(format!(
            "{tests} tests; {differ} differ; {} lines have no reason on {}; all is in {}\n{}",
            faults.len(),
            page.display(),
            kept.display(),
            faults.join("\n")
        )),
    }
}

/// Beside psql, below the directory that extensions are built with.
fn pg_regress() -> Result<PathBuf, String> {
    let psql = program("psql");
    let home = psql.parent().and_then(Path::parent);
    let path = home.map(|home| home.join("lib/pgxs/src/test/regress/pg_regress"));
    path.filter(|path| path.exists())
        .ok_or_else(|| "no pg_regress: Debian has it in postgresql-client-NN".to_owned())
}

/// `15` of `/usr/lib/postgresql/15/lib/…`.
fn major(pg_regress: &Path) -> Result<String, String> {
    let mut parts = pg_regress.iter().filter_map(|part| part.to_str());
    parts
        .find(|part| part.parse::<u32>().is_ok())
        .map(str::to_owned)
        .ok_or_else(|| format!("{}: of which version?", pg_regress.display()))
}
