//! One rule.

use std::num::NonZeroU64;
use std::rc::Rc;

use filter_core::Invalid;
use filter_core::config::{Object, Span, Whole};
use filter_core::matching::{Condition, NonEmpty, RawCondition};

use super::amount::{ONE_LIMIT, limits, tokens};
use super::parts::header_or_claim;
use super::raw::{
    Mode, RawBucket, RawCost, RawLimitFrom, RawOverride, RawPart, RawRule, RawSettle,
};
use super::{Cost, LimitFrom, LimitRule, Overrides, Quota, Rate, ReplyPlan, Settle, span};
use crate::key::Key;
use crate::limit::Limits;
use crate::table::{Contents, SLOTS, Table};

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
        let count = parts.as_ref().map_or(0, Vec::len);
        let slots = if parts.is_some() { SLOTS } else { NonZeroU64::MIN };
        let (quota, contents) = match self.concurrency {
            None => {
                let rate = RawRate {
                    token_bucket: self.token_bucket,
                    limits: self.limits,
                    penalty: self.penalty,
                    overrides: self.overrides,
                    cost: self.cost,
                    settle: self.settle,
                };
                (Quota::Rate(rate.compile(count, replicas)?), Contents::Debts)
            }
            Some(Object(concurrency)) => {
                if self.token_bucket.is_some() || self.limits.is_some() {
                    return Err(Invalid::at("", ONE_LIMIT, "several"));
                }
                let rates = [
                    ("/cost", self.cost.is_some()),
                    ("/settle", self.settle.is_some()),
                    ("/penalty", self.penalty.is_some()),
                ];
                if let Some((pointer, _)) = rates.into_iter().find(|(_, said)| *said) {
                    let expected = "`tokenBucket` or `limits` beside it";
                    return Err(Invalid::at(pointer, expected, "`concurrency`"));
                }
                let concurrency = concurrency.compile(self.overrides, count, replicas)?;
                (Quota::Concurrency(concurrency), Contents::Leases)
            }
        };
        let limit_from = self.limit_from.map(|Object(from)| {
            from.compile(&quota).map_err(|invalid| invalid.under("/limitFrom"))
        });
        let reply = match self.reply {
            Some(Object(reply)) => {
                Rc::new(reply.compile().map_err(|invalid| invalid.under("/reply"))?)
            }
            None => Rc::clone(reply),
        };
        Ok(LimitRule {
            table: Table::new(&self.name, contents, slots),
            name: self.name,
            about: self.r#match,
            when: conditions("/when", self.when)?,
            exempt: conditions("/exempt", self.exempt)?,
            key: Key { parts, missing: self.missing_key.unwrap_or_default() },
            quota,
            limit_from: limit_from.transpose()?,
            enforced: enforced(self.mode, self.enforced_percent)?,
            contended: self.contended,
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

/// How much a rule lets through by time, as it is written.
struct RawRate {
    token_bucket: Option<Object<RawBucket>>,
    limits: Option<NonEmpty<String>>,
    penalty: Option<Span>,
    overrides: Option<NonEmpty<Object<RawOverride>>>,
    cost: Option<Object<RawCost>>,
    settle: Option<Object<RawSettle>>,
}

impl RawRate {
    fn compile(self, parts: usize, replicas: u64) -> Result<Rate, Invalid> {
        let mut own = limits(self.token_bucket, self.limits, replicas)?;
        if let Some(penalty) = self.penalty {
            own = own.with_penalty(span("/penalty", penalty)?);
        }
        let overrides = overrides(self.overrides, parts, |raw| {
            if raw.concurrency.is_some() {
                return Err(Invalid::at("", "limits of the rule's kind", "`concurrency`"));
            }
            let limits = limits(raw.token_bucket, raw.limits, replicas)?;
            limits
                .in_place_of(&own)
                .map(Rc::new)
                .ok_or_else(|| Invalid::at("", "windows of the same times as the rule's", "others"))
        })?;
        let cost = self.cost.map_or_else(
            || Ok(Cost { tokens: 1, header: None }),
            |Object(cost)| cost.compile(&own).map_err(|invalid| invalid.under("/cost")),
        )?;
        let settle = self
            .settle
            .map(|Object(settle)| settle.compile().map_err(|invalid| invalid.under("/settle")));
        let settle = settle.transpose()?;
        Ok(Rate { limits: Rc::new(own), overrides, cost, settle })
    }
}

/// The limits of single keys, by the text of each part; none for those that are unlimited.
pub(super) fn overrides<T>(
    list: Option<NonEmpty<Object<RawOverride>>>,
    parts: usize,
    compile: impl Fn(RawOverride) -> Result<T, Invalid>,
) -> Result<Overrides<T>, Invalid> {
    let mut all = Overrides::new();
    let list = list.map(NonEmpty::into_vec).unwrap_or_default();
    for (index, Object(raw)) in list.into_iter().enumerate() {
        let pointer = format!("/overrides/{index}");
        let key: Vec<Vec<u8>> = raw.key.iter().map(|text| text.clone().into_bytes()).collect();
        if key.len() != parts {
            let expected = format!("a value for each of {parts} parts of the key");
            return Err(Invalid::at(format!("{pointer}/key"), expected, key.len().to_string()));
        }
        let limited =
            raw.token_bucket.is_some() || raw.limits.is_some() || raw.concurrency.is_some();
        let limits = match (raw.unlimited, limited) {
            (true, true) => {
                let expected = "no limit beside it";
                return Err(Invalid::at(format!("{pointer}/unlimited"), expected, "one"));
            }
            (true, false) => None,
            (false, _) => Some(compile(raw).map_err(|invalid| invalid.under(&pointer))?),
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
    fn compile(self, quota: &Quota) -> Result<LimitFrom, Invalid> {
        let max = tokens("/max", self.max)?;
        if let Quota::Rate(Rate { limits, .. }) = quota
            && limits.windows().len() > 1
        {
            return Err(Invalid::at("", "one window", limits.windows().len().to_string()));
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
