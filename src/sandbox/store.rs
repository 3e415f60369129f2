//! All events of a sandbox: their texts, rendered once, and their order in lists.

use std::{
    collections::{HashMap, VecDeque},
    ops::{Range, RangeInclusive},
};

use super::{
    events::{KINDS, World},
    random::{Purpose, Random},
};

/// The size of the chunks that hold the texts. A chunk never grows, so that adding events copies no text.
const CHUNK: usize = 4 << 20;

/// The description of the events that a store is generated with.
#[derive(Clone, Debug)]
pub(super) struct StoreSpec {
    pub(super) seed: u64,
    pub(super) events: u32,
    pub(super) late: u32,
    pub(super) period: Range<i64>,
    pub(super) shuffled: bool,
}

/// One event: 40 bytes in addition to its text.
#[derive(Clone, Copy, Debug)]
struct StoreEntry {
    created: i64,
    chunk: u32,
    start: u32,
    length: u32,
    /// The first version of the store whose lists have the event; [`u32::MAX`] while it is late.
    arrival: u32,
    actor: u32,
    kind: u32,
}

/// The key by which lists are sorted. That of an event never changes, so a cursor can hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SortKey {
    pub(super) rank: i64,
    pub(super) number: u32,
}

/// The events of a list, from its first page to its last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection {
    /// The first and the last `created` in milliseconds.
    pub(super) created: (i64, i64),
    /// Events that arrive after this version of the store aren't listed.
    pub(super) version: u32,
}

/// The names that narrow a selection, as the store's numbers for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    kinds: Option<Vec<u32>>,
    actor: Option<u32>,
    /// No event can match, because the actor is unknown.
    nothing: bool,
}

/// A part of a selection, by number; `more` is true if it isn't the last part.
#[derive(Debug)]
pub(super) struct Matches {
    pub(super) numbers: Vec<u32>,
    pub(super) more: bool,
}

#[derive(Debug)]
pub(super) struct Store {
    world: World,
    seed: u64,
    shuffled: bool,
    chunks: Vec<Vec<u8>>,
    scratch: Vec<u8>,
    /// By number: 0 is the newest event of those that were generated at the start.
    entries: Vec<StoreEntry>,
    /// The numbers of all events that have arrived, in the order of lists.
    order: Vec<u32>,
    late: VecDeque<u32>,
    version: u32,
    kinds: Vec<(String, String)>,
    actors: Vec<String>,
    actor_numbers: HashMap<String, u32>,
    /// The numbers of the events that were pushed as text, by id.
    foreign: HashMap<String, u32>,
}

#[expect(clippy::cast_possible_truncation, reason = "numbers of events, names and chunks fit into 32 bits")]
impl Store {
    pub(super) fn generate(plan: &StoreSpec) -> Self {
        let world = World::new(plan.seed);
        let actors: Vec<_> = world.actors().map(str::to_owned).collect();
        let all = (plan.events + plan.late) as usize;
        let mut store = Self {
            seed: plan.seed,
            shuffled: plan.shuffled,
            chunks: Vec::new(),
            scratch: Vec::new(),
            entries: Vec::with_capacity(all),
            order: Vec::with_capacity(all),
            late: VecDeque::with_capacity(plan.late as usize),
            version: 0,
            kinds: KINDS.iter().map(|(r, t, _)| (r.as_str().to_owned(), t.as_str().to_owned())).collect(),
            actor_numbers: (0..).zip(&actors).map(|(n, actor)| (actor.clone(), n)).collect(),
            actors,
            foreign: HashMap::new(),
            world,
        };
        for (count, arrival) in [(plan.events, 0), (plan.late, u32::MAX)] {
            let mut times = Times::new(plan.seed ^ u64::from(arrival), &plan.period, count);
            for _ in 0..count {
                let number = store.next_number();
                let kind = store.world.kind(number);
                store.add(number, kind, times.next(), arrival);
                if arrival == 0 {
                    store.order.push(number);
                } else {
                    store.late.push_back(number);
                }
            }
        }
        if plan.shuffled {
            let mut order = std::mem::take(&mut store.order);
            order.sort_unstable_by_key(|&number| store.sort_key(number));
            store.order = order;
        }
        store
    }

