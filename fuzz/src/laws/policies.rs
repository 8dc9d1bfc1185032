//! Policies: what one more or one less may change.

use authz::Authz;
use filter_core::fixture::World;
use serde_json::Value;

use crate::corpus::Lines;
use crate::draw::Draw;
use crate::play::{Attributes, Loaded};

/// Takes one policy away: a DENY or a REQUIRE less never admits less, an ALLOW less never admits more unless it was the
/// last, and neither AUDIT nor a dry run decides anything. Names one twice as well, which decides nothing either.
pub(crate) fn fewer(document: &Value, requests: &[Lines], known: &Attributes, draw: &mut Draw<'_>) {
    let Ok(all) = Loaded::<Authz>::configure(document.to_string().as_bytes()) else {
        return;
    };
    let Some(policies) = document["policies"].as_array().filter(|policies| !policies.is_empty())
    else {
        return;
    };
    let dry = |policy: &Value| policy["dryRun"] == true;
    let action = |policy: &Value| policy["action"].as_str().unwrap_or("ALLOW").to_owned();
    let allows = policies.iter().filter(|policy| !dry(policy) && action(policy) == "ALLOW").count();
    let at = draw.below(policies.len());
    let taken = &policies[at];

    let mut without = document.clone();
    if let Some(policies) = without["policies"].as_array_mut() {
        policies.remove(at);
    }
    if policies.len() == 1 {
        without.as_object_mut().map(|members| members.remove("policies"));
    }
    let mut twice = document.clone();
    if let Some(policies) = twice["policies"].as_array_mut() {
        let mut again = taken.clone();
        again["name"] = "once.more".into();
        policies.push(again);
    }
    let without = Loaded::<Authz>::configure(without.to_string().as_bytes());
    let twice = Loaded::<Authz>::configure(twice.to_string().as_bytes());
    for lines in requests {
        let admitted =
            |filter: &Loaded<Authz>| filter.ask(&World::default(), lines, known).admitted();
        let before = admitted(&all);
        if let Ok(twice) = &twice {
            assert_eq!(admitted(twice), before, "policy {at} twice: {document}");
        }
        let Ok(without) = &without else {
            continue;
        };
        let after = admitted(without);
        let lawful = match action(taken).as_str() {
            _ if dry(taken) => before == after,
            "AUDIT" => before == after,
            "ALLOW" => allows == 1 || before || !after,
            _ => after || !before,
        };
        assert!(lawful, "{before} with policy {at}, {after} without: {document}");
    }
}
