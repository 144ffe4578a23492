//! From the text of a rules file to the rules, or all its mistakes.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::address::Net;
use super::names::{Field, Names, Reader, RulesOf};
use super::tokens::{Fault, Token, hidden, tokens};
use super::{Hba, Method, Rule, Via};
use crate::draft::{Dialect, Draft};
use crate::error::{Errors, Place, Problem, nearest, quoted};
use crate::ident::Ident;
use crate::plan::AuthType;
use crate::source::Source;
use crate::text;

/// How the error of a rule begins whose map is nowhere.
const NO_MAP: &str = "there is no map";
/// Largest rules file: far above any real one.
const BYTES_MAX: usize = 1 << 20;
/// Most rules: each login tries them one by one.
const RULES_MAX: usize = 10_000;

const TYPES: [(&str, Via); 4] = [
    ("local", Via::Local),
    ("host", Via::Host),
    ("hostssl", Via::HostSsl),
    ("hostnossl", Via::HostNoSsl),
];
const METHODS: [(&str, Method); 7] = [
    ("trust", Method::Trust),
    ("reject", Method::Reject),
    ("md5", Method::Md5),
    ("password", Method::Password),
    ("scram-sha-256", Method::Scram),
    ("peer", Method::Peer),
    ("cert", Method::Cert),
];
/// Methods of PostgreSQL or PgBouncer that are missing here.
const FOREIGN: [&str; 9] = [
    "ldap", "pam", "gss", "sspi", "ident", "radius", "bsd", "oauth", "krb5",
];

/// Reads a rules file. `place`: where the settings name it.
fn read(
    file: &Path,
    ident: &Ident,
    source: &dyn Source,
    place: Option<Place>,
) -> Result<Hba, Errors> {
    let rules = RulesOf(source);
    let text = text::read(
        file,
        &rules,
        BYTES_MAX,
        "the file of host-based rules",
        place,
    )?;
    let (mut hba, mut errors) = (Hba::default(), Errors::default());
    for (index, line) in text.split('\n').enumerate() {
        if errors.full() {
            break;
        }
        let number = index + 1;
        let mut reader = Line {
            file,
            source,
            ident,
            number,
        };
        match tokens(line).and_then(|words| reader.rule(&words)) {
            Ok(None) => {}
            Ok(Some(_)) if hba.rules.len() >= RULES_MAX => {
                let problem = Problem::new(format!("more than {RULES_MAX} rules"));
                errors.push(problem.at(Place::unseen(file, number, 1)));
                break;
            }
            Ok(Some(rule)) => hba.rules.push(rule),
            Err((span, problem)) => {
                errors.push(problem.at(mark(file, number, line, span)));
            }
        }
    }
    errors.or(hba)
}

/// Reads the rules of a draft into it, where its settings ask for them.
pub(crate) fn take(draft: &mut Draft, source: &dyn Source) {
    let plan = &draft.plan;
    if plan.auth_type != AuthType::Hba {
        if plan.hba.file.is_some() {
            draft.warn("auth_hba_file is read with auth_type hba only".to_owned());
        }
        return;
    }
    let Some(file) = plan.hba.file.clone() else {
        let problem = Problem::new("auth_type hba needs a file of rules")
            .help("name it: auth_hba_file in pgbouncer.ini, `hba_file` in [auth]");
        return draft.error("auth_type", problem);
    };
    let place = |key| draft.places.get(key).cloned();
    let ident = match &plan.hba.ident_file {
        None => Ok(Ident::default()),
        Some(file) => crate::ident::read(file, source, place("auth_ident_file")),
    };
    let nothing = Ident::default();
    let known = ident.as_ref().unwrap_or(&nothing);
    let rules = read(&file, known, source, place("auth_hba_file"));
    match (ident, rules) {
        (Ok(_), Ok(rules)) => {
            if rules.is_empty() {
                let file = file.display();
                draft.warn(format!("{file} has no rule: nobody can log in"));
            }
            for line in rules.never_fit() {
                let file = file.display();
                let text = format!(
                    "{file}:{line}: the address has bits beyond its mask, and fits no client: \
                     PostgreSQL would take the network, and PgBouncer never match the line"
                );
                match draft.dialect {
                    // As PgBouncer serves such a file.
                    Dialect::Ini => draft.warn(text),
                    Dialect::Toml => {
                        let help = "write the network's first address, or its own bits";
                        draft.error("auth_hba_file", Problem::new(text).help(help));
                    }
                }
            }
            draft.plan.hba.rules = Some(Arc::new(rules));
        }
        (Ok(_), Err(errors)) => draft.errors.append(errors),
        (Err(errors), rules) => {
            draft.errors.append(errors);
            for error in rules.err().iter().flat_map(Errors::list) {
                // Rules that name maps of an unreadable file are not at fault.
                if !error.message.starts_with(NO_MAP) {
                    draft.errors.push(error.clone());
                }
            }
        }
    }
}

