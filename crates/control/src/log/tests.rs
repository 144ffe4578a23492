//! The log's lines, its bounds and what it leaves out.

use super::*;
use std::sync::Mutex;
use std::sync::mpsc;

/// A stream that can be held shut, as a full pipe is.
#[derive(Clone, Default)]
struct Pipe {
    text: Arc<Mutex<Vec<u8>>>,
    gate: Arc<Mutex<()>>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _open = self.gate.lock().unwrap();
        self.text.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log(pipe: &Pipe, format: LogFormat) -> (Log, Dispatch) {
    let queue = Queue::start(Sink::Stream(Box::new(pipe.clone())), format).unwrap();
    let options = LogOptions {
        format,
        ..LogOptions::default()
    };
    let (dispatch, turn) = dispatch(&options, false, queue.clone());
    (Log { queue, turn }, dispatch)
}

#[test]
fn the_level_changes_while_the_log_runs() {
    let pipe = Pipe::default();
    let (log, dispatch) = log(&pipe, LogFormat::Text);
    tracing::dispatcher::with_default(&dispatch, || {
        let say = |what: &str| tracing::debug!("{what}");
        say("before");
        log.set_level(Level::DEBUG);
        say("between");
        log.set_level(Level::INFO);
        say("after");
    });
    assert!(log.flush());
    let text = String::from_utf8(pipe.text.lock().unwrap().clone()).unwrap();
    assert!(text.contains("DEBUG") && text.contains("between"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn text_is_one_line_per_event_whatever_a_value_holds() {
    let pipe = Pipe::default();
    let (log, dispatch) = log(&pipe, LogFormat::Text);
    tracing::dispatcher::with_default(&dispatch, || {
        tracing::info!(user = "a\nFATAL forged", "client \x1b[31m{}", "x\ny");
        tracing::debug!("not shown");
    });
    assert!(log.flush());
    let text = String::from_utf8(pipe.text.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains(" INFO ") && text.contains("x\\ny") && !text.contains('\x1b'),
        "{text}"
    );
}

#[test]
fn json_is_one_object_per_line() {
    let pipe = Pipe::default();
    let (log, dispatch) = log(&pipe, LogFormat::Json);
    tracing::dispatcher::with_default(&dispatch, || {
        tracing::warn!(reason = "queue_full", pool = 3, "refused");
        tracing::warn!(
            text = "x".repeat(LINE_BYTES_MAX),
            "too long to be kept whole"
        );
    });
    assert!(log.flush());
    let text = String::from_utf8(pipe.text.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["level"], "WARN");
    assert_eq!(lines[0]["reason"], "queue_full");
    assert_eq!(lines[0]["message"], "refused");
    assert!(
        lines[0]["timestamp"]
            .as_str()
            .is_some_and(|t| t.ends_with('Z'))
    );
}

#[test]
fn a_stuck_reader_costs_lines_never_time() {
    let pipe = Pipe::default();
    let (log, dispatch) = log(&pipe, LogFormat::Text);
    let shut = pipe.gate.lock().unwrap();
    let before = dropped();
    let surplus = 500;
    let (done, finished) = mpsc::channel();
    let logging = std::thread::Builder::new().spawn(move || {
        tracing::dispatcher::with_default(&dispatch, || {
            // One batch may already be with the writer, so send that on top of what the queue holds.
            for i in 0..2 * LINES_MAX + surplus {
                tracing::info!(
                    i,
                    "a line of some length, so that a batch fills up soon: {}",
                    "x".repeat(100)
                );
            }
        });
        let _ = done.send(());
    });
    finished
        .recv_timeout(Duration::from_secs(60))
        .expect("logging never waits");
    logging.unwrap().join().unwrap();
    assert!(dropped() - before >= surplus as u64);
    drop(shut);
    assert!(log.flush());
    let kept = pipe
        .text
        .lock()
        .unwrap()
        .iter()
        .filter(|b| **b == b'\n')
        .count();
    assert!(
        (LINES_MAX..2 * LINES_MAX + surplus).contains(&kept),
        "{kept}"
    );
}

#[test]
fn long_text_is_cut_between_characters() {
    let cut = one_line("ä".repeat(LINE_BYTES_MAX).into_bytes(), LogFormat::Text).unwrap();
    let cut = String::from_utf8(cut).unwrap();
    assert!(
        cut.ends_with("ä…\n") && cut.len() <= LINE_BYTES_MAX + 4,
        "{}",
        cut.len()
    );
}

#[test]
fn a_file_is_appended_to_and_opened_anew_after_rotation() {
    let dir = std::env::temp_dir().join(format!("plimsoll-log-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("p.log");
    std::fs::write(&path, "old\n").unwrap();
    let queue = Queue::start(Sink::file(path.clone()).unwrap(), LogFormat::Text).unwrap();
    let log = Log {
        queue: queue.clone(),
        turn: Box::new(drop),
    };
    let say = |text: &str| {
        queue.make_writer().write_all(text.as_bytes()).unwrap();
        assert!(log.flush());
    };
    say("one\n");
    std::fs::rename(&path, dir.join("p.log.1")).unwrap();
    log.reopen();
    say("two\n");
    assert_eq!(
        std::fs::read_to_string(dir.join("p.log.1")).unwrap(),
        "old\none\n"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    let error = Sink::file(dir.join("no/such/dir/x.log"))
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("no/such/dir/x.log"), "{error}");
    std::fs::remove_dir_all(&dir).unwrap();
}

fn said_in(style: LogStyle, format: LogFormat, say: impl FnOnce()) -> String {
    let pipe = Pipe::default();
    let queue = Queue::start(Sink::Stream(Box::new(pipe.clone())), format).unwrap();
    let options = LogOptions {
        format,
        style,
        ..LogOptions::default()
    };
    let (dispatch, turn) = dispatch(&options, false, queue.clone());
    let log = Log { queue, turn };
    tracing::dispatcher::with_default(&dispatch, say);
    assert!(log.flush());
    let text = pipe.text.lock().unwrap().clone();
    String::from_utf8(text).unwrap()
}

fn both() {
    let theirs = tracing::enabled!(target: events::pgbouncer::LOG_TARGET, Level::INFO);
    tracing::info!(target: events::pgbouncer::LOG_TARGET, "C-0x1: shop/{}@unix:6432 closing", "a\nb");
    tracing::warn!(
        reason = "evicted",
        text = "two words",
        theirs,
        count = 3,
        "our own"
    );
}

#[test]
fn in_pgbouncers_style_its_lines_and_ours_have_its_shape() {
    let text = said_in(LogStyle::Pgbouncer, LogFormat::Text, both);
    let pid = format!(" UTC [{}] ", std::process::id());
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.split_once(&pid).expect("its head").1)
        .collect();
    let expected = [
        "LOG C-0x1: shop/a\\nb@unix:6432 closing",
        "WARNING our own reason=\"evicted\" text=\"two words\" theirs=true count=3",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_other_styles_leave_pgbouncers_lines_out() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let style = match format {
            LogFormat::Text => LogStyle::Plimsoll,
            LogFormat::Json => LogStyle::Pgbouncer,
        };
        let text = said_in(style, format, both);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("our own") && !text.contains("C-0x1"),
            "{text}"
        );
        assert!(
            text.contains("theirs=false") || text.contains("\"theirs\":false"),
            "{text}"
        );
    }
}
