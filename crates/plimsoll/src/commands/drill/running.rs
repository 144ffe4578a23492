//! A drill on its way: the clock, the stage, and what is typed.

use super::Teller;
use super::input::Input;
use crate::stage::{self, Stage};
use control::api::Veil;
use diagnose::Verdict;
use practice::drill::{Answer, Command, Debrief, Deed, Drill, Ending, Felt, Now, Session};
use std::time::{Duration, Instant};

/// The calm before: long enough to know what is usual.
const CALM: Duration = Duration::from_secs(11);
/// Longest time from the blow until it hurts.
const HURT_MAX: Duration = Duration::from_secs(60);
/// What clients feel is asked over so long.
const FELT_OVER: Duration = Duration::from_secs(4);
/// From one look at the stage to the next.
const TICK: Duration = Duration::from_secs(1);
/// From an action to its effect: who waited before it has his answer by then.
const SETTLE: Duration = Duration::from_secs(6);
/// `wait` without a time.
const WAIT_WELL: Duration = Duration::from_secs(60);
/// When no more lines come, and the cause is named: so long for clients to be well.
const LINGER: Duration = Duration::from_secs(30);

/// Everything of one drill.
pub(super) struct Running {
    drill: &'static Drill,
    stage: Stage,
    input: Input,
    veil: Veil,
    limit: Duration,
    session: Session,
    /// The pager.
    began: Instant,
    next_tick: Instant,
    felt: Felt,
    verdict: Verdict,
    addresses: String,
}

impl Running {
    pub(super) fn new(
        drill: &'static Drill,
        stage: Stage,
        input: Input,
        veil: Veil,
        limit: Duration,
    ) -> Running {
        Running {
            addresses: addresses(&stage),
            session: Session::new(drill, Felt::default(), !veil.hides()),
            drill,
            stage,
            input,
            veil,
            limit,
            began: Instant::now(),
            next_tick: Instant::now(),
            felt: Felt::default(),
            verdict: Verdict::default(),
        }
    }

    /// From the calm to the end.
    pub(super) fn play(&mut self, teller: &mut Teller) -> anyhow::Result<Ending> {
        teller.say(&self.addresses)?;
        teller.say("\nAll is calm, for some seconds: look around, in another terminal too.")?;
        if !self.input.rest(CALM) {
            return Ok(Ending::Interrupted);
        }
        let usual = self.stage.felt(CALM / 2);
        self.session = Session::new(self.drill, usual, !self.veil.hides());
        if !self.strike(&usual)? {
            return Ok(Ending::Interrupted);
        }
        self.began = Instant::now();
        self.tick(teller)?;
        teller.say(&format!(
            "\n{}\n`help` says what can be typed.",
            self.session.pager()
        ))?;
        self.input.open()?;
        self.talk(teller)
    }

    /// The blow, and the time until clients suffer from it. `false`: a signal came.
    fn strike(&mut self, usual: &Felt) -> anyhow::Result<bool> {
        let input = &mut self.input;
        let struck = self.stage.strike(&mut || input.rest(TICK));
        struck.map_err(|e| anyhow::anyhow!("the outage could not be made: {e}"))?;
        let until = Instant::now() + HURT_MAX;
        let mut seen = 0;
        while seen < 2 {
            if !self.input.rest(TICK) {
                return Ok(false);
            }
            let hurts = !self.stage.felt(FELT_OVER).well(usual);
            seen = if hurts { seen + 1 } else { 0 };
            if Instant::now() > until {
                anyhow::bail!("nobody suffers from the outage that was made; please try again");
            }
        }
        Ok(true)
    }

    fn talk(&mut self, teller: &mut Teller) -> anyhow::Result<Ending> {
        let mut closed_at: Option<Instant> = None;
        let mut prompt = true;
        loop {
            if self.input.typed && prompt {
                teller.prompt("drill> ")?;
            }
            prompt = false;
            let line = self.input.line(self.next_tick);
            if self.input.interrupted {
                return Ok(Ending::Interrupted);
            }
            if let Some(line) = line {
                prompt = true;
                if !self.input.typed {
                    teller.say(&format!("drill> {line}"))?;
                }
                if self.typed(&line, teller)? {
                    return Ok(Ending::GaveUp);
                }
            }
            if Instant::now() >= self.next_tick {
                prompt |= self.tick(teller)?;
            }
            if let Some(ending) = self.session.over(self.began.elapsed()) {
                return Ok(ending);
            }
            if self.began.elapsed() >= self.limit {
                return Ok(Ending::TimeOver);
            }
            if self.input.is_over() {
                // What was typed last may still take effect.
                let since = closed_at.get_or_insert_with(Instant::now);
                if !self.session.is_named() || since.elapsed() > LINGER {
                    return Ok(Ending::Interrupted);
                }
            }
        }
    }

