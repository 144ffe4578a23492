//! Sharing: the level at which claims are cut, and who the peers are.

use super::reading::Member;

/// The highest level such that the sum of what each asks, cut at the level, fits
/// under `line`. What the division leaves over is left free.
pub(super) fn level(line: u32, asked: &[u32]) -> u32 {
    let mut sorted = asked.to_vec();
    sorted.sort_unstable();
    let mut left = line;
    let mut rest = sorted.len() as u32;
    for ask in sorted {
        let even = left / rest.max(1);
        if ask > even {
            return even;
        }
        left -= ask;
        rest -= 1;
    }
    u32::MAX
}

/// The members apart from ourselves, each once. Of two rows of one member, the
/// one of a session that the server has not given up yet, the larger claim
/// counts and the smaller number held.
pub(super) fn peers(members: Vec<Member>, own: u32) -> Vec<Member> {
    let mut peers: Vec<Member> = Vec::new();
    for member in members.into_iter().filter(|m| m.instance != own) {
        match peers.iter_mut().find(|p| p.instance == member.instance) {
            Some(known) => {
                known.claim = known.claim.max(member.claim);
                known.held = known.held.min(member.held);
                known.wants = known.wants.max(member.wants);
            }
            None => peers.push(member),
        }
    }
    peers.sort_unstable_by_key(|peer| peer.instance);
    peers
}
