//! What a user gets of one rollout, and why: the first of these that says something.
//!
//! Kill switch, what was decided before by somebody who is believed, override, exclusion, segment, sticky cookie, bucket,
//! stable.

use std::borrow::Cow;

use filter_core::decision::Reason;
use filter_core::matching::Truth;
use filter_core::{Copies, HeaderName};

use crate::bucket::{PartsPerMillion, bucket};
use crate::config::{BucketHeader, Holdout, Mode, Namespace, Rollout, Switch};
use crate::hash::Hash;
use crate::key::{self, MissingKey, Part};
use crate::request::Request;
use crate::role::Role;
use crate::sticky::{Had, Sticky};

/// Why a user got a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The rollout is switched off: stable for all.
    KillSwitch,
    /// It was decided before the request came here.
    Propagated,
    /// Somebody who may choose did.
    Override,
    /// The user gets stable of everything.
    Holdout,
    /// The rollout is not for this request, or the user belongs to other rollouts of the namespace.
    Excluded,
    /// The request belongs to a segment, which gets a version whole.
    Segment,
    /// It is the variant that the user had.
    Sticky,
    /// The bucket belongs to a variant.
    Bucket,
    /// The bucket belongs to none.
    Stable,
    /// The route has the weights, and was told the bucket.
    Delegated,
    /// There is no key to know the user by.
    MissingKey,
    /// There is no key to know the user by, so it was chance.
    Random,
    /// The version that was drawn is counted, and not set.
    Shadow,
    /// The variant is off, as it does too badly.
    Guarded,
}

impl Reason for Why {
    /// In the order in which they are declared, so that one finds its own among things made of them.
    const ALL: &'static [Self] = &[
        Self::KillSwitch,
        Self::Propagated,
        Self::Override,
        Self::Holdout,
        Self::Excluded,
        Self::Segment,
        Self::Sticky,
        Self::Bucket,
        Self::Stable,
        Self::Delegated,
        Self::MissingKey,
        Self::Random,
        Self::Shadow,
        Self::Guarded,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::KillSwitch => "kill_switch",
            Self::Propagated => "propagated",
            Self::Override => "override",
            Self::Holdout => "holdout",
            Self::Excluded => "excluded",
            Self::Segment => "segment",
            Self::Sticky => "sticky",
            Self::Bucket => "bucket",
            Self::Stable => "stable",
            Self::Delegated => "delegated",
            Self::MissingKey => "missing_key",
            Self::Random => "random",
            Self::Shadow => "shadow",
            Self::Guarded => "guarded",
        }
    }
}

/// What a user gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) why: Why,
    /// The variant; none for stable.
    pub(crate) variant: Option<usize>,
    /// Where the user lies, for a route that has the weights.
    pub(crate) place: Option<Place>,
}

/// Where a user lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Of a million, from 0 on.
    Of(u32),
    /// In a bucket of the rollout's header, as somebody who is believed said.
    Said(u32),
}

/// The low end, where a route's stable version is.
const STABLE_END: Option<Place> = Some(Place::Of(0));

/// What a user gets whom nothing tells.
const NO_KEY: Assignment = Assignment { why: Why::MissingKey, variant: None, place: None };

/// The stable version, for this reason.
fn stable(why: Why) -> Assignment {
    Assignment { why, variant: None, place: STABLE_END }
}

impl Rollout {
    /// Whether the rollout is about the request. What cannot be told stays on the default route.
    pub(crate) fn is_about(&self, request: &Request<'_>) -> bool {
        let about = self.about.as_ref();
        about.is_none_or(|about| about.matches(request.facts.line()) == Truth::True)
    }

    /// What the request's user gets.
    pub(crate) fn assign(&self, request: &Request<'_>) -> Assignment {
        let got = self.decided(request);
        match (self.mode, got.why) {
            (Mode::Enforce, _)
            | (_, Why::KillSwitch | Why::Holdout | Why::Excluded | Why::MissingKey) => got,
            (Mode::Shadow, _) => Assignment { why: Why::Shadow, ..got },
        }
    }

