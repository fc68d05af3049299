//! Readiness: a process is ready when each of its named gates is open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The gates of a process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    gates: Arc<Mutex<Vec<Gate>>>,
}

/// One condition of readiness. Clones share its state.
#[derive(Clone, Debug)]
pub struct Gate {
    name: &'static str,
    open: Arc<AtomicBool>,
}

impl Readiness {
    /// Adds a gate, closed at first.
    pub fn gate(&self, name: &'static str) -> Gate {
        let gate = Gate { name, open: Arc::default() };
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).push(gate.clone());
        gate
    }

    /// The names of the gates that are closed; none means ready.
    pub fn closed(&self) -> Vec<&'static str> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.iter().filter(|gate| !gate.open.load(Ordering::Relaxed)).map(|gate| gate.name).collect()
    }
}

impl Gate {
    /// Opens or closes the gate.
    pub fn set(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_no_gate_is_closed() {
        let readiness = Readiness::default();
        let (caches, sockets) = (readiness.gate("caches"), readiness.gate("sockets"));
        assert_eq!(readiness.closed(), ["caches", "sockets"]);
        caches.set(true);
        assert_eq!(readiness.closed(), ["sockets"]);
        sockets.set(true);
        assert!(readiness.closed().is_empty());
        caches.set(false);
        assert_eq!(readiness.closed(), ["caches"]);
    }
}
