//! The stored form of `ListEvents`: a map of the parameters that are set, in every format.
//!
//! A struct would not do. Formats that write structs as lists (`MessagePack`, `postcard`) lose track of the members if
//! those that are not set are left out; and a list of all members could not grow.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap,
};

use super::ListEvents;

const MEMBERS: &[&str] = &["resource", "type", "actorId", "from", "to", "max", "params"];

impl Serialize for ListEvents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { resource, event_type, actor_id, from, to, page_size, params } = self;
        let members = [
            resource.is_some(),
            event_type.is_some(),
            actor_id.is_some(),
            from.is_some(),
            to.is_some(),
            page_size.is_some(),
            !params.is_empty(),
        ];
        let mut map = serializer.serialize_map(Some(members.into_iter().filter(|&is_set| is_set).count()))?;
        write(&mut map, "resource", resource.as_ref())?;
        write(&mut map, "type", event_type.as_ref())?;
        write(&mut map, "actorId", actor_id.as_ref())?;
        write(&mut map, "from", from.as_ref())?;
        write(&mut map, "to", to.as_ref())?;
        write(&mut map, "max", page_size.as_ref())?;
        write(&mut map, "params", Some(params).filter(|params| !params.is_empty()))?;
        map.end()
    }
}

fn write<M: SerializeMap>(map: &mut M, name: &str, value: Option<&impl Serialize>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, value))
}

impl<'de> Deserialize<'de> for ListEvents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(QueryVisitor)
    }
}

struct QueryVisitor;

impl<'de> Visitor<'de> for QueryVisitor {
    type Value = ListEvents;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of the parameters of a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ListEvents, A::Error> {
        let mut query = ListEvents::new();
        let mut seen = [false; MEMBERS.len()];
        while let Some(name) = map.next_key::<String>()? {
            let Some(member) = MEMBERS.iter().position(|&member| member == name) else {
                return Err(A::Error::unknown_field(&name, MEMBERS));
            };
            if std::mem::replace(&mut seen[member], true) {
                return Err(A::Error::duplicate_field(MEMBERS[member]));
            }
            match MEMBERS[member] {
                "resource" => query.resource = Some(map.next_value()?),
                "type" => query.event_type = Some(map.next_value()?),
                "actorId" => query.actor_id = Some(map.next_value()?),
                "from" => query.from = Some(map.next_value()?),
                "to" => query.to = Some(map.next_value()?),
                "max" => query.page_size = Some(map.next_value()?),
                _ => query.params = map.next_value()?,
            }
        }
        Ok(query)
    }
}
