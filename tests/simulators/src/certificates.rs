//! Certificates of BMCs, made when they are first shown.

use std::path::PathBuf;
use std::sync::Mutex;

use tls::{Error, Identity, ServerContext, identity};

use crate::Certificates;

/// The certificate that one BMC shows now.
#[derive(Debug)]
pub(crate) struct Shown {
    source: Certificates,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    changes: u32,
    context: Option<ServerContext>,
}

/// Where made ones are kept, and the one that is shared.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    shared: Mutex<Option<ServerContext>>,
}

impl Store {
    pub(crate) fn new(dir: PathBuf) -> Store {
        Store {
            dir,
            shared: Mutex::default(),
        }
    }

    fn make(&self, name: &str) -> Result<ServerContext, Error> {
        ServerContext::new(&identity(&self.dir, name)?, None)
    }

    fn shared(&self) -> Result<ServerContext, Error> {
        let mut shared = lock(&self.shared);
        if let Some(context) = &*shared {
            return Ok(context.clone());
        }
        let made = self.make("bmc")?;
        *shared = Some(made.clone());
        Ok(made)
    }
}

impl Shown {
    pub(crate) fn new(source: Certificates) -> Shown {
        Shown {
            source,
            state: Mutex::default(),
        }
    }

    /// What to shake hands with.
    pub(crate) fn context(&self, store: &Store, bmc: usize) -> Result<ServerContext, Error> {
        let mut state = lock(&self.state);
        if let Some(context) = &state.context {
            return Ok(context.clone());
        }
        let made = match (&self.source, state.changes) {
            (Certificates::Shared, 0) => store.shared()?,
            (Certificates::File(path), 0) => {
                let identity = Identity {
                    certificate: path.clone(),
                    key: path.clone(),
                };
                ServerContext::new(&identity, None)?
            }
            (_, changes) => store.make(&format!("bmc{bmc}-{changes}"))?,
        };
        state.context = Some(made.clone());
        Ok(made)
    }

    /// From now on another one.
    pub(crate) fn change(&self) {
        let mut state = lock(&self.state);
        state.changes += 1;
        state.context = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
