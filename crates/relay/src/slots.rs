//! Sessions by slot: a table whose memory follows use.

/// Boxes by slot, so that memory follows use, with generations, so that late
/// news of a slot's last tenant is recognised.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: Vec<Option<Box<T>>>,
    free: Vec<u32>,
    used: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots {
            entries: Vec::new(),
            free: Vec::new(),
            used: 0,
        }
    }
}

impl<T> Slots<T> {
    pub(crate) fn insert(&mut self, value: Box<T>) -> u32 {
        self.used += 1;
        match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = Some(value);
                slot
            }
            None => {
                self.entries.push(Some(value));
                self.entries.len() as u32 - 1
            }
        }
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.entries.get(slot as usize)?.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.entries.get_mut(slot as usize)?.as_deref_mut()
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Box<T>> {
        let value = self.entries.get_mut(slot as usize)?.take()?;
        self.used -= 1;
        if self.used == 0 {
            // Nobody is left: the tables of a burst are given back.
            self.entries = Vec::new();
            self.free = Vec::new();
        } else {
            self.free.push(slot);
        }
        Some(value)
    }

    pub(crate) fn len(&self) -> u32 {
        self.used
    }

    pub(crate) fn slots(&self) -> std::ops::Range<u32> {
        0..self.entries.len() as u32
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(i, e)| Some((i as u32, e.as_deref()?)))
    }
}
