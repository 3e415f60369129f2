//! `Follow`: the events of a list that has no end, as they come.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
    vec,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_core::{Stream, future::BoxFuture, stream::FusedStream};
use futures_util::StreamExt;

use super::{EventStream, Pages};
use crate::{
    checkpoint::Checkpoint,
    error::{Error, Result},
    event::Event,
    fetch::Shared,
    page::Page,
    query::ListEvents,
    stats::Stats,
};

/// How much text of new items a round may hold. Where there is more, it covers less time.
const ROUND_BYTES: usize = 12 << 20;
/// The service may or may not include the instants of `from` and `to`.
const MARGIN: TimeDelta = TimeDelta::milliseconds(1);

/// Events as they come, without end. Made by [`Client::follow`](crate::Client::follow).
///
/// It reads in rounds: from [`settle`](Self::settle) before the instant up to which everything was read, up
/// to now, which is what the service's own clock says (`Date`), never this machine's. It hands out what it
/// hasn't handed out before, oldest first within a round, and begins the next round
/// [`every`](Self::every) so often. Far behind, a round covers as much time as memory has room for, some
/// 12 MiB of events, and the next follows at once.
///
/// **What is handed out:** each event that arrives within `settle` of its creation, once; with the
/// same [`Checkpoint`] again, once more at most what came behind it. An event is known by its id.
/// A round is handed out when it has been read to its end, so that an error in its middle can neither skip
/// nor repeat anything.
///
/// The service's clock is taken at its word: so far as it is ahead, `settle` is shorter. Where answers have no
/// `Date`, the latest event tells the time.
///
/// A malformed item is an [`Error::Item`] ahead of its round's events, and the stream goes on; it is known by
/// its text, and given once for as long as rounds list it. Any other
/// error ends it, until [`resume`](Self::resume). A checkpoint that the service won't reach back to any
/// more is one of them: [`is_beyond_retention`](Error::is_beyond_retention).
///
/// # Cancel safety
///
/// Dropping a future of `next` loses nothing and repeats no request. Dropping the stream aborts what
/// is under way; a new one from its [`checkpoint`](Self::checkpoint) goes on. Nothing is spawned.
///
/// ```
/// # use futures::StreamExt;
/// # use webex_events::{Checkpoint, Client, Error, ListEvents, Result};
/// # fn store(_: &Checkpoint) {}
/// # async fn example(client: Client, stored: Checkpoint) -> Result<()> {
/// let mut events = client.follow(ListEvents::new(), stored);
/// while let Some(item) = events.next().await {
///     match item {
///         Ok(event) => {
///             println!("{}", event.raw());
///             store(&events.checkpoint());
///         }
///         Err(Error::Item(item)) => eprintln!("not an event: {}", item.raw()),
///         Err(error) if error.is_transient() => events.resume(),
///         Err(error) => return Err(error),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Follow {
    shared: Arc<Shared>,
    query: ListEvents,
    checkpoint: Checkpoint,
    every: Duration,
    settle: TimeDelta,
    /// How far behind the mark a round may reach, where that is less than up to now.
    span: Option<TimeDelta>,
    /// Where the service doesn't say what time it is: the latest event of a round that held too much.
    latest: Option<DateTime<Utc>>,
    state: State,
    /// Whether the latest round reached up to now.
    has_reached_now: bool,
    /// `None` was returned, and nothing has been resumed since.
    is_terminated: bool,
    /// Of the rounds that are over, and of all events.
    stats: Stats,
}

enum State {
    /// A round is to begin.
    Due,
    Reading(Box<Round>),
    Giving(Given),
    Waiting(BoxFuture<'static, ()>),
    /// An error was given. The round can go on if the error is one that passes.
    Failed(Option<Box<Round>>),
}

/// A round that is being read.
struct Round {
    pages: Pages,
    begun: Instant,
    /// Up to where, if not up to now.
    to: Option<DateTime<Utc>>,
    /// Whether there is a page.
    is_begun: bool,
    /// The service's time when it was requested the first page; where the answers to further pages come from
    /// a clock that is behind, that one's.
    served_at: Option<DateTime<Utc>>,
    events: Vec<Event>,
    malformed: Vec<Error>,
    /// Malformed items that were handed out by an earlier round.
    again: Vec<Box<str>>,
    bytes: usize,
}

/// What a round that was read to its end has to give.
struct Given {
    begun: Instant,
    malformed: vec::IntoIter<Error>,
    events: vec::IntoIter<Event>,
    /// Up to where it was read.
    end: DateTime<Utc>,
    /// What was created before this had arrived.
    horizon: DateTime<Utc>,
    reaches_now: bool,
}

impl Follow {
    pub(crate) fn new(shared: Arc<Shared>, query: ListEvents, checkpoint: Checkpoint) -> Self {
        Self {
            shared,
            query,
            checkpoint,
            every: Duration::from_secs(30),
            settle: TimeDelta::minutes(5),
            span: None,
            latest: None,
            state: State::Due,
            has_reached_now: false,
            is_terminated: false,
            stats: Stats::default(),
        }
    }