    fn next_number(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    fn add(&mut self, number: u32, kind: usize, created: i64, arrival: u32) {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        let actor = self.world.render(&mut text, number, kind, created);
        self.add_text(&text, created, (kind as u32, actor as u32), arrival);
        self.scratch = text;
    }

    fn add_text(&mut self, text: &[u8], created: i64, (kind, actor): (u32, u32), arrival: u32) {
        let room = self.chunks.last().map_or(0, |chunk| chunk.capacity() - chunk.len());
        if room < text.len() {
            self.chunks.push(Vec::with_capacity(CHUNK.max(text.len())));
        }
        let chunk = self.chunks.len().saturating_sub(1);
        if let Some(last) = self.chunks.last_mut() {
            let (start, length) = (last.len() as u32, text.len() as u32);
            last.extend_from_slice(text);
            self.entries.push(StoreEntry {
                created,
                chunk: chunk as u32,
                start,
                length,
                arrival,
                actor,
                kind,
            });
        }
    }

    /// Generates one more event and returns its id.
    pub(super) fn push(&mut self, created: i64) -> String {
        let number = self.next_number();
        self.add(number, self.world.kind(number), created, u32::MAX);
        self.arrive(number);
        self.world.id(number)
    }

    /// Adds an event with this text. Returns false if there already is one with its id.
    pub(super) fn push_text(&mut self, text: &str, names: &Names, created: i64) -> bool {
        if self.find(&names.id).is_some() {
            return false;
        }
        let number = self.next_number();
        let kind = (names.resource.clone(), names.event_type.clone());
        let kind = self.kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
            self.kinds.push(kind);
            self.kinds.len() - 1
        });
        let actor = self.actor_numbers.get(&names.actor_id).copied().unwrap_or_else(|| {
            let next = self.actors.len() as u32;
            self.actors.push(names.actor_id.clone());
            self.actor_numbers.insert(names.actor_id.clone(), next);
            next
        });
        self.add_text(text.as_bytes(), created, (kind as u32, actor), u32::MAX);
        self.foreign.insert(names.id.clone(), number);
        self.arrive(number);
        true
    }

    /// Lets at most `count` late events arrive, the newest first, and returns their ids.
    pub(super) fn release(&mut self, count: usize) -> Vec<String> {
        let numbers: Vec<_> = self.late.drain(..count.min(self.late.len())).collect();
        for &number in &numbers {
            self.arrive(number);
        }
        numbers.into_iter().map(|number| self.world.id(number)).collect()
    }

    fn arrive(&mut self, number: u32) {
        self.version += 1;
        self.entries[number as usize].arrival = self.version;
        let key = self.sort_key(number);
        let at = self.order.partition_point(|&other| self.sort_key(other) < key);
        self.order.insert(at, number);
    }

    pub(super) fn version(&self) -> u32 {
        self.version
    }

    pub(super) fn waiting(&self) -> usize {
        self.late.len()
    }

    /// Newest first, or in a random order.
    pub(super) fn sort_key(&self, number: u32) -> SortKey {
        let rank = if self.shuffled {
            Random::new(self.seed, Purpose::Order, u64::from(number)).next().cast_signed()
        } else {
            self.created(number).saturating_neg()
        };
        SortKey { rank, number }
    }

    pub(super) fn created(&self, number: u32) -> i64 {
        self.entries[number as usize].created
    }

    pub(super) fn text(&self, number: u32) -> &[u8] {
        let entry = &self.entries[number as usize];
        let start = entry.start as usize;
        &self.chunks[entry.chunk as usize][start..start + entry.length as usize]
    }

    pub(super) fn id(&self, number: u32) -> String {
        let made = self.world.id(number);
        if self.find(&made) == Some(number) {
            return made;
        }
        let named = |text| serde_json::from_slice::<Names>(text).map(|names| names.id);
        named(self.text(number)).unwrap_or_default()
    }

    /// The number of the event with this id, if it has arrived.
    pub(super) fn arrived(&self, id: &str) -> Option<u32> {
        self.find(id).filter(|&number| self.entries[number as usize].arrival <= self.version)
    }

    fn find(&self, id: &str) -> Option<u32> {
        if let Some(&number) = self.foreign.get(id) {
            return Some(number);
        }
        let number = self.world.number(id)?;
        let there = (number as usize) < self.entries.len();
        // An event that was pushed as text has a number too, but not the id that belongs to that number.
        (there && self.text(number).strip_prefix(br#"{"id":""#)?.starts_with(id.as_bytes())).then_some(number)
    }

    /// The filter for these names. `None` matches every event.
    pub(super) fn filter(
        &self,
        resource: Option<&str>,
        event_type: Option<&str>,
        actor_id: Option<&str>,
    ) -> Filter {
        let narrowed = resource.is_some() || event_type.is_some();
        let fits = |(r, t): &(String, String)| {
            resource.is_none_or(|resource| resource == r) && event_type.is_none_or(|name| name == t)
        };
        Filter {
            kinds: narrowed
                .then(|| (0..).zip(&self.kinds).filter(|(_, kind)| fits(kind)).map(|(n, _)| n).collect()),
            actor: actor_id.and_then(|id| self.actor_numbers.get(id).copied()),
            nothing: actor_id.is_some_and(|id| !self.actor_numbers.contains_key(id)),
        }
    }

    pub(super) fn knows_resource(&self, name: &str) -> bool {
        self.kinds.iter().any(|(resource, _)| resource == name)
    }

    pub(super) fn knows_type(&self, name: &str) -> bool {
        self.kinds.iter().any(|(_, event_type)| event_type == name)
    }

    /// Returns at most `max` events after a key, or the first ones.
    pub(super) fn page(&self, of: Selection, filter: &Filter, after: Option<SortKey>, max: usize) -> Matches {
        let mut matches = self.scan(of, filter, after);
        let mut numbers = Vec::with_capacity(max.min(self.order.len()));
        numbers.extend(matches.by_ref().take(max));
        Matches { numbers, more: matches.next().is_some() }
    }

    /// The key of the last event before this page; `None` for the first page.
    pub(super) fn page_start(
        &self,
        of: Selection,
        filter: &Filter,
        page: usize,
        max: usize,
    ) -> Option<SortKey> {
        let last = (page * max).checked_sub(1)?;
        self.scan(of, filter, None).nth(last).map(|number| self.sort_key(number))
    }

    fn scan<'a>(
        &'a self,
        of: Selection,
        filter: &'a Filter,
        after: Option<SortKey>,
    ) -> impl Iterator<Item = u32> + 'a {
        let created = of.created.0..=of.created.1;
        let window = if filter.nothing { 0..0 } else { self.window(&created) };
        let start = after.map_or(0, |key| self.order.partition_point(|&n| self.sort_key(n) <= key));
        self.order[window.start.max(start).min(window.end)..window.end].iter().copied().filter(
            move |&number| {
                let entry = &self.entries[number as usize];
                entry.arrival <= of.version
                    && created.contains(&entry.created)
                    && filter.kinds.as_ref().is_none_or(|kinds| kinds.contains(&entry.kind))
                    && filter.actor.is_none_or(|actor| actor == entry.actor)
            },
        )
    }

    /// The part of the order that can hold events created at these times.
    fn window(&self, created: &RangeInclusive<i64>) -> Range<usize> {
        if self.shuffled {
            return 0..self.order.len();
        }
        let start = self.order.partition_point(|&n| self.created(n) > *created.end());
        start..self.order.partition_point(|&n| self.created(n) >= *created.start()).max(start)
    }

    /// The `created` of the oldest event in a selection.
    pub(super) fn oldest(&self, of: Selection) -> Option<i64> {
        let all = Filter::default();
        if self.shuffled {
            return self.scan(of, &all, None).map(|number| self.created(number)).min();
        }
        let window = self.window(&(of.created.0..=of.created.1));
        self.order[window].last().map(|&number| self.created(number))
    }
}

