//! One scrape: which collectors, by when, and what became of each.
//!
//! Every source is an actor with a mailbox of one ([`Source`]): what blocks has a named thread, what waits is a task. A
//! collector hands in its samples as soon as it is done, so at the deadline the page holds all that is done, whatever hangs.
//! A source that did not come back from an earlier scrape answers "busy" at once; nothing piles up behind it.
//!
//! The design had a second scrape of a source that is merely at work answer "busy" as well. Here it waits for its turn
//! within its own deadline: two scrapes with different `collect[]` lists would otherwise lose series to one another.

mod advice;
mod auditor;
mod collector;
mod module;
mod outcome;
mod report;
mod route;
mod scraper;
mod selection;
mod source;

pub use crate::discovery::{Met, Product};
pub use auditor::{Auditor, Finding, Seen};
pub use collector::{Collector, Entry, New, Part};
pub use module::{Catalog, Command, Module};
pub use outcome::Outcome;
pub use report::{Advice, Advised, Last, LastPage, Report, State, Trouble, Warned, Watched};
pub use route::{Answer, Route};
pub use scraper::{Scraper, Sources};
pub use selection::{Refusal, Selection};
pub(crate) use source::panicked;
pub use source::{Job, Source, Worker};
