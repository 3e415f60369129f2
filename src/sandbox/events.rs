//! The synthetic events: their kinds, ids and texts.

use super::{
    json::{self, Object},
    random::{Purpose, Random, mix, uuid},
    scene::Scene,
};
use crate::event::{EventType, Resource};

/// Every pair of resource and type in the table of the service's reference, and its number among 64 events.
pub(super) const KINDS: [(Resource, EventType, usize); 21] = [
    (Resource::Messages, EventType::Created, 20),
    (Resource::Messages, EventType::Updated, 3),
    (Resource::Messages, EventType::Deleted, 3),
    (Resource::Memberships, EventType::Created, 5),
    (Resource::Memberships, EventType::Updated, 1),
    (Resource::Memberships, EventType::Deleted, 2),
    (Resource::Rooms, EventType::Updated, 1),
    (Resource::Tabs, EventType::Created, 1),
    (Resource::Tabs, EventType::Updated, 1),
    (Resource::Tabs, EventType::Deleted, 1),
    (Resource::AttachmentActions, EventType::Created, 2),
    (Resource::Files, EventType::Read, 3),
    (Resource::FileTranscodings, EventType::Read, 3),
    (Resource::Meetings, EventType::Ended, 3),
    (Resource::MeetingMessages, EventType::Created, 3),
    (Resource::MeetingMessages, EventType::Updated, 1),
    (Resource::MeetingMessages, EventType::Deleted, 1),
    (Resource::MeetingTranscripts, EventType::Created, 2),
    (Resource::CallRecords, EventType::Created, 4),
    (Resource::BusinessTexts, EventType::Created, 2),
    (Resource::ConvergedRecordings, EventType::Created, 2),
];

const NAMES: [&str; 16] = [
    "Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Heidi", "Ivan", "Judy", "Mallory", "Niaj",
    "Olivia", "Peggy", "Rupert", "Zoë",
];
/// The number of people who act in the events.
pub(super) const PEOPLE: usize = 48;
const ROOMS: usize = 96;

#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) uuid: u128,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) number: String,
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: String,
    pub(super) uuid: u128,
    pub(super) direct: bool,
}

