//! Ends of leases that the first in line is told of.

use super::{Lines, Moment, Step};

impl Lines {
    /// Somebody has acquired the lock, or is found to hold it, and we are first in line. Whoever knows of an earlier end
    /// will ask then anyway; otherwise the one that we wait for may be that of a lease long gone.
    pub(in super::super) fn told_end(&mut self, now: Moment, channel: &str, end: Moment) -> Option<Step> {
        let key = self.by_channel.get(channel)?;
        let entry = self.entries.get_mut(key)?;
        // An answer that is on its way may be older than this.
        let is_joining = entry.is_joining(now);
        if !entry.waits {
            entry.missed_turn |= is_joining;
            return None;
        }
        let will_ask = entry.held_until.is_some_and(|known| now < known && known <= end);
        (is_joining || !will_ask).then(|| entry.wake(key))
    }
}
