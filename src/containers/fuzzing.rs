//! A door for fuzz targets: the page of a machine whose engine may answer anything.

use super::collector::{Containers, Show};
use super::disk::Disk;
use super::labels::{Choice, FLAGS};
use super::sets::Sets;
use crate::discovery::{Directory, Discovery, tell};
use crate::exposition::{Page, Samples};
use crate::scrape::Collector;
use crate::settings::{Origin, Setting, Settings};
use crate::system::{Roots, System};

/// How often it is scraped: containers out of sight are shown from the second time on.
const SCRAPES: usize = 3;

/// The last page of a machine without cgroups, whose `engine` gives these answers, each beside its question; all labels are shown.
pub fn page_of_any_engine(engine: &str, answers: &[(&str, &[u8])]) -> Page {
    let mut settings = Settings::default();
    for flag in FLAGS {
        settings.set(flag, Origin::CommandLine, Setting::List(vec!["all".to_owned()]));
    }
    let directory = Directory::keeping(vec!["STAGE".to_owned(), "stage".to_owned()]);
    let (disk, show) = (Disk::new(Default::default()), Show { sets: Sets::default(), zeros: false });
    let choice = Choice::of(&settings);
    let mut collector = Containers::new(Some(directory.clone()), Discovery::default(), disk, choice, show, None);
    let [proc, sys, root, udev] = [(); 4].map(|()| "/nonexistent".into());
    let mut system = System::new(Roots { proc, sys, root, udev, ..Roots::default() });
    let mut out = Samples::new();
    for _ in 0..SCRAPES {
        tell(&directory, engine, answers);
        out = Samples::new();
        // It fails, since there is no cgroup; what the engine tells is there all the same.
        let _ = collector.collect(&mut system, &mut out);
    }
    Page::new(vec![out])
}