/// The organization that the events are about.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    org_id: String,
    pub(super) org_uri: String,
    pub(super) people: Vec<Person>,
    rooms: Vec<Room>,
    /// Indexes into [`KINDS`], each repeated by its weight.
    draws: Vec<usize>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

        let mut random = Random::new(seed, Purpose::World, 0);
        let org = random.uuid();
        let person = |index: usize| {
            let (uuid, name) = (random.uuid(), NAMES[index % NAMES.len()]);
            let round = index / NAMES.len() + 1;
            Person {
                id: json::id("PEOPLE", uuid),
                uuid,
                name: format!("{name} Example {round}"),
                email: format!("{}{round}@example.com", name.to_lowercase().replace('ë', "e")),
                number: format!("+1555010{index:04}"),
            }
        };
        let people = (0..PEOPLE).map(person).collect();
        let room = |index: usize| {
            let uuid = random.uuid();
            Room { id: json::id("ROOM", uuid), uuid, direct: index.is_multiple_of(3) }
        };
        Self {
            seed,
            org_id: STANDARD_NO_PAD.encode(super::random::hyphenated(org)),
            org_uri: json::id("ORGANIZATION", org),
            people,
            rooms: (0..ROOMS).map(room).collect(),
            draws: KINDS
                .iter()
                .enumerate()
                .flat_map(|(kind, &(_, _, weight))| std::iter::repeat_n(kind, weight))
                .collect(),
        }
    }

    pub(super) fn actors(&self) -> impl Iterator<Item = &str> {
        self.people.iter().map(|person| &*person.id)
    }

    /// The kind of an event, as an index into [`KINDS`]: first each kind once, then randomly by weight.
    pub(super) fn kind(&self, number: u32) -> usize {
        let number = number as usize;
        if number < KINDS.len() {
            return number;
        }
        *Random::new(self.seed, Purpose::Event, number as u64).pick(&self.draws)
    }

    pub(super) fn id(&self, number: u32) -> String {
        json::id("EVENT", self.uuid(number))
    }

    /// The only event that can have this id.
    pub(super) fn number(&self, id: &str) -> Option<u32> {
        let scrambled = (json::uuid_of(id)? >> 96) as u32;
        Some(scrambled.wrapping_mul(UNSCRAMBLE) ^ self.key())
    }

    const fn key(&self) -> u32 {
        (self.seed >> 32) as u32 ^ (self.seed & 0xFFFF_FFFF) as u32
    }

    /// The first 32 bits are the scrambled number: ids are unique, and lead back to their events without an index.
    fn uuid(&self, number: u32) -> u128 {
        let scrambled = (number ^ self.key()).wrapping_mul(SCRAMBLE);
        let rest = mix(self.seed ^ u64::from(number).rotate_left(32));
        uuid((u64::from(scrambled) << 32) | (rest >> 32), mix(rest))
    }

    /// Writes the event and returns its actor, as an index into [`actors`](World::actors).
    pub(super) fn render(&self, out: &mut Vec<u8>, number: u32, kind: usize, created: i64) -> usize {
        let (resource, event_type, _) = &KINDS[kind];
        let mut random = Random::new(self.seed, Purpose::Event, u64::from(number));
        random.next(); // the number that `kind` has used
        let actor = random.below(self.people.len());
        let deleted = *event_type == EventType::Deleted;

        let mut event = Object::new(out);
        event.id("id", "EVENT", self.uuid(number));
        event.text("resource", resource.as_str()).text("type", event_type.as_str());
        if !deleted && random.one_in(4) {
            event.text("appId", "null");
        }
        event.text("actorId", &self.people[actor].id);
        if !deleted {
            event.text("orgId", &self.org_id);
        }
        event.time("created", created).object("data", |data| {
            let mut scene = Scene {
                world: self,
                person: &self.people[actor],
                room: &self.rooms[random.below(ROOMS)],
                event_type,
                created,
                random,
            };
            scene.write(resource, data);
        });
        event.end();
        actor
    }
}

const SCRAMBLE: u32 = 0x9E37_79B1;
const UNSCRAMBLE: u32 = inverse(SCRAMBLE);

/// The inverse of an odd number modulo 2 to the 32, by Newton's method.
const fn inverse(odd: u32) -> u32 {
    let (mut inverse, mut round) = (odd, 0);
    while round < 4 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn text(world: &World, number: u32) -> String {
        let mut out = Vec::new();
        world.render(&mut out, number, world.kind(number), 1_767_603_600_123);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_first_events_include_every_kind() {
        let world = World::new(1);
        let kinds: HashSet<_> = (0..21).map(|number| world.kind(number)).collect();
        assert_eq!((kinds.len(), world.draws.len()), (21, 64));
        let named: HashSet<_> = KINDS.iter().map(|(resource, _, _)| resource).collect();
        assert_eq!(named.len(), Resource::KNOWN.len());
    }

    #[test]
    fn an_id_leads_back_to_its_only_event() {
        for seed in [0, 7, u64::MAX] {
            let world = World::new(seed);
            let mut ids = HashSet::new();
            for number in (0..2000).chain([u32::MAX]) {
                let id = world.id(number);
                assert_eq!(world.number(&id), Some(number));
                assert!(ids.insert(id));
            }
        }
        assert_eq!(World::new(0).number("not an id"), None);
    }

    #[test]
    fn events_are_json_of_a_realistic_size() {
        let world = World::new(7);
        let mut total = 0;
        for number in 0..2000 {
            let text = text(&world, number);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["id"], world.id(number));
            assert!((300..3000).contains(&text.len()), "{text}");
            total += text.len();
        }
        assert!((700..1600).contains(&(total / 2000)), "{}", total / 2000);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(text(&World::new(7), 500), text(&World::new(7), 500));
        assert_ne!(text(&World::new(7), 500), text(&World::new(8), 500));
    }
}