/// The members of an event that a list can filter by.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Names {
    pub(super) id: String,
    pub(super) resource: String,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    #[serde(default)]
    pub(super) actor_id: String,
    pub(super) created: chrono::DateTime<chrono::Utc>,
}

/// Generates `created` times from the newest to the oldest, about evenly spread. One in eight is the same
/// millisecond as the previous one.
struct Times {
    random: Random,
    period: Range<i64>,
    count: u32,
    index: u32,
    previous: i64,
}

impl Times {
    fn new(seed: u64, period: &Range<i64>, count: u32) -> Self {
        let random = Random::new(seed, Purpose::Time, 0);
        Self { random, period: period.clone(), count, index: 0, previous: period.end - 1 }
    }

    fn next(&mut self) -> i64 {
        let length = i128::from(self.period.end - self.period.start);
        let part = i128::from(self.random.next() >> 32);
        let age = (length * ((i128::from(self.index) << 32) + part) / i128::from(self.count.max(1))) >> 32;
        if self.index == 0 || !self.random.one_in(8) {
            self.previous = self.period.end - 1 - i64::try_from(age).unwrap_or_default();
        }
        self.index += 1;
        self.previous
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SPEC: StoreSpec =
        StoreSpec { seed: 7, events: 500, late: 20, period: 1000..100_000, shuffled: false };

    fn all(store: &Store) -> Selection {
        Selection { created: (0, i64::MAX), version: store.version() }
    }

    fn list_all(store: &Store, of: Selection, max: usize) -> Vec<u32> {
        let (mut numbers, mut after) = (Vec::new(), None);
        loop {
            let found = store.page(of, &Filter::default(), after, max);
            after = found.numbers.last().map(|&number| store.sort_key(number));
            numbers.extend(found.numbers);
            if !found.more {
                return numbers;
            }
        }
    }

    #[test]
    fn a_list_gives_each_event_once_newest_first() {
        let store = Store::generate(&SPEC);
        let numbers = list_all(&store, all(&store), 7);
        assert!(numbers.iter().copied().eq(0..500));
        assert!(numbers.windows(2).all(|pair| store.created(pair[0]) >= store.created(pair[1])));
        let shared = numbers.windows(2).filter(|p| store.created(p[0]) == store.created(p[1])).count();
        assert!(shared > 30, "{shared}");
        assert!(numbers.iter().all(|&n| SPEC.period.contains(&store.created(n))));
    }

    #[test]
    fn a_shuffled_list_gives_each_event_once_too() {
        let store = Store::generate(&StoreSpec { shuffled: true, ..SPEC });
        let numbers = list_all(&store, all(&store), 7);
        assert!(!numbers.is_sorted());
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), 500);
    }

    #[test]
    fn a_window_includes_both_of_its_ends() {
        for shuffled in [false, true] {
            let store = Store::generate(&StoreSpec { shuffled, ..SPEC });
            let (newest, oldest) = (store.created(100), store.created(200));
            let of = Selection { created: (oldest, newest), version: 0 };
            let expected = (0..500).filter(|&n| (oldest..=newest).contains(&store.created(n))).count();
            assert_eq!(list_all(&store, of, 9).len(), expected);
            assert_eq!(store.oldest(of), Some(oldest));
        }
    }

    #[test]
    fn an_event_that_arrives_during_a_list_is_not_in_it() {
        let mut store = Store::generate(&SPEC);
        let of = all(&store);
        let ids = store.release(5);
        let pushed = store.push(50_000);
        assert_eq!((ids.len(), store.waiting()), (5, 15));
        assert_eq!((list_all(&store, of, 30).len(), list_all(&store, all(&store), 30).len()), (500, 506));
        assert!(store.arrived(&pushed).is_some() && store.arrived(&ids[0]).is_some());
    }

    /// A seed gives the same events in every version. Change this number only with a note in the changelog.
    #[test]
    fn the_events_of_a_seed_never_change() {
        let store = Store::generate(&SPEC);
        let texts =
            list_all(&store, all(&store), 100).into_iter().flat_map(|number| store.text(number).to_vec());
        assert_eq!(crc32fast::hash(&texts.collect::<Vec<_>>()), 3_695_824_487);
    }

    #[test]
    fn a_late_event_is_unknown_until_it_arrives() {
        let mut store = Store::generate(&SPEC);
        let id = store.world.id(500);
        assert_eq!(store.arrived(&id), None);
        assert_eq!(store.release(1), std::slice::from_ref(&id));
        assert_eq!(store.arrived(&id), Some(500));
    }
}
