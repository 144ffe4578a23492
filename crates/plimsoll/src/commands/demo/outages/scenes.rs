//! The five outages, done to the demonstration and undone.

use super::super::settings::{FEED_SIZE, Settings};
use super::{LASTS, LOOK, Making, Rested};
use crate::client::{Address, Target};
use crate::stage::{App, Crowd, How, Release, Work};
use events::Guard;
use practice::drill::Felt;
use practice::show::{Measured, Outage, Told, tell};
use std::time::{Duration, Instant};

/// The user of a surge that does not come through the pooler.
pub const SURGE: &str = "surge";
/// Clients that say how it feels, before anything is done.
const CALM: Duration = Duration::from_secs(2);
/// Where shop leaves room below the line: else nothing could grow.
const ROOMY: Settings = Settings {
    shop: 4,
    feed: FEED_SIZE,
};
/// Longest time for clients to be well again.
const WELL_MAX: Duration = Duration::from_secs(20);

const LOOK_AT: &str = "select price from products where id = {r} % 1000 + 1";
const ORDER: &str = "update products set stock = stock + 1 where id = {r} % 1000 + 1";
const SLOWER: &str = "select stock, pg_sleep(0.04) from products where id = {r} % 1000 + 1";

const fn release(version: &'static str, work: &'static [(u32, Work)]) -> Release {
    Release {
        version,
        work,
        logs_in: false,
        clients: 0,
    }
}

const VISITORS: &[Release] = &[release("1.0", &[(1, Work::Query(LOOK_AT))])];
const SURGING: &[Release] = &[release("1.0", &[(1, Work::Query(SLOWER))])];
const FEED: &[Release] = &[release("7.12.0", &[(1, Work::Pair(LOOK_AT, 40, LOOK_AT))])];
const CHECKOUT: &[Release] = &[
    release("2.4.0", &[(1, Work::Pair(LOOK_AT, 5, ORDER))]),
    release(
        "2.4.1",
        &[
            (6, Work::Pair(LOOK_AT, 5, ORDER)),
            (1, Work::Forget(LOOK_AT)),
        ],
    ),
];

fn start(app: App, login: &Target) -> Result<Crowd, String> {
    Crowd::start(vec![app], login).map_err(|e| e.to_string())
}

/// What is at work in an outage.
struct Scene {
    /// Whose feelings are told.
    felt_by: Crowd,
    /// Others that make it.
    makers: Vec<Crowd>,
    /// What was done, where it did not go as planned or needs a word.
    said: String,
    /// Somebody stopped it before it was done.
    stopped: bool,
}

/// Counters before and after.
struct Counted {
    version: u64,
    reclaimed: u64,
    would: u64,
    feed: u32,
}

impl Making {
    /// From the first press to the end, in words.
    pub(super) fn play(&mut self, outage: &'static Outage, guarded: bool) -> Told {
        let (done, unguarded) = (outage.done, outage.unguarded);
        self.say(
            "What is done",
            &match guarded {
                true => done.to_owned(),
                false => format!("{done} {unguarded}"),
            },
        );
        let mut measured = Measured::default();
        match self.scene(outage, guarded) {
            Ok((scene, before, began)) => {
                self.watch(outage, guarded, scene, (before, began), &mut measured)
            }
            Err(error) => {
                measured.ended = format!("It could not be made: {error}");
                self.guards("GUARDS ON").ok();
            }
        }
        tell(outage, guarded, &measured)
    }

    /// Sets it up, lets clients come, and strikes.
    fn scene(
        &mut self,
        outage: &Outage,
        guarded: bool,
    ) -> Result<(Scene, Counted, Instant), String> {
        if !guarded {
            let off = "GUARDS OFF FOR '10min' REASON 'a demonstration without them'";
            self.guards(off).map_err(|e| e.to_string())?;
        }
        let shop = self.at_the_pooler("shop");
        let mut scene = Scene {
            felt_by: match outage.number {
                "002" => Crowd::default(),
                "003" => start(
                    App::new("feed", FEED, 16, 4_000),
                    &self.at_the_pooler("feed"),
                )?,
                _ => start(App::new("visitors", VISITORS, 10, 120), &shop)?,
            },
            makers: Vec::new(),
            said: String::new(),
            stopped: false,
        };
        if outage.number == "004" {
            scene
                .makers
                .push(start(App::new("checkout", CHECKOUT, 10, 200), &shop)?);
        }
        if outage.number == "003" {
            scene.said = self.change(false, &ROOMY);
        }
        scene.stopped = self.rest(CALM) == Rested::Stopped;
        let before = self.counted();
        let began = Instant::now();
        if !scene.stopped {
            scene.said = self.strike(outage.number, guarded, &mut scene)?;
        }
        Ok((scene, before, began))
    }

