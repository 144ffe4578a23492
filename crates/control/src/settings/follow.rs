//! Follows the settings' text in etcd: a thread that reads the key, watches it, and
//! tells the keeper. What a text is worth the keeper decides, as with a file.

use super::keeper::Command;
use ::etcd::{Client, Event, KeyValue, Range, Watch};
use config::Etcd;
use std::io;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Longest text. etcd itself takes no value of more than 1.5 MiB.
const TEXT_MAX: usize = 1 << 20;
/// A watch that says nothing for so long is not trusted: the key is read again.
const READ_AGAIN: Duration = Duration::from_secs(15);
/// Between two tries while etcd is away.
const PAUSE: Duration = Duration::from_secs(2);

/// What etcd says of the settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Followed {
    /// The key has this text, whole, since this revision.
    Text(String, u64),
    /// What the key has is no whole text: why.
    Odd(&'static str),
    /// There is no such key, or not any more.
    Gone,
    /// etcd is not heard: why. What serves goes on serving.
    Silent(String),
    /// etcd is heard again.
    Heard,
}

/// The running follower.
pub(super) struct Following {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Following {
    /// Ends the thread; to be called when the keeper takes no commands any more.
    pub fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Begins to follow. Where etcd cannot be asked by these settings, what serves goes on
/// serving, and the keeper is told why.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(at: &Etcd, keeper: SyncSender<Command>) -> io::Result<Following> {
    let client = match Client::new(etcd::Settings::of(at)) {
        Ok(client) => client,
        Err(error) => {
            let news = Followed::Silent(format!("{error}; a restart tries again"));
            drop(keeper.try_send(Command::Followed(news)));
            return Ok(Following {
                stop: None,
                thread: None,
            });
        }
    };
    let key = at.settings_key();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("settings-etcd".into())
        .spawn(move || {
            let mut follower = Follower {
                client,
                key,
                keeper,
                last: None,
                silent: None,
            };
            runtime.block_on(async {
                tokio::select! {
                    () = follower.run() => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        })?;
    Ok(Following {
        stop: Some(stop),
        thread: Some(thread),
    })
}

struct Follower {
    client: Client,
    key: String,
    keeper: SyncSender<Command>,
    /// What was told of the key last: the same is not told again.
    last: Option<Followed>,
    /// Why etcd is not heard, as it was told.
    silent: Option<String>,
}

/// The keeper has ended.
struct Ended;

impl Follower {
    async fn run(&mut self) {
        loop {
            match self.round().await {
                Ok(error) => {
                    let why = error.to_string();
                    if self.silent.as_ref() != Some(&why) {
                        self.silent = Some(why.clone());
                        if self.send(Followed::Silent(why)).is_err() {
                            return;
                        }
                    }
                }
                Err(Ended) => return,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads, and watches until that fails.
    async fn round(&mut self) -> Result<::etcd::Error, Ended> {
        loop {
            let read = match self.client.range(&Range::key(self.key.as_str())).await {
                Ok(read) => read,
                Err(error) => return Ok(error),
            };
            if self.silent.take().is_some() {
                self.send(Followed::Heard)?;
            }
            self.tell(read.kvs.first().map_or(Followed::Gone, judge))?;
            let watch = Watch {
                key: self.key.clone().into_bytes(),
                from: read.header.revision + 1,
                ..Watch::default()
            };
            let mut watching = match self.client.watch(&watch).await {
                Ok(watching) => watching,
                Err(error) => return Ok(error),
            };
            // What was compacted away, or an etcd of another time, is seen by reading.
            while let Ok(news) = tokio::time::timeout(READ_AGAIN, watching.next()).await {
                match news {
                    Ok(news) => {
                        // Of several the last one counts.
                        if let Some(event) = news.events.last() {
                            self.tell(told(event))?;
                        }
                    }
                    Err(error) => return Ok(error),
                }
            }
        }
    }

    fn tell(&mut self, news: Followed) -> Result<(), Ended> {
        let same = match (&self.last, &news) {
            (Some(Followed::Text(before, _)), Followed::Text(now, _)) => before == now,
            (Some(before), now) => before == now,
            (None, _) => false,
        };
        if same {
            return Ok(());
        }
        self.last = Some(news.clone());
        self.send(news)
    }

    fn send(&self, news: Followed) -> Result<(), Ended> {
        let sent = self.keeper.send(Command::Followed(news));
        sent.map_err(|_| Ended)
    }
}

fn told(event: &Event) -> Followed {
    match event.deleted {
        true => Followed::Gone,
        false => judge(&event.kv),
    }
}

/// Whether a value can be a whole text. A text that was cut off at a line's end
/// looks whole, and is for the checks of the settings.
fn judge(kv: &KeyValue) -> Followed {
    if kv.value.len() > TEXT_MAX {
        return Followed::Odd("it is longer than 1 MiB");
    }
    match std::str::from_utf8(&kv.value) {
        Err(_) => Followed::Odd("it is no text in UTF-8"),
        Ok(text) if text.trim().is_empty() => Followed::Odd("it is empty"),
        Ok(text) if !text.ends_with('\n') => {
            Followed::Odd("its last line has no end, so it may be half a text")
        }
        Ok(text) => Followed::Text(text.to_owned(), kv.mod_revision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(value: &[u8]) -> KeyValue {
        KeyValue {
            value: value.to_vec(),
            mod_revision: 7,
            ..KeyValue::default()
        }
    }

    #[test]
    fn only_what_can_be_whole_is_a_text() {
        let text = |value: &[u8]| matches!(judge(&kv(value)), Followed::Text(..));
        assert!(text(b"[pool]\nsize = 7\n"));
        for half in [&b"[pool]\nsize = 7"[..], b"", b" \n", b"[pool]\xff\n"] {
            assert!(!text(half), "{half:?}");
        }
        assert!(!text(&[b'\n'; TEXT_MAX + 1]));
        let deleted = Event {
            deleted: true,
            kv: kv(b""),
            before: None,
        };
        assert_eq!(told(&deleted), Followed::Gone);
    }

    #[test]
    fn the_same_text_is_told_once_and_the_keeper_s_end_ends_it() {
        let (keeper, inbox) = std::sync::mpsc::sync_channel(8);
        let mut follower = Follower {
            client: Client::new(::etcd::Settings::at(["http://127.0.0.1:1"])).expect("settings"),
            key: "p/settings".into(),
            keeper,
            last: None,
            silent: None,
        };
        let one = |revision| Followed::Text("one\n".into(), revision);
        for news in [
            one(3),
            one(3),
            one(9),
            Followed::Gone,
            Followed::Gone,
            one(12),
        ] {
            assert!(follower.tell(news).is_ok());
        }
        let told: Vec<Followed> = inbox
            .try_iter()
            .map(|command| match command {
                Command::Followed(news) => news,
                _ => panic!("another command"),
            })
            .collect();
        // Written anew with the same text it is no news; after it was gone it is.
        assert_eq!(told, [one(3), Followed::Gone, one(12)]);
        drop(inbox);
        assert!(follower.tell(Followed::Gone).is_err());
    }
}
