//! What becomes of a request's headers: nothing that a client sent under a name of ours, then what was decided.

use filter_core::headers::Kinds;
use filter_core::{Copies, Count, Edit, HeaderName, Publication, cookies, query};

use crate::assign::Assignment;
use crate::baggage::{BAGGAGE, Carried, Decided};
use crate::carrier::Carrier;
use crate::config::{Carry, Mode, Plan, Rollout};
use crate::overrides::Afterwards;
use crate::request::Request;

/// The names that are ours, over all rollouts that have an effect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owned {
    /// In order.
    headers: Vec<HeaderName>,
    /// In order.
    cookies: Vec<String>,
    kinds: Kinds,
}

impl Owned {
    pub(crate) fn of(rollouts: &[Rollout]) -> Self {
        let mut owned = Self::default();
        for rollout in rollouts.iter().filter(|rollout| rollout.mode == Mode::Enforce) {
            owned.headers.extend(rollout.header.clone());
            owned.headers.extend(rollout.bucket_header.iter().map(|bucket| bucket.name.clone()));
            for carrier in rollout.emptied() {
                match carrier {
                    Carrier::Header(name) => owned.headers.push(name),
                    Carrier::Cookie(name) => owned.cookies.push(name),
                    Carrier::Query(_) => {}
                }
            }
        }
        owned.headers.sort_unstable();
        owned.headers.dedup();
        owned.kinds = Kinds::of(owned.headers.iter().map(|name| name.as_str().as_bytes()));
        owned.cookies.sort_unstable();
        owned.cookies.dedup();
        owned
    }

    /// The header of this name, in whatever case.
    fn header(&self, name: &[u8]) -> Option<&HeaderName> {
        if !self.kinds.may_hold(name) {
            return None;
        }
        let name = name.iter().map(u8::to_ascii_lowercase);
        let at =
            self.headers.binary_search_by(|own| own.as_str().bytes().cmp(name.clone())).ok()?;
        self.headers.get(at)
    }
}

/// The edits that take away what a client sent under our headers' names, and the cookies by which versions are chosen.
pub(crate) fn stripped(request: &Request<'_>) -> Vec<Edit> {
    let owned = &request.plan.owned;
    let headers = request.headers();
    let mut edits: Vec<Edit> = Vec::new();
    // Mostly none of ours is there, and this tells so at once.
    let present = headers.may_hold_any(owned.kinds).then(|| headers.names());
    for name in present.into_iter().flatten() {
        if let Some(own) = owned.header(name)
            && edits.iter().all(|edit| edit.name() != own)
            && headers.only(own.as_str()) != Copies::None
        {
            edits.push(Edit::Remove(own.clone()));
        }
    }
    if !owned.cookies.is_empty() && headers.copies("cookie").next().is_some() {
        let is_own =
            |name: &[u8]| owned.cookies.binary_search_by(|own| own.as_bytes().cmp(name)).is_ok();
        edits.extend(cookies::without(headers, is_own));
    }
    edits
}

impl Rollout {
    /// The places of overrides that the upstream must not see.
    fn emptied(&self) -> impl Iterator<Item = Carrier> {
        let overrides = self.overrides.iter();
        let emptied = overrides.filter(|one| one.afterwards == Afterwards::Remove);
        emptied.flat_map(|one| one.carriers().into_iter().map(std::borrow::Cow::into_owned))
    }

    /// The headers that say what was assigned.
    pub(crate) fn edits(&self, got: Assignment) -> impl Iterator<Item = Edit> {
        let version = self.header.as_ref().and_then(|header| {
            let version = match got.variant {
                Some(variant) => self.variants.get(variant),
                None => self.stable.as_ref(),
            };
            Some(Edit::Set(header.clone(), version?.as_str().into()))
        });
        let bucket = self.bucket_header.as_ref().zip(got.place).map(|(bucket, place)| {
            Edit::Set(bucket.name.clone(), bucket.number(place).to_string().into_bytes())
        });
        version.into_iter().chain(bucket)
    }

    /// The filter state that says what was assigned, for routes that match on it.
    pub(crate) fn state(&self, got: Assignment) -> Option<Publication> {
        let value = self.version(got.variant).as_bytes().to_vec();
        self.filter_state.map(|name| Publication { name, value })
    }

    /// The names of query parameters that the upstream must not see.
    pub(crate) fn emptied_parameters(&self) -> impl Iterator<Item = String> {
        self.emptied().filter_map(|carrier| match carrier {
            Carrier::Query(name) => Some(name),
            Carrier::Header(_) | Carrier::Cookie(_) => None,
        })
    }
}

/// The edit that takes parameters out of the path, if any is there.
pub(crate) fn without_parameters(request: &Request<'_>, names: &[String]) -> Option<Edit> {
    let path = request.headers().path();
    if names.is_empty() || !path.contains(&b'?') {
        return None;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shorter = query::without(path, &names);
    (shorter.len() != path.len()).then(|| Edit::Set(HeaderName::literal(":path"), shorter))
}

impl Plan {
    /// Whether decisions travel in baggage.
    pub(crate) fn carries(&self) -> bool {
        self.carry.is_some()
    }

    /// How the baggage comes to say what was decided here and, if we believe it, before; and that it could not, as a count.
    pub(crate) fn carried(
        &self,
        request: &Request<'_>,
        decided: Decided,
    ) -> (Option<Edit>, Option<Count>) {
        let present = || request.headers().copies(BAGGAGE).next().is_some();
        let Some(Carry { too_long }) = &self.carry else {
            // Whoever is behind us may believe it.
            return (present().then(|| request.baggage().without()).flatten(), None);
        };
        if decided.is_empty() && !present() {
            return (None, None);
        }
        let mut all = request.told().clone();
        all.extend(decided);
        match request.baggage().with(&all) {
            Carried::By(edit) => (edit, None),
            Carried::TooLong(edit) => (edit, Some(Count::Add(*too_long, 1))),
        }
    }
}
