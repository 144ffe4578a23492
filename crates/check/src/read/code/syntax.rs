//! From text to [`Code`], with tree-sitter. The three grammars name the same
//! things differently and hardly ever different things alike, so one walk
//! serves them all.

mod expr;
mod ruby;

use super::grammar::{Language, children, tree};
use super::literals::quoted;
use super::{Assignment, Code, Expr, Labelled, What};
use crate::place::{FileId, Place};
use std::collections::BTreeMap;
use std::ops::Range;
use tree_sitter::{Node, Tree};

/// Deeper expressions are no settings.
const DEPTH_MAX: usize = 24;

/// Most calls, assignments and maps that are kept of a file.
const ITEMS_MAX: usize = 20_000;

/// Most expressions that are kept of a file, counted when they are copied too.
const EXPRESSIONS_MAX: usize = 300_000;

/// Reads the text. `Err`: why not, in words.
pub(super) fn parse(
    language: Language,
    file: FileId,
    text: &str,
) -> Result<Code<'_>, &'static str> {
    let tree = tree(language, text)?;
    let mut walk = Walk {
        ruby: language == Language::Ruby,
        file,
        text,
        expressions: 0,
        scopes: Vec::new(),
        labels: Vec::new(),
        aliases: BTreeMap::new(),
        code: Code {
            text,
            assignments: Vec::new(),
            calls: Vec::new(),
            maps: Vec::new(),
            names: BTreeMap::new(),
            constants: BTreeMap::new(),
        },
    };
    walk.run(&tree);
    Ok(walk.finish())
}

/// A stretch of the file that gives what is inside a property.
struct Inside<T> {
    end: usize,
    value: T,
}

#[derive(Clone, Copy)]
struct Scope {
    start: usize,
    is_class: bool,
}

struct Walk<'a> {
    ruby: bool,
    file: FileId,
    text: &'a str,
    expressions: usize,
    scopes: Vec<Inside<Scope>>,
    labels: Vec<Inside<&'a str>>,
    /// Python's `import a as b`: b, and what it is.
    aliases: BTreeMap<String, String>,
    code: Code<'a>,
}

