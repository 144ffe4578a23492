//! The extended protocol.

use super::exec::{self, allowed_when_failed, gives_rows, parses};
use super::{CopyIn, Fail, Portal, Run, Session, Step, Tx, complete, fail};
use std::rc::Rc;
use wire::back::{self, TEXT};
use wire::front;

impl Session {
    pub(super) fn extended(
        &mut self,
        tag: u8,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Fail> {
        let broken = |_| Fail {
            code: "08P01",
            text: "malformed message".into(),
        };
        match tag {
            b'P' => self.parse(front::Parse::parse(body).map_err(broken)?, out),
            b'B' => self.bind(front::Bind::parse(body).map_err(broken)?, out),
            b'D' => self.describe(front::Describe::parse(body).map_err(broken)?, out),
            b'E' => return self.execute(front::Execute::parse(body).map_err(broken)?, out),
            _ => {
                let close = front::Close::parse(body).map_err(broken)?;
                match (close.kind, close.name) {
                    (b'S', b"") => self.unnamed = None,
                    (b'S', name) => drop(self.named.remove(name)),
                    (_, name) => drop(self.portals.remove(&*String::from_utf8_lossy(name))),
                }
                back::close_complete(out);
                Ok(())
            }
        }?;
        Ok(Step::Done)
    }

    fn start(&mut self) {
        if self.tx == Tx::None {
            self.begin(Tx::Implicit);
        }
    }

    fn parse(&mut self, parse: front::Parse<'_>, out: &mut Vec<u8>) -> Result<(), Fail> {
        self.start();
        let text: Rc<str> = String::from_utf8_lossy(parse.text).into();
        if parse.name.is_empty() {
            self.unnamed = None;
        }
        // An empty text is legal, even in a failed transaction.
        if !text.is_empty() && (!parses(&text) || text.contains(';')) {
            return fail("42601", "syntax error");
        }
        if self.tx == Tx::Failed && !text.is_empty() && !allowed_when_failed(&text) {
            return fail("25P02", "current transaction is aborted");
        }
        if text.contains("\"plimsoll refused this\"") {
            return fail("42703", "column does not exist");
        }
        if parse.name.is_empty() {
            self.unnamed = Some(text);
        } else if self.named.contains_key(parse.name) {
            return fail("42P05", "prepared statement already exists");
        } else {
            let text = match self
                .mixes_texts
                .then(|| self.last_text.replace(Rc::clone(&text)))
            {
                Some(Some(last)) => last,
                _ => text,
            };
            self.named.insert(parse.name.into(), text);
        }
        back::parse_complete(out);
        Ok(())
    }

    fn statement(&self, name: &[u8]) -> Result<Rc<str>, Fail> {
        let found = match name {
            b"" => self.unnamed.clone(),
            name => self.named.get(name).cloned(),
        };
        match found {
            Some(text) => Ok(text),
            None => fail("26000", "prepared statement does not exist"),
        }
    }

    fn bind(&mut self, bind: front::Bind<'_>, out: &mut Vec<u8>) -> Result<(), Fail> {
        self.start();
        let text = self.statement(bind.statement)?;
        if self.tx == Tx::Failed && !allowed_when_failed(&text) {
            return fail("25P02", "current transaction is aborted");
        }
        let name: Rc<str> = String::from_utf8_lossy(bind.portal).into();
        if !name.is_empty() && self.portals.contains_key(&name) {
            return fail("42P03", "cursor already exists");
        }
        let param = parameter(bind.rest);
        let wants = text.contains("$1");
        if wants != param.is_some() {
            return fail("08P01", "wrong number of parameters");
        }
        self.portals.insert(name, Portal { text, param, at: 0 });
        back::bind_complete(out);
        Ok(())
    }

    fn describe(&mut self, describe: front::Describe<'_>, out: &mut Vec<u8>) -> Result<(), Fail> {
        self.start();
        let text = if describe.kind == b'S' {
            let text = self.statement(describe.name)?;
            // PostgreSQL describes one without rows even now; a pooler that must
            // parse it first cannot.
            if self.tx == Tx::Failed {
                return fail("25P02", "current transaction is aborted");
            }
            let types: &[i32] = if text.contains("$1") { &[TEXT] } else { &[] };
            back::parameter_description(out, types);
            text
        } else {
            let name = String::from_utf8_lossy(describe.name);
            let Some(portal) = self.portals.get(&*name) else {
                return fail("34000", "portal does not exist");
            };
            if self.tx == Tx::Failed && gives_rows(&portal.text) {
                return fail("25P02", "current transaction is aborted");
            }
            Rc::clone(&portal.text)
        };
        match gives_rows(&text) {
            true => back::row_description(out, &[("c", TEXT)]),
            false => back::no_data(out),
        }
        Ok(())
    }

    fn execute(&mut self, execute: front::Execute<'_>, out: &mut Vec<u8>) -> Result<Step, Fail> {
        self.start();
        let name: Rc<str> = String::from_utf8_lossy(execute.portal).into();
        let Some(portal) = self.portals.get(&name).cloned() else {
            return fail("34000", "portal does not exist");
        };
        let text = portal.text.trim();
        if text.is_empty() {
            back::empty_query(out);
            return Ok(Step::Done);
        }
        if self.tx == Tx::Failed && !allowed_when_failed(text) {
            return fail("25P02", "current transaction is aborted");
        }
        if let Some((count, len)) = rows_of(text) {
            return Ok(self.some_rows(&name, count, len, execute.max_rows, out));
        }
        if portal.at > 0 {
            if gives_rows(text) {
                complete(out, "SELECT 0");
                return Ok(Step::Done);
            }
            return fail("55000", "portal cannot be run");
        }
        if let Some(p) = self.portals.get_mut(&name) {
            p.at = 1;
        }
        match self.exec(text, portal.param.as_deref(), true, false, out)? {
            Step::Done => Ok(Step::Done),
            Step::Sleep(us) => {
                self.run = Some(Run::Execute { portal: name });
                Ok(Step::Sleep(us))
            }
            Step::End => {
                self.copy = Some(CopyIn {
                    rows: 0,
                    extended: true,
                });
                Ok(Step::Done)
            }
        }
    }

    /// Execute with a row limit.
    fn some_rows(
        &mut self,
        name: &Rc<str>,
        count: u64,
        len: usize,
        max: i32,
        out: &mut Vec<u8>,
    ) -> Step {
        let Some(portal) = self.portals.get_mut(name) else {
            return Step::Done;
        };
        let max = if max <= 0 { u64::MAX } else { max as u64 };
        let end = count.min(portal.at.saturating_add(max));
        let given = end - portal.at;
        for i in portal.at..end {
            exec::row(out, &exec::big(i, len));
        }
        portal.at = end;
        if given == max && end <= count && max != u64::MAX {
            back::portal_suspended(out);
        } else {
            complete(out, &format!("SELECT {given}"));
        }
        Step::Done
    }
}

fn rows_of(text: &str) -> Option<(u64, usize)> {
    let args = text.strip_prefix("SELECT rows(")?.strip_suffix(')')?;
    let (count, len) = args.split_once(',')?;
    Some((count.trim().parse().ok()?, len.trim().parse().ok()?))
}

/// The only parameter of a Bind, if it has one.
fn parameter(rest: &[u8]) -> Option<Rc<str>> {
    let u16_at = |at: usize| {
        let b = rest.get(at..at + 2)?;
        Some(usize::from(u16::from_be_bytes([b[0], b[1]])))
    };
    let mut at = 2 + 2 * u16_at(0)?;
    if u16_at(at)? == 0 {
        return None;
    }
    at += 2;
    let len = rest.get(at..at + 4)?;
    let len = u32::from_be_bytes([len[0], len[1], len[2], len[3]]) as usize;
    let value = rest.get(at + 4..at + 4 + len)?;
    Some(String::from_utf8_lossy(value).into())
}
