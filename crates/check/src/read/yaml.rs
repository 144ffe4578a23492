//! YAML as a tree of nodes with their bytes. Bounded in depth, in nodes, and in
//! what aliases unfold to; templates are taken out first.

use super::template;
use super::value::{Word, visible};
use crate::place::{FileId, Place};
use granit_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

/// No settings file nests deeper.
const DEPTH_MAX: usize = 64;
/// Nodes of a file, aliases unfolded.
const NODES_MAX: usize = 200_000;

/// A file's documents.
pub(crate) struct Tree {
    /// In their order; up to the mistake, when there is one.
    pub documents: Vec<Node>,
    /// Where reading stopped, and why. `None` for templates, whose text is not
    /// YAML until they are filled in.
    pub mistake: Option<(Place, String)>,
}

/// A node; cheap to clone. It may hold a secret: no Debug.
#[derive(Clone)]
pub(crate) struct Node {
    /// Its bytes: of a scalar without its quotes, of a collection roughly.
    pub place: Place,
    /// What it is.
    pub value: Yaml,
    /// The variable whose default it is.
    variable: Option<String>,
    /// Nodes in it, itself included.
    weight: usize,
    /// Levels in it, itself included.
    depth: usize,
}

#[derive(Clone)]
pub(crate) enum Yaml {
    Scalar(String),
    /// A block written with `|`: what it says line by line stands at its place.
    Literal(String),
    List(Rc<Vec<Node>>),
    Map(Rc<Vec<(Node, Node)>>),
    Null,
}

impl Node {
    /// The value of a key of a mapping: the last of several, then what `<<` merges.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.pair(key).map(|(_, value)| value)
    }

    /// The key itself, and its value.
    pub fn pair(&self, key: &str) -> Option<(&Node, &Node)> {
        let pairs = self.pairs();
        let own = pairs.iter().rev().find(|(k, _)| k.text() == Some(key));
        if let Some((key, value)) = own {
            return Some((key, value));
        }
        let merged = pairs.iter().filter(|(k, _)| k.text() == Some("<<"));
        let mut merged = merged.flat_map(|(_, value)| value.one_or_all());
        merged.find_map(|from| from.pair(key))
    }

    /// Along several keys.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// All pairs, with what `<<` merges; own ones win.
    pub fn entries(&self) -> Vec<(&Node, &Node)> {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        self.collect(&mut seen, &mut all);
        all
    }

    fn collect<'a>(&'a self, seen: &mut BTreeSet<&'a str>, all: &mut Vec<(&'a Node, &'a Node)>) {
        for (key, value) in self.pairs() {
            let Some(name) = key.text() else { continue };
            if name != "<<" && seen.insert(name) {
                all.push((key, value));
            }
        }
        let merged = self.pairs().iter().filter(|(k, _)| k.text() == Some("<<"));
        for from in merged.flat_map(|(_, value)| value.one_or_all()) {
            from.collect(seen, all);
        }
    }

    fn one_or_all(&self) -> &[Node] {
        match &self.value {
            Yaml::List(all) => all,
            _ => std::slice::from_ref(self),
        }
    }

    fn pairs(&self) -> &[(Node, Node)] {
        match &self.value {
            Yaml::Map(pairs) => pairs,
            _ => &[],
        }
    }

    /// The nodes of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Yaml::List(all) => all,
            _ => &[],
        }
    }

    pub fn is_map(&self) -> bool {
        matches!(self.value, Yaml::Map(_))
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Yaml::Scalar(text) | Yaml::Literal(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar with its place.
    pub fn word(&self) -> Option<Word> {
        let mut word = Word::new(self.text()?, self.place.clone());
        word.variable = self.variable.clone();
        Some(word)
    }
}

/// Reads all documents of a file.
pub(crate) fn parse(file: FileId, text: &str) -> Tree {
    let plain = template::plain(text);
    let mut builder = Builder {
        file,
        text: &plain.text,
        defaults: &plain.defaults,
        frames: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        documents: Vec::new(),
    };
    let mut mistake = None;
    for event in Parser::new_from_str(&plain.text) {
        let done = match event {
            Ok((event, span)) => {
                let range = builder.range(&span);
                builder
                    .event(event, range.clone())
                    .map_err(|why| (range, why))
            }
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
                Err((at..at, error.info().to_string()))
            }
        };
        if let Err((range, why)) = done {
            mistake = Some((Place::new(file, visible(text, range)), why));
            break;
        }
    }
    Tree {
        documents: builder.documents,
        mistake: mistake.filter(|_| !plain.templated),
    }
}

