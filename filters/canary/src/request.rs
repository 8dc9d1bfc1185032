//! One request, as rollouts ask about it: each question is answered once for all of them.

use std::cell::{Cell, OnceCell, RefCell};
use std::time::Duration;

use filter_core::matching::Facts;
use filter_core::{Headers, Ports, View};

use crate::anonymous::AnonymousId;
use crate::baggage::{Baggage, Decided};
use crate::config::Plan;

/// A request, and the world to decide it in.
pub(crate) struct Request<'a> {
    pub(crate) facts: Facts<'a>,
    headers: Headers<'a>,
    pub(crate) ports: &'a Ports<'a>,
    pub(crate) plan: &'a Plan,
    wall: OnceCell<Duration>,
    believed: OnceCell<bool>,
    baggage: OnceCell<Baggage<'a>>,
    told: OnceCell<Decided>,
    anonymous: OnceCell<Option<AnonymousId>>,
    /// Whether a decision that has an effect hangs on the anonymous id.
    anonymous_counts: Cell<bool>,
    cookies: RefCell<Vec<Vec<u8>>>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(view: &'a View<'a>, ports: &'a Ports<'a>, plan: &'a Plan) -> Self {
        Self {
            facts: Facts::new(view),
            headers: view.request(),
            ports,
            plan,
            wall: OnceCell::new(),
            believed: OnceCell::new(),
            baggage: OnceCell::new(),
            told: OnceCell::new(),
            anonymous: OnceCell::new(),
            anonymous_counts: Cell::new(false),
            cookies: RefCell::new(Vec::new()),
        }
    }

    pub(crate) fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// Time since the Unix epoch; the end of time if it cannot be told.
    pub(crate) fn wall(&self) -> Duration {
        *self.wall.get_or_init(|| self.ports.clock.wall())
    }

    /// Whether whoever sent the request is one whose decisions are believed.
    pub(crate) fn is_believed(&self) -> bool {
        *self.believed.get_or_init(|| self.plan.role.believes(&self.facts))
    }

    /// The baggage, with our member in it.
    pub(crate) fn baggage(&self) -> &Baggage<'a> {
        self.baggage.get_or_init(|| Baggage::of(self.headers(), &self.plan.member))
    }

    /// What was decided before the request came here, if whoever says so is believed, by the baggage.
    pub(crate) fn told(&self) -> &Decided {
        self.told.get_or_init(|| {
            let told = self.baggage().decided();
            if !told.is_empty() && self.is_believed() { told } else { Decided::new() }
        })
    }

    /// The id of a user whom nothing else tells.
    pub(crate) fn anonymous_id(&self) -> Option<&str> {
        self.anonymous().map(AnonymousId::id)
    }

    /// That id, if the client sent it.
    pub(crate) fn known_anonymous_id(&self) -> Option<&str> {
        self.anonymous().filter(|id| matches!(id, AnonymousId::Known(_))).map(AnonymousId::id)
    }

    fn anonymous(&self) -> Option<&AnonymousId> {
        let cookie = self.plan.anonymous.as_ref()?;
        let make = || {
            let keys = self.plan.keys.as_ref();
            AnonymousId::of(cookie, keys, self.headers(), self.ports.entropy)
        };
        self.anonymous.get_or_init(make).as_ref()
    }

    /// Gives the client the anonymous id, as a decision that has an effect hangs on it.
    pub(crate) fn give_anonymous_id(&self) {
        self.anonymous_counts.set(true);
    }

    /// Gives the client a cookie, with the response.
    pub(crate) fn give(&self, line: Vec<u8>) {
        self.cookies.borrow_mut().push(line);
    }

    /// The cookies that the client is given.
    pub(crate) fn cookies(&self) -> Vec<Vec<u8>> {
        let mut cookies = self.cookies.take();
        if let Some(Some(AnonymousId::New { value, .. })) = self.anonymous.get()
            && self.anonymous_counts.get()
            && let Some(cookie) = &self.plan.anonymous
        {
            cookies.push(cookie.line(value, Duration::MAX));
        }
        cookies
    }
}
