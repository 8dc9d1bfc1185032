//! `jwtRules`: Istio's `RequestAuthentication`, and what it lacks.

mod keys;
mod raw;

use std::time::Duration;

use filter_core::config::{Object, Span, Whole};
use filter_core::matching::NonEmpty;
use filter_core::{HeaderName, Invalid};

use super::raw::objects;
use crate::token::{
    Algorithm, ClaimPath, Dpop, Issuer, Issuers, Limits, NamedKey, Place, Prefix, Revocation,
    Revocations, Source, Validity,
};
use raw::{AlgorithmName, RawClaimHeader, RawDpop, RawHeader, RawRevocation};
pub(super) use raw::{RawCache, RawIssuer};

/// Compiles all rules.
///
/// # Errors
/// When anything in one does not say what it must, or when a header is both read and written.
pub(super) fn issuers(
    rules: Option<NonEmpty<Object<RawIssuer>>>,
    cache: Option<Object<RawCache>>,
) -> Result<Issuers, Invalid> {
    if rules.is_none() && cache.is_some() {
        return Err(Invalid::at("/jwtCacheConfig", "`jwtRules` beside it", "none"));
    }
    let mut issuers = Issuers::new(limits(cache));
    let mut list = Vec::new();
    for (index, rule) in objects(rules).enumerate() {
        list.push(issuer(rule, &mut issuers, &format!("/jwtRules/{index}"))?);
    }
    for (index, (issuer, _)) in list.iter().enumerate() {
        for header in issuer.written() {
            let reads = |place: &Place| matches!(place, Place::Header(name, _) if name == header);
            if list.iter().any(|(other, _)| other.places.iter().any(reads)) {
                let expected = "no header that tokens are read from among those that are written";
                let found = format!("{header:?} for both");
                return Err(Invalid::at(format!("/jwtRules/{index}"), expected, found));
            }
        }
    }
    for (issuer, source) in list {
        issuers.add(issuer, source);
    }
    Ok(issuers)
}

fn limits(cache: Option<Object<RawCache>>) -> Limits {
    let mut limits = Limits::default();
    let size = |whole: Whole| usize::try_from(whole.0).unwrap_or(usize::MAX);
    if let Some(Object(raw)) = cache {
        limits.entries = raw.jwt_cache_size.map_or(limits.entries, size);
        limits.token = raw.jwt_max_token_size.map_or(limits.token, size);
    }
    limits
}

fn issuer(
    mut raw: RawIssuer,
    issuers: &mut Issuers,
    pointer: &str,
) -> Result<(Issuer, Source), Invalid> {
    let at = |field: &str| format!("{pointer}/{field}");
    let source = keys::source(&mut raw, issuers, pointer)?;
    let algorithms = match (raw.algorithms, &source) {
        (None, Source::Inline(keys)) => usual_algorithms(keys),
        (None, Source::Remote(_)) => usual_algorithms(&[]),
        (Some(names), source) => named_algorithms(names, source, &at("algorithms"))?,
    };
    let mut places = headers(raw.from_headers, &at("fromHeaders"))?;
    add(&mut places, raw.from_params, |name| Place::Param(name.0), &at("fromParams"))?;
    add(&mut places, raw.from_cookies, |name| Place::Cookie(name.0), &at("fromCookies"))?;
    let claim_headers = claim_headers(raw.output_claim_to_headers, &at("outputClaimToHeaders"))?;
    let payload_header = raw.output_payload_to_header.map(|header| header.0);
    if claim_headers.iter().any(|(header, _)| Some(header) == payload_header.as_ref()) {
        let expected = "a header that holds no claim";
        let found = "one of `outputClaimToHeaders`";
        return Err(Invalid::at(at("outputPayloadToHeader"), expected, found));
    }
    let dpop = raw.dpop.map(|Object(raw)| dpop(raw, &at("dpop"))).transpose()?;
    if places.is_empty() {
        places = Place::usual();
    }
    if dpop.is_some() && !places.contains(&Place::of_proven()) {
        places.push(Place::of_proven());
    }
    let validity = Validity::default();
    let issuer = Issuer {
        name: raw.issuer.0,
        audiences: strings(raw.audiences, |name| name.0),
        algorithms,
        places,
        validity: Validity {
            skew: match raw.clock_skew {
                Some(skew) => seconds(skew, &at("clockSkew"))?,
                None => validity.skew,
            },
            max_lifetime: raw
                .max_lifetime
                .map(|max| lifetime(max, &at("maxLifetime")))
                .transpose()?,
        },
        revocations: revocations(raw.revoked, &at("revoked"))?,
        bound: raw.require_certificate_binding,
        dpop,
        words: strings(raw.space_delimited_claims, |name| name.0),
        claim_headers,
        payload_header,
        forward: raw.forward_original_token,
    };
    Ok((issuer, source))
}

fn strings<T>(list: Option<NonEmpty<T>>, text: fn(T) -> String) -> Vec<String> {
    list.into_iter().flat_map(NonEmpty::into_vec).map(text).collect()
}

