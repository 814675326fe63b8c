//! `/scrape` with parameters of keys: `?target=cache&check-single-keys=queue:mail`, in redis_exporter's words.
//!
//! What has to be searched for is searched for in the background, so what a request asks for is kept for the next one like it.

use std::sync::{Arc, Mutex, PoisonError};

use super::COLLECTOR;
use super::keys::Wanted;
use super::target::Target;
use super::worker::{Manner, Server};
use crate::scrape::{Part, Source};
use crate::settings::{Origin, Setting, Settings};

/// The most that is kept: what was not asked for the longest goes first.
const MOST: usize = 64;

/// What may be asked for, by the names of redis_exporter's flags.
const PARAMETERS: [&str; 5] = ["check-keys", "check-single-keys", "check-streams", "check-single-streams", "count-keys"];

/// A target and the parameters it was asked for with.
type Key = (String, Vec<(&'static str, String)>);

/// What is kept, the latest last.
#[derive(Default)]
pub(super) struct Views {
    kept: Mutex<Vec<(Key, Arc<Source>)>>,
}

/// The parameters of a query that name keys.
pub(super) fn parameters(query: &[(String, String)]) -> Vec<(&'static str, String)> {
    let find = |name: &&str| query.iter().find(|(key, text)| key == name && !text.trim().is_empty());
    PARAMETERS.iter().filter_map(|name| Some((*name, find(name)?.1.clone()))).collect()
}

impl Views {
    /// The page of `target` with what `parameters` name; `settings` are those that hold for all else of keys.
    pub(super) fn source(
        &self,
        target: &Target,
        parameters: Vec<(&'static str, String)>,
        settings: &Settings,
        manner: &Manner,
    ) -> Result<Arc<Source>, String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (target.name.clone(), parameters);
        if let Some(place) = kept.iter().position(|(known, _)| *known == key) {
            let view = kept.remove(place);
            let source = view.1.clone();
            kept.push(view);
            return Ok(source);
        }
        let wanted = wanted(&key.1, settings, manner.options.compat)?;
        let server = Server::new(target.clone(), Manner { keys: Arc::new(wanted), ..manner.clone() });
        let source = Arc::new(Source::task(Part::Redis, &target.name, vec![COLLECTOR], server));
        if kept.len() >= MOST {
            kept.remove(0);
        }
        kept.push((key, source.clone()));
        Ok(source)
    }

    /// Forgets what was kept of a target.
    pub(super) fn forget(&self, target: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|((name, _), _)| name != target);
    }
}

/// What is wanted of keys where `parameters` stand in place of the flags of the same names.
fn wanted(parameters: &[(&'static str, String)], settings: &Settings, compat: bool) -> Result<Wanted, String> {
    let mut settings = settings.clone();
    for flag in super::keys::flags() {
        let given = parameters.iter().find(|(name, _)| flag.name.strip_prefix("redis.") == Some(name));
        if let Some((_, text)) = given {
            settings.set(flag, Origin::CommandLine, Setting::Text(text.clone()));
        }
    }
    Wanted::read(&settings, compat).map_err(|wrong| format!("{wrong}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_for_flags() {
        let pairs = [("target", "a"), ("check-single-keys", "x"), ("count-keys", " "), ("script", "/etc/passwd")];
        let query = pairs.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let parameters = parameters(&query);
        assert_eq!(parameters, [("check-single-keys", "x".to_owned())]);
        assert!(!wanted(&parameters, &Settings::default(), false).unwrap().is_empty());
        assert!(wanted(&[("check-keys", "a=b=c".to_owned())], &Settings::default(), false).unwrap_err().contains("check-keys"));
    }
}
