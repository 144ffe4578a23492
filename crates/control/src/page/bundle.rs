//! One document of the page's files: styles and modules stand in it, so that a
//! browser asks once, and knows from the document's hashes what may run.
//!
//! The modules are ours and keep to a form (imports of one line and by name,
//! exports of constants, functions and classes), so each becomes a function whose
//! answer is what it exports:
//!
//! ```text
//!   import { h } from "./dom.js";           const $units = (() => {
//!   export const count = (n) => …    ──►    const { h } = $dom;
//!                                           const count = (n) => …
//!                                           return { count }; })();
//! ```

use std::fmt::Write;

/// A file of the page: its name and its text.
pub(super) type Source = (&'static str, &'static str);

/// The modules that `main` needs and itself, each after those that it imports, as one text.
pub(super) fn bundle(modules: &[Source], main: &str) -> String {
    let mut order = Vec::new();
    place(modules, main, &mut order);
    let mut text = String::new();
    for (name, source) in order {
        module(&mut text, name, source);
    }
    text
}

/// Puts a module behind those that it imports. What is placed is not placed again,
/// and so a circle ends too: a test looks that there is none.
fn place(modules: &[Source], name: &str, order: &mut Vec<Source>) {
    let Some(&(name, source)) = modules.iter().find(|(n, _)| *n == name) else {
        return;
    };
    if order.iter().any(|(n, _)| *n == name) {
        return;
    }
    for (_, from) in source.lines().filter_map(import) {
        place(modules, from, order);
    }
    order.push((name, source));
}

fn module(text: &mut String, name: &str, source: &str) {
    let mut exports = Vec::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "const {} = (() => {{", variable(name));
    for line in source.lines() {
        if let Some((names, from)) = import(line) {
            let _ = writeln!(text, "const {names} = {};", variable(from));
            continue;
        }
        let bare = line.strip_prefix("export ").unwrap_or(line);
        exports.extend(exported(line));
        // Comments are for who reads the files.
        if !bare.trim_start().starts_with("//") {
            let _ = writeln!(text, "{bare}");
        }
    }
    let _ = writeln!(text, "return {{ {} }}; }})();", exports.join(", "));
}

/// What a line imports and from where: `{ a, b }` or the whole as a name.
fn import(line: &str) -> Option<(&str, &str)> {
    let (names, from) = line.strip_prefix("import ")?.split_once(" from \"./")?;
    let names = names.strip_prefix("* as ").unwrap_or(names);
    Some((names, from.strip_suffix("\";")?))
}

/// The name that a line exports.
fn exported(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("export ")?;
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    let kinds = ["const ", "function ", "class "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    Some(&rest[..end])
}

/// `dom.js` is `$dom`; no name of the files begins with that sign.
fn variable(name: &str) -> String {
    format!("${}", name.trim_end_matches(".js"))
}

#[cfg(test)]
mod tests {
    use super::super::MODULES;
    use super::*;

    #[test]
    fn a_module_becomes_a_function_after_those_that_it_needs() {
        let modules = [
            (
                "app.js",
                "// The shell.\nimport { h, put } from \"./dom.js\";\nimport * as view from \"./view.js\";\nh();\n",
            ),
            (
                "dom.js",
                "export const h = () => 1;\nexport async function put(el) {\n  // why\n  return el;\n}\n",
            ),
            ("other.js", "never();\n"),
            (
                "view.js",
                "import { h } from \"./dom.js\";\nexport class View {}\n",
            ),
        ];
        let expected = "\
            const $dom = (() => {\nconst h = () => 1;\nasync function put(el) {\n  return el;\n}\nreturn { h, put }; })();\n\
            const $view = (() => {\nconst { h } = $dom;\nclass View {}\nreturn { View }; })();\n\
            const $app = (() => {\nconst { h, put } = $dom;\nconst view = $view;\nh();\nreturn {  }; })();\n";
        assert_eq!(bundle(&modules, "app.js"), expected);
    }

    /// What the form cannot say would be lost in silence.
    #[test]
    fn our_modules_keep_to_the_form() {
        let all = bundle(MODULES, "app.js");
        for (name, source) in MODULES {
            for line in source.lines() {
                let begins = |word: &str| line.trim_start().starts_with(word);
                if begins("import ") {
                    let (names, from) = import(line).unwrap_or_else(|| panic!("{name}: {line}"));
                    assert!(!names.contains(" as "), "{name}: {line}");
                    assert!(MODULES.iter().any(|(n, _)| *n == from), "{name}: {line}");
                }
                if begins("export ") {
                    let exported = exported(line);
                    assert!(exported.is_some(), "{name}: {line}");
                }
                assert!(!line.contains("import("), "{name}: {line}");
                // A function of ours would have to wait, and all that need it.
                assert!(!line.starts_with("await "), "{name}: {line}");
            }
            let begins = format!("const {} = (() => {{", variable(name));
            assert_eq!(all.matches(&begins).count(), 1, "{name} is needed by none");
        }
    }

    #[test]
    fn no_module_needs_itself_by_way_of_others() {
        let mut order = Vec::new();
        place(MODULES, "app.js", &mut order);
        for (at, (name, source)) in order.iter().enumerate() {
            for (_, from) in source.lines().filter_map(import) {
                let stands = order.iter().position(|(n, _)| *n == from);
                assert!(
                    stands.is_some_and(|s| s < at),
                    "{name} and {from} need each other"
                );
            }
        }
    }
}
