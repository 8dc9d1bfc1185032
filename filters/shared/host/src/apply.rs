//! Performs outcomes. The one place where effects happen.

use std::collections::BTreeMap;

use filter_core::headers::encoded;
use filter_core::{Callout, Copies, Decision, Edit, Headers, Outcome, Reply};

use crate::abi::{self, Map, Status};
use crate::metrics::Stats;

/// The headers that an outcome may edit: where they are, and what they hold now.
pub(crate) type Editable<'a> = (Map, Headers<'a>);

/// Counts, publishes and edits. The verdict is the stream's to carry out.
///
/// # Errors
/// When a header could not be edited: whoever reads it next would believe the client.
pub(crate) fn effects(
    outcome: &Outcome,
    stats: &Stats,
    editable: Option<Editable<'_>>,
) -> Result<(), Status> {
    for decision in &outcome.decisions {
        stats.count(&decision.count());
    }
    for count in &outcome.counts {
        stats.count(count);
    }
    publish_decisions(&outcome.decisions);
    for publication in &outcome.publish {
        publish(publication.name, &publication.value);
    }
    if let Some((map, headers)) = editable {
        edit(map, headers, &outcome.edits)?;
    }
    if outcome.reroute {
        // Proxies that lack the function choose the route after us anyway.
        let _ = abi::call_foreign("clear_route_cache", &[]);
    }
    Ok(())
}

/// Leaves the evidence of each filter in filter state under the filter's name.
fn publish_decisions(decisions: &[Decision]) {
    match decisions {
        [] => return,
        [decision] => return publish(decision.filter, decision.evidence().as_bytes()),
        _ => {}
    }
    let mut evidence: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for decision in decisions {
        evidence.entry(decision.filter).or_default().push(decision.evidence());
    }
    for (filter, words) in evidence {
        publish(filter, words.join(",").as_bytes());
    }
}

fn publish(name: &str, value: &[u8]) {
    if let Err(status) = abi::set_property(name.as_bytes(), value) {
        unset(name, status);
    }
}

// Apart, as all that prepares a line of the log would be run through where none is written.
#[cold]
#[inline(never)]
fn unset(name: &str, status: Status) {
    log::debug!("filter state {name} not set: {status:?}");
}

/// Makes the edits that change something: each one makes the proxy choose the route anew.
fn edit(map: Map, headers: Headers<'_>, edits: &[Edit]) -> Result<(), Status> {
    for (position, edit) in edits.iter().enumerate() {
        let name = edit.name();
        let later = edits.iter().skip(position.saturating_add(1));
        if later.clone().any(|later| later.name() == name && later.supersedes()) {
            continue;
        }
        match (edit, headers.only(name.as_str())) {
            (Edit::Remove(_), Copies::None) => {}
            (Edit::Remove(_), _) => abi::remove_header(map, name.as_str())?,
            (Edit::Set(_, value), Copies::One(held)) if held == value => {}
            (Edit::Set(_, value), _) => abi::set_header(map, name.as_str(), value)?,
            (Edit::Append(_, value), _) => abi::add_header(map, name.as_str(), value)?,
        }
    }
    Ok(())
}

/// Sends a reply instead of going on. If the proxy refuses it, a bare one; if it refuses that too, none: the request
/// stays held, and the proxy's timeouts end it.
pub(crate) fn reply(reply: &Reply) {
    let headers: Vec<(&str, &[u8])> =
        reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let status = if (200..600).contains(&reply.status) { u32::from(reply.status) } else { 500 };
    let grpc_status = reply.grpc_status as i32;
    let full = abi::send_local_response(
        status,
        &reply.details,
        &reply.body,
        &encoded(&headers),
        grpc_status,
    );
    if let Err(why) = full
        && let Err(again) = abi::send_local_response(
            status,
            &reply.details,
            &[],
            &encoded::<&str, &str>(&[]),
            grpc_status,
        )
    {
        log::error!("reply {} refused by the proxy: {why:?}, then {again:?}", reply.details);
    }
}

/// Sends a request to a cluster of the proxy, and returns the token that its answer will bear.
///
/// # Errors
/// When the proxy does not know the cluster or cannot send.
pub(crate) fn call(callout: &Callout) -> Result<u32, Status> {
    let timeout = u32::try_from(callout.timeout.as_millis()).unwrap_or(u32::MAX);
    abi::http_call(&callout.cluster, &encoded(&callout.headers), &callout.body, timeout)
}