    /// The blow. Words where it was refused.
    fn strike(&self, number: &str, guarded: bool, scene: &mut Scene) -> Result<String, String> {
        let cut = Settings {
            shop: 1,
            ..Settings::default()
        };
        match number {
            "000" => return Ok(self.change(guarded, &cut)),
            "001" => {
                std::fs::write(self.pooler.file(), self.text(&cut)).map_err(|e| e.to_string())?;
                if !guarded {
                    return Ok(self.change(false, &cut));
                }
            }
            "002" => {
                let mut login = self.at_the_pooler("shop");
                if !guarded {
                    login.address = Address::Tcp(([127, 0, 0, 1], self.server.port).into());
                    login.user = SURGE;
                }
                scene.felt_by = start(App::new("surge", SURGING, 40, 20), &login)?;
            }
            "003" => {
                if let Some(feed) = scene.felt_by.app("feed") {
                    feed.think_ms(300);
                }
                if guarded {
                    let auto = Settings {
                        feed: "auto",
                        ..ROOMY
                    };
                    return Ok(self.change(false, &auto));
                }
            }
            _ => {
                if let Some(checkout) = scene.makers.iter().find_map(|c| c.app("checkout")) {
                    let version = checkout.deploy_next().version;
                    self.pooler.mark_release("checkout", version)?;
                }
            }
        }
        Ok(String::new())
    }

    /// While it lasts, and its end.
    fn watch(
        &mut self,
        outage: &Outage,
        guarded: bool,
        mut scene: Scene,
        (before, began): (Counted, Instant),
        measured: &mut Measured,
    ) {
        let mut at_server = 0;
        let mut stopped = scene.stopped;
        while !stopped && began.elapsed() < LASTS {
            stopped = self.rest(LOOK) == Rested::Stopped;
            at_server = at_server.max(self.at_server());
            let felt = scene.felt_by.felt(began.elapsed());
            self.say("What clients feel", &felt_words(&felt));
            self.say(
                "What Plimsoll does",
                &self.did(outage, guarded, &scene, &before, at_server),
            );
        }
        let span = began.elapsed();
        measured.felt = scene.felt_by.felt(span);
        measured.requests = (measured.felt.per_s * span.as_secs_f64()).round() as u64;
        measured.plimsoll = self.did(outage, guarded, &scene, &before, at_server);
        self.say("How it ends", "it is undone ...");
        let undone = self.undo(&scene);
        if !guarded {
            self.guards("GUARDS ON").ok();
        }
        let why = match (self.ended, stopped) {
            (true, _) => "the demonstration ended",
            (false, true) => "somebody stopped it",
            (false, false) => "its time was over",
        };
        let well = self.well_again(outage);
        measured.ended = format!("After {:.0} s {why}; {undone}{well}.", span.as_secs_f64());
        for crowd in scene.makers.iter_mut().chain([&mut scene.felt_by]) {
            crowd.let_go();
            crowd.join();
        }
    }

    /// Takes back whatever was done; twice does no harm.
    fn undo(&self, scene: &Scene) -> String {
        let mut done = Vec::new();
        for crowd in scene.makers.iter().chain([&scene.felt_by]) {
            crowd.let_go();
        }
        let usual = self.text(&Settings::default());
        let why = "the end of the outage";
        match self
            .pooler
            .apply(usual.clone(), How::Now, "plimsoll demo", why)
        {
            Ok(applied) => done.push(format!(
                "the settings are as before (version {})",
                applied.version
            )),
            Err(error) if error.contains("serve already") => {}
            Err(error) => done.push(format!("the settings were not taken back: {error}")),
        }
        if std::fs::read_to_string(self.pooler.file()).is_ok_and(|text| text != usual)
            && std::fs::write(self.pooler.file(), usual).is_ok()
        {
            done.push("the file is as before".to_owned());
        }
        match done.is_empty() {
            true => "whoever made it is gone".to_owned(),
            false => done.join(", "),
        }
    }

