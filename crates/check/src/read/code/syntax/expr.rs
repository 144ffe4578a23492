//! Expressions: literals, names, calls, maps and what stands between two operands.

use super::{DEPTH_MAX, EXPRESSIONS_MAX, ITEMS_MAX, Walk, children};
use crate::read::code::literals::{number, quoted};
use crate::read::code::{Call, Entry, Expr, Text, What};
use tree_sitter::Node;

impl Walk<'_> {
    pub(super) fn expr_of(&self, node: Node<'_>, what: What) -> Expr {
        Expr {
            place: self.place(node.byte_range()),
            what,
        }
    }

    pub(super) fn expr(&mut self, node: Node<'_>, depth: usize) -> Expr {
        self.expressions += 1;
        if depth > DEPTH_MAX || self.expressions > EXPRESSIONS_MAX {
            return self.expr_of(node, What::Other);
        }
        let what = match node.kind() {
            "integer" | "float" | "number" | "int_literal" | "float_literal" => {
                number(self.slice(node)).map_or(What::Other, What::Number)
            }
            "true" => What::Bool(true),
            "false" => What::Bool(false),
            "none" | "null" | "undefined" | "nil" => What::Null,
            "string" | "template_string" | "interpreted_string_literal" | "raw_string_literal" => {
                return self.string(node);
            }
            "concatenated_string" => self.concatenated(node),
            "identifier"
            | "attribute"
            | "member_expression"
            | "selector_expression"
            | "constant"
            | "scope_resolution" => What::Name(self.dotted(node)),
            "call" if self.ruby => return self.ruby_value(node, depth),
            "call" | "call_expression" | "new_expression" => self.call(node, depth),
            "dictionary" | "object" | "hash" => What::Map(self.entries(node, depth)),
            "unary_operator" | "unary_expression" | "unary" => self.unary(node, depth),
            "binary_operator" | "binary_expression" | "boolean_operator" | "binary" => {
                self.binary(node, depth)
            }
            "parenthesized_expression"
            | "parenthesized_statements"
            | "await"
            | "await_expression"
            | "as_expression"
            | "satisfies_expression"
            | "non_null_expression" => {
                return match children(node).first() {
                    Some(inner) => self.expr(*inner, depth + 1),
                    None => self.expr_of(node, What::Other),
                };
            }
            _ => What::Other,
        };
        self.expr_of(node, what)
    }

    /// A text; its place is what stands between the quotes.
    fn string(&self, node: Node<'_>) -> Expr {
        let Some(inside) = quoted(self.slice(node)) else {
            return self.expr_of(node, What::Other);
        };
        let text = self.slice(node).get(inside.clone()).unwrap_or("");
        let fills =
            |child: &Node<'_>| matches!(child.kind(), "interpolation" | "template_substitution");
        let start = node.start_byte();
        Expr {
            place: self.place(start + inside.start..start + inside.end),
            what: What::Text(Text {
                text: text.to_owned(),
                exact: true,
                filled: children(node).iter().any(fills),
            }),
        }
    }

    /// Python joins texts that follow each other.
    fn concatenated(&self, node: Node<'_>) -> What {
        let mut joined = Text {
            text: String::new(),
            exact: false,
            filled: false,
        };
        for child in children(node) {
            if child.kind() == "comment" {
                continue;
            }
            let What::Text(part) = self.string(child).what else {
                return What::Other;
            };
            joined.text.push_str(&part.text);
            joined.filled |= part.filled;
        }
        What::Text(joined)
    }

    /// A name with dots. What is no name in it is `()`.
    pub(super) fn dotted(&self, node: Node<'_>) -> String {
        match self.path(node) {
            Some(path) => path.join("."),
            None => {
                let fields = ["attribute", "property", "field"];
                let mut last = fields.iter().filter_map(|f| node.child_by_field_name(f));
                last.next()
                    .map_or("()".to_owned(), |n| format!("().{}", self.slice(n)))
            }
        }
    }

    pub(super) fn call(&mut self, node: Node<'_>, depth: usize) -> What {
        if self.ruby {
            return self.ruby_call(node, depth);
        }
        let function = ["function", "constructor"];
        let mut function = function.iter().filter_map(|f| node.child_by_field_name(f));
        let Some(function) = function.next() else {
            return What::Other;
        };
        let mut call = Call {
            function: self.dotted(function),
            place: self.place(function.byte_range()),
            arguments: Vec::new(),
            named: Vec::new(),
            label: self.labels.last().map_or("", |l| l.value).to_owned(),
            scope: self.scopes.last().map_or(0, |s| s.value.start),
        };
        let arguments = node.child_by_field_name("arguments").map(children);
        for argument in arguments.unwrap_or_default().into_iter().take(ITEMS_MAX) {
            match argument.kind() {
                "keyword_argument" | "dictionary_splat" => {
                    call.named.extend(self.entry(argument, depth + 1));
                }
                "comment" => {}
                _ => {
                    let argument = self.expr(argument, depth + 1);
                    call.arguments.push(argument);
                }
            }
        }
        match call.function.as_str() {
            "dict" if call.arguments.is_empty() => What::Map(call.named),
            _ => What::Call(Box::new(call)),
        }
    }

    pub(super) fn entries(&mut self, node: Node<'_>, depth: usize) -> Vec<Entry> {
        let all = children(node).into_iter().take(ITEMS_MAX);
        all.filter_map(|child| self.entry(child, depth + 1))
            .collect()
    }

    /// `key: value`, `key=value`, `**base`, `...base`, or JavaScript's `{ key }`.
    pub(super) fn entry(&mut self, node: Node<'_>, depth: usize) -> Option<Entry> {
        let (key, value) = match node.kind() {
            "pair" => (
                node.child_by_field_name("key")?,
                node.child_by_field_name("value")?,
            ),
            "keyword_argument" => (
                node.child_by_field_name("name")?,
                node.child_by_field_name("value")?,
            ),
            "dictionary_splat" | "spread_element" | "hash_splat_argument" => {
                return Some(Entry {
                    key: None,
                    key_place: self.place(node.byte_range()),
                    value: self.expr(*children(node).first()?, depth),
                });
            }
            "shorthand_property_identifier" => {
                let name = self.slice(node).to_owned();
                return Some(Entry {
                    key: Some(name.clone()),
                    key_place: self.place(node.byte_range()),
                    value: self.expr_of(node, What::Name(name)),
                });
            }
            _ => return None,
        };
        let quotes = usize::from(self.slice(key).starts_with(['"', '\'']));
        let start = key.start_byte() + quotes;
        let range = start..key.end_byte().saturating_sub(quotes).max(start);
        Some(Entry {
            key: Some(self.key(key).to_owned()),
            key_place: self.place(range),
            value: self.expr(value, depth),
        })
    }

    fn unary(&mut self, node: Node<'_>, depth: usize) -> What {
        let inner = children(node).into_iter().next();
        let Some(inner) = inner.map(|inner| self.expr(inner, depth + 1)) else {
            return What::Other;
        };
        match (self.slice(node).bytes().next(), inner.what) {
            (Some(b'-'), What::Number(n)) => What::Number(-n),
            (Some(b'+'), what) => what,
            _ => What::Other,
        }
    }

    fn binary(&mut self, node: Node<'_>, depth: usize) -> What {
        let field = |name| node.child_by_field_name(name);
        let (Some(left), Some(operator), Some(right)) =
            (field("left"), field("operator"), field("right"))
        else {
            return What::Other;
        };
        What::Binary(
            self.slice(operator).to_owned(),
            Box::new(self.expr(left, depth + 1)),
            Box::new(self.expr(right, depth + 1)),
        )
    }
}
