//! Servers in containers, which the engine tells of.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Duration, Instant};

use super::connect::Refusal;
use super::registry::Registry;
use super::session::Session;
use super::targets::{self, Named};
use crate::discovery::{Finder, Found, Missing, POSTGRES, Place, Wish};
use crate::scrape::Sources;
use crate::settings::{Error, Settings};

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(2);

struct Contained {
    settings: Settings,
    registry: Arc<Registry>,
    /// Where the servers of the settings are.
    named: Vec<(String, u16)>,
}

/// Watches the servers in containers; `None` where there is no engine.
pub(super) fn follow(
    settings: &Settings,
    sources: &Sources,
    named: &[Named],
    registry: Arc<Registry>,
) -> Result<Option<Found>, Error> {
    let taken = named.iter().filter_map(|named| named.label.clone()).collect();
    let Some(found) = Found::of(settings, sources.discovery(), &POSTGRES, taken)? else { return Ok(None) };
    let named = named.iter().flat_map(|named| &named.access.dsn.hosts);
    let named = named.map(|host| (host.address().to_owned(), host.port)).collect();
    let finder = Contained { settings: settings.clone(), registry, named };
    sources.spawn(found.clone().follow(Arc::new(finder)));
    Ok(Some(found))
}

impl Finder for Contained {
    fn is_named(&self, wish: &Wish) -> bool {
        self.named.iter().any(|(host, port)| wish.is_at(host, *port))
    }

    fn reach<'a>(&'a self, wish: &'a Wish, place: &'a Place) -> BoxFuture<'a, Result<(), Missing>> {
        async {
            let access = targets::contained(&self.settings, wish, place).ok_or(Missing::Tls)?;
            let mut dsn = access.dsn;
            if let Some(file) = &access.password_file {
                dsn.password = Some(targets::password(file).map_err(|_| Missing::Secret)?);
            }
            let session = Session::open(&dsn, Instant::now() + PATIENCE).await;
            session.map(drop).map_err(|refusal| missing(&refusal))
        }
        .boxed()
    }

    fn add(&self, wish: &Wish, place: &Place) {
        if let Some(access) = targets::contained(&self.settings, wish, place) {
            self.registry.add(Some(&wish.name), access);
        }
    }

    fn remove(&self, name: &str) {
        self.registry.remove(name);
    }
}

/// What a refusal means, by the SQLSTATE in its words.
fn missing(refusal: &Refusal) -> Missing {
    let reason = &refusal.reason;
    let says = |text: &str| reason.contains(text);
    match () {
        () if says("SQLSTATE 28P01") || says("password missing") => Missing::Password,
        // `no pg_hba.conf entry for host …, no encryption` lets in whoever speaks TLS, or nobody.
        () if says("SQLSTATE 28000") => Missing::User,
        () if says("SQLSTATE 3D000") => Missing::Database,
        // Starting, full, stopping.
        () if ["57P03", "53300", "57P01"].into_iter().any(|code| says(&format!("SQLSTATE {code}"))) => Missing::Busy,
        () if says("SQLSTATE") => Missing::Protocol,
        () if ["TLS", "sslmode", "sslrootcert"].into_iter().any(says) => Missing::Tls,
        () => Missing::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_is_missing() {
        let missing = |reason: &str| missing(&Refusal { reason: reason.to_owned(), wait: false });
        for (reason, expected) in [
            ("password authentication failed for user \"x\" (SQLSTATE 28P01)", Missing::Password),
            ("invalid configuration: password missing", Missing::Password),
            ("Peer authentication failed for user \"x\" (SQLSTATE 28000)", Missing::User),
            ("database \"x\" does not exist (SQLSTATE 3D000)", Missing::Database),
            ("the database system is starting up (SQLSTATE 57P03)", Missing::Busy),
            ("172.17.0.2:5432: Connection refused (os error 111)", Missing::Network),
        ] {
            assert_eq!(missing(reason), expected, "{reason}");
        }
    }
}
