//! What users saw over a rollout, and what must hold of it.

use std::collections::BTreeMap;

use proof::Fault;

/// What one user saw at one time.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// The version that answered, or whatever else came.
    pub(crate) version: String,
    pub(crate) bucket: Option<usize>,
}

/// What each user saw, one after the other.
#[derive(Debug)]
pub(crate) struct Pass {
    /// Those of primary and canary, if they stayed what they were.
    pub(crate) weights: Option<String>,
    pub(crate) seen: Vec<Seen>,
}

impl Pass {
    /// The first user of whom this does not hold.
    pub(crate) fn each(&self, holds: impl Fn(&Seen) -> bool) -> Result<(), Fault> {
        let other = self.seen.iter().enumerate().find(|(_, seen)| !holds(seen));
        other.map_or(Ok(()), |(user, seen)| Err(format!("u{user}: {seen:?}")))
    }

    /// Whether exactly those have v2 whose bucket is among the last `canary`.
    fn fits(&self, canary: usize) -> bool {
        let inside = |seen: &Seen| {
            seen.bucket.is_some_and(|bucket| bucket >= 100_usize.saturating_sub(canary))
        };
        self.seen.iter().all(|seen| inside(seen) == (seen.version == "v2"))
            && self.seen.iter().any(|seen| seen.version == "v2")
    }
}

/// A rollout from v1 to v2, pass by pass.
#[derive(Default)]
pub(crate) struct Run {
    buckets: BTreeMap<usize, usize>,
    passes: Vec<Pass>,
}

impl Run {
    /// Takes another pass. A user's bucket is for ever.
    pub(crate) fn add(&mut self, pass: Pass) -> Result<(), Fault> {
        for (user, seen) in pass.seen.iter().enumerate() {
            let bucket = seen.bucket.ok_or_else(|| format!("u{user} has no bucket: {seen:?}"))?;
            let before = *self.buckets.entry(user).or_insert(bucket);
            if before != bucket {
                return Err(format!("u{user} was in {before} and is in {bucket}"));
            }
        }
        self.passes.push(pass);
        Ok(())
    }

    /// Whether some pass at these weights gave v2 to just those users whose buckets are the canary's.
    pub(crate) fn settled_at(&self, canary: usize) -> Result<(), Fault> {
        let weights = format!("{} {canary}", 100_usize.saturating_sub(canary));
        let at = |pass: &&Pass| pass.weights.as_ref() == Some(&weights);
        let all: Vec<&Pass> = self.passes.iter().filter(at).collect();
        if all.iter().any(|pass| pass.fits(canary)) {
            return Ok(());
        }
        Err(format!("{} passes at {weights}; the last: {:?}", all.len(), all.last()))
    }

    /// Whether nobody who had v2 had v1 again.
    pub(crate) fn nobody_left(&self) -> Result<(), Fault> {
        let mut inside = BTreeMap::new();
        for pass in &self.passes {
            for (user, seen) in pass.seen.iter().enumerate() {
                if seen.version == "v2" {
                    inside.insert(user, ());
                } else if inside.contains_key(&user) {
                    return Err(format!("u{user} had v2 before: {seen:?}, at {:?}", pass.weights));
                }
            }
        }
        Ok(())
    }

    /// The passes.
    pub(crate) fn passes(&self) -> &[Pass] {
        &self.passes
    }
}
