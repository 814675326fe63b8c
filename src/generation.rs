//! All that comes of the settings, from its start to the day when other settings take its place.
//!
//! SIGHUP and `/-/reload` read the settings again and start all parts anew beside the old ones. Only when those have found what the old
//! ones had found, and have been asked once, do they take the old ones' place: no scrape sees them half done. What cannot be used leaves
//! everything as it was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::scrape::{Catalog, Scraper, Selection, Sources};
use crate::settings::{Error, Flag, Settings};
use crate::telemetry::{self, Telemetry};
use crate::web::{self, Gate, Reload, Server, Verdict};
use crate::{MODULES, audit, log};

/// How long new settings may take to find what the old ones had found: an engine's answer, and servers that are reached.
const SETTLE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

/// The parts as they were started, and who asks them.
pub struct Generation {
    settings: Settings,
    scraper: Arc<Scraper>,
}

impl Generation {
    /// Starts all parts that `settings` want, and the gate to their pages.
    pub fn start(settings: Settings, telemetry: &Arc<Telemetry>, reload: &Reload) -> Result<(Self, Gate), Error> {
        let (sources, own) = (Sources::default(), telemetry.clone());
        let scraper = Arc::new(Scraper::new(sources, move |duplicates, out| own.emit(duplicates, out)));
        let generation = Generation { settings, scraper };
        let (settings, sources) = (&generation.settings, generation.scraper.sources());
        for module in MODULES.iter().filter(|module| settings.switch(&module.enabled)) {
            (module.start)(settings, sources)?;
        }
        audit::start(settings, sources)?;
        let catalog = Catalog::of(&MODULES, settings);
        let gate = Gate::new(settings, catalog, generation.scraper.clone(), telemetry.clone(), reload.clone())?;
        Ok((generation, gate))
    }

    /// Returns when all that `earlier` had found has been found again, or takes too long, and all sources have been asked once.
    async fn settle(&self, earlier: &Generation) {
        let found = |generation: &Generation| -> BTreeSet<_> {
            generation.scraper.sources().discovery().met().into_iter().map(|met| (met.part, met.name)).collect()
        };
        let (wanted, until) = (found(earlier), Instant::now() + SETTLE);
        while !wanted.is_subset(&found(self)) && Instant::now() < until {
            sleep(LOOK).await;
        }
        let parts = Catalog::of(&MODULES, &self.settings).parts;
        self.scraper.scrape(Selection::of(&parts), self.settings.time(&web::TIMEOUT)).await;
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.scraper.sources().end();
    }
}

/// Puts one generation into the place of another.
pub struct Succession {
    /// Reads the settings, as at the start.
    pub read: Box<dyn Fn() -> Result<Settings, Error>>,
    /// What runs now.
    pub current: Generation,
    /// Counts on through all of them.
    pub telemetry: Arc<Telemetry>,
    /// Where orders come from, which each generation hands on.
    pub reload: Reload,
    /// Whose gate is replaced.
    pub server: Arc<Server>,
}

impl Succession {
    /// Reads the settings again and has them take effect; says what only a restart can change.
    pub async fn succeed(&mut self) -> Verdict {
        let next = (self.read)().and_then(|settings| Generation::start(settings, &self.telemetry, &self.reload));
        self.telemetry.reloaded(next.is_ok());
        let (next, gate) = next.map_err(|error| {
            tracing::error!(%error, "the settings cannot be used: all stays as it was");
            error.to_string()
        })?;
        next.settle(&self.current).await;
        self.server.replace(gate);
        let changed = |flag: &&Flag| self.current.settings.get(flag) != next.settings.get(flag);
        let late: Vec<&str> = fixed().filter(changed).map(|flag| flag.name).collect();
        self.current = next;
        tracing::info!("the settings were read again");
        if late.is_empty() {
            return Ok(String::new());
        }
        let late = late.join(", ");
        tracing::warn!(settings = late, "only a restart can change these");
        Ok(format!("only a restart can change {late}\n"))
    }
}

/// What is set once for the whole process: its listeners, its log, its own metrics.
fn fixed() -> impl Iterator<Item = &'static Flag> {
    [&web::LISTEN, &web::SYSTEMD].into_iter().chain(log::FLAGS).chain(telemetry::FLAGS)
}
