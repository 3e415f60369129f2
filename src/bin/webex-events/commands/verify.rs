//! `verify`: whether what lies in a folder is what its ledger says, and what the service has.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Map;
use webex_events::ListEvents;

use crate::{
    archive::{Kind, Place, State},
    cli,
    commands::verify::files::Checked,
    error::{Code, Failure},
    run::slices,
    ui::{messages, progress::counted, shutdown::Stop},
};

mod files;
mod service;

pub(crate) async fn run(asked: cli::Verify, stop: Stop) -> Result<(), Failure> {
    let place = Place::Folder(asked.folder.clone());
    if asked.folder.is_file() {
        return Err(Failure::usage(format!(
            "{} is a file: name a folder that an export or a follower has written",
            asked.folder.display()
        )));
    }
    let state = place.read()?.ok_or_else(|| {
        Failure::new(
            Code::Output,
            format!("{} has no ledger.json: there is nothing to go by", place.display()),
        )
    })?;
    let mut checked = files::check(&place, &state);
    let gaps = gaps(&state)?;
    for (start, end) in &gaps {
        messages::note(&format!("not exported yet: {} to {}", time(*start), time(*end)), Map::new());
    }
    if asked.against_service {
        service::compare(&asked, stop, &place, &state, &mut checked).await?;
    }
    conclude(&place, &state, &checked, gaps.len())
}

fn conclude(place: &Place, state: &State, checked: &Checked, gaps: usize) -> Result<(), Failure> {
    let name = place.display();
    let found = format!("{} in {}", counted(checked.events, "event"), counted(checked.files, "file"));
    if checked.problems > 0 {
        return Err(Failure::new(
            Code::Output,
            format!(
                "{name} isn't what it should be: {} ({found}); export anew into another folder, or restore \
                 what is damaged from a copy",
                counted(checked.problems, "problem")
            ),
        ));
    }
    if gaps > 0 {
        return Err(Failure::new(
            Code::Stopped,
            format!(
                "{name} is sound and not complete: {} in the range not exported yet ({found}); \
                 give the command of the export again to go on",
                if gaps == 1 { "1 gap".to_owned() } else { format!("{gaps} gaps") }
            ),
        ));
    }
    let range = match (state.about.kind, state.about.from, state.about.to) {
        (Kind::Follow, Some(from), _) => format!("followed from {}", time(from)),
        (_, Some(from), Some(to)) => format!("complete from {} to {}", time(from), time(to)),
        _ => "complete".to_owned(),
    };
    let compared = if checked.is_compared { ", the same that the service has" } else { "" };
    let line = format!("{name} is sound: {found}{compared}, {range}\n");
    messages::data(line.as_bytes())
        .map_err(|error| Failure::new(Code::Output, format!("stdout can't be written: {error}")))
}

/// From one instant to another.
type Span = (DateTime<Utc>, DateTime<Utc>);

/// The parts of the range that aren't closed.
fn gaps(state: &State) -> Result<Vec<Span>, Failure> {
    let about = &state.about;
    let (Kind::Export, Some(_)) = (about.kind, about.slice_seconds) else { return Ok(Vec::new()) };
    let slices = slices::of(about, ListEvents::new())?;
    let closed: std::collections::HashSet<_> =
        state.files.iter().filter(|file| file.is_whole()).filter_map(|file| file.start).collect();
    let mut gaps: Vec<Span> = Vec::new();
    for slice in slices.filter(|slice| !closed.contains(&slice.start())) {
        match gaps.last_mut() {
            Some((_, end)) if *end == slice.start() => *end = slice.end(),
            _ => gaps.push((slice.start(), slice.end())),
        }
    }
    Ok(gaps)
}

/// Names something that is wrong.
fn problem(checked: &mut Checked, what: &str) {
    checked.problems += 1;
    messages::warning(what, Map::new());
}

fn time(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
