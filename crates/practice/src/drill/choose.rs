//! Which drill: by a seed, and the list.

use super::{Drill, Level, all};

/// A drill of this difficulty (of any), chosen by a number. The same number
/// chooses the same drill, so that a group can go through one together.
pub fn choose(seed: u64, level: Option<Level>) -> Option<&'static Drill> {
    let fits = |d: &&Drill| level.is_none_or(|level| d.level == level);
    let drills: Vec<&Drill> = all().iter().filter(fits).collect();
    let count = u64::try_from(drills.len()).ok().filter(|n| *n > 0)?;
    let place = usize::try_from(mixed(seed) % count).ok()?;
    drills.get(place).copied()
}

/// Neighbouring seeds choose unlike drills (SplitMix64's last step).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Names, difficulty and whose outage it is: nothing that gives a cause away.
pub fn list() -> String {
    let mut text = String::new();
    for drill in all() {
        text.push_str(&format!(
            "{:<16} {:<7} {}\n",
            drill.name,
            drill.level.label(),
            drill.title
        ));
    }
    text.push_str(
        "\nOutages of the reports can also be named by their number, 000 to 004.\n\
         Without a name one is chosen blind.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_chooses_one_drill_and_seeds_reach_all() {
        let of = |seed| choose(seed, None).expect("there are drills").name;
        assert_eq!(of(7), of(7));
        let mut names: Vec<&str> = (0..500).map(of).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
        for level in [Level::Easy, Level::Medium, Level::Hard] {
            for seed in 0..20 {
                let drill = choose(seed, Some(level)).expect("each difficulty has drills");
                assert_eq!(drill.level, level);
            }
        }
    }

    #[test]
    fn the_list_gives_nothing_away() {
        let text = list();
        for cause in diagnose::Cause::ALL {
            assert!(!text.contains(cause.label()), "{}", cause.label());
        }
        for drill in all() {
            assert!(text.contains(drill.title));
        }
    }
}
