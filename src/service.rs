//! What the service manager is told (sd_notify): that the agent is ready, alive, and stopping.
//!
//! Nothing happens where no manager asks for it, which it does by `NOTIFY_SOCKET` and, for signs of life, `WATCHDOG_USEC`.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;

/// Ends the signs of life, and says that the agent stops, when dropped.
pub struct Manager {
    watchdog: Option<tokio::task::JoinHandle<()>>,
}

/// Says that the agent is ready, and from now on, twice in the manager's time, that it is alive.
pub fn manager() -> Manager {
    tell(&[NotifyState::Ready]);
    let watchdog = sd_notify::watchdog_enabled().filter(|time| !time.is_zero());
    Manager { watchdog: watchdog.and_then(|time| Some(tokio::spawn(live(time / 2, messenger().ok()?)))) }
}

/// Has a sign of life sent every `time`. It is a task of the runtime that answers scrapes: if that hangs, there is no sign, and the
/// manager starts the agent anew.
async fn live(time: Duration, messenger: SyncSender<()>) {
    let mut ticks = tokio::time::interval(time);
    loop {
        ticks.tick().await;
        let _ = messenger.try_send(());
    }
}

/// The thread that sends them: where the manager itself hangs, its socket fills up and the sender waits.
fn messenger() -> std::io::Result<SyncSender<()>> {
    let (sender, orders) = sync_channel(1);
    let send = move || orders.iter().for_each(|()| tell(&[NotifyState::Watchdog]));
    std::thread::Builder::new().name("watchdog".to_owned()).stack_size(64 * 1024).spawn(send)?;
    Ok(sender)
}

impl Drop for Manager {
    fn drop(&mut self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.abort();
        }
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
