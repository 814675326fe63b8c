//! Servers in containers, which the engine tells of.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::address::Endpoint;
use super::connection::Failure;
use super::keys::Link;
use super::registry::Registry;
use super::reply;
use super::resp::Cmd;
use super::target::Target;
use crate::discovery::{Finder, Found, Missing, Place, REDIS, Wish};
use crate::scrape::Sources;
use crate::settings::{Error, Settings};

struct Contained {
    registry: Arc<Registry>,
    /// Where the servers of the settings are.
    named: Vec<Endpoint>,
}

/// Watches the servers in containers; `None` where there is no engine.
pub(super) fn follow(
    settings: &Settings,
    sources: &Sources,
    registry: &Arc<Registry>,
    named: &[Target],
) -> Result<Option<Found>, Error> {
    let taken = named.iter().map(|target| target.name.clone()).collect();
    let Some(found) = Found::of(settings, sources.discovery(), &REDIS, taken)? else { return Ok(None) };
    let named = named.iter().map(|target| target.endpoint.clone()).collect();
    sources.spawn(found.clone().follow(Arc::new(Contained { registry: registry.clone(), named })));
    Ok(Some(found))
}

impl Finder for Contained {
    fn is_named(&self, wish: &Wish) -> bool {
        self.named.iter().any(|endpoint| endpoint.is_held(|host, port| wish.is_at(host, port)))
    }

    fn reach<'a>(&'a self, wish: &'a Wish, place: &'a Place) -> BoxFuture<'a, Result<(), Missing>> {
        async {
            let mut link = Link::new(Target::contained(wish, place), self.registry.manner.clone(), None);
            let replies = link.ask(0, 0, vec![Cmd::of(&[b"INFO", b"server"])]).await.map_err(|failure| missing(&failure))?;
            match replies.first().and_then(reply::refusal) {
                Some(words) => Err(missing(&Failure::Refused(words))),
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn add(&self, wish: &Wish, place: &Place) {
        self.registry.add(Target::contained(wish, place));
    }

    fn remove(&self, name: &str) {
        self.registry.remove(name);
    }
}

/// What a failure means.
fn missing(failure: &Failure) -> Missing {
    match failure {
        // Redis in protected mode, which takes only clients from its own host unless there is a password.
        Failure::Refused(words) if words.starts_with("DENIED ") => Missing::Password,
        _ => match failure.reason() {
            "auth" => Missing::Password,
            "noperm" => Missing::User,
            "tls" => Missing::Tls,
            "protocol" => Missing::Protocol,
            "loading" => Missing::Busy,
            _ => Missing::Network,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_is_missing() {
        for (words, expected) in [
            ("NOAUTH Authentication required.", Missing::Password),
            ("WRONGPASS invalid username-password pair or user is disabled.", Missing::Password),
            ("DENIED Redis is running in protected mode", Missing::Password),
            ("NOPERM this user has no permissions to run the 'info' command", Missing::User),
            ("LOADING Redis is loading the dataset in memory", Missing::Busy),
        ] {
            assert_eq!(missing(&Failure::Refused(words.to_owned())), expected, "{words}");
        }
    }
}
