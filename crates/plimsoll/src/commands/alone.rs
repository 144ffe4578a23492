//! Files that are a mount of their own: Kubernetes' `subPath`, or one file given to `docker run -v`.
//!
//! Such a mount stays with the file that was there when it was made. Who replaces
//! that file outside, as a ConfigMap's update and every careful editor do, changes
//! nothing in here, and no watch can see it. So it is said at the start.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Says which of these files will never be seen to change.
pub fn warn_of_files_mounted_alone(files: impl IntoIterator<Item = PathBuf>) {
    let Ok(text) = std::fs::read("/proc/self/mountinfo") else {
        return;
    };
    let mounts = mount_points(&text);
    let files: BTreeSet<PathBuf> = files.into_iter().collect();
    for file in files {
        let Ok(real) = file.canonicalize() else {
            continue;
        };
        if mounts.contains(&real) {
            tracing::warn!(
                file = %file.display(),
                "this file is mounted alone (a subPath of Kubernetes, one file of docker -v): when it is replaced outside, \
                 nothing changes here before the next start; mount its directory"
            );
        }
    }
}

/// The fifth field of each line of proc(5)'s mountinfo, where a blank, a tab, a
/// line's end and a backslash are written as three octal digits.
fn mount_points(text: &[u8]) -> BTreeSet<PathBuf> {
    let lines = text.split(|b| *b == b'\n');
    let points = lines.filter_map(|line| line.split(|b| *b == b' ').nth(4));
    points
        .map(|point| PathBuf::from(OsString::from_vec(plain(point))))
        .collect()
}

fn plain(escaped: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| *first == b'\\');
        let octal = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let text =
            b"36 35 98:0 /a /etc/plimsoll/plimsoll.toml rw,noatime master:1 - ext4 /dev/x rw\n\
            37 35 0:4 / /with\\040blank\\134and\\11 rw - tmpfs tmpfs rw\n\nshort line\n";
        let found: Vec<PathBuf> = mount_points(text).into_iter().collect();
        let wanted = ["/etc/plimsoll/plimsoll.toml", "/with blank\\and\\11"];
        assert_eq!(found, wanted.map(PathBuf::from));
    }
}
