//! Fencing tokens as a store gives them out, and as those hear of them who have acquired.

use std::collections::HashMap;

use loquet::lease::{Key, Lease, Owner, Token};
use loquet::store::{Answer, Command};

#[derive(Default)]
pub struct Tokens {
    last: HashMap<Key, Token>,
    of: HashMap<Owner, Token>,
}

impl Tokens {
    /// The store has performed a command: whoever wants a token has one that is greater than all before it of its key.
    pub fn given(&mut self, command: &Command, answer: &Answer) {
        let (Command::Save { key, owner, fenced, .. } | Command::HandOver { key, to: owner, fenced, .. }) =
            command
        else {
            return;
        };
        let Answer::Acquired(lease) = answer else {
            return;
        };
        assert_eq!(lease.token.is_some(), *fenced, "{owner:?}: {lease:?}");
        if let Some(token) = lease.token {
            let before = self.last.insert(key.clone(), token);
            assert!(before < Some(token), "{token:?} of {key:?} comes after {before:?}");
            self.of.insert(owner.clone(), token);
        }
    }

    /// Somebody has heard that it holds the lock: with the token that the store has given it, if it wanted one.
    pub fn heard(&self, owner: &Owner, fenced: bool, lease: &Lease) {
        assert_eq!(lease.token.is_some(), fenced, "{owner:?}: {lease:?}");
        assert_eq!(lease.token, self.of.get(owner).copied(), "{owner:?} has another token than it was given");
    }
}
