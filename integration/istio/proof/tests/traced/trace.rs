//! One trace from the gateway on, as applications that hand on `traceparent` see it, as the collector is told of it,
//! and as access logs show it.

use proof::Fault;
use serde_json::json;

use crate::mesh::{Mesh, heard};
use crate::spans::Told;

/// What a client makes up. Nothing of it may come through the gateway.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const MEMBER: &str = "made=up";

const PATH: &str = "/checkout/17";
/// No hop has a route for it.
const OTHER: &str = "/nowhere";

/// What each hop calls its route, from the gateway on.
const NAMES: [&str; 4] =
    ["GET /checkout/{order}", "GET /checkout/{id}", "GET /checkout/{order}", "GET /checkout/{**}"];

/// Trace, span and flags of a traceparent.
fn parts(traceparent: &str) -> [String; 3] {
    let mut parts = traceparent.split('-').skip(1);
    std::array::from_fn(|_| parts.next().unwrap_or_default().to_owned())
}

/// A request, whose hops are spans of one trace that begins at the gateway, each hanging on the one before it.
pub(crate) fn is_one_over_three_hops(mesh: &Mesh<'_>) -> Result<Vec<Told>, Fault> {
    let (traceparent, b3) = (format!("00-{TRACE}-{SPAN}-00"), format!("{TRACE}-{SPAN}-0"));
    let headers =
        [("traceparent", &*traceparent), ("b3", &b3), ("tracestate", MEMBER), ("baggage", MEMBER)];
    mesh.ask(OTHER, &[])?;
    let answer = mesh.ask(PATH, &headers)?;
    let through = |word: &&str| answer.body.contains(*word);
    if answer.status != 200 || [TRACE, SPAN, MEMBER].iter().any(through) {
        return Err(format!("{} {}", answer.status, answer.body));
    }

    // The client is told of the gateway's own span, and each application of its proxy's.
    let root = answer.header("traceresponse").unwrap_or_default().to_owned();
    let hops = [("gateway".to_owned(), root)].into_iter().chain(heard(&answer));
    let (mut expected, mut first, mut parent) = (Vec::new(), None, String::new());
    for ((service, traceparent), name) in hops.zip(NAMES) {
        let [trace, span, flags] = parts(&traceparent);
        // Recorded, by ids that are random.
        if *first.get_or_insert_with(|| trace.clone()) != trace
            || (trace.len(), span.len(), &*flags) != (32, 16, "03")
        {
            return Err(format!("{service} is told {traceparent} of {first:?}"));
        }
        let (sender, name, next) = (mesh.identity(&service), name.to_owned(), span.clone());
        expected.push(Told { service, sender, trace, span, parent, name });
        parent = next;
    }
    let mut told = mesh.wait_for_spans(&first.unwrap_or_default())?;
    told.sort();
    expected.sort();
    if told == expected { Ok(told) } else { Err(format!("{told:#?}, and not {expected:#?}")) }
}

/// Every hop's access log names its span, which takes Envoy ten seconds; checkout's has what its expression asks for.
pub(crate) fn is_in_access_logs(mesh: &Mesh<'_>, spans: &[Told]) -> Result<(), Fault> {
    for span in spans {
        let line = mesh.wait_for_log(&span.service, &span.span)?;
        let logged = ["trace_id", "path"].map(|field| line.get(field).cloned());
        if logged != [Some(json!(span.trace)), Some(json!(PATH))] {
            return Err(format!("{line} for {span:#?}"));
        }
    }
    let has_other = |hop| Ok::<_, Fault>(mesh.place().proxy_log(hop)?.contains(OTHER));
    if has_other("frontend")? && !has_other("checkout")? {
        Ok(())
    } else {
        Err(format!("{OTHER} is in the wrong logs"))
    }
}