    /// How long after the beginning of a round the next one begins, once it has caught up. The default is
    /// 30 s.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// How late events may come: each round reads so much again. The default is 5 min.
    ///
    /// An event that arrives later than that after its creation is missed. How late the service's
    /// events come is undocumented.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = TimeDelta::from_std(settle).unwrap_or(TimeDelta::MAX);
        self
    }

    /// How far it has got: covers what was handed out and nothing else.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.checkpoint.clone()
    }

    /// How far it is behind: the time, by the service's clock, since the instant up to which everything
    /// was handed out. Before the first answer it goes by this machine's clock.
    #[must_use]
    pub fn lag(&self) -> Duration {
        let now = self.shared.service_time().unwrap_or_else(|| self.shared.clock.utc());
        (now - self.checkpoint.mark()).to_std().unwrap_or_default()
    }

    /// Whether everything has been handed out that there was up to the beginning of the latest round, and
    /// that one reached up to now. Not after an error.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.has_reached_now && !matches!(self.state, State::Giving(_) | State::Failed(_))
    }

    /// After an error, makes the next poll go on: with the page that failed, or, where that is gone,
    /// with the round from its beginning. Without one, does nothing.
    pub fn resume(&mut self) {
        if let State::Failed(round) = &mut self.state {
            self.is_terminated = false;
            self.state = match round.take() {
                Some(mut round) => {
                    round.pages.resume();
                    State::Reading(round)
                }
                None => State::Due,
            };
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        match &self.state {
            State::Reading(round) | State::Failed(Some(round)) => self.stats + round.cost(),
            _ => self.stats,
        }
    }

    fn begin(&self) -> Result<Round> {
        if self.query.has_end() {
            return Err(Error::query("a follower has no end: leave `to` out"));
        }
        let from = self.checkpoint.settled();
        let to = self.bound();
        let mut query = self.query.clone().from(from.checked_sub_signed(MARGIN).unwrap_or(from));
        if let Some(to) = to {
            query = query.to(to + MARGIN);
        }
        Ok(Round {
            pages: EventStream::list(Arc::clone(&self.shared), query).pages(),
            begun: self.shared.clock.now(),
            to,
            is_begun: false,
            served_at: None,
            events: Vec::new(),
            malformed: Vec::new(),
            again: Vec::new(),
            bytes: 0,
        })
    }

    /// Where the next round ends, if not with what there is: where that is known to be the past.
    fn bound(&self) -> Option<DateTime<Utc>> {
        let now = self.shared.service_time().or(self.latest)?;
        let to = self.checkpoint.mark().max(self.checkpoint.settled()).checked_add_signed(self.span?)?;
        // What is requested is rounded up.
        (to.checked_add_signed(MARGIN * 2)? < now).then_some(to)
    }

    /// How far a service has got, at the least, that doesn't say what time it is: up to its latest event. One that
    /// says that it is of the future says nothing.
    fn reached(&self, events: &[Event]) -> Option<DateTime<Utc>> {
        let now = self.shared.clock.utc();
        events.iter().map(Event::created).filter(|created| *created <= now).max().max(self.latest)
    }

    /// A round that holds too much is begun anew with less time to cover, unless there is none to spare.
    fn narrow(&mut self, round: &Round) -> bool {
        if round.bytes <= ROUND_BYTES || self.span.is_some_and(|span| span <= MARGIN) {
            return false;
        }
        let created = || round.events.iter().map(Event::created);
        self.latest = self.reached(&round.events);
        let Some(end) = round.to.or(round.served_at).or(self.latest) else { return false };
        // If the list has an order, as much time as was covered fits; if not, half of it may.
        let missing = end - self.checkpoint.mark();
        let covered =
            created().max().zip(created().min()).map_or(missing, |(newest, oldest)| newest - oldest);
        self.span = Some((covered.min(missing) / 2).max(MARGIN));
        self.bound().is_some_and(|bound| round.to.is_none_or(|to| bound < to))
    }

    /// The round was read to its end.
    fn give(&mut self, round: Round) -> Given {
        self.stats = self.stats + round.cost();
        if let (Some(span), true) = (self.span, round.bytes < ROUND_BYTES / 4) {
            self.span = span.checked_add(&span);
        }
        let Round { begun, to, served_at, mut events, malformed, again, .. } = round;
        events.sort_by_key(Event::created);
        let now = served_at.or_else(|| self.reached(&events)).unwrap_or(self.checkpoint.mark());
        let end = to.unwrap_or(now);
        for raw in again {
            self.checkpoint.note_malformed(&raw, end);
        }
        Given {
            begun,
            malformed: malformed.into_iter(),
            events: events.into_iter(),
            end,
            horizon: now.checked_sub_signed(self.settle).unwrap_or(DateTime::<Utc>::MIN_UTC),
            reaches_now: to.is_none(),
        }
    }

    /// The next item of the round, which is over with its last one.
    fn give_next(&mut self) -> Option<Result<Event>> {
        let State::Giving(given) = &mut self.state else { return None };
        let item = given.next(&self.checkpoint);
        match &item {
            Some(Ok(event)) => {
                self.checkpoint.note(event.created(), event.id());
                self.checkpoint.advance(event.created().min(given.end), given.horizon);
                self.stats.events += 1;
            }
            Some(Err(Error::Item(item))) => {
                self.checkpoint.note_malformed(item.raw(), given.end);
                self.stats.malformed += 1;
            }
            _ => {}
        }
        if given.is_empty() {
            self.checkpoint.close(given.end, given.horizon);
            self.has_reached_now = given.reaches_now;
            let passed = self.shared.clock.now().saturating_duration_since(given.begun);
            let wait = self.every.saturating_sub(passed);
            self.state = if given.reaches_now && !wait.is_zero() {
                State::Waiting(self.shared.clock.sleep(wait))
            } else {
                State::Due
            };
        }
        item
    }
}

