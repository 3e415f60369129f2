//! Files against the service.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use webex_events::{Checkpoint, Client, ListEvents, Slice, SliceItem, sandbox::Sandbox};

use super::{
    files::{self, Checked},
    problem, time,
};
use crate::{
    archive::{Entry, Kind, Place, State},
    cli,
    commands::sandbox,
    error::{Code, Failure},
    run::{
        next::next,
        request::{self, Asked, Range},
        slices,
    },
    service,
    ui::shutdown::Stop,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Lists every file's range again, and compares ids.
pub(super) async fn compare(
    asked: &cli::Verify,
    mut stop: Stop,
    place: &Place,
    state: &State,
    checked: &mut Checked,
) -> Result<(), Failure> {
    let (client, _sandbox) = client(asked, place, state).await?;
    let files: HashMap<DateTime<Utc>, &Entry> =
        state.files.iter().filter_map(|file| Some((file.start?, file))).collect();
    // What isn't exported yet is no difference.
    let is_open = |slice: &Slice| {
        files.get(&slice.start()).map_or(state.about.kind == Kind::Export, |file| !file.is_whole())
    };
    // Nor is what a follower that began within an hour left out of it.
    let is_before = |created: DateTime<Utc>| state.about.from.is_some_and(|from| created < from);
    let slices: Vec<_> = ranges(state)?.into_iter().filter(|slice| !is_open(slice)).collect();
    let mut stream = client.list_slices(slices, asked.concurrency);
    let mut given: HashMap<DateTime<Utc>, Vec<(String, DateTime<Utc>)>> = HashMap::new();
    loop {
        let item = tokio::select! {
            biased;
            code = stop.wait() => return Err(Failure::new(code, "stopped before all was compared")),
            item = next(&mut stream) => item,
        };
        match item.transpose().map_err(|error| Failure::of(&error, None))? {
            None => break,
            Some(SliceItem::Page { slice, page }) => {
                let events = page.items.iter().flatten().filter(|event| !is_before(event.created()));
                let events = events.map(|event| (event.id().to_owned(), event.created()));
                given.entry(slice.start()).or_default().extend(events);
            }
            Some(SliceItem::Closed { slice, .. }) => {
                let given = given.remove(&slice.start()).unwrap_or_default();
                differences(&slice, files.get(&slice.start()).copied(), &given, (place, state), checked)?;
            }
            Some(_) => {}
        }
    }
    checked.is_compared = true;
    Ok(())
}

/// Names what one of both has and the other hasn't.
fn differences(
    slice: &Slice,
    file: Option<&Entry>,
    given: &[(String, DateTime<Utc>)],
    (place, state): (&Place, &State),
    checked: &mut Checked,
) -> Result<(), Failure> {
    let (name, ids) = match file {
        Some(file) => {
            let path = files::lies_at(place, file);
            let ids = files::ids(place, file, state.about.compress).map_err(|error| {
                Failure::new(Code::Output, format!("{} can't be read: {error}", path.display()))
            })?;
            (path.display().to_string(), ids)
        }
        None => (format!("{} to {}", time(slice.start()), time(slice.end())), HashSet::new()),
    };
    let missing: Vec<_> = given.iter().filter(|(id, _)| !ids.contains(id)).collect();
    for (id, created) in missing {
        problem(
            checked,
            &format!(
                "{name}: the service has an event that the file lacks: {id}, created at {}",
                time(*created)
            ),
        );
    }
    let given: HashSet<_> = given.iter().map(|(id, _)| id.as_str()).collect();
    let mut gone: Vec<_> = ids.iter().filter(|id| !given.contains(id.as_str())).collect();
    gone.sort();
    for id in gone {
        problem(
            checked,
            &format!("{name}: the service doesn't give an event any more that the file has: {id}"),
        );
    }
    Ok(())
}

/// The ranges that files are for: the slices of an export, and the hours that a follower is done with.
fn ranges(state: &State) -> Result<Vec<Slice>, Failure> {
    let about = &state.about;
    let mut query = ListEvents::new();
    if let Some(resource) = about.asked.get("--resource") {
        query = query.resource(resource.as_str());
    }
    if let Some(event_type) = about.asked.get("--type") {
        query = query.event_type(event_type.as_str());
    }
    if let Some(id) = about.asked.get("--actor-id") {
        query = query.actor_id(id);
    }
    let settled = || {
        let checkpoint = serde_json::from_value::<Checkpoint>(state.checkpoint.clone()?).ok()?;
        request::hour(checkpoint.settled())
    };
    if about.kind == Kind::Export {
        return Ok(slices::of(about, query)?.collect());
    }
    let range = Range { from: about.from.and_then(request::hour), to: settled() };
    if range.from >= range.to {
        return Ok(Vec::new());
    }
    let slices = range.of(query).slices(HOUR).map_err(|error| Failure::of(&error, None))?;
    Ok(slices.collect())
}

/// A client of the service that the files are from.
async fn client(
    asked: &cli::Verify,
    place: &Place,
    state: &State,
) -> Result<(Client, Option<Sandbox>), Failure> {
    let was = &state.about.asked;
    if let Some(events) = was.get("--sandbox").and_then(|events| events.parse().ok()) {
        let sandbox = sandbox::plain(events, state.about.begun).await?;
        let client = service::sandbox(&sandbox, &asked.connection)?.client;
        return Ok((client, Some(sandbox)));
    }
    let service = |asked: &Asked| asked.get("--base-url").cloned();
    let is = request::of_connection(&asked.connection);
    if service(was) != service(&is) {
        let name = service(was).unwrap_or_else(|| "the default".to_owned());
        return Err(Failure::usage(format!(
            "{} was exported from another service ({name}): give its --base-url",
            place.display()
        )));
    }
    Ok((service::service(&asked.connection)?.client, None))
}
