//! `plan`: the slices and requests of an export into a folder. Nothing is sent.

use std::{collections::HashSet, path::Path, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::json;
use webex_events::{ListEvents, Slice, Slices};

use crate::{
    archive::{ArchiveKind, Codec, Layout, Ledger, Slicing},
    cli::{
        self,
        values::{Rate, TimeArg, time, words},
    },
    error::Failure,
    run::{
        extend::{self, Extension},
        names,
        range::{Range, seconds},
        slices,
    },
    ui::{human::counted, messages},
};

pub(crate) fn run(args: &cli::PlanArgs) -> Result<(), Failure> {
    let plan = RequestPlan::of(args, Utc::now())?;
    let text = if args.json { plan.json() } else { plan.text() };
    messages::data(text.as_bytes())
}

/// The maximum number of slices of a plan, which has a line for each.
const MOST_SLICES: usize = 1_000_000;

struct RequestPlan<'a> {
    args: &'a cli::PlanArgs,
    slices: Vec<Slice>,
    length: Duration,
    codec: Codec,
    requests: u64,
}

impl<'a> RequestPlan<'a> {
    fn of(args: &'a cli::PlanArgs, now: DateTime<Utc>) -> Result<Self, Failure> {
        let end = if args.extend { extend::end(seconds(now), args.settle) } else { seconds(now) };
        let ledger = match &args.output {
            Some(folder) => Layout::Folder(folder.clone()).read()?,
            None => None,
        };
        let (length, codec, lists, slices) = match ledger {
            Some(ledger) => {
                ledger.expect_kind(ArchiveKind::Export, args.output.as_deref().unwrap_or(Path::new("")))?;
                Self::rest(ledger, args, end)?
            }
            None if args.from.is_none() => {
                return Err(Failure::usage("a plan of a new export needs --from"));
            }
            None => {
                let range = Range::at(now, args.from, args.to.or(Some(TimeArg::At(end))))?;
                let slices = bounded(range.of(ListEvents::new()).slices(args.slice)?)?.collect();
                let lists = args.names.lists(ListEvents::new()).len();
                (args.slice, args.compress.unwrap_or(Codec::None), lists, slices)
            }
        };
        let requests = slices.iter().map(|slice| requests(slice, args, lists as u64)).sum();
        Ok(Self { args, slices, length, codec, requests })
    }

    /// The slices that an export still has to read, with their length, compression and number of lists.
    fn rest(
        mut ledger: Ledger,
        args: &cli::PlanArgs,
        end: DateTime<Utc>,
    ) -> Result<(Duration, Codec, usize, Vec<Slice>), Failure> {
        let extension = if args.extend { Extension::of(&ledger, end, args.settle)? } else { None };
        if let Some(Extension { meta, files, .. }) = extension {
            let again: HashSet<_> = files.iter().filter_map(|file| file.old.as_ref()?.start).collect();
            ledger.files.retain(|entry| entry.start.is_none_or(|start| !again.contains(&start)));
            ledger.meta = meta;
        }
        let complete = ledger.files.iter().filter(|entry| entry.is_complete());
        let done: HashSet<_> = complete.filter_map(|entry| entry.start).collect();
        let slices = bounded(slices::of(&ledger.meta, ListEvents::new())?)?;
        let length = ledger.meta.slicing.map_or(args.slice, Slicing::length);
        let rest = slices.filter(|slice| !done.contains(&slice.start())).collect();
        Ok((length, ledger.meta.compress, ledger.meta.request.list_count(), rest))
    }

    /// The first request is sent immediately, and each of the others when the rate limit allows it.
    fn least_time(&self) -> Duration {
        let (number, period) = match self.args.rate_limit {
            Rate::PerSecond(number) => (number, 1),
            Rate::PerMinute(number) => (number, 60),
        };
        let millis = self.requests.saturating_sub(1).saturating_mul(period * 1000) / u64::from(number.get());
        Duration::from_millis(millis)
    }