    /// Who the request's user is.
    pub(crate) fn user<'a>(&'a self, request: &'a Request<'_>) -> Option<Cow<'a, [u8]>> {
        let (part, user) = key::of(&self.key, request)?;
        if matches!(part, Part::AnonymousCookie) && self.mode == Mode::Enforce {
            request.give_anonymous_id();
        }
        Some(user)
    }

    fn decided(&self, request: &Request<'_>) -> Assignment {
        if !self.is_plain
            && let Some(got) = self.by_request(request)
        {
            return got;
        }
        let user = self.user(request);
        if !self.is_plain
            && let Some(got) = self.by_user(user.as_deref(), request)
        {
            return got;
        }
        self.drawn(user.as_deref(), request)
    }

    /// What is decided whoever the user is.
    #[inline(never)]
    fn by_request(&self, request: &Request<'_>) -> Option<Assignment> {
        if self.switch == Switch::Killed {
            return Some(stable(Why::KillSwitch));
        }
        if let Some(got) = self.propagated(request) {
            return Some(got);
        }
        let mut overrides = self.overrides.iter();
        if let Some(variant) = overrides.find_map(|one| one.choice(self, request)) {
            return Some(self.forced(Why::Override, variant, request));
        }
        let excluded = self.exclude.iter().any(|selector| selector.may_mean(request));
        excluded.then(|| stable(Why::Excluded))
    }

    /// What is decided by who the user is and what they had.
    #[inline(never)]
    fn by_user(&self, user: Option<&[u8]>, request: &Request<'_>) -> Option<Assignment> {
        if let Some(user) = user {
            if request.plan.holdout.as_ref().is_some_and(|holdout| holdout.holds(user)) {
                return Some(stable(Why::Holdout));
            }
            if self.namespace.as_ref().is_some_and(|namespace| !namespace.has(self.hash, user)) {
                return Some(stable(Why::Excluded));
            }
        }
        let had = self.had(request);
        if had.as_ref().is_some_and(|had| had.bucket_version < self.min_bucket_version) {
            return Some(stable(Why::Excluded));
        }
        let mut segments = self.segments.iter();
        if let Some((_, variant)) = segments.find(|(who, _)| who.surely_means(request)) {
            return Some(self.forced(Why::Segment, *variant, request));
        }
        let variant = had.and_then(|had| self.still(&had))?;
        Some(self.forced(Why::Sticky, Some(variant), request))
    }

    /// What the weights give.
    fn drawn(&self, user: Option<&[u8]>, request: &Request<'_>) -> Assignment {
        let (drawn, place) = match (user, self.missing) {
            (Some(user), _) => (None, self.place(user)),
            (None, MissingKey::Stable) => return NO_KEY,
            // Without randomness there is no chance.
            (None, MissingKey::Random) => match request.ports.entropy.seed() {
                seed if seed == [0; 16] => return NO_KEY,
                seed => (Some(Why::Random), bucket(&self.salt, &seed)),
            },
        };
        let variant = self.shares.variant(place, || request.wall());
        let why = drawn.unwrap_or(match variant {
            Some(_) => Why::Bucket,
            None if self.variants.is_empty() => Why::Delegated,
            None => Why::Stable,
        });
        Assignment { why, variant, place: Some(Place::Of(place)) }
    }

    /// Where a key lies.
    fn place(&self, key: &[u8]) -> u32 {
        match self.hash {
            Hash::Native => self.salted.bucket(key),
            other => other.place(&self.salt, key),
        }
    }

    /// What was decided before the request came here, by somebody who is believed: by the header, or else the baggage.
    fn propagated(&self, request: &Request<'_>) -> Option<Assignment> {
        if request.plan.role == Role::Edge {
            return None;
        }
        let place = self.bucket_header.as_ref().and_then(|bucket| {
            let number = said(request, &bucket.name)?.parse().ok()?;
            (number < bucket.buckets).then_some(Place::Said(number))
        });
        let by_header = self.header.as_ref().and_then(|header| said(request, header));
        let version = by_header.and_then(|name| self.version_named(name)).or_else(|| {
            let told = request.plan.carries().then(|| request.told().get(self.name.as_str()))??;
            self.version_named(told)
        });
        match (version, place) {
            (None, Some(_)) if self.variants.is_empty() => {
                Some(Assignment { why: Why::Propagated, variant: None, place })
            }
            (None, _) => None,
            (Some(variant), Some(_)) => Some(Assignment { why: Why::Propagated, variant, place }),
            (Some(variant), None) => Some(self.forced(Why::Propagated, variant, request)),
        }
    }

    /// A version whatever the weights say. A route that has them keeps the user's place for a variant, which must have a
    /// route of its own there.
    fn forced(&self, why: Why, variant: Option<usize>, request: &Request<'_>) -> Assignment {
        let own = || self.user(request).map(|user| Place::Of(self.place(&user)));
        let place = match (variant, &self.bucket_header) {
            (None, _) => STABLE_END,
            (Some(_), Some(_)) => own(),
            (Some(_), None) => None,
        };
        Assignment { why, variant, place }
    }

    /// What the user had, if we said so, under any of their keys: whoever was known by a later one before still has it.
    fn had(&self, request: &Request<'_>) -> Option<Had> {
        let sticky = self.sticky.as_ref().filter(|sticky| sticky.is_in(request.headers()))?;
        let mut users = key::all(&self.key, request).peekable();
        let nobody = users.peek().is_none().then_some(Cow::Borrowed(&b""[..]));
        users.chain(nobody).find_map(|user| self.had_by(sticky, &user, request))
    }

    /// What the user with this key had.
    fn had_by(&self, sticky: &Sticky, user: &[u8], request: &Request<'_>) -> Option<Had> {
        let (name, keys) = (self.name.as_str(), request.plan.keys.as_ref()?);
        sticky.read(name, request.headers(), keys, user, || request.wall())
    }

    /// The variant that a user who had it still has.
    fn still(&self, had: &Had) -> Option<usize> {
        let same = had.bucket_version == self.bucket_version;
        self.version_named(&had.variant).flatten().filter(|_| same)
    }

    /// Gives the user a cookie that keeps them with what they got, where the rollout does so.
    pub(crate) fn keep(&self, got: Assignment, request: &Request<'_>) {
        let (Some(sticky), Some(keys), Some(variant), Why::Bucket | Why::Random | Why::Sticky) =
            (&self.sticky, &request.plan.keys, got.variant, got.why)
        else {
            return;
        };
        // Without a clock a cookie would be good for ever.
        let Some(expires) = request.wall().checked_add(sticky.cookie.max_age) else { return };
        let now = Had {
            bucket_version: self.bucket_version,
            variant: self.version(Some(variant)).to_owned(),
            expires,
        };
        let user = self.user(request).unwrap_or_default();
        let had = self.had_by(sticky, &user, request);
        let line = sticky.line(self.name.as_str(), now, had.as_ref(), keys, &user);
        line.into_iter().for_each(|line| request.give(line));
    }
}

