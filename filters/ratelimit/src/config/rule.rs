//! One rule.

use std::num::NonZeroU64;
use std::rc::Rc;

use filter_core::Invalid;
use filter_core::config::{Object, Whole};
use filter_core::matching::{Condition, NonEmpty, RawCondition};

use super::amount::{limits, tokens};
use super::parts::header_or_claim;
use super::raw::{Mode, RawCost, RawLimitFrom, RawOverride, RawPart, RawRule, RawSettle};
use super::{Cost, LimitFrom, LimitRule, Overrides, ReplyPlan, Settle, span};
use crate::charge::SLACK;
use crate::key::Key;
use crate::limit::Limits;
use crate::table::{SLOTS, Table};

impl RawRule {
    pub(super) fn compile(
        self,
        replicas: u64,
        reply: &Rc<ReplyPlan>,
    ) -> Result<LimitRule, Invalid> {
        if self.key.is_none() && self.missing_key.is_some() {
            return Err(Invalid::at("/missingKey", "`key` beside it", "a rule without a key"));
        }
        if self.key.is_none() && self.overrides.is_some() {
            return Err(Invalid::at("/overrides", "`key` beside it", "a rule without a key"));
        }
        let part = |(index, Object(part)): (usize, Object<RawPart>)| {
            part.compile().map_err(|invalid| invalid.under(&format!("/key/{index}")))
        };
        let parts = self.key.map(|parts| parts.into_vec().into_iter().enumerate().map(part));
        let parts = parts.map(Iterator::collect::<Result<Vec<_>, _>>).transpose()?;
        let mut own = limits(self.token_bucket, self.limits, replicas)?;
        if let Some(penalty) = self.penalty {
            own = own.with_penalty(span("/penalty", penalty)?);
        }
        let slots = if parts.is_some() { SLOTS } else { NonZeroU64::MIN };
        let overrides =
            overrides(self.overrides, parts.as_ref().map_or(0, Vec::len), &own, replicas)?;
        let limit_from = self
            .limit_from
            .map(|Object(from)| from.compile(&own).map_err(|invalid| invalid.under("/limitFrom")));
        let cost = self.cost.map_or_else(
            || Ok(Cost { tokens: 1, header: None }),
            |Object(cost)| cost.compile(&own).map_err(|invalid| invalid.under("/cost")),
        )?;
        let settle = self
            .settle
            .map(|Object(settle)| settle.compile().map_err(|invalid| invalid.under("/settle")));
        let settle = settle.transpose()?;
        let reply = match self.reply {
            Some(Object(reply)) => {
                Rc::new(reply.compile().map_err(|invalid| invalid.under("/reply"))?)
            }
            None => Rc::clone(reply),
        };
        // Whoever may come to owe by a response may owe a second bucket.
        let second = own.windows().iter().map(|window| window.gcra.empty(0)).max().unwrap_or(0);
        let later = settle.as_ref().is_some_and(|settle| settle.header.is_some());
        Ok(LimitRule {
            table: Table::new(&self.name, slots),
            name: self.name,
            about: self.r#match,
            when: conditions("/when", self.when)?,
            exempt: conditions("/exempt", self.exempt)?,
            key: Key { parts, missing: self.missing_key.unwrap_or_default() },
            limits: Rc::new(own),
            overrides,
            limit_from: limit_from.transpose()?,
            cost,
            settle,
            enforced: enforced(self.mode, self.enforced_percent)?,
            contended: self.contended,
            slack: SLACK.saturating_add(if later { second } else { 0 }),
            reply,
        })
    }
}

fn conditions(
    pointer: &str,
    list: Option<NonEmpty<Object<RawCondition>>>,
) -> Result<Vec<Condition>, Invalid> {
    let items = list.map(NonEmpty::into_vec).unwrap_or_default().into_iter().enumerate();
    let one = |(index, Object(raw)): (usize, Object<RawCondition>)| {
        raw.compile().map_err(|invalid| invalid.under(&format!("{pointer}/{index}")))
    };
    items.map(one).collect()
}

