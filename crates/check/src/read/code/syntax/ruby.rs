//! What is other in Ruby: a call names its receiver and its method apart, keys
//! of arguments stand bare, and a block may hold the default.

use super::{ITEMS_MAX, Walk, children};
use crate::read::code::{Call, Expr, What};
use tree_sitter::Node;

impl Walk<'_> {
    /// `receiver.method(arguments) { default }`.
    pub(super) fn ruby_call(&mut self, node: Node<'_>, depth: usize) -> What {
        let Some(method) = node.child_by_field_name("method") else {
            return What::Other;
        };
        let receiver = node.child_by_field_name("receiver");
        let receiver = receiver.map(|receiver| self.dotted(receiver));
        let method_name = self.slice(method);
        let mut call = Call {
            function: match &receiver {
                Some(receiver) => format!("{receiver}.{method_name}"),
                None => method_name.to_owned(),
            },
            place: self.place(method.byte_range()),
            arguments: Vec::new(),
            named: Vec::new(),
            label: self.labels.last().map_or("", |l| l.value).to_owned(),
            scope: self.scopes.last().map_or(0, |s| s.value.start),
        };
        let arguments = node.child_by_field_name("arguments").map(children);
        for argument in arguments.unwrap_or_default().into_iter().take(ITEMS_MAX) {
            match argument.kind() {
                "pair" | "hash_splat_argument" => {
                    call.named.extend(self.entry(argument, depth + 1));
                }
                "comment" => {}
                _ => {
                    let argument = self.expr(argument, depth + 1);
                    call.arguments.push(argument);
                }
            }
        }
        // `fetch("X") { 5 }`: what holds where nothing is set.
        let block = node.child_by_field_name("block");
        let body = block.and_then(|block| block.child_by_field_name("body"));
        if let (Some(body), "fetch") = (body, method_name)
            && let [only] = children(body).as_slice()
        {
            let default = self.expr(*only, depth + 1);
            call.arguments.push(default);
        }
        What::Call(Box::new(call))
    }

    /// A call as a value: conversions, spans of time, attributes, or itself.
    pub(super) fn ruby_value(&mut self, node: Node<'_>, depth: usize) -> Expr {
        let receiver = node.child_by_field_name("receiver");
        let method = node.child_by_field_name("method").map(|m| self.slice(m));
        let bare = node.child_by_field_name("arguments").is_none()
            && node.child_by_field_name("block").is_none();
        let (Some(receiver), Some(method), true) = (receiver, method, bare) else {
            let what = self.ruby_call(node, depth);
            return self.expr_of(node, what);
        };
        let seconds = match method {
            "to_i" | "to_f" | "to_s" | "freeze" | "presence" => {
                return self.expr(receiver, depth + 1);
            }
            "second" | "seconds" => 1.0,
            "minute" | "minutes" => 60.0,
            "hour" | "hours" => 3_600.0,
            "day" | "days" => 86_400.0,
            _ => {
                let name = What::Name(self.dotted(node));
                return self.expr_of(node, name);
            }
        };
        let count = self.expr(receiver, depth + 1);
        let unit = self.expr_of(node, What::Number(seconds));
        let product = What::Binary("*".to_owned(), Box::new(count), Box::new(unit));
        self.expr_of(node, product)
    }
}