    /// Waits until new clients are served as usual.
    fn well_again(&mut self, outage: &Outage) -> String {
        if self.ended {
            return String::new();
        }
        let database = if outage.number == "003" {
            "feed"
        } else {
            "shop"
        };
        let login = self.at_the_pooler(database);
        let app = App::new("visitors", VISITORS, 4, 100);
        let Ok(mut crowd) = Crowd::start(vec![app], &login) else {
            return String::new();
        };
        let began = Instant::now();
        let usual = Felt {
            p95_ms: 20.0,
            ..Felt::default()
        };
        let mut well = false;
        while !well && began.elapsed() < WELL_MAX && !self.ended {
            self.rest(Duration::from_secs(1));
            well = crowd.felt(Duration::from_secs(1)).well(&usual);
        }
        crowd.let_go();
        crowd.join();
        match well {
            true => format!(
                "; clients were well {:.0} s later",
                began.elapsed().as_secs_f64()
            ),
            false => "; clients were not well yet when nobody looked any more".to_owned(),
        }
    }

    /// What Plimsoll did, with figures.
    fn did(
        &self,
        outage: &Outage,
        guarded: bool,
        scene: &Scene,
        before: &Counted,
        at_server: u32,
    ) -> String {
        let now = self.counted();
        let line = self.line();
        match outage.number {
            _ if !scene.said.is_empty() => format!("It refused: {}", scene.said),
            "001" if guarded => format!(
                "It did not take the file; version {} serves on. It says: {}",
                now.version,
                self.drift()
            ),
            "000" if guarded => self.newest(),
            "000" | "001" => format!("Nothing, as told; version {} serves.", now.version),
            "002" if guarded => format!(
                "It held the line of {line}: PostgreSQL never had more than {at_server} connections of its own clients; the rest waited their turn."
            ),
            "002" => {
                "Nothing: they did not come to it. PostgreSQL turned away whom it had no slot for."
                    .to_owned()
            }
            "003" => format!(
                "The pool feed went from {} to {} connections, within the line of {line}.{}",
                before.feed,
                now.feed,
                match guarded {
                    true => "",
                    false => " It advises more (SHOW ADVICE).",
                }
            ),
            _ if guarded => format!(
                "It named checkout 2.4.1 with its last statement, and took {} leases back while others waited.",
                now.reclaimed - before.reclaimed
            ),
            _ => format!(
                "It named checkout 2.4.1 with its last statement; it would have taken leases back {} times.",
                now.would - before.would
            ),
        }
    }

    /// Applies settings; what is refused comes back as words.
    fn change(&self, guarded: bool, settings: &Settings) -> String {
        let how = if guarded { How::Guarded } else { How::Now };
        let applied = self
            .pooler
            .apply(self.text(settings), how, "update 2024-08-15", "routine");
        match applied {
            Ok(_) => String::new(),
            Err(error) => error.lines().next().unwrap_or_default().to_owned(),
        }
    }

    fn text(&self, settings: &Settings) -> String {
        settings.toml(&self.pooler.dir, self.server.port)
    }

    fn counted(&self) -> Counted {
        let snapshot = self.pooler.handle.snapshot(false);
        let feed = snapshot.pools.iter().find(|p| p.database == "feed");
        Counted {
            version: self.pooler.status().map_or(0, |s| s.version),
            reclaimed: snapshot.guards.counts.done(Guard::Reclaim),
            would: snapshot.guards.counts.would(Guard::Reclaim),
            feed: feed.map_or(0, |p| p.size),
        }
    }

    fn drift(&self) -> String {
        let drift = self.pooler.status().and_then(|s| s.drift);
        drift.unwrap_or_default()
    }

    /// The newest change, and what became of it.
    fn newest(&self) -> String {
        let lines = self.pooler.history().into_iter();
        let newest = lines.max_by_key(|line| line.version);
        newest.map_or(String::new(), |line| {
            let became = match line.state.as_str() {
                "refused" => "It refused the change",
                "rolled_back" => "It took the change back",
                "applied" => "The change serves",
                _ => "The change is on its way, step by step",
            };
            match line.note.is_empty() {
                true => format!("{became} (version {}).", line.version),
                false => format!("{became} (version {}): {}", line.version, line.note),
            }
        })
    }

    fn line(&self) -> u32 {
        let snapshot = self.pooler.handle.snapshot(false);
        snapshot.budgets.first().map_or(0, |b| b.line)
    }

    /// Connections of the pooler, as PostgreSQL counts them.
    fn at_server(&self) -> u32 {
        let rows = self
            .server
            .others
            .ask("select count(*) from pg_stat_activity where usename in ('demo', 'reporter')");
        let first = rows.ok().and_then(|rows| rows.first()?.first()?.clone());
        first.and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

fn felt_words(felt: &Felt) -> String {
    format!(
        "{:.0} requests/s, {:.0} % fail, 95 of 100 within {:.0} ms, the longest {:.1} s",
        felt.per_s,
        felt.failed_percent,
        felt.p95_ms,
        felt.longest_ms / 1e3
    )
}
