//! The terminal: taken, given back however it ends, and the loop between.

use super::deed::Action;
use super::draw;
use super::keys::Key;
use super::link::{self, Slot};
use super::model::{Effect, Input, Model, Start};
use super::paper::Look;
use anyhow::Context;
use control::api::Client;
use ratatui_core::terminal::Terminal;
use ratatui_crossterm::CrosstermBackend;
use ratatui_crossterm::crossterm::cursor::{Hide, Show};
use ratatui_crossterm::crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, KeyCode, KeyEvent, KeyEventKind,
    KeyModifiers,
};
use ratatui_crossterm::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui_crossterm::crossterm::{event::Event as Pressed, execute};
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use std::io::{self, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Events that wait to be handled: more than fingers and pooler give in a second.
const EVENTS_MAX: usize = 64;
/// Without any event the clock on the screen goes on.
const TICK: Duration = Duration::from_secs(1);

/// The terminal is ours. Set by [`Screen`], read by the hook for panics.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// A thread of ours ended by a panic.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// What wakes the loop.
#[derive(Debug)]
pub enum Event {
    /// Something for the model.
    Input(Input),
    /// The terminal has another size.
    Resized,
    /// Somebody stops us for a while.
    Stopped,
    /// Somebody ends us.
    Ended,
}

/// The terminal while it is ours.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    fn take() -> anyhow::Result<Screen> {
        enter().context("cannot draw on this terminal; --once prints one frame")?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()));
        match terminal {
            Ok(terminal) => Ok(Screen { terminal }),
            Err(error) => {
                leave();
                Err(error).context("cannot draw on this terminal; --once prints one frame")
            }
        }
    }

    fn draw(&mut self, model: &Model, look: Look) -> io::Result<()> {
        let frame = |frame: &mut ratatui_core::terminal::Frame<'_>| {
            draw::draw(model, look, frame.buffer_mut())
        };
        self.terminal.draw(frame).map(|_| ())
    }

    /// Into the background, and back when the shell says so.
    fn suspend(&mut self) -> io::Result<()> {
        leave();
        // Not SIGTSTP: that one we handle ourselves.
        kill_process(getpid(), Signal::STOP)?;
        enter()?;
        self.begin_anew()
    }

    /// The next frame writes every cell. Not the library's own way to clear, which
    /// asks the terminal where its cursor is and waits for the answer as for a key.
    fn begin_anew(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        Hide,
        EnableBracketedPaste
    )
    .inspect_err(|_| leave())
}

/// Gives the terminal back, once.
fn leave() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // The cursor last: some terminals keep one for each of their screens.
        let _ = execute!(
            io::stdout(),
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Show
        );
        let _ = disable_raw_mode();
    }
}

/// A panic, in whatever thread, is read on a terminal that works.
fn restore_after_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        leave();
        BROKEN.store(true, Ordering::SeqCst);
        before(panic);
    }));
}

/// Shows the pooler until a key or a signal ends it.
pub fn run(client: &Client, actor: String, start: &Start, look: Look) -> anyhow::Result<()> {
    restore_after_panics();
    let (events, inbox) = sync_channel(EVENTS_MAX);
    signals(events.clone())?;
    let mut screen = Screen::take()?;
    let slot = Slot::default();
    let (actions, of_actions) = sync_channel(1);
    {
        let (client, slot, events) = (client.clone(), slot.clone(), events.clone());
        std::thread::spawn(move || link::look(&client, &slot, &events));
    }
    {
        let (client, events) = (client.clone(), events.clone());
        std::thread::spawn(move || link::act(&client, &actor, &of_actions, &events));
    }
    std::thread::spawn(move || read_keys(&events));
    let mut model = Model::new(start, control::measure::now_ms());
    let ended = serve(&mut model, &mut screen, (&inbox, &slot, &actions), look);
    drop(screen);
    if BROKEN.load(Ordering::SeqCst) {
        anyhow::bail!("a part of it failed; the message above says where");
    }
    ended
}

