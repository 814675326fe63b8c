//! The scraper: asks all sources at once and puts the page together.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, WeakShared, join_all};

use super::auditor::{Auditor, Finding, Seen};
use super::outcome::{self, Journal};
use super::report::{LastPage, Warned};
use super::{Part, Route, Selection, Source};
use crate::discovery::Discovery;
use crate::exposition::{Family, Labels, Page, Samples};

/// The sources there are, and what they must be warned of. Cheap to clone; parts add to it, also later when a database is found.
#[derive(Clone, Default)]
pub struct Sources {
    list: Arc<Mutex<Vec<Arc<Source>>>>,
    warnings: Arc<Mutex<Vec<Warned>>>,
    routes: Arc<Mutex<Routes>>,
    auditor: Arc<OnceLock<Arc<dyn Auditor>>>,
    discovery: Discovery,
}

/// Who answers for which path.
type Routes = Vec<(&'static str, Arc<Route>)>;

static WARNING: Family = Family::gauge(
    "stack_exporter_warning",
    "Figures of the part are not what they seem, and what to do about it, as the label advice; 1.",
);

impl Sources {
    /// Tells on every page with `part`, and once in the log, that its figures are not what they seem: `what` is missing, by one
    /// word, and `text` says which figures suffer and what to do.
    pub fn warn(&self, part: Part, what: &'static str, text: String) {
        tracing::warn!(part = part.name(), missing = what, "{text}");
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(Warned { part, missing: what, advice: text });
    }

    /// What the parts warn of.
    pub fn warnings(&self) -> Vec<Warned> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes the warnings of the parts that `selection` asks for.
    fn emit_warnings(&self, selection: &Selection, out: &mut Samples) {
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for Warned { part, missing, advice } in warnings.iter().filter(|warning| selection.has(warning.part)) {
            out.family(&WARNING).add([("advice", advice), ("missing", *missing), ("part", part.name())], 1u8);
        }
    }

    /// Runs `task` for as long as there are sources: a search, a watch.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.discovery.tasks().spawn(task);
    }

    /// Ends all of it: tasks, sources (after the scrapes they may be in), paths. Whoever holds a source still can ask it.
    pub fn end(&self) {
        self.discovery.tasks().end();
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Has what scrapes tell judged by `auditor`. The first one stays.
    pub fn audit_with(&self, auditor: Arc<dyn Auditor>) {
        let _ = self.auditor.set(auditor);
    }

    /// What the auditor found last.
    pub fn findings(&self) -> Vec<Finding> {
        self.auditor.get().map_or_else(Vec::new, |auditor| auditor.findings())
    }

    /// What is found by itself, by whom, and what is missing.
    pub fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// Adds a source, in place of one with the same part and name.
    pub fn add(&self, source: Source) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|known| known.part != source.part || known.name != source.name);
        list.push(Arc::new(source));
    }

    /// Removes a source; its thread or task ends after the scrape it may be in.
    pub fn remove(&self, part: Part, name: &str) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known.part != part || known.name != name);
    }

    /// The source of `part` with this name.
    pub fn get(&self, part: Part, name: &str) -> Option<Arc<Source>> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().find(|known| known.part == part && known.name == name).cloned()
    }

    /// Lets `route` answer requests for `path`.
    pub fn serve(&self, path: &'static str, route: Arc<Route>) {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).push((path, route));
    }

    /// Who answers requests for `path`, if a part does.
    pub fn route(&self, path: &str) -> Option<Arc<Route>> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.iter().find(|(known, _)| *known == path).map(|(_, route)| route.clone())
    }

    /// The sources as they are now.
    pub fn all(&self) -> Vec<Arc<Source>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Adds the agent's own metrics, given the number of duplicate series left out so far.
type Own = dyn Fn(usize, &mut Samples) + Send + Sync;

type Flight = BoxFuture<'static, Arc<Page>>;

/// A scrape that others may join.
struct UnderWay {
    selection: Selection,
    deadline: Instant,
    flight: WeakShared<Flight>,
}

/// Answers scrapes.
pub struct Scraper {
    sources: Sources,
    /// What every page carries besides the sources' samples.
    own: Box<Own>,
    journal: Mutex<Journal>,
    flights: Mutex<Vec<UnderWay>>,
    duplicates: std::sync::atomic::AtomicUsize,
    /// The last page of all, or of some, sources.
    pub(super) page: Mutex<Option<LastPage>>,
}

