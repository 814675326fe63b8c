//! A server that gave no answer in time: asked again beside the scrapes, so that no second page waits for it.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::connection::Failure;
use super::keys::Link;
use super::resp::Cmd;
use super::target::Target;
use super::worker::Manner;

/// Between two tries, each of which may take as long as `--redis.connection-timeout`.
const PAUSE: Duration = Duration::from_secs(1);

/// The asking. Ends with the value.
pub(super) struct Retry(JoinHandle<()>);

impl Retry {
    /// Asks until anything comes of it, be it a refusal.
    pub(super) fn start(target: &Target, manner: &Manner) -> Self {
        let mut link = Link::new(target.clone(), manner.clone(), None);
        Retry(tokio::spawn(async move {
            while let Err(Failure::Late(_)) = link.ask(0, 0, vec![Cmd::of(&[b"INFO", b"server"])]).await {
                tokio::time::sleep(PAUSE).await;
            }
        }))
    }

    /// Whether a scrape may ask again.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Retry {
    fn drop(&mut self) {
        self.0.abort();
    }
}