/// Only a line that begins as a rule is shown: another file may hold secrets.
fn mark(file: &Path, number: usize, line: &str, span: Range<usize>) -> Place {
    let first = line.split_whitespace().next();
    match TYPES.iter().any(|(word, _)| first == Some(*word)) {
        true => Place::masked(file, number, line, span, &hidden(line)),
        false => {
            let before = line.get(..span.start).unwrap_or_default();
            Place::unseen(file, number, before.chars().count() + 1)
        }
    }
}

/// One line of the file, while it is read.
struct Line<'a> {
    file: &'a Path,
    source: &'a dyn Source,
    ident: &'a Ident,
    number: usize,
}

impl Line<'_> {
    /// `None`: the line is empty or a comment.
    fn rule(&mut self, words: &[Token]) -> Result<Option<Rule>, Fault> {
        let Some(first) = words.first() else {
            return Ok(None);
        };
        let via = via(first)?;
        let mut at = 1;
        let databases = self.names(Field::Databases, words, &mut at)?;
        let users = self.names(Field::Users, words, &mut at)?;
        let net = match via {
            Via::Local => Net::All,
            _ => net(words, &mut at)?,
        };
        let word = expected(
            words,
            at,
            "a method",
            "trust, reject, scram-sha-256, md5, …",
        )?;
        let method = method(word, via)?;
        at += 1;
        let mut map = None;
        if let Some(option) = words.get(at) {
            map = Some(self.map(option, method)?);
            at += 1;
        }
        if let Some(rest) = words.get(at) {
            let problem = Problem::new("nothing more is expected here")
                .help("lists have commas and no blanks; a line ends with its method or `map=…`");
            return Err((rest.at.clone(), problem));
        }
        Ok(Some(Rule {
            line: self.number,
            via,
            databases,
            users,
            net,
            method,
            map,
        }))
    }

    fn names(&mut self, field: Field, words: &[Token], at: &mut usize) -> Result<Names, Fault> {
        let mut reader = Reader {
            source: self.source,
            field,
            names: Names::default(),
            files: 0,
        };
        reader.list(words, at, self.file)?;
        Ok(reader.names)
    }

    /// `map=name`, the only option.
    fn map(&self, word: &Token, method: Method) -> Result<Arc<crate::ident::IdentMap>, Fault> {
        let fault = |problem: Problem| Err((word.at.clone(), problem));
        let name = match word.text.split_once('=').filter(|_| !word.quoted) {
            Some(("map", name)) => name,
            Some((option, _)) => {
                let problem = Problem::new(format!("there is no option {}", quoted(option)));
                return fault(problem.help("the only one is map=NAME, after peer and cert"));
            }
            None => {
                let problem = Problem::new("expected an option or the end of the line");
                return fault(
                    problem.help("lists have commas and no blanks; map=NAME is the only option"),
                );
            }
        };
        if !matches!(method, Method::Peer | Method::Cert) {
            let problem = Problem::new("a map belongs to peer and cert only");
            return fault(problem.help("remove `map=`, or use one of the two"));
        }
        match self.ident.map(name) {
            Some(map) => Ok(map),
            None => {
                let problem = Problem::new(format!("{NO_MAP} {}", quoted(name)))
                    .why("nobody could log in by this line");
                fault(problem.help("write its lines into the file that auth_ident_file names"))
            }
        }
    }
}