impl Scraper {
    /// A scraper over `sources`; `own` adds the agent's own metrics to every page, given the number
    /// of duplicate series left out so far.
    pub fn new(sources: Sources, own: impl Fn(usize, &mut Samples) + Send + Sync + 'static) -> Self {
        let (journal, flights, page) = Default::default();
        Scraper { sources, own: Box::new(own), journal, flights, duplicates: 0.into(), page }
    }

    /// The sources it asks.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Series left out as duplicates since the start.
    pub fn duplicates(&self) -> usize {
        self.duplicates.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The page of all that `selection` asks for, within `limit`. A scrape of the same selection that is under way is shared,
    /// unless it may take longer than this one.
    pub async fn scrape(self: &Arc<Self>, selection: Selection, limit: Duration) -> Arc<Page> {
        let deadline = Instant::now() + limit;
        let joined = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            // A flight whose requests all went away can no longer be upgraded; one that has landed is of no use to newcomers.
            flights.retain(|known| known.flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
            let fits = |known: &&UnderWay| known.selection == selection && known.deadline <= deadline;
            flights.iter().find(fits).and_then(|known| known.flight.upgrade()).unwrap_or_else(|| {
                let (scraper, of) = (self.clone(), selection.clone());
                // A task of its own: it ends even if every request for it goes away, and so gives its sources back in order.
                let task = tokio::spawn(async move { scraper.collect(of, deadline).await });
                let flight = task.map(Result::unwrap_or_default).boxed().shared();
                flights.extend(flight.downgrade().map(|weak| UnderWay { selection, deadline, flight: weak }));
                flight
            })
        };
        joined.await
    }

    /// The page of one source alone, without the label `target`.
    pub async fn page_of(self: &Arc<Self>, source: Arc<Source>, limit: Duration) -> Arc<Page> {
        let (scraper, deadline) = (self.clone(), Instant::now() + limit);
        // As above: the source is given back in order, even if the request goes away.
        let task = tokio::spawn(async move {
            let (samples, outcomes) = source.ask(&Selection::of(&[source.part]), deadline, true).await;
            let mut own = Samples::new();
            outcome::emit(source.part, &Labels::new(), &outcomes, &mut own);
            scraper.journal.lock().unwrap_or_else(PoisonError::into_inner).note(&source, &outcomes);
            source.kept.note(source.part, &source.collectors, &outcomes);
            Arc::new(Page::new(vec![samples, own]))
        });
        task.await.unwrap_or_default()
    }

    async fn collect(&self, selection: Selection, deadline: Instant) -> Arc<Page> {
        let (started, sources) = (Instant::now(), self.sources.all());
        let answers = join_all(sources.iter().map(|source| source.ask(&selection, deadline, false))).await;
        let mut own = Samples::new();
        let mut all = Vec::with_capacity(answers.len() + 1);
        {
            let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
            for (source, (_, outcomes)) in sources.iter().zip(&answers) {
                outcome::emit(source.part, &source.labels, outcomes, &mut own);
                journal.note(source, outcomes);
                source.kept.note(source.part, &source.collectors, outcomes);
            }
        }
        if let Some(auditor) = self.sources.auditor.get() {
            let asked = sources.iter().zip(&answers).filter(|(source, _)| selection.has(source.part));
            let seen: Vec<_> = asked.map(|(source, (samples, outcomes))| Seen { source, samples, outcomes }).collect();
            auditor.audit(&seen, &selection, &self.sources, &mut own);
        }
        all.extend(answers.into_iter().map(|(samples, _)| samples));
        self.sources.emit_warnings(&selection, &mut own);
        let shown = |name: &str| Part::ALL.into_iter().any(|part| part.name() == name && selection.has(part));
        self.sources.discovery.emit(shown, &mut own);
        (self.own)(self.duplicates(), &mut own);
        all.push(own);
        let page = Page::new(all);
        self.duplicates.fetch_add(page.duplicates(), std::sync::atomic::Ordering::Relaxed);
        *self.page.lock().unwrap_or_else(PoisonError::into_inner) = Some(LastPage::of(&page, started));
        Arc::new(page)
    }
}
