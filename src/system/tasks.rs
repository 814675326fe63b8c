//! Tasks that end together, with what they work for.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

/// Tasks of the runtime that would go on for ever: searches, watches. Cheap to clone; all clones are about the same tasks.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    running: Vec<AbortHandle>,
    ended: bool,
}

impl Tasks {
    /// Runs `task` until it is done or [`end`](Self::end) is called.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let handle = tokio::spawn(task).abort_handle();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            handle.abort();
        }
        state.running.retain(|running| !running.is_finished());
        state.running.push(handle);
    }

    /// Ends them all, and those that are yet to come.
    pub fn end(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        state.running.drain(..).for_each(|running| running.abort());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn none_outlives_the_end() {
        let (tasks, alive) = (Tasks::default(), Arc::new(()));
        let forever = |alive: Arc<()>| async move {
            std::future::pending::<()>().await;
            drop(alive);
        };
        tasks.spawn(forever(alive.clone()));
        tasks.clone().spawn(forever(alive.clone()));
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&alive), 3);
        tasks.end();
        tasks.spawn(forever(alive.clone()));
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
