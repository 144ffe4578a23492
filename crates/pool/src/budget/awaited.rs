//! Members that were in the view before this one lost sight of it.

use super::reading::Member;
use events::Time;
use std::time::Duration;

/// So long after the first reading their claims are kept free. Who follows a server that moved,
/// or that started again, comes within this time; a share that nobody fetches is used after it.
const AWAITED: Duration = Duration::from_secs(4);

/// A server that moved or started again is empty for whoever reaches it first, but the others
/// are on their way. Had the first one all of it, they would wait until it gives back.
#[derive(Clone, Debug, Default)]
pub(super) struct Awaited {
    /// Each with the time at which it is given up, from the first reading on.
    members: Vec<(Member, Option<Time>)>,
    /// Of these, who is seen neither in the view nor by connections of its own.
    missing: Vec<Member>,
}

impl Awaited {
    /// Sight is lost of the view in which these were.
    pub(super) fn remember(&mut self, peers: &[Member]) {
        for peer in peers {
            let known = |(member, _): &(Member, Option<Time>)| member.instance == peer.instance;
            if !self.members.iter().any(known) {
                self.members.push((*peer, None));
            }
        }
        self.missing = self.members.iter().map(|(member, _)| *member).collect();
    }

    /// A reading in which some are `here`; for `ghosts` their claims are kept already.
    pub(super) fn follow(&mut self, now: Time, here: &[Member], ghosts: &[Member]) {
        let among = |all: &[Member], one: &Member| all.iter().any(|m| m.instance == one.instance);
        self.members.retain_mut(|(member, until)| {
            let until = *until.get_or_insert(now.after(AWAITED));
            now < until && !among(here, member)
        });
        let members = self.members.iter().map(|(member, _)| *member);
        self.missing = members.filter(|m| !among(ghosts, m)).collect();
    }

    /// Who is expected, with what it stated last.
    pub(super) fn missing(&self) -> &[Member] {
        &self.missing
    }
}
