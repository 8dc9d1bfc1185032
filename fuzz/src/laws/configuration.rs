//! Configurations: refused with a pointer to what is wrong, or meaning the same however they are spelt.

use authz::Authz;
use canary::Canary;
use filter_core::Filter;
use filter_core::fixture::World;
use ratelimit::RateLimit;
use serde_json::Value;
use suite::Suite;
use telemetry::Telemetry;

use super::policies;
use crate::corpus::{Lines, REFUSED, SCENES};
use crate::draw::Draw;
use crate::play::{Attributes, Loaded, attributes};
use crate::{bytes, json};

pub(crate) fn run(draw: &mut Draw<'_>) {
    let scene = draw.one(&SCENES);
    let (mut filter, mut document) = (scene.filter, scene.document.clone());
    if draw.once_in(4) {
        (filter, document) = draw.one(&REFUSED).clone();
    }
    for _ in 0..draw.below(6) {
        json::change(&mut document, draw);
    }
    let known = attributes(draw);
    let mut requests = vec![draw.one(&scene.requests).clone(), draw.one(&scene.requests).clone()];
    crate::request::change(&mut requests[1], &[], draw);
    let text = document.to_string();
    match filter {
        "suite" => spelt::<Suite>(&document, &text, &requests, &known),
        "ratelimit" => spelt::<RateLimit>(&document, &text, &requests, &known),
        "canary" => spelt::<Canary>(&document, &text, &requests, &known),
        "telemetry" => spelt::<Telemetry>(&document, &text, &requests, &known),
        _ => {
            spelt::<Authz>(&document, &text, &requests, &known);
            policies::fewer(&document, &requests, &known, draw);
        }
    }
    if draw.once_in(4) {
        let mut text = text;
        bytes::change_text(&mut text, draw);
        let _ = Loaded::<Suite>::configure(format!("{{\"{filter}\":{text}}}").as_bytes());
        let _ = Loaded::<Authz>::configure(text.as_bytes());
    }
}

/// The document means the same in other words, and a refusal points into it.
fn spelt<F: Filter>(document: &Value, text: &str, requests: &[Lines], known: &Attributes) {
    let other = Loaded::<F>::configure(json::respelt(document).as_bytes());
    let plain = match Loaded::<F>::configure(text.as_bytes()) {
        Ok(plain) => plain,
        Err(invalid) => {
            assert!(points(document, &invalid.pointer), "{invalid} in {document}");
            assert!(other.is_err(), "{invalid}, but not in other words: {document}");
            return;
        }
    };
    let other =
        other.unwrap_or_else(|invalid| panic!("only in other words: {invalid} in {document}"));
    let worlds = [World::default(), World::default()];
    for lines in requests {
        let played = plain.ask(&worlds[0], lines, known);
        assert_eq!(other.ask(&worlds[1], lines, known), played, "in other words, {document}");
    }
}

/// Whether there is something at a pointer, or a place for it.
fn points(document: &Value, pointer: &str) -> bool {
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    document.pointer(pointer).is_some() || document.pointer(parent).is_some()
}