    /// Does what was typed. `true`: give up.
    fn typed(&mut self, line: &str, teller: &mut Teller) -> anyhow::Result<bool> {
        let command = match Session::read(line) {
            Ok(Some(Command::GiveUp)) => return Ok(true),
            Ok(Some(command)) => command,
            Ok(None) => return Ok(false),
            Err(text) => {
                teller.say(&text)?;
                return Ok(false);
            }
        };
        let complaints = self.stage.crowd.complaints(FELT_OVER);
        let now = Now {
            felt: &self.felt,
            complaints: &complaints,
            verdict: &self.verdict,
            addresses: &self.addresses,
        };
        match self.session.handle(self.began.elapsed(), &command, now) {
            Answer::Say(text) => teller.say(&text)?,
            Answer::Reveal(text) => {
                self.veil.lift();
                teller.say(&text)?;
            }
            Answer::Do(deed) => self.act(&deed, teller)?,
            Answer::Wait(span) => self.wait(span, teller)?,
        }
        Ok(false)
    }

    fn act(&mut self, deed: &Deed, teller: &mut Teller) -> anyhow::Result<()> {
        teller.say(&format!("{} ...", deed.words()))?;
        let before = self.stage.felt(FELT_OVER);
        let said = self.stage.carry_out(deed);
        let at = self.began.elapsed();
        if said.is_ok() {
            self.pass(SETTLE, false, teller)?;
        }
        let after = self.stage.felt(FELT_OVER);
        teller.say(&self.session.did(at, deed, said, (before, after)))
    }

    fn wait(&mut self, span: Option<Duration>, teller: &mut Teller) -> anyhow::Result<()> {
        self.pass(span.unwrap_or(WAIT_WELL), span.is_none(), teller)?;
        teller.say(&self.felt.to_string())
    }

    /// Lets time pass, second by second; `until_well`: at most until clients are well.
    fn pass(
        &mut self,
        span: Duration,
        until_well: bool,
        teller: &mut Teller,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + span;
        while Instant::now() < until {
            let next = self.next_tick.min(until);
            if !self
                .input
                .rest(next.saturating_duration_since(Instant::now()))
            {
                return Ok(());
            }
            if Instant::now() >= self.next_tick {
                self.tick(teller)?;
            }
            let at = self.began.elapsed();
            if (until_well && self.session.is_well(at)) || at >= self.limit {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Looks at the stage. `true`: there was something to say.
    fn tick(&mut self, teller: &mut Teller) -> anyhow::Result<bool> {
        self.next_tick = Instant::now() + TICK;
        self.felt = self.stage.felt(FELT_OVER);
        self.verdict = self.stage.pooler().verdict();
        let at = self.began.elapsed();
        let news = self.session.feel(at, &self.felt, Some(&self.verdict));
        if let Some(news) = &news {
            teller.say(&format!("[{:.0} s] {news}", at.as_secs_f64()))?;
        }
        Ok(news.is_some())
    }

    pub(super) fn debrief(&self, ending: Ending) -> Debrief {
        self.session.debrief(self.began.elapsed(), ending)
    }
}

/// Where everything is.
fn addresses(stage: &Stage) -> String {
    let pooler = stage.pooler();
    let (address, dir) = (pooler.address, pooler.dir.display());
    let (user, admin, database) = (stage::USER, stage::ADMIN, stage::DATABASE);
    format!(
        "Live page  {page}\n\
         Database   psql postgres://{user}@{address}/{database}\n\
         Console    psql postgres://{admin}@{address}/pgbouncer -c 'show leases'\n\
         Server     psql -h {server} -p {port} -U postgres {database}\n\
         Settings   {file}\n\
         Tools      plimsoll top --socket {dir}; plimsoll history {file}",
        page = pooler.page().unwrap_or_default(),
        server = stage.sandbox.socket_dir().display(),
        port = stage.sandbox.port(),
        file = pooler.file().display(),
    )
}
