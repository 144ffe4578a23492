//! Settings files inside a manifest. They are read where they stand: all that
//! is not theirs becomes space, so that places need no arithmetic.

use super::super::yaml::Node;
use crate::facts::Facts;
use crate::files::Kind;
use std::path::Path;

/// Reads a literal block as the file that its key names. `false`: it is none.
pub(super) fn read(name: &str, node: &Node, text: &str, facts: &mut Facts) -> bool {
    let range = node.place.range.clone();
    let Some(body) = text.get(range.clone()) else {
        return false;
    };
    // Templates would be taken for settings.
    let kind = match body.contains("{{") {
        true => Kind::Unknown,
        false => Kind::of(Path::new(name), body),
    };
    match kind {
        Kind::Unknown
        | Kind::Kubernetes
        | Kind::Compose
        | Kind::Python
        | Kind::JavaScript
        | Kind::Go
        | Kind::Ruby => false,
        _ => {
            let mut alone = " ".repeat(range.start);
            if range.start > 0 {
                alone.pop();
                alone.push('\n');
            }
            alone.push_str(body);
            crate::read::read(kind, node.place.file, Path::new(name), &alone, facts);
            true
        }
    }
}
