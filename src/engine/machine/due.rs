//! What the deadlines of the machine are for.

use slab::Slab;

use super::super::op::Op;
use super::super::queue::{Lobby, WaiterId};
use super::OpId;
use crate::clock::Moment;

/// What a deadline is for. The stamp tells whether it still matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Ask the store again; before `GiveUp`, so that what ends in the same moment ends with the lock.
    Try { queue: u32, stamp: u32 },
    /// Clean up once more.
    Forget { op: OpId, stamp: u32 },
    /// A waiter's time or chances are over.
    GiveUp { waiter: u32, serial: u32 },
}

/// Whether a deadline still matters.
pub(super) fn matters(lobby: &Lobby, ops: &Slab<Op>, at: Moment, due: Due) -> bool {
    match due {
        Due::Try { queue, stamp } => {
            lobby.queue(queue).is_some_and(|line| line.stamp == stamp && line.next_try == at)
        }
        Due::Forget { op, stamp: wanted } => {
            matches!(ops.get(op as usize), Some(Op::Forget { stamp, .. }) if *stamp == wanted)
        }
        Due::GiveUp { waiter, serial } => {
            lobby.get(WaiterId { index: waiter, serial }).is_some_and(|waiter| waiter.due_at == at)
        }
    }
}
