//! Who is logged in at a BMC.

/// What a login gave out.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: String,
    /// For `X-Auth-Token`, and as the value of the session cookie.
    pub(crate) token: String,
    /// For `X-XSRF-TOKEN`.
    pub(crate) xsrf: String,
}

/// All sessions, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: Vec<Session>,
    made: u64,
}

impl Sessions {
    /// Makes one; over `most` the oldest goes.
    pub(crate) fn open(&mut self, bmc: usize, most: usize) -> Session {
        self.made += 1;
        let session = Session {
            id: format!("S{bmc}x{}", self.made),
            token: format!("Tk{bmc:05}x{:08}", self.made),
            xsrf: format!("Xs{bmc:05}x{:08}", self.made),
        };
        self.live.push(session.clone());
        if self.live.len() > most {
            self.live.remove(0);
        }
        session
    }

    pub(crate) fn by_token(&self, token: &str) -> Option<&Session> {
        self.live.iter().find(|session| session.token == token)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Session> {
        self.live.iter().find(|session| session.id == id)
    }

    pub(crate) fn close(&mut self, id: &str) {
        self.live.retain(|session| session.id != id);
    }

    pub(crate) fn clear(&mut self) {
        self.live.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.live.iter().map(|session| session.id.as_str())
    }
}