type Ways<'a> = (&'a Receiver<Event>, &'a Slot, &'a SyncSender<Action>);

fn serve(model: &mut Model, screen: &mut Screen, ways: Ways<'_>, look: Look) -> anyhow::Result<()> {
    let (inbox, slot, actions) = ways;
    let mut event = Some(Event::Input(Input::Tick));
    loop {
        let size = screen.terminal.size().context("the terminal is gone")?;
        let input = match event {
            Some(Event::Input(input)) => input,
            Some(Event::Ended) => return Ok(()),
            Some(Event::Stopped) => {
                screen.suspend().context("the terminal is gone")?;
                Input::Tick
            }
            Some(Event::Resized) | None => Input::Tick,
        };
        let now_ms = control::measure::now_ms();
        for effect in model.step(now_ms, draw::page(size.height), input) {
            match effect {
                Effect::Ask(wish) => slot.put(wish),
                // One at a time: the model sends no second before the first is done.
                Effect::Do(action) => drop(actions.try_send(action)),
                Effect::Quit => return Ok(()),
                Effect::Suspend => screen.suspend().context("the terminal is gone")?,
                Effect::Redraw => screen.begin_anew().context("the terminal is gone")?,
            }
        }
        model.scroll = model
            .scroll
            .min(draw::scroll_max(model, size.width, size.height));
        if BROKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        screen.draw(model, look).context("the terminal is gone")?;
        event = next(inbox)?;
    }
}

/// The next event; `None`: time went on.
fn next(inbox: &Receiver<Event>) -> anyhow::Result<Option<Event>> {
    match inbox.recv_timeout(TICK) {
        Ok(event) => Ok(Some(event)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => anyhow::bail!("nothing can be heard any more"),
    }
}

/// Signals end it as q does; a stop gives the terminal back first.
fn signals(events: SyncSender<Event>) -> anyhow::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGHUP, SIGINT, SIGTSTP])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let event = match signal {
                SIGTSTP => Event::Stopped,
                _ => Event::Ended,
            };
            if events.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn read_keys(events: &SyncSender<Event>) {
    loop {
        let event = match event::read() {
            Ok(Pressed::Key(key)) => match key_of(key) {
                Some(key) => Event::Input(Input::Key(key)),
                None => continue,
            },
            Ok(Pressed::Resize(..)) => Event::Resized,
            // A pasted text among others: it must answer no question.
            Ok(_) => continue,
            // The terminal is gone.
            Err(_) => Event::Ended,
        };
        let ends = matches!(event, Event::Ended);
        if events.send(event).is_err() || ends {
            return;
        }
    }
}

fn key_of(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char(c) if ctrl => Key::Ctrl(c.to_ascii_lowercase()),
        // With Alt it is another key, and nothing of ours.
        KeyCode::Char(_) if key.modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_the_same_in_every_terminal() {
        let table = [
            (
                KeyCode::Char('c'),
                KeyModifiers::CONTROL,
                Some(Key::Ctrl('c')),
            ),
            (
                KeyCode::Char('C'),
                KeyModifiers::CONTROL,
                Some(Key::Ctrl('c')),
            ),
            (
                KeyCode::Char('K'),
                KeyModifiers::SHIFT,
                Some(Key::Char('K')),
            ),
            (KeyCode::Char('q'), KeyModifiers::ALT, None),
            (KeyCode::BackTab, KeyModifiers::SHIFT, Some(Key::BackTab)),
            (KeyCode::F(5), KeyModifiers::NONE, None),
        ];
        for (code, modifiers, key) in table {
            assert_eq!(key_of(KeyEvent::new(code, modifiers)), key, "{code:?}");
        }
        let mut released = KeyEvent::new(KeyCode::Char('y'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert_eq!(key_of(released), None, "one press is one press");
    }
}