/// What a header says once, where whoever sent it is believed.
fn said<'a>(request: &'a Request<'_>, name: &'a HeaderName) -> Option<&'a str> {
    match request.headers().only(name.as_str()) {
        Copies::One(value) if request.is_believed() => std::str::from_utf8(value).ok(),
        Copies::One(_) | Copies::None | Copies::Many => None,
    }
}

impl Holdout {
    fn holds(&self, key: &[u8]) -> bool {
        bucket(&format!("holdout:{}", self.salt), key) < self.weight.parts()
    }
}

impl Namespace {
    fn has(&self, hash: Hash, key: &[u8]) -> bool {
        (self.from.parts()..self.to.parts()).contains(&hash.namespace_place(&self.name, key))
    }
}

impl BucketHeader {
    /// The number that stands for a place, from 0 to one less than there are buckets.
    pub(crate) fn number(&self, place: Place) -> u32 {
        let place = match place {
            Place::Of(place) => place,
            Place::Said(number) => return number,
        };
        let scaled = u64::from(place).saturating_mul(u64::from(self.buckets));
        let number = scaled.checked_div(u64::from(PartsPerMillion::ALL.parts()));
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_as_they_are_declared() {
        assert!(Why::ALL.iter().enumerate().all(|(place, why)| *why as usize == place));
    }
}
