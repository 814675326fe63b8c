//! How many connections there may be, and who has to go when there are too many.
//!
//! Whoever is being answered stays. Of the others the one goes that has kept us waiting longest for its request: slow or silent peers,
//! however many, cannot keep a scraper out, which says what it wants as soon as it is let in.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{Patience, Phase};

/// Open connections at most, all listeners together.
const CONNECTIONS: usize = 512;
/// Handshakes under way at most: each holds some 20 KiB.
const HANDSHAKES: usize = 64;

/// All open connections.
pub(super) struct Crowd {
    places: Arc<Semaphore>,
    present: Mutex<Vec<Patience>>,
}

/// A connection's place among the others, for as long as it lives.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    patience: Patience,
    _permit: OwnedSemaphorePermit,
}

impl Crowd {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Crowd { places: Arc::new(Semaphore::new(CONNECTIONS)), present: Mutex::default() })
    }

    /// A place for a connection; waits only while all the others are being answered.
    pub(super) async fn enter(self: &Arc<Self>, patience: &Patience) -> Option<Place> {
        self.give_up(|phases| phases.filter(|phase| *phase == Phase::Handshake).count() >= HANDSHAKES, &[Phase::Handshake]);
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let waiting = [Phase::Handshake, Phase::Header];
                let _ = self.give_up(|_| true, &waiting) || self.give_up(|_| true, &[Phase::Idle]);
                self.places.clone().acquire_owned().await.ok()?
            }
        };
        self.present.lock().unwrap_or_else(PoisonError::into_inner).push(patience.clone());
        Some(Place { crowd: self.clone(), patience: patience.clone(), _permit: permit })
    }

    /// If there are `too_many`, ends the connection that has been longest in one of `phases`; says whether there was one.
    fn give_up(&self, too_many: impl Fn(&mut dyn Iterator<Item = Phase>) -> bool, phases: &[Phase]) -> bool {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if !too_many(&mut present.iter().map(Patience::phase)) {
            return false;
        }
        let oldest = present.iter().filter(|patience| phases.contains(&patience.phase())).min_by_key(|patience| patience.since());
        oldest.map(Patience::give_up).is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut present = self.crowd.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = present.iter().position(|patience| patience.is(&self.patience)) {
            present.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Whether a connection is given up at once.
    async fn goes(patience: &Patience) -> bool {
        tokio::time::timeout(Duration::from_millis(50), patience.ends()).await.is_ok()
    }

    #[tokio::test]
    async fn the_one_who_says_nothing_longest_goes() {
        let crowd = Crowd::new();
        let mut places = Vec::new();
        for _ in 0..CONNECTIONS {
            let patience = Patience::new(false);
            let place = crowd.enter(&patience).await.unwrap();
            places.push((patience, place));
        }
        // The first is being answered, the second has been, the third is the oldest that said nothing.
        let answering = places[0].0.answering();
        drop(places[1].0.answering());
        let newcomer = Patience::new(false);
        let (entered, ()) = tokio::join!(crowd.enter(&newcomer), async {
            assert!(goes(&places[2].0).await);
            drop(places.remove(2));
        });
        assert!(entered.is_some());
        for place in &places[..4] {
            assert!(!goes(&place.0).await);
        }
        assert_eq!(crowd.present.lock().unwrap().len(), CONNECTIONS);
        drop(answering);
    }

    #[tokio::test]
    async fn handshakes_have_a_bound_of_their_own() {
        let crowd = Crowd::new();
        let mut places = Vec::new();
        for _ in 0..HANDSHAKES {
            let patience = Patience::new(true);
            let place = crowd.enter(&patience).await.unwrap();
            places.push((patience, place));
        }
        places[0].0.greeted(false);
        let _more = crowd.enter(&Patience::new(true)).await.unwrap();
        assert!(!goes(&places[1].0).await, "one handshake is done, so there was room");
        let _more = crowd.enter(&Patience::new(true)).await.unwrap();
        assert!(goes(&places[1].0).await && !goes(&places[0].0).await && !goes(&places[2].0).await);
    }
}
