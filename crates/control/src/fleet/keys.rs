//! The key that the fleet shares, and the one before it.

use ::fleet::{Key, Trust};
use std::time::{Duration, Instant};

/// A key that was replaced stays good for so long: a secret reaches all instances
/// within that.
const OLD_KEPT: Duration = Duration::from_secs(60);

/// The keys that are good now.
#[derive(Default)]
pub(super) struct Keys {
    now: Option<Key>,
    before: Option<(Key, Instant)>,
}

impl Keys {
    /// This key is in the settings' place.
    pub fn follow(&mut self, key: Option<Key>, now: Instant) {
        if self.now != key {
            self.before = self.now.take().map(|old| (old, now + OLD_KEPT));
            self.now = key;
        }
    }

    /// The newest first.
    pub fn good(&self, now: Instant) -> Vec<Key> {
        let before = self.before.iter().filter(|(_, until)| now < *until);
        let before = before.map(|(key, _)| key);
        // Without a key none is needed any more.
        let before = before.filter(|_| self.now.is_some());
        self.now.iter().chain(before).cloned().collect()
    }

    /// Without keys the settings have said that none is needed.
    pub fn trust(keys: &[Key]) -> Trust<'_> {
        match keys.is_empty() {
            true => Trust::Elsewhere,
            false => Trust::Keys(keys),
        }
    }

    /// What a question is sealed by; `older`: the new key was refused.
    pub fn for_asking(&self, older: bool, now: Instant) -> Option<&Key> {
        let before = self.before.as_ref().filter(|(_, until)| now < *until);
        match (older, before) {
            (true, Some((key, _))) if self.now.is_some() => Some(key),
            _ => self.now.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_replaced_is_good_for_a_minute() {
        let key = |text: &str| Some(Key::new(text.as_bytes()));
        let (mut keys, start) = (Keys::default(), Instant::now());
        assert!(matches!(Keys::trust(&keys.good(start)), Trust::Elsewhere));
        keys.follow(key("one"), start);
        keys.follow(key("one"), start);
        assert_eq!(keys.good(start).len(), 1);
        keys.follow(key("two"), start);
        assert_eq!(
            keys.good(start),
            [key("two"), key("one")].map(Option::unwrap)
        );
        assert_eq!(keys.for_asking(false, start), key("two").as_ref());
        assert_eq!(keys.for_asking(true, start), key("one").as_ref());
        let later = start + OLD_KEPT;
        assert_eq!(keys.good(later).len(), 1);
        assert_eq!(keys.for_asking(true, later), key("two").as_ref());
    }
}
