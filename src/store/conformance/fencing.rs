//! Fencing tokens: they grow over everything that may happen to a lock, and only who wants one has one.

use super::{Suite, claim};
use crate::lease::{Key, Lease, Owner, Token, Ttl};
use crate::store::{Answer, Command};

impl Suite<'_> {
    pub(super) async fn fences(&mut self) {
        let (key, first, second) = self.case("fence");
        let mut last = self.acquire_fenced(&key, &first, Ttl::FOREVER).await;
        assert_eq!(self.token_of(&key, &first).await, Some(last), "a question has another token");
        let save = fenced_save(&key, &second, Ttl::FOREVER);
        assert!(matches!(self.one(save).await, Answer::Held { .. }), "{key:?} is held but was given away");
        assert!(matches!(self.extend(&key, &first, Ttl::FOREVER).await, Answer::Acquired(_)));
        assert_eq!(
            self.token_of(&key, &first).await,
            Some(last),
            "a refusal or an extension changes the token"
        );
        assert_eq!(self.delete(&key, &first).await, Answer::Done);

        self.grows(&mut last, &key, &second, self.short()).await;
        self.pass_end().await;
        self.grows(&mut last, &key, &first, Ttl::FOREVER).await;
        assert_eq!(self.one(Command::ForceDelete { key: key.clone() }).await, Answer::Done);
        self.grows(&mut last, &key, &second, Ttl::FOREVER).await;
        assert_eq!(self.delete(&key, &second).await, Answer::Done);

        let lease = self.acquire(&key, &first, Ttl::FOREVER).await;
        assert_eq!(lease.token, None, "a token that nobody wanted");
        let confirm = Command::Confirm { key: key.clone(), owner: first.clone(), fenced: false };
        assert!(matches!(self.one(confirm).await, Answer::Acquired(Lease { token: None, .. })));
        assert_eq!(self.delete(&key, &first).await, Answer::Done);
        self.grows(&mut last, &key, &first, Ttl::FOREVER).await;
        assert_eq!(self.delete(&key, &first).await, Answer::Done);
    }

    pub(super) async fn fences_hand_overs(&mut self) {
        let (key, first, second) = self.case("fence-hand-over");
        let hand_over = |from: &Owner, to: &Owner, fenced| Command::HandOver {
            key: key.clone(),
            from: claim(from),
            to: to.clone(),
            ttl: Ttl::FOREVER,
            fenced,
        };
        let mut last = self.acquire_fenced(&key, &first, Ttl::FOREVER).await;
        for (from, to) in [(&first, &second), (&second, &first)] {
            let answer = self.one(hand_over(from, to, true)).await;
            let token = fenced(&answer);
            assert!(token > last, "{token:?} after {last:?}, though it was handed over");
            last = token;
            assert_eq!(self.token_of(&key, to).await, Some(last));
        }
        let plain = self.one(hand_over(&first, &second, false)).await;
        assert!(matches!(plain, Answer::Acquired(Lease { token: None, .. })), "{plain:?}");
        let refused = self.one(hand_over(&first, &second, true)).await;
        assert_eq!(refused, Answer::NotOwned, "a stranger handed it over");
        let after_plain = fenced(&self.one(hand_over(&second, &first, true)).await);
        assert!(after_plain > last);
        assert_eq!(self.delete(&key, &first).await, Answer::Done);
    }

    /// What is wanted together: each lock has its own token, and those that want none have none.
    pub(super) async fn fences_in_batches(&mut self) {
        let long = "long".repeat(200);
        let names = ["fence-1", "fence-2", "fence-3", "fence-4", &long, "fence \"'`\\ "];
        let cases: Vec<_> = names.map(|name| self.case(name)).into();
        let mut last: Vec<Option<Token>> = vec![None; cases.len()];
        for round in 0..3 {
            let wants = |place: usize| place % 3 != round;
            let saves = cases.iter().enumerate().map(|(place, (key, owner, _))| Command::Save {
                key: key.clone(),
                owner: owner.clone(),
                ttl: Ttl::FOREVER,
                fenced: wants(place),
                waits: false,
            });
            let answers = self.all(saves.collect()).await;
            for (place, answer) in answers.iter().enumerate() {
                let token = lease(answer).token;
                assert_eq!(token.is_some(), wants(place), "{answer:?}");
                assert!(token.is_none() || token > last[place], "{token:?} after {:?}", last[place]);
                last[place] = token.or(last[place]);
            }
            let questions = cases.iter().enumerate().map(|(place, (key, owner, _))| Command::Confirm {
                key: key.clone(),
                owner: owner.clone(),
                fenced: wants(place),
            });
            let told = self.all(questions.collect()).await;
            for (question, answer) in told.iter().zip(&answers) {
                assert_eq!(lease(question).token, lease(answer).token, "a question has another token");
            }
            let deletes = cases
                .iter()
                .map(|(key, owner, _)| Command::Delete { key: key.clone(), holder: claim(owner) });
            assert!(self.all(deletes.collect()).await.iter().all(|answer| *answer == Answer::Done));
        }
    }

    async fn grows(&mut self, last: &mut Token, key: &Key, owner: &Owner, ttl: Ttl) {
        let token = self.acquire_fenced(key, owner, ttl).await;
        assert!(token > *last, "{token:?} after {last:?}");
        *last = token;
    }

    async fn acquire_fenced(&mut self, key: &Key, owner: &Owner, ttl: Ttl) -> Token {
        fenced(&self.one(fenced_save(key, owner, ttl)).await)
    }

    async fn token_of(&mut self, key: &Key, owner: &Owner) -> Option<Token> {
        let confirm = Command::Confirm { key: key.clone(), owner: owner.clone(), fenced: true };
        match self.one(confirm).await {
            Answer::Acquired(lease) => lease.token,
            _ => None,
        }
    }
}

fn fenced_save(key: &Key, owner: &Owner, ttl: Ttl) -> Command {
    Command::Save { key: key.clone(), owner: owner.clone(), ttl, fenced: true, waits: false }
}

fn fenced(answer: &Answer) -> Token {
    let token = lease(answer).token;
    assert!(token.is_some(), "no token: {answer:?}");
    token.unwrap_or_else(|| unreachable!("checked above"))
}

fn lease(answer: &Answer) -> Lease {
    assert!(matches!(answer, Answer::Acquired(_)), "{answer:?}");
    if let Answer::Acquired(lease) = answer { *lease } else { unreachable!("checked above") }
}
