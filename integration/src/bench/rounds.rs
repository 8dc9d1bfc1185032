//! The measurement: many short rounds, each through all scenarios in an order of its own, so that whatever else the
//! machine does falls on all of them alike.

use std::time::Duration;

use crate::Envoy;
use crate::bench::asks::{Ask, Message, Scribe};
use crate::bench::cpu::CpuMeter;
use crate::bench::load::Load;
use crate::bench::scenario::Scenario;
use crate::bench::witness::Witness;

/// Before anything is believed, each scenario runs for so many rounds: caches fill, V8 optimizes.
const WARM_UP: u32 = 2;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The rounds.
    pub rounds: u32,
    /// How long each scenario has in each of them.
    pub time: Duration,
}

/// What a scenario did, round by round.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Envoy's processor time for each request, in microseconds.
    pub cpu_us: Vec<f64>,
    /// The median latency, in milliseconds.
    pub p50_ms: Vec<f64>,
    /// The latency that one request of a hundred exceeded, in milliseconds.
    pub p99_ms: Vec<f64>,
    /// The requests of all rounds.
    pub requests: usize,
}

/// Measures the scenarios on an Envoy that has their listeners; the series are in the order of the scenarios.
///
/// # Errors
/// When a scenario answers otherwise than it promises, at any time after the warm-up.
pub fn measure(envoy: &Envoy, scenarios: &[Scenario], plan: Plan) -> Result<Vec<Series>, String> {
    let meter = CpuMeter::of(envoy.id());
    let mut scribe = Scribe::default();
    let mut write = |asks: &[Ask]| -> Result<Vec<Message>, String> {
        asks.iter().map(|ask| scribe.write(ask)).collect()
    };
    let mut loads = Vec::new();
    for scenario in scenarios {
        let fault = |error| format!("{}: {error}", scenario.name);
        let (messages, probes) = (write(&scenario.asks)?, write(&scenario.probes)?);
        let address = envoy.listener(scenario.name)?;
        let mut load = Load::open(address, messages.clone()).map_err(fault)?;
        for _ in 0..WARM_UP {
            load.run(plan.time).map_err(fault)?;
        }
        let counted =
            scenario.witness.map(|witness| Witness::of(envoy.admin(), witness)).transpose()?;
        verify(&mut load, messages.iter().chain(&probes)).map_err(fault)?;
        counted.map_or(Ok(()), |counted| counted.saw(messages.len())).map_err(fault)?;
        loads.push((scenario, load, Series::default()));
    }
    for round in 0..plan.rounds {
        for index in order(loads.len(), round) {
            let Some((scenario, load, series)) = loads.get_mut(index) else { continue };
            let fault = |error| format!("{}: {error}", scenario.name);
            one(&meter, load, series, plan.time).map_err(fault)?;
        }
    }
    Ok(loads.into_iter().map(|(_, _, series)| series).collect())
}

fn one(
    meter: &CpuMeter,
    load: &mut Load,
    series: &mut Series,
    time: Duration,
) -> Result<(), String> {
    let before = meter.at_rest()?;
    let tally = load.run(time)?;
    let used = meter.at_rest()?.saturating_sub(before);
    if let Some(surprise) = tally.surprise {
        return Err(surprise);
    }
    series.cpu_us.push(used.as_secs_f64() * 1e6 / tally.requests() as f64);
    series.p50_ms.push(tally.latency(0.5));
    series.p99_ms.push(tally.latency(0.99));
    series.requests += tally.requests();
    Ok(())
}

/// Sees that every message gets the status that it was promised.
fn verify<'a>(
    load: &mut Load,
    messages: impl IntoIterator<Item = &'a Message>,
) -> Result<(), String> {
    for message in messages {
        let (status, promised) = (load.ask(message)?, message.status);
        if status != promised {
            let request = String::from_utf8_lossy(&message.bytes);
            return Err(format!("a {status} instead of a {promised} to this request:\n{request}"));
        }
    }
    Ok(())
}

/// The order of a round: a shuffle (Fisher and Yates) by numbers that depend on the round alone (SplitMix64).
fn order(count: usize, round: u32) -> Vec<usize> {
    let mut state = u64::from(round);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        order.swap(last, ((mixed ^ (mixed >> 31)) % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_goes_through_all_scenarios_in_an_order_of_its_own() {
        let orders: Vec<_> = (0..40).map(|round| order(20, round)).collect();
        for (round, order) in orders.iter().enumerate() {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..20), "round {round}");
            assert!(orders[..round].iter().all(|earlier| earlier != order), "round {round}");
        }
    }
}
