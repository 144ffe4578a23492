//! Names of JUnit's tests: an agent for the command's JVMs, built by its own JDK.
//!
//! JUnit's platform (JUnit 5, and 4 with its vintage engine) takes listeners from the
//! class path. An agent is on it without the suite's doing. Without a JDK there is
//! none, and tests are named by what the command prints.

use anyhow::Context;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const AGENT: &str = include_str!("hooks/Leaks.java");

/// As much of JUnit's platform as the compiler must know; none of it gets into the archive.
const KNOWN: [(&str, &str); 3] = [
    (
        "org/junit/platform/launcher/TestExecutionListener.java",
        "package org.junit.platform.launcher; \
         public interface TestExecutionListener { \
         default void executionStarted(TestIdentifier test) {} \
         default void executionFinished(TestIdentifier test, \
         org.junit.platform.engine.TestExecutionResult result) {} }",
    ),
    (
        "org/junit/platform/launcher/TestIdentifier.java",
        "package org.junit.platform.launcher; public final class TestIdentifier { \
         public boolean isTest() { return false; } \
         public String getUniqueId() { return null; } }",
    ),
    (
        "org/junit/platform/engine/TestExecutionResult.java",
        "package org.junit.platform.engine; public class TestExecutionResult {}",
    ),
];

const MANIFEST: &str = "Premain-Class: plimsoll.Leaks\n";
const SERVICE: &str = "META-INF/services/org.junit.platform.launcher.TestExecutionListener";

/// Whether the command looks as if it ran Java.
pub(super) fn is_wanted(command: &[OsString]) -> bool {
    let first = command.first().map(PathBuf::from).unwrap_or_default();
    let name = first.file_name().unwrap_or_default().to_string_lossy();
    let programs = ["java", "mvn", "mvnw", "gradle", "gradlew", "ant", "sbt"];
    let files = ["pom.xml", "build.gradle", "build.gradle.kts", "build.sbt"];
    programs.contains(&&*name) || files.iter().any(|file| Path::new(file).exists())
}

/// Builds the agent in a directory; the option that loads it.
pub(super) fn agent(directory: &Path, pipe: &Path) -> anyhow::Result<OsString> {
    let (sources, known) = (directory.join("java"), directory.join("java/known"));
    let classes = directory.join("java/classes");
    std::fs::create_dir_all(classes.join("META-INF/services"))?;
    std::fs::write(sources.join("Leaks.java"), AGENT)?;
    std::fs::write(sources.join("manifest"), MANIFEST)?;
    std::fs::write(classes.join(SERVICE), "plimsoll.Leaks\n")?;
    for (path, text) in KNOWN {
        let path = known.join(path);
        std::fs::create_dir_all(path.parent().context("a path without a parent")?)?;
        std::fs::write(path, text)?;
    }
    // The oldest that today's compilers still write.
    let compile = |release: &[&str]| {
        let mut command = tool("javac");
        command
            .args(release)
            .args(["-nowarn", "-implicit:none", "-proc:none", "-sourcepath"]);
        command.arg(&known).arg("-d").arg(&classes);
        finished(command.arg(sources.join("Leaks.java")))
    };
    compile(&["--release", "8"]).or_else(|_| compile(&[]))?;
    let archive = directory.join("plimsoll-leaks.jar");
    let mut jar = tool("jar");
    jar.arg("cfm").arg(&archive).arg(sources.join("manifest"));
    finished(jar.arg("-C").arg(&classes).arg("."))?;
    let mut option = OsString::from("-javaagent:");
    option.push(archive);
    option.push("=");
    option.push(pipe);
    Ok(option)
}

/// A program of the JDK.
fn tool(name: &str) -> Command {
    let home = std::env::var_os("JAVA_HOME").map(PathBuf::from);
    let own = home.map(|home| home.join("bin").join(name));
    let mut command = Command::new(own.filter(|p| p.exists()).unwrap_or_else(|| name.into()));
    // Whatever options there are, they are for the command.
    command
        .env_remove("JAVA_TOOL_OPTIONS")
        .env_remove("JDK_JAVAC_OPTIONS");
    command
}

fn finished(command: &mut Command) -> anyhow::Result<()> {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = quiet.status().context("cannot run the JDK")?;
    anyhow::ensure!(status.success(), "the JDK failed");
    Ok(())
}