fn enforced(mode: Mode, percent: Option<Whole>) -> Result<u8, Invalid> {
    match (mode, percent) {
        (Mode::Shadow, None) => Ok(0),
        (Mode::Shadow, Some(_)) => {
            Err(Invalid::at("/enforcedPercent", "`mode: enforce`", "`mode: shadow`"))
        }
        (Mode::Enforce, None) => Ok(100),
        (Mode::Enforce, Some(Whole(percent))) => {
            u8::try_from(percent).ok().filter(|percent| *percent <= 100).ok_or_else(|| {
                let expected = "a whole number from 0 to 100";
                Invalid::at("/enforcedPercent", expected, percent.to_string())
            })
        }
    }
}

fn overrides(
    list: Option<NonEmpty<Object<RawOverride>>>,
    parts: usize,
    own: &Limits,
    replicas: u64,
) -> Result<Overrides, Invalid> {
    let mut all = Overrides::new();
    let list = list.map(NonEmpty::into_vec).unwrap_or_default();
    for (index, Object(raw)) in list.into_iter().enumerate() {
        let pointer = format!("/overrides/{index}");
        let key: Vec<Vec<u8>> = raw.key.into_vec().into_iter().map(String::into_bytes).collect();
        if key.len() != parts {
            let expected = format!("a value for each of {parts} parts of the key");
            return Err(Invalid::at(format!("{pointer}/key"), expected, key.len().to_string()));
        }
        let limits = if raw.unlimited {
            if raw.token_bucket.is_some() || raw.limits.is_some() {
                let expected = "neither `tokenBucket` nor `limits` beside it";
                return Err(Invalid::at(format!("{pointer}/unlimited"), expected, "one"));
            }
            None
        } else {
            let limits = limits(raw.token_bucket, raw.limits, replicas)
                .map_err(|invalid| invalid.under(&pointer))?;
            Some(limits.in_place_of(own).map(Rc::new).ok_or_else(|| {
                let found = "others";
                Invalid::at(pointer.clone(), "windows of the same times as the rule's", found)
            })?)
        };
        if all.insert(key, limits).is_some() {
            return Err(Invalid::at(
                format!("{pointer}/key"),
                "a key of its own",
                "one from above",
            ));
        }
    }
    Ok(all)
}

impl RawLimitFrom {
    fn compile(self, own: &Limits) -> Result<LimitFrom, Invalid> {
        let max = tokens("/max", self.max)?;
        if own.windows().len() > 1 {
            return Err(Invalid::at("", "one window", own.windows().len().to_string()));
        }
        Ok(LimitFrom { part: header_or_claim(self.header, self.claim)?, max })
    }
}

impl RawCost {
    fn compile(self, own: &Limits) -> Result<Cost, Invalid> {
        let possible = |pointer: &str, count: Whole| {
            let cost = tokens(pointer, count)?;
            if own.is_possible(cost) {
                return Ok(cost);
            }
            Err(Invalid::at(pointer, "at most what a bucket holds", cost.to_string()))
        };
        let least = possible("/tokens", self.tokens.unwrap_or(Whole(1)))?;
        let header = match (self.header, self.max) {
            (None, None) => None,
            (Some(header), Some(max)) => {
                let most = possible("/max", max)?;
                if most < least {
                    let expected = format!("at least {least}, the least cost");
                    return Err(Invalid::at("/max", expected, most.to_string()));
                }
                Some((header, most))
            }
            (header, _) => {
                let found = if header.is_some() { "only `header`" } else { "only `max`" };
                return Err(Invalid::at("", "both or neither of `header` and `max`", found));
            }
        };
        Ok(Cost { tokens: least, header })
    }
}

impl RawSettle {
    fn compile(self) -> Result<Settle, Invalid> {
        let header = match (self.cost_header, self.max_cost) {
            (None, None) => None,
            (Some(header), Some(max)) => Some((header, tokens("/maxCost", max)?)),
            (header, _) => {
                let found = if header.is_some() { "only `costHeader`" } else { "only `maxCost`" };
                let expected = "both or neither of `costHeader` and `maxCost`";
                return Err(Invalid::at("", expected, found));
            }
        };
        if self.count_only.is_none() && self.refund.is_none() && header.is_none() {
            let expected = "`countOnly`, `refund` or `costHeader`";
            return Err(Invalid::at("", expected, "none of them"));
        }
        Ok(Settle {
            count_only: self.count_only.map(NonEmpty::into_vec),
            refund: self.refund.map(NonEmpty::into_vec).unwrap_or_default(),
            header,
        })
    }
}
