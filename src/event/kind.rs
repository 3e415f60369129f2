//! The two open vocabularies of an event: `Resource` and `EventType`.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that this version of the crate has no name for, kept as the service sent it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownName(Box<str>);

/// An enum of names that the service can add to: known names are variants, any other is kept.
macro_rules! open_enum {
    (
        $(#[$docs:meta])*
        $name:ident {
            $($(#[$variant_docs:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_docs])* #[doc = concat!("`", $text, "`.")] $variant,)+
            /// A name that this version doesn't know. Match it with a `_` arm and compare
            #[doc = concat!("[`as_str`](", stringify!($name), "::as_str): a later version may know it by a variant.")]
            #[non_exhaustive]
            Unknown(UnknownName),
        }

        impl $name {
            /// Every name that this version knows, in the order of the reference.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the name as the service writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(name) => &name.0,
                }
            }

            fn known(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::known(name).unwrap_or_else(|| Self::Unknown(UnknownName(name.into())))
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self::known(&name).unwrap_or_else(|| Self::Unknown(UnknownName(name.into())))
            }
        }

        impl From<&Self> for $name {
            fn from(name: &Self) -> Self {
                name.clone()
            }
        }

        impl FromStr for $name {
            type Err = Infallible;

            fn from_str(name: &str) -> Result<Self, Infallible> {
                Ok(name.into())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

open_enum! {
    /// The kind of resource that an event is about: the `resource` of a list and of each event.
    ///
    /// The service can add resources at any time. An unknown one is kept; match it by
    /// [`as_str`](Resource::as_str):
    ///
    /// ```
    /// use webex_events::Resource;
    ///
    /// assert_eq!(Resource::from("messages"), Resource::Messages);
    /// let new = Resource::from("whiteboards");
    /// match new {
    ///     Resource::Messages => unreachable!(),
    ///     ref other if other.as_str() == "whiteboards" => {}
    ///     _ => unreachable!(),
    /// }
    /// assert_eq!(new.to_string(), "whiteboards");
    /// ```
    Resource {
        /// A card was submitted:
        AttachmentActions = "attachmentActions",
        /// A business text message:
        BusinessTexts = "businessTexts",
        /// A call ended:
        CallRecords = "call_records",
        /// A recording of a call or meeting; listing them needs `serviceType=calling`:
        ConvergedRecordings = "convergedRecordings",
        /// A preview of a file was shown:
        FileTranscodings = "file_transcodings",
        /// A file was downloaded:
        Files = "files",
        /// A message in a meeting:
        MeetingMessages = "meetingMessages",
        /// A transcript of a meeting:
        MeetingTranscripts = "meetingTranscripts",
        /// A meeting:
        Meetings = "meetings",
        /// A person's membership of a room:
        Memberships = "memberships",
        /// A message in a room:
        Messages = "messages",
        /// A room:
        Rooms = "rooms",
        /// A tab of a room:
        Tabs = "tabs",
    }
}

open_enum! {
    /// The type of an event: the `type` of a list and of each event.
    ///
    /// Open like [`Resource`]: a type that this version doesn't know is kept.
    ///
    /// ```
    /// use webex_events::EventType;
    ///
    /// assert_eq!("deleted".parse(), Ok(EventType::Deleted));
    /// assert_eq!(EventType::from("archived").as_str(), "archived");
    /// ```
    EventType {
        /// Something was created:
        Created = "created",
        /// Something was changed:
        Updated = "updated",
        /// Something was deleted:
        Deleted = "deleted",
        /// A meeting ended:
        Ended = "ended",
        /// A file was downloaded or previewed:
        Read = "read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_survive_a_round_trip() {
        for resource in Resource::KNOWN {
            assert_eq!(&Resource::from(resource.as_str()), resource);
            assert!(!matches!(Resource::from(resource.as_str()), Resource::Unknown(_)));
        }
        for event_type in EventType::KNOWN {
            assert_eq!(&event_type.to_string().parse::<EventType>().unwrap(), event_type);
        }
        assert_eq!((Resource::KNOWN.len(), EventType::KNOWN.len()), (13, 5));
    }

    #[test]
    fn an_unknown_name_is_kept_in_its_own_case() {
        let name = Resource::from("Messages".to_owned());
        assert_ne!(name, Resource::Messages);
        assert_eq!(serde_json::to_string(&name).unwrap(), r#""Messages""#);
        assert_eq!(serde_json::from_str::<Resource>(r#""Messages""#).unwrap(), name);
    }
}