/// What the keys can verify. An algorithm that nobody has a key for is still one of ours, unless it takes a secret.
fn usual_algorithms(keys: &[NamedKey]) -> Vec<Algorithm> {
    let of = |algorithm: &Algorithm| {
        !algorithm.is_symmetric() || keys.iter().any(|named| named.key.verifies(*algorithm))
    };
    Algorithm::ALL.into_iter().map(|(_, algorithm)| algorithm).filter(of).collect()
}

fn named_algorithms(
    names: NonEmpty<AlgorithmName>,
    source: &Source,
    pointer: &str,
) -> Result<Vec<Algorithm>, Invalid> {
    let names: Vec<Algorithm> = names.into_vec().into_iter().map(|name| name.0).collect();
    for (index, algorithm) in names.iter().enumerate() {
        let (usable, expected) = match source {
            Source::Inline(keys) => {
                let usable = keys.iter().any(|named| named.key.verifies(*algorithm));
                (usable, "an algorithm that a key of `jwks` is for")
            }
            Source::Remote(_) => (!algorithm.is_symmetric(), "an algorithm with public keys"),
        };
        if !usable {
            return Err(Invalid::at(format!("{pointer}/{index}"), expected, "another"));
        }
    }
    Ok(names)
}

fn headers(
    list: Option<NonEmpty<Object<RawHeader>>>,
    pointer: &str,
) -> Result<Vec<Place>, Invalid> {
    let mut places: Vec<Place> = Vec::new();
    for (index, RawHeader { name, prefix }) in objects(list).enumerate() {
        let prefix = prefix.map_or(Prefix::Nothing, |prefix| prefix.0);
        let same = |place: &Place| matches!(place, Place::Header(other, _) if *other == name.0);
        if places.iter().any(same) {
            let found = format!("{:?} for a second time", name.0);
            return Err(Invalid::at(format!("{pointer}/{index}/name"), "another header", found));
        }
        places.push(Place::Header(name.0, prefix));
    }
    Ok(places)
}

fn add<T>(
    places: &mut Vec<Place>,
    list: Option<NonEmpty<T>>,
    place: fn(T) -> Place,
    pointer: &str,
) -> Result<(), Invalid> {
    for (index, item) in list.into_iter().flat_map(NonEmpty::into_vec).enumerate() {
        let place = place(item);
        if places.contains(&place) {
            let found = "the same for a second time";
            return Err(Invalid::at(format!("{pointer}/{index}"), "another name", found));
        }
        places.push(place);
    }
    Ok(())
}

fn claim_headers(
    list: Option<NonEmpty<Object<RawClaimHeader>>>,
    pointer: &str,
) -> Result<Vec<(HeaderName, ClaimPath)>, Invalid> {
    let mut headers: Vec<(HeaderName, ClaimPath)> = Vec::new();
    for (index, RawClaimHeader { header, claim }) in objects(list).enumerate() {
        if headers.iter().any(|(name, _)| *name == header.0) {
            let found = format!("{:?} for a second time", header.0);
            let pointer = format!("{pointer}/{index}/header");
            return Err(Invalid::at(pointer, "a header for one claim", found));
        }
        headers.push((header.0, claim.0));
    }
    Ok(headers)
}

fn revocations(
    list: Option<NonEmpty<Object<RawRevocation>>>,
    pointer: &str,
) -> Result<Revocations, Invalid> {
    let mut all = Vec::new();
    for (index, RawRevocation { jti, sub, issued_before }) in objects(list).enumerate() {
        if jti.is_none() && sub.is_none() && issued_before.is_none() {
            let expected = "`jti`, `sub` or `issuedBefore`";
            return Err(Invalid::at(format!("{pointer}/{index}"), expected, "none of them"));
        }
        all.push(Revocation {
            id: jti.map(|name| name.0),
            subject: sub.map(|name| name.0),
            issued_before: issued_before.map(|whole| i64::try_from(whole.0).unwrap_or(i64::MAX)),
        });
    }
    Ok(all.into_iter().collect())
}

fn dpop(raw: RawDpop, pointer: &str) -> Result<Dpop, Invalid> {
    /// How old a proof may be where nobody says: long enough for clocks that are a little off, as §11.1 has it.
    const USUAL: i64 = 60;
    /// Longer, and the memory of proofs would fill up.
    const LONGEST: i64 = 600;
    let pointer = format!("{pointer}/maxAge");
    let max_age = raw.max_age.map_or(Ok(USUAL), |age| seconds(age, &pointer))?;
    if !(1..=LONGEST).contains(&max_age) {
        return Err(Invalid::at(pointer, "1 s to 10 m", format!("{max_age} s")));
    }
    Ok(Dpop { required: raw.required, max_age })
}

fn seconds(Span(span): Span, pointer: &str) -> Result<i64, Invalid> {
    let whole = i64::try_from(span.as_secs()).ok().filter(|_| span.subsec_nanos() == 0);
    whole.ok_or_else(|| Invalid::at(pointer, "whole seconds", format!("{span:?}")))
}

fn lifetime(span: Span, pointer: &str) -> Result<i64, Invalid> {
    if span.0 == Duration::ZERO {
        return Err(Invalid::at(pointer, "a lifetime longer than none", "0s"));
    }
    seconds(span, pointer)
}