impl<'a> Walk<'a> {
    /// All nodes, parents first, without recursion.
    fn run(&mut self, tree: &Tree) {
        let mut cursor = tree.walk();
        loop {
            let node = cursor.node();
            if node.is_named() {
                self.visit(node);
            }
            if cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return;
                }
            }
        }
    }

    /// Finds the names that are assigned once.
    fn finish(mut self) -> Code<'a> {
        let mut times: BTreeMap<String, (u32, usize)> = BTreeMap::new();
        for (index, assignment) in self.code.assignments.iter().enumerate() {
            if let [name] = assignment.path.as_slice() {
                times.entry(name.clone()).or_insert((0, index)).0 += 1;
            }
        }
        for call in &mut self.code.calls {
            let (first, rest) = call
                .function
                .split_once('.')
                .unwrap_or((&call.function, ""));
            if let Some(name) = self.aliases.get(first) {
                call.function = match rest {
                    "" => name.clone(),
                    rest => format!("{name}.{rest}"),
                };
            }
        }
        let once = times.into_iter().filter(|(_, (count, _))| *count == 1);
        self.code.constants = once.map(|(name, (_, index))| (name, index)).collect();
        self.code
    }

    fn visit(&mut self, node: Node<'_>) {
        let start = node.start_byte();
        while self.scopes.last().is_some_and(|s| s.end <= start) {
            self.scopes.pop();
        }
        while self.labels.last().is_some_and(|l| l.end <= start) {
            self.labels.pop();
        }
        match node.kind() {
            "function_definition"
            | "function_declaration"
            | "arrow_function"
            | "function_expression"
            | "method_definition"
            | "method_declaration"
            | "func_literal"
            | "method"
            | "lambda" => self.enter(node, false),
            "class_definition" | "class_declaration" | "class" => self.enter(node, true),
            "assignment" | "assignment_expression" => self.assign(node, "left", "right"),
            "variable_declarator" => self.assign(node, "name", "value"),
            "short_var_declaration" | "assignment_statement" => {
                self.assign_several(node, "left", "right");
            }
            "const_spec" | "var_spec" => self.assign_several(node, "name", "value"),
            "augmented_assignment" | "augmented_assignment_expression" => {
                // The name changes, so it is no constant.
                let left = node.child_by_field_name("left");
                let other = self.expr_of(node, What::Other);
                self.assigned(left, other);
            }
            "pair" => {
                let label = node.child_by_field_name("key").map(|key| self.key(key));
                self.label(node, label.unwrap_or_default());
            }
            "call" | "call_expression" | "new_expression" => {
                if self.code.calls.len() < ITEMS_MAX
                    && let What::Call(call) = self.call(node, 0)
                {
                    self.code.calls.push(*call);
                }
            }
            "object" => self.object(node),
            "aliased_import" => self.alias(node),
            "identifier" => {
                let name = self.slice(node);
                *self.code.names.entry(name).or_insert(0) += 1;
            }
            _ => {}
        }
    }

    fn alias(&mut self, node: Node<'_>) {
        let text = |name| {
            node.child_by_field_name(name)
                .map(|n| self.slice(n).to_owned())
        };
        if let (Some(name), Some(alias)) = (text("name"), text("alias"))
            && self.aliases.len() < ITEMS_MAX
        {
            self.aliases.insert(alias, name);
        }
    }

    fn enter(&mut self, node: Node<'_>, is_class: bool) {
        let value = Scope {
            start: node.start_byte(),
            is_class,
        };
        self.scopes.push(Inside {
            end: node.end_byte(),
            value,
        });
        self.label(node, "");
    }

    fn label(&mut self, node: Node<'_>, value: &'a str) {
        self.labels.push(Inside {
            end: node.end_byte(),
            value,
        });
    }

    fn assign(&mut self, node: Node<'_>, left: &str, right: &str) {
        let left = node.child_by_field_name(left);
        self.label(node, left.map_or("", |left| self.slice(left)));
        // `x: int` declares without a value.
        if let Some(right) = node.child_by_field_name(right) {
            let value = self.expr(right, 0);
            self.assigned(left, value);
        }
    }

    /// Go's `a, b := 1, 2` and `db, err := open()`.
    fn assign_several(&mut self, node: Node<'_>, left: &str, right: &str) {
        let names = self.listed(node, left);
        let values = match node.child_by_field_name(right) {
            Some(list) if list.kind() == "expression_list" => children(list),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        self.label(node, names.first().map_or("", |name| self.slice(*name)));
        for (index, name) in names.iter().enumerate() {
            let value = match values.get(index) {
                Some(value) => self.expr(*value, 0),
                None => self.expr_of(node, What::Other),
            };
            self.assigned(Some(*name), value);
        }
    }

    /// The nodes of a field, one by one: it may be repeated, or be a list.
    fn listed<'t>(&self, node: Node<'t>, field: &str) -> Vec<Node<'t>> {
        let mut cursor = node.walk();
        let all = node.children_by_field_name(field, &mut cursor);
        all.flat_map(|one| match one.kind() {
            "expression_list" => children(one),
            _ => vec![one],
        })
        .filter(|one| one.is_named())
        .take(ITEMS_MAX)
        .collect()
    }

    fn assigned(&mut self, left: Option<Node<'_>>, value: Expr) {
        let Some(left) = left else { return };
        let Some(path) = self.path(left) else { return };
        if self.code.assignments.len() >= ITEMS_MAX {
            return;
        }
        let scope = self.scopes.last().map(|s| s.value);
        self.code.assignments.push(Assignment {
            path,
            place: self.place(left.byte_range()),
            value,
            scope: scope.map_or(0, |s| s.start),
            in_class: scope.is_some_and(|s| s.is_class),
        });
    }

    /// `a.b["c"]` as its parts.
    fn path(&self, node: Node<'_>) -> Option<Vec<String>> {
        let mut parts = Vec::new();
        let mut at = node;
        for _ in 0..DEPTH_MAX {
            let (inner, part) = match at.kind() {
                "identifier"
                | "property_identifier"
                | "this"
                | "constant"
                | "scope_resolution"
                | "instance_variable"
                | "global_variable" => {
                    parts.push(self.slice(at).to_owned());
                    parts.reverse();
                    return Some(parts);
                }
                "attribute" => ("object", at.child_by_field_name("attribute")?),
                "member_expression" => ("object", at.child_by_field_name("property")?),
                "selector_expression" => ("operand", at.child_by_field_name("field")?),
                "subscript" => ("value", at.child_by_field_name("subscript")?),
                "subscript_expression" => ("object", at.child_by_field_name("index")?),
                "index_expression" => ("operand", at.child_by_field_name("index")?),
                "element_reference" => ("object", *children(at).get(1)?),
                // Ruby: `config.pool` is a call without arguments.
                "call" if self.ruby && at.child_by_field_name("arguments").is_none() => {
                    ("receiver", at.child_by_field_name("method")?)
                }
                _ => return None,
            };
            // `a[b]`: which entry it is, only a run can tell.
            let is_index = matches!(
                at.kind(),
                "subscript" | "subscript_expression" | "index_expression" | "element_reference"
            );
            parts.push(match is_index && part.kind() == "identifier" {
                true => String::new(),
                false => self.key(part).to_owned(),
            });
            at = at.child_by_field_name(inner)?;
        }
        None
    }

    /// Keeps the objects that look like settings.
    fn object(&mut self, node: Node<'_>) {
        let telling = |key: &str| matches!(key, "client" | "dialect" | "type");
        let is_telling = children(node).iter().any(|child| match child.kind() {
            "pair" => {
                let key = child.child_by_field_name("key");
                key.is_some_and(|key| telling(self.key(key)))
            }
            "spread_element" => true,
            _ => false,
        });
        if is_telling && self.code.maps.len() < ITEMS_MAX {
            let map = self.expr(node, 0);
            let label = self.labels.last().map_or("", |l| l.value).to_owned();
            self.code.maps.push(Labelled { label, map });
        }
    }

    fn place(&self, range: Range<usize>) -> Place {
        Place::new(self.file, range)
    }

    fn slice(&self, node: Node<'_>) -> &'a str {
        self.text.get(node.byte_range()).unwrap_or("")
    }

    /// A key: a name, or a text without its quotes. Anything else is empty.
    fn key(&self, node: Node<'_>) -> &'a str {
        match node.kind() {
            "identifier" | "property_identifier" | "field_identifier" | "hash_key_symbol" => {
                self.slice(node)
            }
            "simple_symbol" => self.slice(node).trim_start_matches(':'),
            _ => {
                let inside = quoted(self.slice(node));
                inside.map_or("", |range| self.slice(node).get(range).unwrap_or(""))
            }
        }
    }
}