fn via(word: &Token) -> Result<Via, Fault> {
    if let Some((_, via)) = TYPES.iter().find(|(name, _)| word.is(name)) {
        return Ok(*via);
    }
    let names = TYPES.iter().map(|(name, _)| *name);
    let problem = Problem::new("expected local, host, hostssl or hostnossl");
    let problem = match word.text.as_str() {
        _ if word.quoted => problem,
        "include" | "include_if_exists" | "include_dir" => problem
            .why("other files of rules are not included, as in PgBouncer")
            .help("write the rules into this file"),
        "hostgssenc" | "hostnogssenc" => problem
            .why("GSSAPI encryption is not spoken here: such a line fits nobody, or everybody")
            .help("use host, hostssl or hostnossl"),
        text => match nearest(text, names) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem,
        },
    };
    Err((word.at.clone(), problem))
}

fn net(words: &[Token], at: &mut usize) -> Result<Net, Fault> {
    let word = expected(
        words,
        *at,
        "an address",
        "such as 10.0.0.0/8, ::1/128 or all",
    )?;
    *at += 1;
    if word.is("all") {
        return Ok(Net::All);
    }
    let plain = |t: &&Token| !t.quoted;
    let mask = words
        .get(*at)
        .filter(plain)
        .filter(|_| !word.text.contains('/'));
    let mask = mask.map(|t| t.text.as_str());
    // Without a mask a method comes next, and no word of it reads as an address.
    let own = mask.filter(|m| !METHODS.iter().any(|(name, _)| name == m));
    let net = Net::read(&word.text, own).map_err(|problem| (word.at.clone(), problem))?;
    *at += usize::from(own.is_some());
    Ok(net)
}

fn method(word: &Token, via: Via) -> Result<Method, Fault> {
    let fault = |problem: Problem| Err((word.at.clone(), problem));
    let Some((_, method)) = METHODS.iter().find(|(name, _)| word.is(name)) else {
        let names = METHODS.iter().map(|(name, _)| *name);
        let problem = Problem::new(format!(
            "the method {} is not known here",
            quoted(&word.text)
        ));
        let listed = names.clone().collect::<Vec<_>>().join(", ");
        let problem = match word.text.as_str() {
            "any" | "plain" | "hba" => problem.help(format!("in rules it is one of {listed}")),
            text if FOREIGN.contains(&text) => problem
                .why("any other way to log in would let in whom this line keeps out")
                .help("give these users passwords (scram-sha-256) or certificates (cert), or write reject"),
            text => match nearest(text, names) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help(format!("it is one of {listed}")),
            },
        };
        return fault(problem);
    };
    match (method, via) {
        (Method::Peer, Via::Host | Via::HostSsl | Via::HostNoSsl) => {
            fault(Problem::new("peer is for unix sockets").help("write it on a `local` line"))
        }
        (Method::Cert, Via::Local | Via::HostNoSsl) => {
            fault(Problem::new("cert needs TLS").help("write it on a `hostssl` line"))
        }
        (method, _) => Ok(*method),
    }
}

fn expected<'t>(words: &'t [Token], at: usize, what: &str, such: &str) -> Result<&'t Token, Fault> {
    let end = words.last().map_or(0, |w| w.at.end);
    words.get(at).filter(|w| !w.is(",")).ok_or_else(|| {
        let span = words.get(at).map_or(end..end, |w| w.at.clone());
        let problem = Problem::new(format!("expected {what} here"));
        (span, problem.help(format!("write {what}: {such}")))
    })
}
