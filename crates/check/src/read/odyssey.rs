//! odyssey.conf: words, quoted texts and nested braces. Tolerant: what it does
//! not know it passes over.

use super::url::is_secret;
use super::value::{self, Unit, Word};
use crate::facts::{Facts, Limit, Mode, Odd, Pool, Secret, Target, Timeouts, Tool, Value, Wait};
use crate::place::{FileId, Place};
use std::time::Duration;

const DEFAULT: &str = "Odyssey's default";
/// Words of a file.
const WORDS_MAX: usize = 200_000;
/// Blocks of one kind, at one place.
const BLOCKS_MAX: usize = 500;
/// Braces within braces.
const DEPTH_MAX: usize = 16;

/// Reads the file: a pool for each user of each database.
pub(crate) fn read(file: FileId, text: &str, facts: &mut Facts) {
    let tokens = tokens(file, text);
    let mut at = 0;
    let root = block(&tokens, &mut at, 0);
    let storages = root.blocks("storage");
    let clients = root.word("client_max");
    for storage in &storages {
        storage.secret("storage_password", facts);
    }
    for database in root.blocks("database") {
        for user in database.blocks("user") {
            for key in ["password", "storage_password"] {
                user.secret(key, facts);
            }
            let storage = user.word("storage").and_then(|word| {
                let named = |s: &&&Block| s.name() == word.text;
                storages.iter().find(named)
            });
            let local = storage
                .and_then(|s| s.word("type"))
                .is_some_and(|w| w.text == "local");
            let blocked = user
                .word("authentication")
                .is_some_and(|w| w.text == "block");
            if local || blocked {
                continue;
            }
            let found = one(database, user, storage.copied(), clients, facts);
            facts.pools.extend(found);
        }
    }
}

enum Token {
    Word(Word),
    Open,
    Close,
    /// A line ends.
    End,
}

/// Words of a line and, when it opens one, its block.
struct Entry {
    words: Vec<Word>,
    block: Option<Block>,
}

#[derive(Default)]
struct Block {
    /// The words in front of the brace.
    head: Vec<Word>,
    entries: Vec<Entry>,
}

impl Block {
    /// The blocks that begin with this word.
    fn blocks(&self, kind: &str) -> Vec<&Block> {
        let blocks = self.entries.iter().filter_map(|entry| entry.block.as_ref());
        let named = blocks.filter(|b| b.head.first().is_some_and(|w| w.text == kind));
        named.take(BLOCKS_MAX).collect()
    }

    /// The second word of a line that begins with this one.
    fn word(&self, key: &str) -> Option<&Word> {
        let lines = self.entries.iter().rev().filter(|e| e.block.is_none());
        let mut lines = lines.filter(|e| e.words.first().is_some_and(|w| w.text == key));
        lines.find_map(|entry| entry.words.get(1))
    }

    /// `default` serves whatever no other block names.
    fn is_default(&self) -> bool {
        self.name() == "default"
    }

    fn name(&self) -> &str {
        self.head.get(1).map_or("", |w| &w.text)
    }

    fn secret(&self, key: &str, facts: &mut Facts) {
        if let Some(word) = self.word(key).filter(|w| is_secret(&w.text)) {
            facts.secrets.push(Secret {
                place: word.place.clone(),
                what: format!("`{key}`"),
            });
        }
    }
}

/// Lines end entries; quotes and comments may hide braces.
fn tokens(file: FileId, text: &str) -> Vec<Token> {
    let mut all = Vec::new();
    let mut rest = text.char_indices().peekable();
    let word = |range: std::ops::Range<usize>| {
        let content = text.get(range.clone()).unwrap_or("");
        Token::Word(Word::new(content, Place::new(file, range)))
    };
    while let Some((at, c)) = rest.next() {
        if all.len() >= WORDS_MAX {
            break;
        }
        match c {
            '\n' => all.push(Token::End),
            '{' => all.push(Token::Open),
            '}' => all.push(Token::Close),
            '#' => while rest.next_if(|(_, c)| *c != '\n').is_some() {},
            '"' => {
                let mut end = text.len();
                while let Some((i, c)) = rest.next() {
                    match c {
                        '\\' => {
                            rest.next();
                        }
                        '"' => {
                            end = i;
                            break;
                        }
                        _ => {}
                    }
                }
                all.push(word(at + 1..end.max(at + 1)));
            }
            c if c.is_whitespace() => {}
            _ => {
                let plain = |c: char| !c.is_whitespace() && !"{}#\"".contains(c);
                let mut end = at + c.len_utf8();
                while let Some((i, c)) = rest.next_if(|(_, c)| plain(*c)) {
                    end = i + c.len_utf8();
                }
                all.push(word(at..end));
            }
        }
    }
    all
}

