//! Basic authentication against bcrypt hashes.
//!
//! A comparison takes 50 ms and more of CPU by design, so a thread of its own does one at a time; whoever waits for it may leave.
//! Its verdicts are kept, and found again by a keyed hash of user, hash and password: after the first scrape they cost microseconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, OnceLock, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use ring::hmac;
use tokio::sync::{mpsc, oneshot};

use crate::settings::{Error, Secret};

/// Verdicts kept.
const KEPT: usize = 100;

/// Who may come in.
pub(super) struct Passwords {
    /// Of this process only, so that a kept verdict says nothing of the password even to who reads the memory.
    key: hmac::Key,
    verdicts: Mutex<HashMap<Question, bool>>,
    /// To the thread that compares, which the first question starts.
    comparing: OnceLock<mpsc::Sender<Job>>,
}

/// A user, a hash and a password, by their keyed hash.
type Question = [u8; 32];

struct Job {
    password: Vec<u8>,
    hash: Secret,
    verdict: oneshot::Sender<bool>,
}

impl Passwords {
    pub(super) fn new() -> Result<Self, Error> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new())
            .map_err(|_| Error::new("the kernel gives no random numbers"))?;
        Ok(Passwords { key, verdicts: Mutex::default(), comparing: OnceLock::new() })
    }

    /// Whether a request with these `headers` comes from one of `users`.
    pub(super) async fn admit(&self, users: &BTreeMap<String, Secret>, headers: &HeaderMap) -> bool {
        let Some((user, password)) = credentials(headers) else { return false };
        // Someone unknown is compared as well, with the first user's hash and in vain: the time it takes does not tell who exists.
        let known = users.get(&user);
        let Some(hash) = known.or(users.values().next()) else { return false };
        self.fits(&user, &password, hash).await && known.is_some()
    }

    async fn fits(&self, user: &str, password: &[u8], hash: &Secret) -> bool {
        let question = self.question(&[user.as_bytes(), hash.reveal().as_bytes(), password]);
        let kept = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).get(&question).copied();
        if let Some(verdict) = kept {
            return verdict;
        }
        let (sender, answer) = oneshot::channel();
        let job = Job { password: password.to_vec(), hash: hash.clone(), verdict: sender };
        if self.comparing.get_or_init(start).send(job).await.is_err() {
            return false;
        }
        let Ok(verdict) = answer.await else { return false };
        self.keep(question, verdict);
        verdict
    }

    fn question(&self, parts: &[&[u8]]) -> Question {
        let mut hash = hmac::Context::with_key(&self.key);
        for part in parts {
            hash.update(&part.len().to_le_bytes());
            hash.update(part);
        }
        let mut question = Question::default();
        // A tag of HMAC_SHA256 has as many bytes as a question.
        question.iter_mut().zip(hash.sign().as_ref()).for_each(|(to, from)| *to = *from);
        question
    }

    fn keep(&self, question: Question, verdict: bool) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if verdicts.len() >= KEPT {
            // Refusals go first: whoever guesses must not push out those who know.
            let refused =
                verdicts.iter().find(|(_, verdict)| !**verdict).or(verdicts.iter().next()).map(|(question, _)| *question);
            refused.map(|question| verdicts.remove(&question));
        }
        verdicts.insert(question, verdict);
    }
}

/// Starts the thread that compares. If there can be none, whoever asks is refused.
fn start() -> mpsc::Sender<Job> {
    let (sender, mut jobs) = mpsc::channel::<Job>(1);
    let compare = move || {
        while let Some(Job { password, hash, verdict }) = jobs.blocking_recv() {
            // Who left does not need to know.
            if !verdict.is_closed() {
                let _ = verdict.send(bcrypt::verify(&password, hash.reveal()).unwrap_or(false));
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("passwords".to_owned()).stack_size(256 * 1024).spawn(compare) {
        tracing::error!(%error, "no thread to compare passwords: every one is refused");
    }
    sender
}

/// User and password of `Authorization: Basic …`.
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_start()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at_checked(colon)?;
    Some((String::from_utf8(user.to_vec()).ok()?, password.get(1..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    fn basic(text: &str) -> HeaderMap {
        headers(&format!("Basic {}", STANDARD.encode(text)))
    }

    fn users() -> BTreeMap<String, Secret> {
        let hash = |password: &str| Secret::new(bcrypt::hash(password, 4).unwrap());
        BTreeMap::from([("alice".to_owned(), hash("wonder:land")), ("bob".to_owned(), hash("builder"))])
    }

    #[tokio::test]
    async fn users_come_in_by_their_own_password() {
        let (passwords, users) = (Passwords::new().unwrap(), users());
        for round in 0..2 {
            for (text, admitted) in [
                ("alice:wonder:land", true),
                ("bob:builder", true),
                ("alice:builder", false),
                ("alice:", false),
                // Unknown, though the password is that of the user he is compared with.
                ("mallory:wonder:land", false),
                (":wonder:land", false),
                ("alice", false),
            ] {
                assert_eq!(passwords.admit(&users, &basic(text)).await, admitted, "{text}, round {round}");
            }
        }
        assert_eq!(passwords.verdicts.lock().unwrap().len(), 6, "asked once each");
        for odd in ["Basic", "Basic !", "Bearer YTpi", "Basic  "] {
            assert!(!passwords.admit(&users, &headers(odd)).await, "{odd}");
        }
        assert!(passwords.admit(&users, &headers(&format!("bAsIc {}", STANDARD.encode("bob:builder")))).await);
        assert!(!passwords.admit(&users, &HeaderMap::new()).await);
    }

    #[tokio::test]
    async fn a_new_hash_needs_the_new_password() {
        let (passwords, mut users) = (Passwords::new().unwrap(), users());
        assert!(passwords.admit(&users, &basic("bob:builder")).await);
        users.insert("bob".to_owned(), Secret::new(bcrypt::hash("other", 4).unwrap()));
        assert!(!passwords.admit(&users, &basic("bob:builder")).await);
        assert!(passwords.admit(&users, &basic("bob:other")).await);
    }

    #[test]
    fn guesses_do_not_push_out_those_who_know() {
        let passwords = Passwords::new().unwrap();
        let question = |number: usize| passwords.question(&[&number.to_le_bytes()]);
        passwords.keep(question(0), true);
        for guess in 1..=3 * KEPT {
            passwords.keep(question(guess), false);
        }
        let verdicts = passwords.verdicts.lock().unwrap();
        assert_eq!((verdicts.len(), verdicts.get(&question(0))), (KEPT, Some(&true)));
    }

    #[test]
    fn parts_of_a_question_are_told_apart() {
        let passwords = Passwords::new().unwrap();
        assert_ne!(passwords.question(&[b"ab", b"c"]), passwords.question(&[b"a", b"bc"]));
        assert_ne!(passwords.question(&[b"a"]), Passwords::new().unwrap().question(&[b"a"]));
    }
}
