use tokio::sync::watch;

use crate::told::Told;
use crate::worker::Worker;

/// The worker in this process, for its report and for the console beside it: that one learns how the worker stands also
/// while no topic can be reached. Clones are the same worker.
#[derive(Clone, Debug)]
pub struct Own {
    worker: Worker,
    told: watch::Sender<Option<Told>>,
}

impl Own {
    pub fn new(worker: Worker) -> Self {
        Self { worker, told: watch::Sender::new(None) }
    }

    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    pub(crate) fn tell(&self, told: &Told) {
        self.told.send_replace(Some(told.clone()));
    }

    /// What it told last and tells from now on.
    pub(crate) fn told(&self) -> watch::Receiver<Option<Told>> {
        let mut told = self.told.subscribe();
        told.mark_changed();
        told
    }
}
