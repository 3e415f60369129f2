//! All events of a sandbox: their texts, rendered once, and the order in which lists give them.

use std::{
    collections::{HashMap, VecDeque},
    ops::{Range, RangeInclusive},
};

use super::{
    events::{KINDS, World},
    random::{Purpose, Random},
};

/// Texts lie in chunks of this size, so that growing never moves what is there.
const CHUNK: usize = 4 << 20;

/// What to fill a store with.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) events: u32,
    pub(super) late: u32,
    pub(super) period: Range<i64>,
    pub(super) shuffled: bool,
}

/// One event, 40 bytes beside its text.
#[derive(Clone, Copy, Debug)]
struct Entry {
    created: i64,
    chunk: u32,
    start: u32,
    length: u32,
    /// The store's version from which on lists have it; [`u32::MAX`] while it is late.
    arrival: u32,
    actor: u32,
    kind: u32,
}

/// Where an event stands in the order of lists. It never changes, so a cursor can hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) key: i64,
    pub(super) number: u32,
}

/// Which events a walk through a list gives, from its first page to its last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection {
    /// The first and the last `created` in milliseconds.
    pub(super) created: (i64, i64),
    /// Those that arrive behind this version of the store aren't in it.
    pub(super) version: u32,
}

/// What narrows a selection down, as far as the store knows the names at all.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    kinds: Option<Vec<u32>>,
    actor: Option<u32>,
    /// No event can match, for want of such an actor.
    nothing: bool,
}

/// Some events of a selection, by number, and whether there are more behind them.
#[derive(Debug)]
pub(super) struct Found {
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
    /// By number: the first is the newest of those that were there at the start.
    entries: Vec<Entry>,
    /// The numbers of all that have arrived, in the order of lists.
    order: Vec<u32>,
    late: VecDeque<u32>,
    version: u32,
    kinds: Vec<(String, String)>,
    actors: Vec<String>,
    actor_numbers: HashMap<String, u32>,
    /// Of the events that weren't made here.
    foreign: HashMap<String, u32>,
}

