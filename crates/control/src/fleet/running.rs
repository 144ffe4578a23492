//! The threads of the channel: one with a runtime for the listener and the
//! questions, one that finds addresses and reads certificates.

use super::{Discovery, Fleet, ask, channel, discover, tls};
use crate::Source;
use ::fleet::{News, PeerState};
use config::Plan;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel as queue};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Between two looks at who is to be asked.
const LOOK: Duration = Duration::from_millis(100);
/// Between two looks at the settings and what follows from the book.
const FOLLOW: Duration = Duration::from_secs(1);
/// Between two answers of a discovery.
const DISCOVER: Duration = Duration::from_secs(5);

/// The running channel.
pub struct Running {
    address: SocketAddr,
    stop: Option<(oneshot::Sender<()>, Sender<()>)>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it. A name that is still being looked up is not waited for.
    pub fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Fleet {
    /// Begins to listen, to ask and to look for others.
    ///
    /// # Errors
    /// The listener's, the runtime's or the threads'; or TLS cannot be set up. The
    /// instance serves without the channel then.
    pub fn start(&self, source: Arc<dyn Source>) -> io::Result<Running> {
        if let Some(plan) = source.plan() {
            certificates(self, &plan).map_err(io::Error::other)?;
        }
        let listener = TcpListener::bind(self.shared.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let (stop_looking, looking) = queue::<()>();
        let (fleet, figures) = (self.clone(), Arc::clone(&source));
        let thread = std::thread::Builder::new()
            .name("fleet".into())
            .spawn(move || {
                runtime.block_on(run(fleet, figures, listener, stopped));
                runtime.shutdown_background();
            })?;
        let fleet = self.clone();
        std::thread::Builder::new()
            .name("fleet-discovery".into())
            .spawn(move || {
                let mut finder = Finder::new(fleet, source);
                finder.look();
                // Nothing is ever sent: the other end goes away.
                while let Err(RecvTimeoutError::Timeout) = looking.recv_timeout(FOLLOW) {
                    finder.look();
                }
            })?;
        Ok(Running {
            address,
            stop: Some((stop, stop_looking)),
            thread: Some(thread),
        })
    }

    /// Whom to ask now; what became of the peers goes to the log and to the gate of
    /// the settings.
    fn turn(&self, source: &dyn Source, followed: &mut Instant) -> Vec<::fleet::Ask> {
        let now = Instant::now();
        if now >= *followed {
            *followed = now + FOLLOW;
            if let Some(plan) = source.plan() {
                self.follow(&plan);
            }
            self.tell_the_gate(source);
            source.pass_cancels_to(&self.clients_of_others());
        }
        let (asks, news) = {
            let (mut state, now) = (self.state(), self.now());
            let settings = state.own.serves().to_owned();
            state.book.tick(now, &settings);
            let news: Vec<News> = std::iter::from_fn(|| state.book.poll()).collect();
            (state.book.due(now), news)
        };
        news.into_iter().for_each(log);
        asks
    }

    /// Where the clients of the others connect. Who is silent would hold up whoever
    /// cancels, and who is not believed is passed nothing.
    pub(super) fn clients_of_others(&self) -> Vec<SocketAddr> {
        let state = self.state();
        let places = state.book.believed().filter_map(::fleet::Peer::clients_at);
        places.collect()
    }

    /// The settings that peers turned down, for the keeper of the settings.
    fn tell_the_gate(&self, source: &dyn Source) {
        let Some(figures) = source.settings() else {
            return;
        };
        let state = self.state();
        let known = |p: &&::fleet::Peer| p.state.is_believed() || p.state == PeerState::Silent;
        let down = state.book.peers().filter(known);
        let down = down.flat_map(|p| &p.said.turned_down);
        let stated = down.map(|t| (t.hash.clone(), t.reason.clone())).collect();
        figures.set_peers_turned_down(stated);
    }
}

async fn run(
    fleet: Fleet,
    source: Arc<dyn Source>,
    listener: TcpListener,
    stopped: oneshot::Receiver<()>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the fleet's channel cannot listen"),
    };
    let asking = async {
        let mut tasks = tokio::task::JoinSet::new();
        let mut followed = Instant::now();
        loop {
            // At most one for each address is under way: the book sees to it.
            for due in fleet.turn(source.as_ref(), &mut followed) {
                tasks.spawn(ask::ask(fleet.clone(), due));
            }
            while tasks.try_join_next().is_some() {}
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = channel::serve(fleet.clone(), listener) => {}
        () = asking => {}
        _ = stopped => {}
    }
}

/// Finds the others, and keeps certificates fresh.
struct Finder {
    fleet: Fleet,
    source: Arc<dyn Source>,
    plan: Option<Arc<Plan>>,
    /// The way that this plan asks for.
    way: Option<Box<dyn Discovery>>,
    next: Instant,
    said: Option<String>,
}

impl Finder {
    fn new(fleet: Fleet, source: Arc<dyn Source>) -> Finder {
        Finder {
            fleet,
            source,
            plan: None,
            way: None,
            next: Instant::now(),
            said: None,
        }
    }

    fn look(&mut self) {
        let Some(plan) = self.source.plan() else {
            return;
        };
        let like = |p: &Arc<Plan>| p.fleet == plan.fleet && p.monitor.fleet == plan.monitor.fleet;
        let same = self.plan.as_ref().is_some_and(like);
        self.plan = Some(Arc::clone(&plan));
        if same && Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + DISCOVER;
        if let Err(error) = certificates(&self.fleet, &plan) {
            self.say(
                &error,
                "the fleet's certificates were not taken; the old ones serve",
            );
        }
        if !same {
            self.way = None;
        }
        let found = self.found(&plan);
        let mut state = self.fleet.state();
        state.discovery.0 = plan.fleet.discover.word();
        match found {
            Ok(addresses) => {
                let now = self.fleet.now();
                state.book.addresses(now, &addresses);
                state.discovery.1 = None;
                drop(state);
                self.said = None;
            }
            Err(problem) => {
                state.discovery.1 = Some(problem.clone());
                drop(state);
                let what = "the other instances are not found; those that were found before are still asked";
                self.say(&problem, what);
            }
        }
    }

    fn found(&mut self, plan: &Plan) -> Result<Vec<SocketAddr>, String> {
        let mut way = match self.way.take() {
            Some(way) => way,
            None => {
                let instance = self.fleet.state().own.instance.clone();
                discover::of(plan, &instance, &self.source)?
            }
        };
        let found = way.look();
        self.way = Some(way);
        found
    }

    /// Each problem once.
    fn say(&mut self, problem: &str, what: &str) {
        if self.said.as_deref() != Some(problem) {
            tracing::warn!(problem, "{what}");
            self.said = Some(problem.to_owned());
        }
    }
}

/// Reads the files of TLS, and takes those that are other and good.
fn certificates(fleet: &Fleet, plan: &Plan) -> Result<(), String> {
    let Some(paths) = plan.fleet.tls() else {
        return Ok(());
    };
    let files = tls::Files::read(paths)?;
    if fleet.read_tls().as_ref() == Some(&files) {
        return Ok(());
    }
    let built = files.build()?;
    let tls = &fleet.shared.tls;
    let mut tls = tls.write().unwrap_or_else(PoisonError::into_inner);
    if tls.replace((files, built)).is_some() {
        tracing::info!("the fleet's certificates were read again");
    }
    Ok(())
}

fn log(news: News) {
    let place = |a: Option<SocketAddr>| a.map(|a| a.to_string()).unwrap_or_default();
    match news {
        News::Came(peer, address) => {
            tracing::info!(
                peer,
                address = place(address),
                "another instance of the fleet is heard"
            );
        }
        News::Turned(peer, address, from, to, why) => {
            let (address, from, to) = (place(address), from.label(), to.label());
            match to {
                "ok" => tracing::info!(
                    peer,
                    address,
                    from,
                    to,
                    "an instance of the fleet is heard again"
                ),
                "silent" => tracing::warn!(
                    peer,
                    address,
                    from,
                    to,
                    why,
                    "an instance of the fleet fell silent"
                ),
                _ => tracing::warn!(
                    peer,
                    address,
                    from,
                    to,
                    why,
                    "an instance of the fleet is not as it should be"
                ),
            }
        }
        News::Gone(peer, address) => tracing::info!(
            peer,
            address = place(address),
            "an instance of the fleet was silent for long and is forgotten"
        ),
        News::Differs(peer, hash) => tracing::warn!(
            peer,
            settings = crate::settings::short(&hash),
            "an instance of the fleet serves other settings for more than a minute"
        ),
        News::Agrees(peer) => {
            tracing::info!(
                peer,
                "an instance of the fleet serves the same settings again"
            );
        }
    }
}
