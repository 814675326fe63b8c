//! One scrape over good and bad sources: whatever one of them does costs its own lines only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use stack_exporter::exposition::{Family, Labels, Page, Samples};
use stack_exporter::scrape::{Job, Part, Scraper, Selection, Source, Sources, Worker};
use stack_exporter::system::Fault;
use support::exposition::{Exposition, parse};

static GOOD: Family = Family::gauge("t_good", "Good.");
static PARTIAL: Family = Family::gauge("t_partial", "Written before an error.");

fn read(page: &Arc<Page>) -> Exposition {
    parse(&String::from_utf8(page.to_vec()).unwrap()).unwrap()
}

fn scraper(sources: &Sources) -> Arc<Scraper> {
    Arc::new(Scraper::new(sources.clone(), |_, _| {}))
}

fn success(page: &Exposition, collector: &str) -> Option<f64> {
    page.value("stack_exporter_collector_success", &[("collector", collector)])
}

fn error(page: &Exposition, collector: &str) -> String {
    let found = page.all("stack_exporter_collector_last_error_info").find(|series| series.has(&[("collector", collector)]));
    found.map(|series| series.labels["error"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn errors_panics_and_absence_stay_with_their_collector() {
    let sources = Sources::default();
    let work = |job: &Job| {
        let mut scratch = Samples::new();
        job.run("failing", &mut scratch, |out| {
            out.family(&PARTIAL).add([], 1u8);
            Err(Fault::Remote("broken on purpose".into()))
        });
        job.run("panicking", &mut scratch, |_| panic!("a bug"));
        job.run("absent", &mut scratch, |_| Err(Fault::Absent("hardware".into())));
        job.run("good", &mut scratch, |out| {
            out.family(&GOOD).add([], 1u8);
            Ok(())
        });
    };
    sources.add(Source::thread(Part::Host, "t", vec!["failing", "panicking", "absent", "good"], work).unwrap());
    let page = read(&scraper(&sources).scrape(Selection::of(&[Part::Host]), Duration::from_secs(5)).await);
    assert_eq!(page.value("t_good", &[]), Some(1.0));
    assert_eq!(page.value("t_partial", &[]), Some(1.0));
    for (collector, fine, node) in [("failing", 0.0, 0.0), ("panicking", 0.0, 0.0), ("absent", 1.0, 0.0), ("good", 1.0, 1.0)] {
        assert_eq!(success(&page, collector), Some(fine), "{collector}");
        assert_eq!(page.value("node_scrape_collector_success", &[("collector", collector)]), Some(node), "{collector}");
        assert!(page.value("node_scrape_collector_duration_seconds", &[("collector", collector)]).is_some());
    }
    assert_eq!(error(&page, "failing"), "broken on purpose");
    assert_eq!(error(&page, "panicking"), "panicked: a bug");
    assert_eq!(error(&page, "absent"), "");
}

struct Hanging;

impl Worker for Hanging {
    async fn collect(&mut self, _: &Job) {
        std::future::pending().await
    }

    fn reset(&mut self) {}
}

struct Panicking(Arc<AtomicUsize>);

impl Worker for Panicking {
    async fn collect(&mut self, _: &Job) {
        panic!("a bug in a task")
    }

    fn reset(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn what_hangs_is_late_then_busy_and_never_in_the_way() {
    let sources = Sources::default();
    let (release, gate) = mpsc::channel::<()>();
    let mut scratch = Samples::new();
    let blocking = move |job: &Job| {
        job.run("first", &mut scratch, |out| {
            out.family(&GOOD).add([], 1u8);
            Ok(())
        });
        job.run("stuck", &mut scratch, |_| gate.recv().map_err(|_| Fault::Absent("gate".into())));
    };
    let resets = Arc::new(AtomicUsize::new(0));
    sources.add(Source::thread(Part::Host, "t", vec!["first", "stuck"], blocking).unwrap());
    sources.add(Source::task(Part::Redis, "hanging", vec!["hanging"], Hanging).with_labels(Labels::of(&[("target", "h")])));
    sources.add(Source::task(Part::Postgres, "panicking", vec!["panicking"], Panicking(resets.clone())));
    let scraper = scraper(&sources);
    let scrape = async |scraper: &Arc<Scraper>| {
        let start = Instant::now();
        let page = read(&scraper.scrape(Selection::of(&Part::ALL), Duration::from_millis(200)).await);
        assert!(start.elapsed() < Duration::from_millis(600), "{:?}", start.elapsed());
        page
    };
    let page = scrape(&scraper).await;
    assert_eq!(page.value("t_good", &[]), Some(1.0), "what was done by the deadline is on the page");
    assert!(error(&page, "stuck").contains("within the scrape's time") && error(&page, "hanging").contains("within"), "{page:?}");
    assert_eq!(page.value("stack_exporter_collector_success", &[("collector", "hanging"), ("target", "h")]), Some(0.0));
    assert_eq!(resets.load(Ordering::SeqCst), 1);
    let page = scrape(&scraper).await;
    assert!(page.value("t_good", &[]).is_none() && error(&page, "stuck").contains("busy"), "{page:?}");
    assert_eq!(error(&page, "panicking"), "panicked: gave no answer");
    for _ in 0..2 {
        release.send(()).unwrap();
    }
    let end = Instant::now() + Duration::from_secs(5);
    while success(&scrape(&scraper).await, "stuck") != Some(1.0) {
        release.send(()).unwrap();
        assert!(Instant::now() < end, "it recovers");
    }
}

#[tokio::test]
async fn scrapes_at_once_share_one_collection_and_others_wait_for_their_turn() {
    let sources = Sources::default();
    let runs = Arc::new(Mutex::new(Vec::new()));
    let (log, mut scratch) = (runs.clone(), Samples::new());
    let work = move |job: &Job| {
        for collector in ["a", "b"] {
            job.run(collector, &mut scratch, |out| {
                log.lock().unwrap().push(collector);
                std::thread::sleep(Duration::from_millis(50));
                out.family(&GOOD).add([("of", collector)], 1u8);
                Ok(())
            });
        }
    };
    sources.add(Source::thread(Part::Host, "t", vec!["a", "b"], work).unwrap());
    let scraper = scraper(&sources);
    let limit = Duration::from_secs(5);
    let only = |name: &str| Selection::filtered(&[Part::Host], vec![name.to_owned()], vec![], |_| Some(true)).unwrap();
    let (one, two, a, b) = tokio::join!(
        scraper.scrape(Selection::of(&[Part::Host]), limit),
        scraper.scrape(Selection::of(&[Part::Host]), limit),
        scraper.scrape(only("a"), limit),
        scraper.scrape(only("b"), limit),
    );
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(read(&one).all("t_good").count(), 2);
    assert_eq!((read(&a).all("t_good").count(), read(&b).all("t_good").count()), (1, 1));
    let mut ran = runs.lock().unwrap().clone();
    ran.sort_unstable();
    assert_eq!(ran, ["a", "a", "b", "b"], "the shared one once, each of the others once");
}

#[tokio::test]
async fn a_scrape_whose_requests_went_away_gives_its_sources_back() {
    let sources = Sources::default();
    let mut scratch = Samples::new();
    let work = move |job: &Job| {
        job.run("slow", &mut scratch, |_| {
            std::thread::sleep(Duration::from_millis(100));
            Ok(())
        });
    };
    sources.add(Source::thread(Part::Host, "t", vec!["slow"], work).unwrap());
    let scraper = scraper(&sources);
    let all = Selection::of(&[Part::Host]);
    assert!(tokio::time::timeout(Duration::from_millis(20), scraper.scrape(all.clone(), Duration::from_secs(5))).await.is_err());
    let page = read(&scraper.scrape(all, Duration::from_secs(5)).await);
    assert_eq!(success(&page, "slow"), Some(1.0), "{}", error(&page, "slow"));
}