/// A collection that is not closed yet.
struct Frame {
    start: usize,
    anchor: usize,
    /// Keys and values in turn, or items.
    nodes: Vec<Node>,
    map: bool,
}

struct Builder<'a> {
    file: FileId,
    text: &'a str,
    defaults: &'a [(Range<usize>, String)],
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    documents: Vec<Node>,
}

impl Builder<'_> {
    fn range(&self, span: &Span) -> Range<usize> {
        let at = |offset: Option<usize>| offset.unwrap_or(0).min(self.text.len());
        let start = at(span.start.byte_offset());
        start..at(span.end.byte_offset()).max(start)
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let node = self.scalar(&text, style, range);
                self.push(node, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(range.start, anchor, false),
            Event::MappingStart(_, anchor, _) => self.open(range.start, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.close(range.end),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    let node = node.clone();
                    self.push(node, 0)
                }
                None => Err("an alias of what is not closed yet".to_owned()),
            },
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, range: Range<usize>) -> Node {
        let range = self.content(style, range);
        let range_text = self.text.get(range.clone()).unwrap_or("");
        let null = matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let value = match style {
            ScalarStyle::Plain if null => Yaml::Null,
            ScalarStyle::Literal => Yaml::Literal(text.to_owned()),
            _ => Yaml::Scalar(text.to_owned()),
        };
        let mut place = Place::new(self.file, range.clone());
        // Trailing space and comments are no part of a plain scalar.
        if style == ScalarStyle::Plain
            && range_text.len() > text.len()
            && range_text.starts_with(text)
        {
            place.range.end = range.start + text.len();
        }
        let at = self
            .defaults
            .partition_point(|(r, _)| r.start < place.range.start);
        let default = self
            .defaults
            .get(at)
            .filter(|(r, _)| r.end <= place.range.end);
        Node {
            place,
            value,
            variable: default.map(|(_, name)| name.clone()),
            weight: 1,
            depth: 1,
        }
    }

    /// Without quotes; of a block, what stands below its header.
    fn content(&self, style: ScalarStyle, range: Range<usize>) -> Range<usize> {
        let text = self.text.get(range.clone()).unwrap_or("");
        match style {
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted
                if text.len() >= 2 && text.starts_with(['"', '\'']) =>
            {
                range.start + 1..range.end - 1
            }
            ScalarStyle::Literal | ScalarStyle::Folded if text.starts_with(['|', '>']) => {
                let header = text.find('\n').map_or(text.len(), |n| n + 1);
                range.start + header..range.end
            }
            _ => range,
        }
    }

    fn open(&mut self, start: usize, anchor: usize, map: bool) -> Result<(), String> {
        if self.frames.len() >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        self.frames.push(Frame {
            start,
            anchor,
            nodes: Vec::new(),
            map,
        });
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), String> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let weight = frame.nodes.iter().map(|n| n.weight).sum::<usize>() + 1;
        let depth = frame.nodes.iter().map(|n| n.depth).max().unwrap_or(0) + 1;
        let value = match frame.map {
            true => {
                let mut pairs = Vec::new();
                let mut nodes = frame.nodes.into_iter();
                while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
                    pairs.push((key, value));
                }
                Yaml::Map(Rc::new(pairs))
            }
            false => Yaml::List(Rc::new(frame.nodes)),
        };
        let node = Node {
            place: Place::new(self.file, frame.start..end.max(frame.start)),
            value,
            variable: None,
            weight,
            depth,
        };
        // Its nodes were counted when they came.
        self.nodes = self.nodes.saturating_sub(weight - 1);
        self.push(node, frame.anchor)
    }

    fn push(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        self.nodes += node.weight;
        if self.nodes > NODES_MAX {
            return Err(format!("more than {NODES_MAX} values, aliases unfolded"));
        }
        if self.frames.len() + node.depth > DEPTH_MAX + 1 {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.frames.last_mut() {
            Some(frame) => frame.nodes.push(node),
            None => self.documents.push(node),
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
