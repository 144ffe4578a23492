//! The application that leaks: its release 2.4.1 at times begins a transaction,
//! writes into it and never ends it.

use std::time::Duration;

use super::{Application, ClientError, Session, Shared};

/// Its connections: when all forget, one or two are left for the shop, and the
/// worker's next burst waits.
pub const CLIENTS: u32 = 6;
/// When they forget for the first time. Until then the pooler has learned how
/// long this application is usually silent in a transaction (ten seconds). A
/// second after the worker's burst: so the leak stands alone for a while.
const FIRST_LEAK: Duration = Duration::from_secs(11);
/// From one leak to the next.
const LEAK_EVERY: Duration = Duration::from_secs(20);
/// Who begins a transaction within so long of it forgets the end. Shorter than
/// any leak lasts, so that nobody forgets twice.
const LEAK_SPAN: Duration = Duration::from_millis(1500);
/// How often a silent client looks whether the traffic ends.
const LOOK: Duration = Duration::from_millis(200);

/// As it logs in: name and release.
pub fn application() -> Application {
    let habit = "forgets COMMIT every 20 s";
    Application::new("coupons/2.4.1", habit, CLIENTS, u32::MAX).that_leaks()
}

/// A coupon is written down, the till is asked, the transaction ends; or it
/// does not, and the client is silent until its connection is taken away.
pub fn redeem(shared: &Shared, session: &mut Session<'_>) -> Result<(), ClientError> {
    session.client.query("begin")?;
    // Now that it has a connection: who waited for one meanwhile does not forget.
    let forgets = forgets(shared.started.elapsed());
    // The values are of use to whoever looks for literals where none may be.
    let word = if forgets { "LOST" } else { "SAVE" };
    let (code, customer) = (session.chance.below(90_000), session.chance.below(5000));
    session.client.query(&format!(
        "insert into redeemed (code, customer) values ('{word}-{code}', {customer})"
    ))?;
    if forgets {
        while !shared.stopped() {
            session.client.listen(LOOK)?;
        }
        return Ok(());
    }
    shared.rest(Duration::from_millis(60 + session.chance.below(40)));
    session.client.query("commit")?;
    session.count();
    let pause = Duration::from_millis(500 + session.chance.below(400));
    shared.rest(pause.min(until_leak(shared.started.elapsed())));
    Ok(())
}

fn forgets(elapsed: Duration) -> bool {
    since_leak(elapsed).is_some_and(|since| since < LEAK_SPAN)
}

/// Since the last leak was due.
fn since_leak(elapsed: Duration) -> Option<Duration> {
    let since = elapsed.checked_sub(FIRST_LEAK)?.as_millis() % LEAK_EVERY.as_millis();
    Some(Duration::from_millis(u64::try_from(since).unwrap_or(0)))
}

/// Until the next one is due: then all forget at once.
fn until_leak(elapsed: Duration) -> Duration {
    match since_leak(elapsed) {
        Some(since) => LEAK_EVERY.saturating_sub(since),
        None => FIRST_LEAK.saturating_sub(elapsed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_first_then_a_leak_every_20_seconds() {
        let ms = Duration::from_millis;
        for (at, forgot, until) in [
            (0, false, 11_000),
            (10_999, false, 1),
            (11_000, true, 20_000),
            (12_499, true, 18_501),
            (12_500, false, 18_500),
            (30_999, false, 1),
            (31_000, true, 20_000),
        ] {
            assert_eq!(forgets(ms(at)), forgot, "{at}");
            assert_eq!(until_leak(ms(at)), ms(until), "{at}");
        }
    }
}
