//! Orders to read the settings again, from `/-/reload` to whoever put the program together.

use tokio::sync::{mpsc, oneshot};

use super::LIFECYCLE;
use crate::settings::Settings;

/// What became of it: what else there is to know, or why the settings stay as they were.
pub type Verdict = Result<String, String>;

/// Where `/-/reload` hands in its orders. Cheap to clone.
#[derive(Clone)]
pub struct Reload(mpsc::Sender<oneshot::Sender<Verdict>>);

/// Where they are taken from.
pub type Orders = mpsc::Receiver<oneshot::Sender<Verdict>>;

impl Reload {
    /// Both ends. Those who order while one order is carried out, wait.
    pub fn new() -> (Self, Orders) {
        let (sender, orders) = mpsc::channel(1);
        (Reload(sender), orders)
    }

    /// Itself, where the settings allow orders by HTTP.
    pub(super) fn allowed(self, settings: &Settings) -> Option<Self> {
        Some(self).filter(|_| settings.switch(&LIFECYCLE))
    }

    /// Has the settings read again.
    pub(super) async fn order(&self) -> Verdict {
        let (sender, verdict) = oneshot::channel();
        let stopping = || Err("the agent is stopping".to_owned());
        if self.0.send(sender).await.is_err() {
            return stopping();
        }
        verdict.await.unwrap_or_else(|_| stopping())
    }
}