/// Reads entries until the brace closes.
fn block(tokens: &[Token], at: &mut usize, depth: usize) -> Block {
    let mut block_ = Block::default();
    let mut words: Vec<Word> = Vec::new();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token {
            Token::Word(word) => words.push(word.clone()),
            Token::End if words.is_empty() => {}
            // A brace may stand on the next line.
            Token::End if opens(tokens, *at) => {}
            Token::End => block_.entries.push(Entry {
                words: std::mem::take(&mut words),
                block: None,
            }),
            Token::Open if depth < DEPTH_MAX => {
                let mut inner = block(tokens, at, depth + 1);
                inner.head = std::mem::take(&mut words);
                block_.entries.push(Entry {
                    words: Vec::new(),
                    block: Some(inner),
                });
            }
            Token::Open => {}
            Token::Close if depth > 0 => break,
            Token::Close => {}
        }
    }
    if !words.is_empty() {
        block_.entries.push(Entry { words, block: None });
    }
    block_
}

/// Whether the next thing that is not a line's end is a brace.
fn opens(tokens: &[Token], at: usize) -> bool {
    let rest = tokens.get(at..).unwrap_or(&[]);
    let next = rest.iter().find(|t| !matches!(t, Token::End));
    matches!(next, Some(Token::Open))
}

fn one(
    database: &Block,
    user: &Block,
    storage: Option<&Block>,
    clients: Option<&Word>,
    facts: &mut Facts,
) -> Option<Pool> {
    let place = user.head.first()?.place.clone();
    let size = user
        .word("pool_size")
        .and_then(|w| w.limit(Tool::Odyssey, facts));
    let size = size.unwrap_or(Value::default(
        Limit::Unlimited,
        "Odyssey's default: no limit",
    ));
    let name = format!("{}.{}", database.name(), user.name());
    let mut pool = value::pool(Tool::Odyssey, name, place, size);
    let min = user
        .word("min_pool_size")
        .and_then(|w| w.count(Tool::Odyssey, facts));
    pool.min = Some(min.unwrap_or(Value::default(0, DEFAULT)));
    let max = user.word("client_max").or(clients);
    let max = max.and_then(|w| w.limit(Tool::Odyssey, facts));
    pool.clients = Some(max.unwrap_or(Value::default(Limit::Unlimited, DEFAULT)));
    pool.mode = Some(mode(user, facts));
    if database.is_default() || user.is_default() {
        // Every database or user that comes has such a pool of its own.
        let none = "Odyssey bounds routes one by one";
        pool.cap = Some(Value::default(Limit::Unlimited, none));
    }
    let keeps = user
        .word("pool_reserve_prepared_statement")
        .and_then(Word::switch);
    pool.keeps_prepared = Some(keeps.unwrap_or(Value::default(false, DEFAULT)));
    pool.timeouts = timeouts(user, facts);
    let text = |key: &str| Some(storage?.word(key)?.text.clone());
    let wanted = user.word("storage_db").map(|w| w.text.clone());
    let same = (database.name() != "default").then(|| database.name().to_owned());
    pool.target = Target {
        host: text("host"),
        port: text("port").and_then(|port| port.parse().ok()),
        database: wanted.or(same),
    };
    Some(pool)
}

fn mode(user: &Block, facts: &mut Facts) -> Value<Mode> {
    let Some(word) = user.word("pool") else {
        return Value::default(Mode::Session, DEFAULT);
    };
    match super::pooler::named(&word.text) {
        Some(mode) => Value::stated(mode, word.place.clone()),
        None => {
            facts.odd.push(Odd {
                tool: Tool::Odyssey,
                place: word.place.clone(),
                what: "no pool mode of this name".to_owned(),
                help: "\"session\" or \"transaction\"".to_owned(),
            });
            Value::default(Mode::Session, DEFAULT)
        }
    }
}

