//! What is due when: one heap for timeouts, retries and expiries.
//!
//! Most deadlines never come due: a lease is released long before it expires, a waiter is granted long before its
//! timeout. So taking one back is lazy: its owner only reports it dead, and the entry stays in the heap until it
//! reaches the top or until more than half of the heap is dead, when the heap is rebuilt from the living. Arming costs
//! O(log n) (O(1) for the usual case of ever later deadlines), taking back O(1) amortised, and the heap never holds
//! more than twice what is alive plus a constant.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Moment;

/// Below this size the heap is not worth rebuilding.
const SMALL: usize = 64;

/// An ordered set of deadlines, each with a token that tells what is due.
///
/// The heap doesn't know which entries are still alive; callers pass a predicate that does.
#[derive(Debug)]
pub struct Deadlines<T> {
    heap: BinaryHeap<Reverse<(Moment, T)>>,
    dead: usize,
}

impl<T: Copy + Ord> Default for Deadlines<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), dead: 0 }
    }
}

impl<T: Copy + Ord> Deadlines<T> {
    /// Adds a deadline. [`Moment::NEVER`] is not stored.
    pub fn arm(&mut self, at: Moment, token: T) {
        if at != Moment::NEVER {
            self.heap.push(Reverse((at, token)));
        }
    }

    /// Tells that an armed deadline no longer matters; call it once for each. `is_live` decides what stays when it is
    /// time to rebuild.
    pub fn retire(&mut self, is_live: impl Fn(Moment, T) -> bool) {
        self.dead += 1;
        if self.heap.len() > SMALL && self.dead * 2 > self.heap.len() {
            self.heap.retain(|&Reverse((at, token))| is_live(at, token));
            self.heap.shrink_to(self.heap.len() * 2);
            self.dead = 0;
        }
    }

    /// The next live deadline.
    pub fn next(&mut self, is_live: impl Fn(Moment, T) -> bool) -> Option<Moment> {
        while let Some(&Reverse((at, token))) = self.heap.peek() {
            if is_live(at, token) {
                return Some(at);
            }
            self.drop_top();
        }
        None
    }

    /// Takes out a live deadline that is due at `now`.
    pub fn pop_due(&mut self, now: Moment, is_live: impl Fn(Moment, T) -> bool) -> Option<T> {
        while let Some(&Reverse((at, token))) = self.heap.peek() {
            if is_live(at, token) {
                if at > now {
                    return None;
                }
                self.heap.pop();
                return Some(token);
            }
            self.drop_top();
        }
        None
    }

    /// Forgets everything and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many entries are stored, dead ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn drop_top(&mut self) {
        self.heap.pop();
        self.dead = self.dead.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn deadlines_come_due_in_order_and_not_before() {
        let mut deadlines = Deadlines::default();
        for (moment, token) in [(30, 3), (10, 1), (20, 2)] {
            deadlines.arm(at(moment), token);
        }
        assert_eq!(deadlines.pop_due(at(9), |_, _| true), None);
        assert_eq!(deadlines.pop_due(at(20), |_, _| true), Some(1));
        assert_eq!(deadlines.pop_due(at(20), |_, _| true), Some(2));
        assert_eq!(deadlines.pop_due(at(20), |_, _| true), None);
        assert_eq!(deadlines.next(|_, _| true), Some(at(30)));
    }

    #[test]
    fn what_was_taken_back_is_skipped_and_soon_freed() {
        let mut deadlines = Deadlines::default();
        for token in 0..100_000 {
            deadlines.arm(at(1_000_000 + token), token);
            deadlines.retire(|_, other| other > token);
        }
        assert!(deadlines.len() <= 2 * SMALL, "{} entries left", deadlines.len());
        assert_eq!(deadlines.next(|_, _| false), None);
        assert!(deadlines.is_empty());
    }

    #[test]
    fn a_deadline_that_never_comes_takes_no_place() {
        let mut deadlines = Deadlines::default();
        deadlines.arm(Moment::NEVER, 1);
        assert!(deadlines.is_empty());
    }
}
