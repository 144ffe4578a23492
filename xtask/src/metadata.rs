//! What `cargo metadata` says about the workspace: packages, their edges and
//! their test targets.

use std::path::PathBuf;

use serde_json::Value;

use crate::cargo;

/// A package, ours or another's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
    /// One of this workspace.
    pub(crate) ours: bool,
    /// Names of the packages it depends on, without dev-dependencies.
    pub(crate) uses: Vec<String>,
    /// Names of its integration test targets.
    pub(crate) tests: Vec<String>,
}

/// Every package in the lock file that this machine would build. Without `dependencies`: ours only.
pub(crate) fn packages(dependencies: bool) -> Result<Vec<Package>, String> {
    let json = metadata(dependencies)?;
    let members: Vec<&str> = list(&json["workspace_members"])
        .filter_map(Value::as_str)
        .collect();
    Ok(list(&json["packages"])
        .map(|package| read(package, &members))
        .collect())
}

/// Where cargo builds: `target`, or what the environment says.
pub(crate) fn target_directory() -> Result<PathBuf, String> {
    let json = metadata(false)?;
    let text = json["target_directory"].as_str();
    text.map(PathBuf::from)
        .ok_or_else(|| "cargo metadata names no target directory".to_owned())
}

fn metadata(dependencies: bool) -> Result<Value, String> {
    let mut command = cargo::command();
    command.args(["metadata", "--format-version", "1"]);
    if !dependencies {
        command.arg("--no-deps");
    }
    let output = command
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        ));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

fn read(package: &Value, members: &[&str]) -> Package {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Package {
        name: text(&package["name"]),
        version: text(&package["version"]),
        licence: package["license"].as_str().map(str::to_owned),
        ours: package["id"]
            .as_str()
            .is_some_and(|id| members.contains(&id)),
        uses: list(&package["dependencies"])
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .map(|dependency| text(&dependency["name"]))
            .collect(),
        tests: list(&package["targets"])
            .filter(|target| list(&target["kind"]).any(|kind| kind.as_str() == Some("test")))
            .map(|target| text(&target["name"]))
            .collect(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
}