fn timeouts(user: &Block, facts: &mut Facts) -> Timeouts {
    let mut time = |key: &str, unit: Unit, default_s: u64| {
        let stated = user
            .word(key)
            .and_then(|w| w.time(Tool::Odyssey, unit, facts));
        let default = value::wait(Duration::from_secs(default_s));
        Some(stated.unwrap_or(Value::default(default, DEFAULT)))
    };
    let timeouts = Timeouts {
        connect: None,
        wait: time("pool_timeout", Unit::Milliseconds, 0),
        statement: None,
        idle_in_transaction: time("pool_idle_in_transaction_timeout", Unit::Seconds, 0),
        idle: time("pool_ttl", Unit::Seconds, 0),
        lifetime: time("server_lifetime", Unit::Seconds, 3600),
        leak: None,
        request: None,
    };
    if let Some(word) = user.word("pool_timeout")
        && let Some(Value {
            value: Wait::For(wait),
            ..
        }) = &timeouts.wait
        && wait.as_millis() < u128::from(value::MILLISECONDS_MIN)
    {
        let ms = wait.as_millis();
        facts.odd.push(Odd {
            tool: Tool::Odyssey,
            place: word.place.clone(),
            what: format!("`pool_timeout` is in milliseconds: {ms} milliseconds"),
            help: format!("for {ms} seconds write {}", ms * 1000),
        });
    }
    timeouts
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "\
# pooler
workers 4
client_max 2000
storage \"pg\" {
    type \"remote\"
    host \"10.0.0.1\"  # main {
    port 5432
}
storage \"local\" { type \"local\"
}
database \"shop\"
{
    user \"app\" {
        authentication \"scram-sha-256\"
        password \"s3cret\"
        storage \"pg\"
        pool \"transaction\"
        pool_size 100
        pool_timeout 4000
        pool_ttl 60
        pool_reserve_prepared_statement yes
    }
    user default {
        authentication \"none\"
        storage \"pg\"
        pool \"session\"
        pool_size 0
    }
}
database \"console\" {
    user default {
        storage \"local\"
        pool \"session\"
    }
}
";

    fn facts(text: &str) -> Facts {
        let mut facts = Facts::default();
        read(FileId(0), text, &mut facts);
        facts
    }

    #[test]
    fn a_user_of_a_database_is_a_pool() {
        let facts = facts(SHOP);
        let [app, other] = &facts.pools[..] else {
            panic!("{:?}", facts.pools)
        };
        assert_eq!(
            (app.name.as_str(), app.size.value),
            ("shop.app", Limit::Of(100))
        );
        assert_eq!(&SHOP[app.size.place().unwrap().range.clone()], "100");
        assert_eq!(app.mode.as_ref().unwrap().value, Mode::Transaction);
        assert_eq!(app.target.host.as_deref(), Some("10.0.0.1"));
        assert_eq!(app.clients.as_ref().unwrap().value, Limit::Of(2000));
        let seconds = |n| Wait::For(Duration::from_secs(n));
        assert_eq!(app.timeouts.wait.as_ref().unwrap().value, seconds(4));
        assert_eq!(app.timeouts.idle.as_ref().unwrap().value, seconds(60));
        assert!(app.keeps_prepared.as_ref().unwrap().value);
        assert_eq!(other.size.value, Limit::Unlimited);
        assert_eq!(other.timeouts.wait.as_ref().unwrap().value, Wait::Forever);
        assert_eq!(&SHOP[facts.secrets[0].place.range.clone()], "s3cret");
    }

    #[test]
    fn values_that_cannot_be_meant_are_odd() {
        let user = |line: &str| format!("database default {{\nuser default {{\n{line}\n}}\n}}\n");
        for (line, odd) in [
            ("pool_timeout 4", 1),
            ("pool_size many", 1),
            ("pool \"transactional\"", 1),
            ("pool_timeout 0", 0),
            ("pool_ttl 60", 0),
        ] {
            let facts = facts(&user(line));
            assert_eq!((facts.odd.len(), facts.pools.len()), (odd, 1), "{line}");
        }
    }

    #[test]
    fn any_text_is_read_without_panic() {
        let deep = "database \"a\" { ".repeat(5000);
        for text in [
            "",
            "{",
            "}",
            "}}}}",
            "\"",
            "\"\\",
            "database",
            "database {",
            "user {{{",
            "#",
            "ü \"ö\" {",
            &deep,
        ] {
            let _ = facts(text);
        }
    }
}
