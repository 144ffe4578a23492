//! One outage in one column, from the calm to the end.

use super::cores::Cores;
use super::crowd::{self, Met};
use super::heard::{Ear, Question};
use super::library::Outage;
use super::stage::Stage;
use super::tools::Tools;
use practice::outage::{Action, Column, Course, Done, Facts, Figures, Row, Sample};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From one look at the run to the next.
const LOOK: Duration = Duration::from_millis(100);
/// From one look at whether users suffer to the next.
const SUFFERING_EVERY: Duration = Duration::from_millis(500);

/// How a run is done.
pub(super) struct Play<'a> {
    pub(super) outage: &'a Outage,
    pub(super) column: &'a Column,
    /// The pooler's command.
    pub(super) pooler: Option<&'a str>,
    pub(super) tools: &'a Tools,
    pub(super) logs: Option<&'a Path>,
    /// A person wants an end.
    pub(super) stop: &'a AtomicBool,
    /// Told each second: seconds so far, and what users meet now.
    pub(super) progress: &'a dyn Fn(f64, &[Sample]),
}

impl Play<'_> {
    /// Runs it. A run that could not be set up is a row that says why.
    pub(super) fn run(&self) -> anyhow::Result<Row> {
        let scenario = &self.outage.scenario;
        let cores = scenario.database.cores.and_then(Cores::of);
        let row = self.on_stage(cores.as_ref());
        if let Some(cores) = &cores {
            cores.release();
        }
        row
    }

    fn on_stage(&self, cores: Option<&Cores>) -> anyhow::Result<Row> {
        let scenario = &self.outage.scenario;
        let stage = Stage::set(self.outage, self.column, self.pooler, self.tools, cores)?;
        let (to, socket) = (stage.address(), stage.socket()?);
        let blow = scenario.blow(self.column);
        let met = Arc::new(Met::default());
        let began = Instant::now();
        let question = Question {
            began,
            blow,
            causes: scenario.causes.clone(),
        };
        let ear = socket.map(|socket| Ear::open(&socket, question));
        let done = Mutex::new(Vec::new());
        let (orders, taken) = channel::<Order>();
        std::thread::scope(|scope| {
            let crowd = scope.spawn(|| crowd::come(scenario, to, began, &met));
            scope.spawn(|| act(stage, taken, began, &done));
            self.watch(began, &met, ear.as_ref(), &orders);
            met.stop();
            // The stage ends when no more orders can come, and what is under way wants its answer.
            crowd.join().ok();
            drop(orders);
        });
        let heard = ear.as_ref().map(Ear::heard).unwrap_or_default();
        drop(ear);
        let blow_s = blow.as_secs_f64();
        let samples: Vec<Sample> = (met.samples().into_iter())
            .filter(|sample| sample.due_s < scenario.lasts.as_secs_f64())
            .collect();
        let figures = Figures::of(&samples, scenario.steady, blow_s);
        let unsent = met.unsent();
        let void = figures.void(scenario.steady, unsent);
        Ok(Row {
            outage: self.outage.name.clone(),
            title: scenario.title.clone(),
            report: scenario.report.clone(),
            reported: scenario.reported.clone(),
            fault: scenario.fault,
            column: self.column.clone(),
            void,
            blow_s,
            figures,
            alert_s: heard.alert_s,
            named_s: heard.named.map(|(at, _)| at),
            named: heard.named.map(|(_, cause)| cause.label().to_owned()),
            said: heard.said,
            done: done.into_inner().unwrap_or_else(PoisonError::into_inner),
            minutes_per_second: scenario.person.minutes_per_second,
            seed: scenario.load.seed,
            unsent,
        })
    }

    /// Gives orders as they are due, until the run's end.
    fn watch(&self, began: Instant, met: &Met, ear: Option<&Ear>, orders: &Sender<Order>) {
        let scenario = &self.outage.scenario;
        let mut course = Course::new(scenario, self.column);
        let blow_s = scenario.blow(self.column).as_secs_f64();
        let mut facts = Facts::default();
        let mut looked = Duration::ZERO;
        while began.elapsed() < scenario.lasts && !self.stop.load(Ordering::Relaxed) {
            let now = began.elapsed();
            facts.now_s = now.as_secs_f64();
            if now >= looked + SUFFERING_EVERY {
                looked = now;
                let samples = met.samples();
                if facts.hurts_since_s.is_none() && facts.now_s > blow_s {
                    // The alarm is heard when it is seen, not when it began.
                    let hurts = Figures::hurts_since(&samples, scenario.steady, blow_s);
                    facts.hurts_since_s = hurts.map(|_| facts.now_s);
                }
                (self.progress)(facts.now_s, &samples);
            }
            facts.named_s = ear.and_then(|ear| ear.heard().named).map(|(at, _)| at);
            while let Some(due) = course.due(&facts) {
                let order = Order::Do {
                    action: due.action.clone(),
                    does: due.does.to_owned(),
                    by_person: due.by_person,
                };
                // The actor lives as long as orders can come.
                orders.send(order).ok();
            }
            std::thread::sleep(LOOK);
        }
        if let Some(logs) = self.logs {
            let to = logs.join(format!("{}-{}", self.outage.name, self.column.label()));
            orders.send(Order::KeepLogs(to)).ok();
        }
    }
}

/// What the actor does next.
enum Order {
    /// A step of the scenario.
    Do {
        action: Action,
        does: String,
        by_person: bool,
    },
    /// The logs are copied there.
    KeepLogs(PathBuf),
}

/// Does one order after the other; the stage ends with the last.
fn act(mut stage: Stage<'_>, orders: Receiver<Order>, began: Instant, done: &Mutex<Vec<Done>>) {
    for order in orders {
        let (action, does, by_person) = match order {
            Order::Do {
                action,
                does,
                by_person,
            } => (action, does, by_person),
            Order::KeepLogs(to) => {
                // They are for the curious; the run counts without them.
                stage.keep_logs(&to).ok();
                continue;
            }
        };
        let at_s = began.elapsed().as_secs_f64();
        let ended = stage.act(&action).and_then(|()| stage.check());
        done.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Done {
                at_s,
                does,
                by_person,
                failed: ended.err().map(|error| format!("{error:#}")),
            });
    }
}
