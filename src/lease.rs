//! The vocabulary: [`Key`], [`Owner`], [`Ttl`], [`Token`], [`Lease`]. Validated where they are made, trusted afterwards.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::error::{Error, Result};

/// What is locked: any non-empty string. Cloning shares the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// A key from text.
    ///
    /// # Errors
    /// `InvalidArgument` for the empty string.
    pub fn new(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::invalid("the lock's key must be a non-empty string, got \"\""));
        }
        Ok(Self(Arc::from(text)))
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A map by key. Keys may come from users, so its hashes are seeded at random.
pub type KeyMap<V> = HashMap<Key, V, foldhash::fast::RandomState>;

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The identity of one acquisition.
///
/// Its name is what other processes see and what must not be guessed. A lock in memory needs no name until somebody
/// asks for it, so an owner may be *unnamed*: then only the [`LeaseId`] that the store returned stands for it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Owner(Option<Arc<str>>);

impl Owner {
    /// An owner under the given name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(Some(Arc::from(name)))
    }

    /// An owner that nobody has asked the name of.
    #[must_use]
    pub const fn unnamed() -> Self {
        Self(None)
    }

    /// The name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// An owner's name is a capability (whoever knows it can release the lock), so it is not printed whole.
impl fmt::Debug for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            None => formatter.write_str("Owner(unnamed)"),
            Some(name) => write!(formatter, "Owner({}…)", name.chars().take(4).collect::<String>()),
        }
    }
}

/// How long a lease lasts: whole milliseconds, at least one, or without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ttl(Option<NonZeroU64>);

impl Ttl {
    /// A lease without end.
    pub const FOREVER: Self = Self(None);

    /// A lease of `millis` milliseconds.
    ///
    /// # Errors
    /// `InvalidArgument` for zero.
    pub fn from_millis(millis: u64) -> Result<Self> {
        NonZeroU64::new(millis)
            .map(|millis| Self(Some(millis)))
            .ok_or_else(|| Error::invalid("the lock's TTL must be a positive number of milliseconds, got 0"))
    }

    /// The span, unless it is without end.
    #[must_use]
    pub fn span(self) -> Option<Duration> {
        self.0.map(|millis| Duration::from_millis(millis.get()))
    }

    /// When a lease ends that is dated from `start`.
    #[must_use]
    pub fn expiry_from(self, start: Moment) -> Option<Moment> {
        self.span().map(|span| start + span)
    }
}

/// A fencing token: of two acquisitions of one key that have one, the later has the greater, whoever made them and whatever
/// has become of the first. So a resource that remembers the greatest it has seen can refuse whoever comes late.
///
/// Below 2^53, so that JavaScript can carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(NonZeroU64);

impl Token {
    /// The greatest number that JavaScript counts to.
    const GREATEST: u64 = (1 << 53) - 1;

    /// A token from its number; nothing for 0 and for what JavaScript couldn't carry.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).filter(|number| number.get() <= Self::GREATEST).map(Self)
    }

    /// The next token of a key whose last one was `last`, at `micros` since the Unix epoch by the store's clock. The time
    /// goes in so that tokens grow on when whoever counts has forgotten all.
    #[must_use]
    pub fn after(last: Option<Self>, micros: u64) -> Self {
        let next = last.map_or(0, Self::number).saturating_add(1).max(micros).min(Self::GREATEST);
        Self(NonZeroU64::MIN.saturating_add(next - 1))
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

/// Where a store keeps a lease. The serial is never used twice in one store, so an old identity can't be taken for a
/// newer one. Stores that know a lease by key and owner only leave it at the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LeaseId {
    /// The place in the store's table.
    pub slot: u32,
    /// The number of the acquisition; below 2^53, so that JavaScript can carry it.
    pub serial: u64,
}

/// A lock that has been acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Where the store keeps it.
    pub id: LeaseId,
    /// When it ends by the local monotonic clock, dated from before the request was sent; `None` for no end.
    pub expires_at: Option<Moment>,
    /// Its fencing token, if one was wanted.
    pub token: Option<Token>,
}

/// Who is told how an acquire ended. Opaque to engine and stores, but for the tenant: when a tenant goes (a worker
/// thread that ends), its waiters and its leases without end go with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    /// On whose behalf; one JavaScript environment is one tenant.
    pub tenant: u32,
    /// The tenant's own number for the acquire.
    pub number: u32,
}

/// Who claims to hold a lock, in whichever way the claim is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// By the store's own identity of the lease.
    Lease(LeaseId),
    /// By the owner's name.
    Owner(Owner),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_keys_and_zero_ttls_are_refused_with_their_value() {
        assert!(Key::new("").unwrap_err().to_string().contains("\"\""));
        assert!(Ttl::from_millis(0).unwrap_err().to_string().contains("got 0"));
    }

    #[test]
    fn tokens_grow_by_time_and_without_it() {
        let first = Token::after(None, 1_000);
        assert_eq!(first.number(), 1_000);
        let second = Token::after(Some(first), 1_000);
        assert!(second > first);
        assert_eq!(Token::after(Some(second), 500).number(), 1_002, "a clock that was set back");
        assert_eq!(Token::after(Some(second), 2_000).number(), 2_000);
        assert_eq!(Token::after(None, 0).number(), 1);
        assert_eq!(Token::after(None, u64::MAX).number(), (1 << 53) - 1);
        assert!(Token::new(0).is_none() && Token::new(1 << 53).is_none());
    }

    #[test]
    fn any_text_is_a_key() {
        for text in ["a", " ", "\0", "'; DROP TABLE locks; --", "ключ", "\u{1F512}"] {
            assert_eq!(Key::new(text).map(|key| key.as_str().to_owned()).ok().as_deref(), Some(text));
        }
    }

    #[test]
    fn an_owners_name_is_not_printed_whole() {
        let shown = format!("{:?}", Owner::named("0123456789abcdef"));
        assert_eq!(shown, "Owner(0123…)");
    }
}