impl Round {
    /// Takes in what is new of a page. `checkpoint` is where the round began.
    fn add(&mut self, page: Page, checkpoint: &Checkpoint) {
        self.served_at = match (self.is_begun, self.served_at, page.served_at) {
            (false, _, served_at) | (true, served_at, None) => served_at,
            (true, before, Some(served_at)) => before.map(|before| before.min(served_at)),
        };
        self.is_begun = true;
        let all = page.items.len();
        let mut events = Vec::new();
        for item in page {
            match item {
                Ok(event) => {
                    let created = event.created();
                    let is_within = created >= checkpoint.settled() && self.to.is_none_or(|to| created < to);
                    if is_within && !checkpoint.has(created, event.id()) {
                        events.push(event);
                    }
                }
                Err(Error::Item(item)) if checkpoint.has_malformed(item.raw()) => {
                    self.again.push(item.raw().into());
                }
                Err(error) => {
                    if let Error::Item(item) = &error {
                        self.bytes += item.raw().len();
                    }
                    self.malformed.push(error);
                }
            }
        }
        self.bytes += events.iter().map(|event| event.raw().len()).sum::<usize>();
        // A few events must not keep a page of old ones in memory.
        let is_sparse = events.len() < all / 2;
        self.events
            .extend(events.into_iter().map(|event| if is_sparse { event.into_owned() } else { event }));
    }

    /// What it has taken; its events count when they are handed out.
    fn cost(&self) -> Stats {
        Stats { events: 0, malformed: 0, ..self.pages.stats() }
    }
}

impl Given {
    fn next(&mut self, checkpoint: &Checkpoint) -> Option<Result<Event>> {
        if let Some(error) = self.malformed.next() {
            return Some(Err(error));
        }
        // The same event can stand in a list twice.
        self.events.find(|event| !checkpoint.has(event.created(), event.id())).map(Ok)
    }

    fn is_empty(&self) -> bool {
        self.malformed.len() == 0 && self.events.len() == 0
    }
}

impl Stream for Follow {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Due => match this.begin() {
                    Ok(round) => this.state = State::Reading(Box::new(round)),
                    Err(error) => {
                        this.state = State::Failed(None);
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                State::Reading(round) => {
                    let page = ready!(round.pages.poll_next_unpin(cx));
                    let State::Reading(mut round) = mem::replace(&mut this.state, State::Due) else {
                        continue;
                    };
                    match page {
                        Some(Ok(page)) => {
                            round.add(page, &this.checkpoint);
                            if this.narrow(&round) {
                                this.stats = this.stats + round.cost();
                            } else {
                                this.state = State::Reading(round);
                            }
                        }
                        Some(Err(error)) => {
                            if error.is_transient() {
                                this.state = State::Failed(Some(round));
                            } else {
                                this.stats = this.stats + round.cost();
                                this.state = State::Failed(None);
                            }
                            return Poll::Ready(Some(Err(error)));
                        }
                        None => this.state = State::Giving(this.give(*round)),
                    }
                }
                State::Giving(_) => {
                    if let Some(item) = this.give_next() {
                        return Poll::Ready(Some(item));
                    }
                }
                State::Waiting(wait) => {
                    ready!(wait.as_mut().poll(cx));
                    this.state = State::Due;
                }
                State::Failed(_) => {
                    this.is_terminated = true;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl FusedStream for Follow {
    fn is_terminated(&self) -> bool {
        self.is_terminated
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow")
            .field("mark", &self.checkpoint.mark())
            .field("is_caught_up", &self.is_caught_up())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