#[expect(clippy::cast_possible_truncation, reason = "numbers of events, names and chunks fit into 32 bits")]
impl Store {
    pub(super) fn generate(plan: &Plan) -> Self {
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
            order.sort_unstable_by_key(|&number| store.place(number));
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
            self.entries.push(Entry { created, chunk: chunk as u32, start, length, arrival, actor, kind });
        }
    }

    /// Adds an event of the sandbox's own making.
    pub(super) fn push(&mut self, created: i64) -> String {
        let number = self.next_number();
        self.add(number, self.world.kind(number), created, u32::MAX);
        self.arrive(number);
        self.world.id(number)
    }

    /// Adds an event as it is, or nothing if there is one of this id.
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

    /// Lets late events arrive, the newest first.
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
        let place = self.place(number);
        let at = self.order.partition_point(|&other| self.place(other) < place);
        self.order.insert(at, number);
    }

    pub(super) fn version(&self) -> u32 {
        self.version
    }

    pub(super) fn waiting(&self) -> usize {
        self.late.len()
    }

    /// Newest first, or by lot.
    pub(super) fn place(&self, number: u32) -> Place {
        let key = if self.shuffled {
            Random::new(self.seed, Purpose::Order, u64::from(number)).next().cast_signed()
        } else {
            self.created(number).saturating_neg()
        };
        Place { key, number }
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

    /// The event of this id, if it has arrived.
    pub(super) fn arrived(&self, id: &str) -> Option<u32> {
        self.find(id).filter(|&number| self.entries[number as usize].arrival <= self.version)
    }

    fn find(&self, id: &str) -> Option<u32> {
        if let Some(&number) = self.foreign.get(id) {
            return Some(number);
        }
        let number = self.world.number(id)?;
        let there = (number as usize) < self.entries.len();
        // An event that was pushed as text has a number too, but not the id that goes with it.
        (there && self.text(number).strip_prefix(br#"{"id":""#)?.starts_with(id.as_bytes())).then_some(number)
    }

    /// The filter for these names; none where there is no name.
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

    /// Up to `max` events behind a place, or from the first on.
    pub(super) fn page(&self, of: Selection, filter: &Filter, behind: Option<Place>, max: usize) -> Found {
        let mut matches = self.scan(of, filter, behind);
        let mut numbers = Vec::with_capacity(max.min(self.order.len()));
        numbers.extend(matches.by_ref().take(max));
        Found { numbers, more: matches.next().is_some() }
    }

    /// The place behind which this page of a walk begins; `None` for its first.
    pub(super) fn page_start(
        &self,
        of: Selection,
        filter: &Filter,
        page: usize,
        max: usize,
    ) -> Option<Place> {
        let last = (page * max).checked_sub(1)?;
        self.scan(of, filter, None).nth(last).map(|number| self.place(number))
    }

    fn scan<'a>(
        &'a self,
        of: Selection,
        filter: &'a Filter,
        behind: Option<Place>,
    ) -> impl Iterator<Item = u32> + 'a {
        let created = of.created.0..=of.created.1;
        let window = if filter.nothing { 0..0 } else { self.window(&created) };
        let start = behind.map_or(0, |place| self.order.partition_point(|&n| self.place(n) <= place));
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

/// What an event is known by.
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

/// `created` times from the newest to the oldest, about evenly spread; one in eight is the same
/// millisecond as the one before.
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

    const PLAN: Plan = Plan { seed: 7, events: 500, late: 20, period: 1000..100_000, shuffled: false };

    fn all(store: &Store) -> Selection {
        Selection { created: (0, i64::MAX), version: store.version() }
    }

    fn walk(store: &Store, of: Selection, max: usize) -> Vec<u32> {
        let (mut numbers, mut behind) = (Vec::new(), None);
        loop {
            let found = store.page(of, &Filter::default(), behind, max);
            behind = found.numbers.last().map(|&number| store.place(number));
            numbers.extend(found.numbers);
            if !found.more {
                return numbers;
            }
        }
    }

    #[test]
    fn a_walk_gives_each_event_once_newest_first() {
        let store = Store::generate(&PLAN);
        let numbers = walk(&store, all(&store), 7);
        assert!(numbers.iter().copied().eq(0..500));
        assert!(numbers.windows(2).all(|pair| store.created(pair[0]) >= store.created(pair[1])));
        let shared = numbers.windows(2).filter(|p| store.created(p[0]) == store.created(p[1])).count();
        assert!(shared > 30, "{shared}");
        assert!(numbers.iter().all(|&n| PLAN.period.contains(&store.created(n))));
    }

    #[test]
    fn a_shuffled_walk_gives_each_event_once_too() {
        let store = Store::generate(&Plan { shuffled: true, ..PLAN });
        let numbers = walk(&store, all(&store), 7);
        assert!(!numbers.is_sorted());
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), 500);
    }

    #[test]
    fn a_window_holds_both_of_its_ends() {
        for shuffled in [false, true] {
            let store = Store::generate(&Plan { shuffled, ..PLAN });
            let (newest, oldest) = (store.created(100), store.created(200));
            let of = Selection { created: (oldest, newest), version: 0 };
            let expected = (0..500).filter(|&n| (oldest..=newest).contains(&store.created(n))).count();
            assert_eq!(walk(&store, of, 9).len(), expected);
            assert_eq!(store.oldest(of), Some(oldest));
        }
    }

    #[test]
    fn what_arrives_during_a_walk_is_not_in_it() {
        let mut store = Store::generate(&PLAN);
        let of = all(&store);
        let ids = store.release(5);
        let pushed = store.push(50_000);
        assert_eq!((ids.len(), store.waiting()), (5, 15));
        assert_eq!((walk(&store, of, 30).len(), walk(&store, all(&store), 30).len()), (500, 506));
        assert!(store.arrived(&pushed).is_some() && store.arrived(&ids[0]).is_some());
    }

    #[test]
    fn a_late_event_is_unknown_until_it_arrives() {
        let mut store = Store::generate(&PLAN);
        let id = store.world.id(500);
        assert_eq!(store.arrived(&id), None);
        assert_eq!(store.release(1), std::slice::from_ref(&id));
        assert_eq!(store.arrived(&id), Some(500));
    }
}
