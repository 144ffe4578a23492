//! Command lines in manifests: how many processes and threads a server starts,
//! and what PostgreSQL is told.

use super::value::{Word, number, wait};
use crate::facts::{Facts, Tool, Value, Wait};
use std::time::Duration;

/// Words beyond these are not read.
const WORDS_MAX: usize = 2_000;

/// What a command line says.
#[derive(Default)]
pub(crate) struct Command {
    pub processes: Option<Value<u64>>,
    pub threads: Option<Value<u64>>,
    /// The server program that it starts.
    pub program: Option<&'static str>,
    /// How long one request may take, where each has a process to itself.
    pub request: Option<Value<Wait>>,
    /// `-c name=value` of `postgres`.
    pub settings: Vec<(String, Word)>,
}

/// A server program and its switches.
struct Program {
    names: &'static [&'static str],
    /// Must stand among the words too: `fastapi run`.
    with: &'static str,
    processes: &'static [&'static str],
    threads: &'static [&'static str],
    default_processes: Option<(u64, &'static str)>,
    default_threads: Option<(u64, &'static str)>,
}

const PROGRAMS: &[Program] = &[
    Program {
        names: &["gunicorn"],
        with: "",
        processes: &["-w", "--workers"],
        threads: &["--threads", "--worker-connections"],
        default_processes: Some((1, "gunicorn's default")),
        default_threads: None,
    },
    Program {
        names: &["uvicorn", "granian"],
        with: "",
        processes: &["--workers"],
        threads: &[],
        default_processes: Some((1, "the server's default")),
        default_threads: None,
    },
    Program {
        names: &["hypercorn"],
        with: "",
        processes: &["-w", "--workers"],
        threads: &[],
        default_processes: Some((1, "hypercorn's default")),
        default_threads: None,
    },
    Program {
        names: &["fastapi"],
        with: "run",
        processes: &["--workers"],
        threads: &[],
        default_processes: Some((1, "uvicorn's default")),
        default_threads: None,
    },
    // Puma's own file may say more, so its defaults are not assumed.
    Program {
        names: &["puma", "pumactl"],
        with: "",
        processes: &["-w", "--workers"],
        threads: &["-t", "--threads"],
        default_processes: None,
        default_threads: None,
    },
    Program {
        names: &["sidekiq"],
        with: "",
        processes: &[],
        threads: &["-c", "--concurrency"],
        default_processes: Some((1, "sidekiq is one process")),
        default_threads: None,
    },
    Program {
        names: &["celery"],
        with: "worker",
        processes: &["-c", "--concurrency"],
        threads: &[],
        default_processes: None,
        default_threads: None,
    },
    Program {
        names: &["uwsgi"],
        with: "",
        processes: &["-p", "--processes", "--workers"],
        threads: &["--threads"],
        default_processes: Some((1, "uWSGI's default")),
        default_threads: None,
    },
];

/// Splits a text at space and quotes; shells' other rules do not matter here.
pub(crate) fn split(word: &Word) -> Vec<Word> {
    let mut all = Vec::new();
    let mut start = None;
    let ends = word
        .text
        .char_indices()
        .map(|(i, c)| (i, c.is_whitespace() || c == '"' || c == '\''));
    for (at, ends) in ends.chain([(word.text.len(), true)]) {
        match (ends, start) {
            (true, Some(from)) => {
                all.extend(word.sub(from..at));
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
        if all.len() >= WORDS_MAX {
            break;
        }
    }
    all
}

/// Reads the words of a command line.
pub(crate) fn read(words: &[Word], tool: Tool, facts: &mut Facts) -> Command {
    let mut command = Command::default();
    let words = words.get(..words.len().min(WORDS_MAX)).unwrap_or(words);
    for (at, word) in words.iter().enumerate() {
        let rest = words.get(at + 1..).unwrap_or(&[]);
        let name = basename(&word.text);
        if matches!(name, "postgres" | "postmaster") {
            command.settings = settings(rest);
            return command;
        }
        let found = PROGRAMS.iter().find(|p| {
            let with = p.with.is_empty() || rest.iter().any(|w| w.text == p.with);
            p.names.contains(&name) && with
        });
        if let Some(program) = found {
            return of(program, rest, tool, facts);
        }
    }
    command
}

/// Reads switches alone, as `GUNICORN_CMD_ARGS` has them.
pub(crate) fn switches(word: &Word, program: &str, tool: Tool, facts: &mut Facts) -> Command {
    let found = PROGRAMS.iter().find(|p| p.names.contains(&program));
    let Some(program) = found else {
        return Command::default();
    };
    let mut command = of(program, &split(word), tool, facts);
    // Other places may say what this one leaves out.
    command.processes = command.processes.filter(Value::is_stated);
    command
}

fn of(program: &Program, words: &[Word], tool: Tool, facts: &mut Facts) -> Command {
    let default = |d: Option<(u64, &'static str)>| d.map(|(n, whose)| Value::default(n, whose));
    let processes = switch(words, program.processes, tool, facts);
    let threads = switch(words, program.threads, tool, facts);
    let name = program.names.first().copied();
    let request = request(name.unwrap_or(""), words, threads.as_ref(), tool, facts);
    Command {
        processes: processes.or(default(program.default_processes)),
        threads: threads.or(default(program.default_threads)),
        program: name,
        request,
        settings: Vec::new(),
    }
}

/// Gunicorn kills a worker that is silent for so long: with synchronous workers
/// that is the request's own time. uWSGI counts requests themselves.
fn request(
    program: &str,
    words: &[Word],
    threads: Option<&Value<u64>>,
    tool: Tool,
    facts: &mut Facts,
) -> Option<Value<Wait>> {
    let (names, others): (&[&str], &[&str]) = match program {
        "gunicorn" => (&["-t", "--timeout"], &["-k", "--worker-class"]),
        "uwsgi" => (&["--harakiri"], &[]),
        _ => return None,
    };
    let own_class = |w: &Word| others.iter().any(|name| w.text.starts_with(name));
    let is_sync = |w: &Word| w.text == "sync" || w.text.ends_with("=sync");
    let other_class = words.iter().any(own_class) && !words.iter().any(is_sync);
    if other_class || threads.is_some_and(|t| t.value > 1 && program == "gunicorn") {
        return None;
    }
    let seconds = switch(words, names, tool, facts)?;
    Some(seconds.map(|n| wait(Duration::from_secs(n))))
}

/// The number behind one of the switches; the last one counts.
fn switch(words: &[Word], names: &[&str], tool: Tool, facts: &mut Facts) -> Option<Value<u64>> {
    let mut found = None;
    for (at, word) in words.iter().enumerate() {
        for name in names {
            let Some(rest) = word.text.strip_prefix(name) else {
                continue;
            };
            let long = name.starts_with("--");
            let value = if rest.is_empty() {
                words.get(at + 1).cloned()
            } else if let Some(text) = rest.strip_prefix('=') {
                word.sub(word.text.len() - text.len()..word.text.len())
            } else if !long && rest.starts_with(|c: char| c.is_ascii_digit()) {
                word.sub(name.len()..word.text.len())
            } else {
                None
            };
            // Puma's `-t 2:8`: the most.
            let value = value.map(|value| after_colon(&value));
            if let Some(n) = value.and_then(|v| v.count(tool, facts)) {
                found = Some(n);
            }
        }
    }
    found
}

fn after_colon(word: &Word) -> Word {
    let pair = word.text.rsplit_once(':');
    let max = pair.filter(|(min, max)| number(min).is_some() && number(max).is_some());
    let part = max.and_then(|(_, max)| word.sub(word.text.len() - max.len()..word.text.len()));
    part.unwrap_or_else(|| word.clone())
}

/// `-c name=value`, `--name=value` and `-N connections`.
fn settings(words: &[Word]) -> Vec<(String, Word)> {
    let mut all = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word.text == "-N" {
            all.extend(
                words
                    .next()
                    .map(|w| ("max_connections".to_owned(), w.clone())),
            );
            continue;
        }
        let skip = match word.text.as_str() {
            text if text.starts_with("--") => 2,
            text if text.starts_with("-c") => 2,
            _ => 0,
        };
        let body = word.text.get(skip..).unwrap_or("");
        if let Some((key, value)) = body.split_once('=') {
            let start = word.text.len() - value.len();
            let value = word.sub(start..word.text.len());
            all.extend(value.map(|value| (key.replace('-', "_"), value)));
        }
    }
    all
}

fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::{FileId, Place};

    fn word(text: &str) -> Word {
        Word::new(text, Place::new(FileId(0), 0..text.len()))
    }

    #[test]
    fn servers_say_their_processes_and_threads() {
        for (text, processes, threads) in [
            ("gunicorn -w 4 --threads 8 app:app", Some(4), Some(8)),
            ("gunicorn --workers=3 app", Some(3), None),
            ("/venv/bin/gunicorn -w2 app", Some(2), None),
            ("gunicorn app -w ${WORKERS:-5}", Some(5), None),
            ("gunicorn app", Some(1), None),
            ("sh -c \"exec gunicorn -w 6 app\"", Some(6), None),
            ("uvicorn app:app --workers 4", Some(4), None),
            ("fastapi run --workers 4 main.py", Some(4), None),
            ("fastapi dev main.py", None, None),
            ("bundle exec puma -w 2 -t 5:16", Some(2), Some(16)),
            ("bundle exec puma -C config/puma.rb", None, None),
            ("bundle exec sidekiq -c 25", Some(1), Some(25)),
            ("celery -A app worker --concurrency=8", Some(8), None),
            ("celery -A app beat", None, None),
            ("python manage.py migrate", None, None),
            ("", None, None),
        ] {
            let mut facts = Facts::default();
            let words = split(&word(text));
            let found = read(&words, Tool::Compose, &mut facts);
            let count = |v: Option<Value<u64>>| v.map(|v| v.value);
            assert_eq!(count(found.processes.clone()), processes, "{text}");
            assert_eq!(count(found.threads), threads, "{text}");
            assert!(facts.odd.is_empty(), "{text}");
            if let Some(place) = found.processes.as_ref().and_then(Value::place) {
                let shown = &text[place.range.clone()];
                assert_eq!(shown.parse().ok(), processes, "{text}");
            }
        }
    }

    #[test]
    fn postgres_is_told_its_settings() {
        let text =
            "postgres -c max_connections=200 -cstatement_timeout=5s --shared-buffers=1GB -N 300";
        let found = read(&split(&word(text)), Tool::Compose, &mut Facts::default());
        let pairs: Vec<_> = found
            .settings
            .iter()
            .map(|(k, w)| (k.as_str(), w.text.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("max_connections", "200"),
                ("statement_timeout", "5s"),
                ("shared_buffers", "1GB"),
                ("max_connections", "300"),
            ]
        );
    }

    #[test]
    fn gunicorns_variable_holds_switches_only() {
        let mut facts = Facts::default();
        let found = switches(&word("--threads 4"), "gunicorn", Tool::Compose, &mut facts);
        assert!(found.processes.is_none());
        assert_eq!(found.threads.unwrap().value, 4);
        let found = switches(&word("-w many"), "gunicorn", Tool::Compose, &mut facts);
        assert!(found.processes.is_none());
        assert_eq!(facts.odd.len(), 1);
    }
}
