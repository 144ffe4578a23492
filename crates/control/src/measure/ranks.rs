//! Who has a row of its own: the busiest, for as long as nobody is far busier.

use std::collections::BTreeMap;

/// What was counted some seconds ago counts half.
const HALVES_IN: f64 = 60.0;
/// Who has a row keeps it until somebody is so many times busier.
const STAYS: f64 = 2.0;

/// The busiest of many, without coming and going each second.
pub(super) struct Ranks<K> {
    most: usize,
    scores: BTreeMap<K, f64>,
    kept: BTreeMap<K, ()>,
}

impl<K: Ord + Clone> Ranks<K> {
    pub(super) fn new(most: usize) -> Ranks<K> {
        Ranks {
            most,
            scores: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    /// One second's scores.
    pub(super) fn rank(&mut self, scores: impl Iterator<Item = (K, u64)>) {
        let mut next = BTreeMap::new();
        for (key, score) in scores {
            let before = self.scores.get(&key).copied().unwrap_or(0.0);
            let decayed = before * (1.0 - std::f64::consts::LN_2 / HALVES_IN);
            next.insert(key, decayed + score as f64);
        }
        self.scores = next;
        self.kept.retain(|key, ()| self.scores.contains_key(key));
        let weight = |key: &K, score: f64| match self.kept.contains_key(key) {
            true => (score + 1.0) * STAYS,
            false => score,
        };
        let mut order: Vec<(f64, &K)> = self
            .scores
            .iter()
            .map(|(key, score)| (weight(key, *score), key))
            .collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        self.kept = order
            .iter()
            .take(self.most)
            .map(|(_, key)| ((*key).clone(), ()))
            .collect();
    }

    pub(super) fn holds(&self, key: &K) -> bool {
        self.kept.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_row_keeps_it_unless_another_is_far_busier() {
        let mut ranks = Ranks::new(2);
        ranks.rank([("a", 10), ("b", 10), ("c", 9)].into_iter());
        assert!(ranks.holds(&"a") && ranks.holds(&"b") && !ranks.holds(&"c"));
        ranks.rank([("a", 10), ("b", 10), ("c", 15)].into_iter());
        assert!(!ranks.holds(&"c"));
        ranks.rank([("a", 10), ("b", 10), ("c", 900)].into_iter());
        assert!(ranks.holds(&"c"));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let mut ranks = Ranks::new(2);
        ranks.rank([("a", 10)].into_iter());
        ranks.rank([("b", 0)].into_iter());
        assert!(!ranks.holds(&"a") && ranks.holds(&"b"));
        assert_eq!(ranks.scores.len(), 1);
    }
}
