//! Doubly linked lists over slab indices: constant time, no allocation.
//!
//! The links stand in a vector of their own, beside the slab, so that one
//! element can be in several lists (of different vectors) at once.

/// "No element".
pub(crate) const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    prev: u32,
    next: u32,
}

/// The links of all elements, for one kind of list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links(Vec<Link>);

impl Links {
    /// Makes room for one more element.
    pub fn grow(&mut self) {
        self.0.push(Link {
            prev: NIL,
            next: NIL,
        });
    }

    /// The element before `i` in its list, or [`NIL`].
    pub fn prev(&self, i: u32) -> u32 {
        self.0[i as usize].prev
    }

    /// The element after `i` in its list, or [`NIL`].
    pub fn next(&self, i: u32) -> u32 {
        self.0[i as usize].next
    }
}

/// Head and tail of one list. An element is in at most one list of the same
/// [`Links`] at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl List {
    pub const EMPTY: List = List {
        head: NIL,
        tail: NIL,
        len: 0,
    };

    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn first(&self) -> Option<u32> {
        (self.head != NIL).then_some(self.head)
    }

    pub fn last(&self) -> Option<u32> {
        (self.tail != NIL).then_some(self.tail)
    }

    pub fn push_front(&mut self, links: &mut Links, i: u32) {
        self.insert_before(links, i, self.head);
    }

    pub fn push_back(&mut self, links: &mut Links, i: u32) {
        self.insert_before(links, i, NIL);
    }

    /// Inserts `i` before `at`; at the end when `at` is [`NIL`].
    pub fn insert_before(&mut self, links: &mut Links, i: u32, at: u32) {
        let prev = if at == NIL {
            self.tail
        } else {
            links.0[at as usize].prev
        };
        links.0[i as usize] = Link { prev, next: at };
        match prev {
            NIL => self.head = i,
            p => links.0[p as usize].next = i,
        }
        match at {
            NIL => self.tail = i,
            n => links.0[n as usize].prev = i,
        }
        self.len += 1;
    }

    /// Takes `i` out. It must be in this list.
    pub fn remove(&mut self, links: &mut Links, i: u32) {
        let Link { prev, next } = links.0[i as usize];
        match prev {
            NIL => self.head = next,
            p => links.0[p as usize].next = next,
        }
        match next {
            NIL => self.tail = prev,
            n => links.0[n as usize].prev = prev,
        }
        links.0[i as usize] = Link {
            prev: NIL,
            next: NIL,
        };
        self.len -= 1;
    }

    /// The elements from head to tail.
    pub fn iter<'a>(&self, links: &'a Links) -> impl Iterator<Item = u32> + use<'a> {
        let mut at = self.head;
        std::iter::from_fn(move || {
            let i = (at != NIL).then_some(at)?;
            at = links.next(i);
            Some(i)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_through_inserts_and_removals() {
        let mut links = Links::default();
        (0..5).for_each(|_| links.grow());
        let mut list = List::EMPTY;
        let show = |list: &List, links: &Links| list.iter(links).collect::<Vec<_>>();
        list.push_back(&mut links, 1);
        list.push_front(&mut links, 0);
        list.push_back(&mut links, 4);
        list.insert_before(&mut links, 3, 4);
        assert_eq!(show(&list, &links), [0, 1, 3, 4]);
        list.remove(&mut links, 3);
        list.remove(&mut links, 0);
        assert_eq!(show(&list, &links), [1, 4]);
        assert_eq!(
            (list.first(), list.last(), list.len()),
            (Some(1), Some(4), 2)
        );
        list.remove(&mut links, 1);
        list.remove(&mut links, 4);
        assert!(list.is_empty());
    }
}
