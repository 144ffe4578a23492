//! tree-sitter's grammars, and a bound for their work.

use std::ops::ControlFlow;
use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Language {
    Python,
    JavaScript,
    Go,
    Ruby,
}

/// Larger code is no settings file. Nonsense of this size takes two seconds at
/// worst, and that grows with the square.
const CODE_BYTES_MAX: usize = 256 << 10;

/// The syntax tree; broken code has one too. `Err`: why there is none, in words.
pub(super) fn tree(language: Language, text: &str) -> Result<Tree, &'static str> {
    if text.len() > CODE_BYTES_MAX {
        return Err("code of more than 256 KiB, which is no settings file");
    }
    parse(language, text).ok_or("cannot be parsed within bounds")
}

fn parse(language: Language, text: &str) -> Option<Tree> {
    let grammar = match language {
        Language::Python => tree_sitter_python::LANGUAGE.into(),
        Language::JavaScript => tree_sitter_typescript::LANGUAGE_TSX.into(),
        Language::Go => tree_sitter_go::LANGUAGE.into(),
        Language::Ruby => tree_sitter_ruby::LANGUAGE.into(),
    };
    let mut parser = Parser::new();
    parser.set_language(&grammar).ok()?;
    // Counted in calls of this callback, one for a hundred steps, since a clock
    // would make the answer depend on the machine. Real code needs a third of it.
    let mut left = 2_000 + text.len() / 8;
    let mut progress = |_: &ParseState| match left.checked_sub(1) {
        Some(less) => {
            left = less;
            ControlFlow::Continue(())
        }
        None => ControlFlow::Break(()),
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let bytes = text.as_bytes();
    let mut read = |at: usize, _| bytes.get(at..).unwrap_or_default();
    parser.parse_with_options(&mut read, None, Some(options))
}

/// The named nodes right under one.
pub(super) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}
