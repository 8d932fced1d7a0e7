//! What must hold in the world of the keeper, whatever has happened.

use loquet::clock::Moment;

use super::{World, millis};

impl World {
    /// What is believed is true, and somebody looks after it in time.
    pub fn check(&mut self) {
        let next = self.keeper.next_deadline().unwrap_or(Moment::NEVER);
        let mut kept = 0;
        for (index, holder) in self.holders.iter().enumerate() {
            if holder.is_over || holder.is_told {
                continue;
            }
            kept += 1;
            let believed = holder.leash.ends_at();
            assert!(next <= believed, "nobody looks after {:?} at its end", holder.key);
            if believed > self.now && !holder.is_forced {
                let said = self.store.get(&holder.key).filter(|(other, _)| *other == index);
                let end = said.map_or(Moment::START, |(_, end)| *end);
                assert!(
                    believed <= end,
                    "{:?} is believed to be held to {believed:?}, and is to {end:?}, at {:?}",
                    holder.key,
                    self.now
                );
            }
        }
        assert_eq!(self.keeper.len(), kept);
    }

    /// The store is not heard of any longer: everybody is told.
    pub fn finish(&mut self) {
        self.flights.clear();
        self.advance(millis(30_000));
        assert!(self.keeper.is_empty());
        assert_eq!(self.keeper.next_deadline(), None);
        for holder in &self.holders {
            assert!(holder.is_over || holder.is_told, "{:?} was never told", holder.key);
        }
    }
}
