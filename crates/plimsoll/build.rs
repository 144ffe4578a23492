//! Puts the outages of the laboratory (`lab/outages`) into the program, so that
//! `plimsoll lab` needs nothing beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let outages = here.join("../../lab/outages");
    println!("cargo::rerun-if-changed={}", outages.display());
    let mut files = Vec::new();
    walk(&outages, &outages, &mut files);
    files.sort();
    let mut code = String::from("&[\n");
    for (name, path) in files {
        println!("cargo::rerun-if-changed={}", path.display());
        let path = std::fs::canonicalize(&path).expect("it was just listed");
        writeln!(code, "    ({name:?}, include_bytes!({path:?})),").expect("a string grows");
    }
    code.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    std::fs::write(out.join("outages.rs"), code).expect("cargo's own directory is writable");
}

/// Every file below, by its path from the top. What tools leave behind is none of ours.
fn walk(top: &Path, dir: &Path, files: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let left = ["node_modules", "__pycache__"].contains(&name.as_str());
        if left || name.starts_with('.') || name.ends_with(".pyc") {
            continue;
        }
        if path.is_dir() {
            walk(top, &path, files);
        } else if let Ok(below) = path.strip_prefix(top) {
            files.push((below.to_string_lossy().into_owned(), path));
        }
    }
}