    fn text(&self) -> String {
        if self.slices.is_empty() {
            return "nothing is left to read\n".to_owned();
        }
        let mut text = String::new();
        for slice in &self.slices {
            let (start, end) = (slice.start(), slice.end());
            text.extend([&*time(start), "  ", &time(end), "  ", &self.name(slice), "\n"]);
        }
        let rate = match self.args.rate_limit {
            Rate::PerSecond(number) => format!("{number} per second"),
            Rate::PerMinute(number) => format!("{number} per minute"),
        };
        let seconds = self.least_time().as_secs_f64().ceil();
        text + &format!(
            "{} of up to {}: at least {}, which take at least {seconds} s at {rate}\n",
            counted(self.slices.len() as u64, "slice"),
            words(self.length),
            counted(self.requests, "request"),
        )
    }

    fn json(&self) -> String {
        let slices = self.slices.iter().map(
            |slice| json!({"start": time(slice.start()), "end": time(slice.end()), "name": self.name(slice)}),
        );
        let plan = json!({
            "from": self.slices.first().map(|slice| time(slice.start())),
            "to": self.slices.last().map(|slice| time(slice.end())),
            "slices": slices.collect::<Vec<_>>(),
            "least_requests": self.requests,
            "least_seconds": self.least_time().as_secs_f64(),
        });
        format!("{plan:#}\n")
    }

    fn name(&self, slice: &Slice) -> String {
        names::entry(slice.start(), slice.end(), self.codec).name
    }
}

/// Refuses more slices than a plan can have.
fn bounded(slices: Slices) -> Result<Slices, Failure> {
    match slices.len() {
        ..=MOST_SLICES => Ok(slices),
        number => Err(Failure::usage(format!(
            "the range has {number} slices, and a plan shows {MOST_SLICES} at most; choose a longer --slice, or a \
             later --from"
        ))),
    }
}

/// The smallest number of requests for a slice: one for each list, even if it has no events.
fn requests(slice: &Slice, args: &cli::PlanArgs, lists: u64) -> u64 {
    let Some(events) = args.events_per_day else { return lists };
    let millis = (slice.end() - slice.start()).num_milliseconds().unsigned_abs();
    let events = u128::from(millis) * u128::from(events.get()) / 86_400_000;
    let pages = events.div_ceil(u128::from(args.page_size));
    u64::try_from(pages).unwrap_or(u64::MAX).max(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> cli::PlanArgs {
        let number = |n| std::num::NonZeroU32::new(n).unwrap();
        cli::PlanArgs {
            from: Some(TimeArg::Ago(Duration::from_secs(86_400))),
            output: None,
            extend: false,
            settle: Duration::from_secs(900),
            to: None,
            names: cli::ListNames::default(),
            slice: Duration::from_secs(6 * 3600),
            compress: Some(Codec::Zstd),
            page_size: 1000,
            events_per_day: None,
            rate_limit: Rate::PerMinute(number(60)),
            json: false,
        }
    }

    /// They didn't fit the memory.
    #[test]
    fn a_plan_of_too_many_slices_is_refused() {
        let now = "2026-01-15T12:00:00Z".parse().unwrap();
        let hours = |slice| cli::PlanArgs {
            from: Some(TimeArg::At("1900-01-01T00:00:00Z".parse().unwrap())),
            slice: Duration::from_secs(slice),
            ..args()
        };
        assert!(RequestPlan::of(&hours(6 * 3600), now).is_ok());
        let (too_many, code) = (hours(1), crate::error::Code::Usage);
        assert!(RequestPlan::of(&too_many, now).is_err_and(|failure| failure.code == code));
    }

    #[test]
    fn a_plan_has_a_request_for_each_slice_and_page() {
        let now = "2026-01-15T12:00:00.789Z".parse().unwrap();
        let mut args = args();
        let plan = RequestPlan::of(&args, now).unwrap();
        assert_eq!((plan.slices.len(), plan.requests, plan.least_time()), (4, 4, Duration::from_secs(3)));
        args.events_per_day = std::num::NonZeroU32::new(10_000);
        let plan = RequestPlan::of(&args, now).unwrap();
        assert_eq!((plan.requests, plan.least_time()), (12, Duration::from_secs(11)));
        let text = plan.text();
        assert!(text.starts_with(
            "2026-01-14T12:00:00Z  2026-01-14T18:00:00Z  events_20260114T120000Z_20260114T180000Z.ndjson.zst\n"
        ));
        assert!(text.ends_with(
            "4 slices of up to 6h: at least 12 requests, which take at least 11 s at 60 per minute\n"
        ));
    }
}
