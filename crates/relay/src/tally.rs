//! Counts by a key that clients choose: a bounded table, and one place for all others.

use std::collections::BTreeMap;

/// Places of a table beside the one of the others.
const PLACES_MAX: usize = 256;
/// The place of all that have none of their own.
const OTHERS: u16 = 0;
/// In no place: nothing is counted.
pub(crate) const NOWHERE: u16 = u16::MAX;

/// What is counted in one place.
pub(crate) trait Counts: Default {
    /// Adds what another place counted.
    fn add(&mut self, other: &Self);
    /// How much would be lost with it.
    fn weight(&self) -> u64;
}

/// One key, who is there now, and what they did.
pub(crate) struct Place<K, V> {
    /// `None`: all others.
    pub(crate) key: Option<K>,
    pub(crate) here: u32,
    pub(crate) counts: V,
}

/// See the module. Places are found by their number, which who counts keeps.
pub(crate) struct Tally<K, V> {
    places: Vec<Place<K, V>>,
    by_key: BTreeMap<K, u16>,
}

impl<K, V: Counts> Default for Tally<K, V> {
    fn default() -> Self {
        let others = Place {
            key: None,
            here: 0,
            counts: V::default(),
        };
        Tally {
            places: vec![others],
            by_key: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone, V: Counts> Tally<K, V> {
    /// One more is there; its place. When all places are taken, the smallest
    /// whose last has left is given away, and what it counted goes to the others.
    pub(crate) fn join(&mut self, key: &K) -> u16 {
        let found = self.by_key.get(key).copied();
        let place = found.unwrap_or_else(|| self.place_for(key));
        if let Some(at) = self.places.get_mut(usize::from(place)) {
            at.here += 1;
        }
        place
    }

    /// One less.
    pub(crate) fn leave(&mut self, place: u16) {
        if let Some(at) = self.places.get_mut(usize::from(place)) {
            at.here = at.here.saturating_sub(1);
        }
    }

    /// Where to count; `None` for who is nowhere.
    #[inline]
    pub(crate) fn at(&mut self, place: u16) -> Option<&mut V> {
        self.places
            .get_mut(usize::from(place))
            .map(|at| &mut at.counts)
    }

    /// The key of a place.
    pub(crate) fn key(&self, place: u16) -> Option<&K> {
        self.places.get(usize::from(place))?.key.as_ref()
    }

    /// All places, the others first.
    pub(crate) fn places(&self) -> &[Place<K, V>] {
        &self.places
    }

    fn place_for(&mut self, key: &K) -> u16 {
        if self.places.len() <= PLACES_MAX {
            let place = self.places.len() as u16;
            self.places.push(Place {
                key: Some(key.clone()),
                here: 0,
                counts: V::default(),
            });
            self.by_key.insert(key.clone(), place);
            return place;
        }
        let left = self.places.iter().enumerate().skip(1);
        let left = left.filter(|(_, at)| at.here == 0);
        let Some((i, _)) = left.min_by_key(|(_, at)| at.counts.weight()) else {
            return OTHERS;
        };
        let Some(at) = self.places.get_mut(i) else {
            return OTHERS;
        };
        let counted = std::mem::take(&mut at.counts);
        if let Some(before) = at.key.replace(key.clone()) {
            self.by_key.remove(&before);
        }
        self.by_key.insert(key.clone(), i as u16);
        if let Some(others) = self.places.first_mut() {
            others.counts.add(&counted);
        }
        i as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Counts for u64 {
        fn add(&mut self, other: &u64) {
            *self += other;
        }
        fn weight(&self) -> u64 {
            *self
        }
    }

    fn sum(tally: &Tally<u32, u64>) -> u64 {
        tally.places().iter().map(|p| p.counts).sum()
    }

    #[test]
    fn a_full_table_gives_away_what_is_left_and_loses_nothing() {
        let mut tally: Tally<u32, u64> = Tally::default();
        for key in 0..PLACES_MAX as u32 {
            let place = tally.join(&key);
            *tally.at(place).expect("a place") += u64::from(key) + 1;
        }
        let before = sum(&tally);
        // All are there: whoever comes is one of the others.
        assert_eq!(tally.join(&1_000), OTHERS);
        assert_eq!(tally.join(&7), 8, "a known key has its place");
        tally.leave(8);
        // Two have left; the smaller makes room.
        tally.leave(8);
        tally.leave(4);
        let place = tally.join(&2_000);
        assert_eq!((place, tally.key(4)), (4, Some(&2_000)));
        assert_eq!(tally.at(4).copied(), Some(0));
        assert_eq!(tally.at(OTHERS).copied(), Some(4), "what key 3 counted");
        assert_eq!(sum(&tally), before);
        // The key that lost its place finds the next one, or none.
        assert_eq!(tally.join(&3), 8);
        assert_eq!(tally.join(&3), 8);
        assert_eq!(tally.join(&9_999), OTHERS);
        assert_eq!(tally.places().len(), PLACES_MAX + 1);
        assert_eq!(sum(&tally), before);
    }

    #[test]
    fn any_number_of_keys_that_come_and_go_fits() {
        let mut tally: Tally<u32, u64> = Tally::default();
        for key in 0..10_000 {
            let place = tally.join(&key);
            *tally.at(place).expect("a place") += 1;
            tally.leave(place);
            tally.leave(place);
        }
        assert_eq!(tally.places().len(), PLACES_MAX + 1);
        assert_eq!(tally.by_key.len(), PLACES_MAX);
        assert_eq!(sum(&tally), 10_000);
        assert!(tally.at(NOWHERE).is_none() && tally.key(NOWHERE).is_none());
    }
}
