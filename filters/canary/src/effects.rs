//! What becomes of a request's headers: nothing that a client sent under a name of ours, then what was decided.

use filter_core::headers::Kinds;
use filter_core::{Copies, Count, Edit, HeaderName, Headers, Outcome, Publication, cookies, query};

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
    /// Of the headers.
    kinds: Kinds,
    /// Of the header that holds the cookies, if there are any.
    cookie: Kinds,
    /// Of that which holds our member of baggage. All at once would be told apart less well.
    baggage: Kinds,
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
        let cookie = (!owned.cookies.is_empty()).then_some(b"cookie".as_slice());
        owned.cookie = Kinds::of(cookie.into_iter());
        owned.baggage = Kinds::of(std::iter::once(BAGGAGE.as_bytes()));
        owned
    }

    /// Whether a request may have headers or cookies of ours. Mostly it has none, and this tells so at once.
    pub(crate) fn may_be_in(&self, headers: Headers<'_>) -> bool {
        headers.may_hold_any(self.kinds) || headers.may_hold_any(self.cookie)
    }

    /// Whether a request may have a member of baggage that is ours.
    pub(crate) fn may_be_in_baggage(&self, headers: Headers<'_>) -> bool {
        headers.may_hold_any(self.baggage)
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

/// These edits, after those that take away what else a client sent under our headers' names, and the cookies by which
/// versions are chosen.
#[inline(never)]
pub(crate) fn over_stripped(request: &Request<'_>, sets: Vec<Edit>) -> Vec<Edit> {
    let mut edits = stripped(request);
    if edits.is_empty() {
        return sets;
    }
    edits.retain(|edit| sets.iter().all(|set| set.name() != edit.name()));
    edits.extend(sets);
    edits
}

fn stripped(request: &Request<'_>) -> Vec<Edit> {
    let owned = &request.plan.owned;
    let headers = request.headers();
    let mut edits: Vec<Edit> = Vec::new();
    let present = headers.names().filter_map(|name| owned.header(name));
    present.for_each(|own| {
        if edits.iter().all(|edit| edit.name() != own) && headers.only(own.as_str()) != Copies::None
        {
            edits.push(Edit::Remove(own.clone()));
        }
    });
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

    /// The header that says what was assigned.
    pub(crate) fn edit(&self, got: Assignment) -> Option<Edit> {
        let header = self.header.as_ref()?;
        let version = match got.variant {
            Some(variant) => self.variants.get(variant),
            None => self.stable.as_ref(),
        };
        Some(Edit::Set(header.clone(), version?.as_str().into()))
    }

    /// Tells what was assigned by whatever else the rollout tells it.
    #[inline(never)]
    pub(crate) fn tell(&self, got: Assignment, request: &Request<'_>, outcome: &mut Outcome) {
        self.keep(got, request);
        outcome.edits.extend(self.bucket_edit(got));
        outcome.publish.extend(self.state(got));
    }

    /// The header that says where the user lies.
    fn bucket_edit(&self, got: Assignment) -> Option<Edit> {
        let (bucket, place) = self.bucket_header.as_ref().zip(got.place)?;
        let number = bucket.number(place).to_string().into_bytes();
        Some(Edit::Set(bucket.name.clone(), number))
    }

    /// The filter state that says what was assigned, for routes that match on it.
    fn state(&self, got: Assignment) -> Option<Publication> {
        let value = self.version(got.variant).as_bytes().to_vec();
        self.filter_state.map(|name| Publication { name, value })
    }

    /// The names of query parameters that the upstream must not see.
    fn emptied_parameters(&self) -> impl Iterator<Item = String> {
        self.emptied().filter_map(|carrier| match carrier {
            Carrier::Query(name) => Some(name),
            Carrier::Header(_) | Carrier::Cookie(_) => None,
        })
    }
}

/// The edit that takes parameters out of the path, if any is there.
fn without_parameters(request: &Request<'_>, names: &[String]) -> Option<Edit> {
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

    /// Takes parameters out of the path, and lets baggage say what was decided: by `others`, the rollouts that have an effect
    /// and do more than set a header.
    #[inline(never)]
    pub(crate) fn pass_on(
        &self,
        request: &Request<'_>,
        others: &[(&Rollout, Assignment)],
        outcome: &mut Outcome,
    ) {
        let parameters: Vec<String> =
            others.iter().flat_map(|(rollout, _)| rollout.emptied_parameters()).collect();
        outcome.edits.extend(without_parameters(request, &parameters));
        let mut decided = Decided::new();
        if self.carries() {
            let named = others.iter().filter(|(rollout, _)| !rollout.variants.is_empty());
            decided.extend(named.map(|(rollout, got)| {
                (rollout.name.to_string(), rollout.version(got.variant).to_owned())
            }));
        }
        let (carried, count) = self.carried(request, decided);
        outcome.edits.extend(carried);
        outcome.counts.extend(count);
    }

    /// How the baggage comes to say what was decided here and, if we believe it, before; and that it could not, as a count.
    fn carried(&self, request: &Request<'_>, decided: Decided) -> (Option<Edit>, Option<Count>) {
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
