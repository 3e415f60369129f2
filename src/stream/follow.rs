//! `Follow`: the events of a list that has no end.
//!
//! A follower reads in rounds. Each round is a list of its own, and these are the instants that it knows:
//!
//! ```text
//!              settle                              every
//!      ┌───────────────────────┐              ┌──────────────┐
//!   settled                 horizon         mark            now
//! ─────┼───────────────────────┼──────────────┼──────────────┼──────▶ created
//!      │ read again by each round; ids are remembered        │
//!      ╰──────────────── range of the next round ────────────╯
//! ```
//!
//! - **now** is the time at which the service read the data of the first page: the earliest of what its `Date`, the
//!   service's time believed so far (`service_clock.rs`) and this machine's time of day say. A `now` that is too early
//!   costs a repetition, which the remembered ids remove. One that is too late costs events, and needs two wrong clocks.
//!   While the clocks disagree there is no `now`: events are yielded and remembered, and no instant moves.
//! - **mark**: the events created before it have been yielded, as far as they had arrived. It moves to `now` (or to the
//!   upper bound of a shorter round) when a round has been read to its last page, and during the last part of a round
//!   from event to event, since they are yielded oldest first.
//! - **horizon** is `now − settle`: no event arrives more than `settle` after its creation. It belongs to the round and
//!   counts from the *beginning* of its list, because an event that arrives while the round is read may be missing in it.
//! - **settled** is the earlier of horizon and mark, and never moves back. The next round begins here. An id is forgotten
//!   when its event lies before it, because no round lists that event again. (The drawing shows it before the horizon,
//!   where it is until the round closes.)
//!
//! **Memory.** The order of a list is unknown, and a round is yielded oldest first, so it must be held until its last
//! page. There are two limits. If the events *before* the horizon are more than [`BACKLOG_BYTES`](round::BACKLOG_BYTES), the follower is far
//! behind: the round restarts with a span that fits, and the next ones follow immediately. A smaller span cannot
//! reduce the events after the horizon, since every round reads those again; they are yielded in parts of
//! [`PART_BYTES`], which needs no further request, and ids keep the parts apart.
//!
//! **Seams.** The end of a round with an upper bound is requested later by a margin, and the next round begins earlier by
//! it, because the service may select by another time than `created`, and may or may not include its bounds.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_core::{Stream, stream::FusedStream};
use futures_util::StreamExt;

use self::{
    handout::{AfterHandout, Handout},
    progress::FollowProgress,
    round::{FollowRound, OutsideEvents, PART_BYTES, RoundBounds, RoundEnd},
    span::{MARGIN, RoundSpan},
    state::{Confirmation, FollowState},
};
use super::EventStream;
use crate::{
    checkpoint::Checkpoint,
    error::{Error, Result},
    event::Event,
    fetch::Shared,
    page::Page,
    query::ListEvents,
    retry::ResumeBackoff,
    service_clock::TOLERANCE,
    stats::Stats,
    timer::Timer,
};

mod handout;
mod progress;
mod round;
mod span;
mod state;

/// Number of requests that follow a round immediately if the clocks disagree: with the first page, three responses.
const CONFIRMING_REQUESTS: u8 = 2;

/// The events of a query, without end, as they arrive. Made by [`Client::follow`](crate::Client::follow).
///
/// It reads in rounds: from [`settle`](Self::settle) before the instant up to which everything was read, up to now. It
/// yields the events that it has not yielded before, oldest first within a round, and starts the next round after
/// [`every`](Self::every). If it is far behind, a round covers as much time as fits into memory (about 12 MiB of
/// events), and the next one follows immediately. If more than 24 MiB of events arrive within `settle`, the round is
/// yielded in parts, each oldest first.
///
/// **Guarantee:** each event that arrives within `settle` of its creation is yielded once, and after a restart from a
/// stored [`Checkpoint`] only the events after that checkpoint are yielded again. An event is recognized by its id, even
/// if the service lists it again with another `created`. A round is yielded when it has been read to its end (or a part
/// of it), so that an error in its middle neither skips nor repeats anything.
///
/// # Clocks
///
/// An instant counts as read only if two clocks support it. It is never later than this machine's UTC time, nor than
/// the service's `Date`. A `Date` that deviates by more than a minute from the service's time so far (the first one: from
/// this machine's clock) is believed when three responses agree on it; the follower makes up to two further requests
/// immediately to find out. While they do not agree, events are yielded, but [`lag`](Self::lag) grows. As a result:
///
/// - a single wrong `Date`, and a `Date` that is constantly wrong, lose nothing;
/// - a machine whose clock is slow costs re-reading: each round reads again from `settle` before this machine's time, and
///   the ids of that time are remembered. `lag` is at least the time by which the clock is slow;
/// - only if both clocks are ahead, `settle` is shorter by the smaller of the two errors;
/// - a checkpoint that lies more than a minute ahead of the service's time, on which three responses agree, is
///   [`Error::Clock`], at the start and later. One that lies less ahead is waited for.
///
/// Clocks that differ by more than a minute are reported once, as a warning of `tracing`. If the responses have no
/// `Date`, the latest event tells the time, but none that is later than this machine's.
///
/// # Other items
///
/// A malformed item is an [`Error::Item`] before the events of its round, and the stream continues. It is recognized by
/// its bytes, and yielded once for as long as rounds list it. An event that the service lists although it was created more
/// than a minute before the requested range is not yielded, but counted ([`Stats::outside`]) and reported as a warning.
/// Any other error ends the stream, until [`resume`](Self::resume). A checkpoint that is older than the service's
/// retention is one of those: [`is_beyond_retention`](Error::is_beyond_retention).
///
/// # Cancel safety
///
/// Dropping a future of `next` loses nothing and repeats no request. Dropping the stream aborts everything in flight; a
/// new one continues from its [`checkpoint`](Self::checkpoint). No task is spawned.
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
    progress: FollowProgress,
    every: Duration,
    settle: TimeDelta,
    span: RoundSpan,
    /// The upper bound of the last round, if it had one. It may lie after the mark while the clocks disagree.
    position: Option<DateTime<Utc>>,
    /// The latest event, for a service that does not tell the time.
    latest: Option<DateTime<Utc>>,
    state: FollowState,
    /// The last round reached up to now.
    has_reached_now: bool,
    /// The beginning of the last round up to now on whose end the clocks agreed.
    agreed_at: Instant,
    outside: OutsideEvents,
    /// The wait before a round that begins again after an error. A round that continues has its own.
    backoff: ResumeBackoff,
    /// `None` was returned, and nothing has been resumed since.
    is_terminated: bool,
    /// The work of the rounds that are over, and of all items.
    stats: Stats,
}

impl Follow {
    pub(crate) fn new(shared: Arc<Shared>, query: ListEvents, checkpoint: Checkpoint) -> Self {
        let agreed_at = shared.clock.now();
        Self {
            shared,
            query,
            progress: FollowProgress::new(checkpoint),
            every: Duration::from_secs(30),
            settle: TimeDelta::minutes(5),
            span: RoundSpan::default(),
            position: None,
            latest: None,
            state: FollowState::Due,
            has_reached_now: false,
            agreed_at,
            outside: OutsideEvents::default(),
            backoff: ResumeBackoff::default(),
            is_terminated: false,
            stats: Stats::default(),
        }
    }

    /// Sets the time from the beginning of a round to the beginning of the next one, once the follower has caught up.
    /// The default is 30 s.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Sets how late events may arrive: each round reads this much time again. The default is 5 min.
    ///
    /// An event that arrives later than that after its creation is missed. The service does not document how late
    /// events arrive.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = TimeDelta::from_std(settle).unwrap_or(TimeDelta::MAX);
        self
    }

    /// The position after the last item that was yielded: it covers the items that were yielded and nothing else.
    ///
    /// It shares its memory with the follower, so taking one after each event is cheap.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.progress.checkpoint().clone()
    }

    /// The time since the instant up to which everything was yielded, by the service's clock.
    ///
    /// It is measured from the last service time that was believed, by the monotonic clock, and so grows while the
    /// clocks disagree, while an [`Error::Clock`] lasts, and while no round comes to its end. Before any time is
    /// believed it goes by this machine's clock or by the service's, whichever is later.
    #[must_use]
    pub fn lag(&self) -> Duration {
        let at = self.shared.clock.now();
        let now = self.shared.response_stats.service_time(at).unwrap_or_else(|| {
            let utc = self.shared.clock.utc();
            self.shared.response_stats.claimed_time(at).map_or(utc, |claimed| claimed.max(utc))
        });
        let since_mark = (now - self.progress.mark()).to_std().unwrap_or_default();
        since_mark.max(at.saturating_duration_since(self.agreed_at))
    }

    /// Returns whether the latest round reached up to now and all of its events have been yielded.
    /// False after an error.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        use FollowState::{Failed, Failing, HandingOut};
        self.has_reached_now && !matches!(self.state, HandingOut(_) | Failing(_) | Failed(_))
    }

    /// Continues after an error: the next poll requests the page that failed again or, where that is gone, starts the
    /// round from its beginning. It waits first, as after [`EventStream::resume`], and longer while failures repeat, so
    /// that a loop that resumes after every transient error can't spin. Without an error it does nothing.
    pub fn resume(&mut self) {
        self.is_terminated &= !self.state.resume();
    }

    /// The work so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats + self.state.cost()
    }

    /// The instant up to which has been read, whether or not the clocks let the mark move there.
    fn read_up_to(&self) -> DateTime<Utc> {
        let mark = self.progress.mark().max(self.progress.checkpoint().settled());
        self.position.map_or(mark, |position| position.max(mark))
    }

    fn begin(&self) -> Result<FollowRound> {
        if self.query.has_end() {
            return Err(Error::query("a follower has no end: leave `to` out"));
        }
        let began_utc = self.shared.clock.utc();
        // The service may refuse a range of the future, and then would tell only the time.
        let from = self.progress.checkpoint().settled().min(self.shared.service_time().unwrap_or(began_utc));
        let from = from.checked_sub_signed(MARGIN).unwrap_or(from);
        let to = self.span.bound(self.read_up_to(), self.horizon());
        let mut query = self.query.clone().from(from);
        if let Some(to) = to {
            query = query.to(to.checked_add_signed(self.span.seam()).unwrap_or(to));
        }
        let pages = EventStream::list(Arc::clone(&self.shared), query).pages();
        Ok(FollowRound { from, to, ..FollowRound::new(pages, self.shared.clock.now(), began_utc) })
    }

    /// The instant before which all events have arrived, by the service's time or its events.
    fn horizon(&self) -> Option<DateTime<Utc>> {
        let now = self.shared.service_time().or(self.latest)?;
        now.checked_sub_signed(self.settle.max(MARGIN))
    }

    /// Limits the span if a round holds too much that a smaller one would leave out. Returns true if the round must
    /// restart.
    fn narrow(&mut self, round: &FollowRound) -> bool {
        if !self.span.is_exceeded(round) {
            return false;
        }
        self.learn_latest(round);
        let now = round.first.map(|first| first.earliest.min(first.utc));
        let Some(end) = round.to.or(now).or(self.latest) else { return false };
        let narrowed = RoundSpan::narrowed(round, self.read_up_to(), end, self.horizon());
        narrowed.map(|span| self.span = span).is_some()
    }

    fn learn_latest(&mut self, round: &FollowRound) {
        self.latest = round.latest(&round.events).max(self.latest);
    }

    /// Takes in a page, and decides what follows.
    fn take(&mut self, mut round: Box<FollowRound>, page: Page) -> FollowState {
        let position = self.read_up_to();
        round.add(page, &mut self.progress, &mut self.outside, self.settle, position);
        if self.narrow(&round) {
            self.stats = self.stats + round.cost();
            return FollowState::Due;
        }
        if round.bytes <= PART_BYTES {
            return FollowState::Reading(round);
        }
        self.learn_latest(&round);
        let (malformed, events) = round.take_part();
        let listed_up_to = self.end_of(&round).listed_up_to(self.progress.checkpoint());
        FollowState::HandingOut(Box::new(Handout::new(
            malformed,
            events,
            listed_up_to,
            AfterHandout::Read(round),
        )))
    }

    /// The round was read to its last page. Hands it out, if the clocks agree or up to `left` responses more don't help.
    fn confirm(&mut self, round: Box<FollowRound>, left: u8) -> FollowState {
        let clocks = &self.shared.response_stats;
        let at = self.shared.clock.now();
        let is_ahead =
            self.ahead_of(clocks.service_time(at)).is_some() && clocks.confirmed_time(at).is_none();
        if left == 0 || !(is_ahead || self.end_of(&round).is_doubtful) {
            return FollowState::HandingOut(Box::new(self.finish(*round)));
        }
        let query = self.query.clone().from(round.from).page_size(1);
        let pages = EventStream::list(Arc::clone(&self.shared), query).pages();
        FollowState::Confirming(Box::new(Confirmation { round, pages, left: left - 1 }))
    }

    /// The time by which the mark is ahead of a time, if that is more than clocks may differ.
    fn ahead_of(&self, time: Option<DateTime<Utc>>) -> Option<TimeDelta> {
        Some(self.progress.mark() - time?).filter(|ahead| *ahead > TOLERANCE)
    }

    /// The round was read, and no further confirming request is allowed.
    fn finish(&mut self, round: FollowRound) -> Handout {
        self.stats = self.stats + round.cost();
        self.learn_latest(&round);
        let end = self.end_of(&round);
        self.span.widen(&round);
        let listed_up_to = end.listed_up_to(self.progress.checkpoint());
        for item in round.repeated {
            self.progress.note_malformed(item, listed_up_to);
        }
        Handout::new(round.malformed, round.events, listed_up_to, AfterHandout::Close(end))
    }

    fn end_of(&self, round: &FollowRound) -> RoundEnd {
        round.end(&self.shared.response_stats, self.latest, self.settle, self.span.seam())
    }

    /// The next item of a round, which is over with its last one.
    fn next_item(&mut self) -> Option<Result<Event>> {
        let FollowState::HandingOut(handout) = &mut self.state else { return None };
        let item = handout.next(&mut self.progress);
        match &item {
            Some(Ok(_)) => self.stats.events += 1,
            Some(Err(_)) => self.stats.malformed += 1,
            None => {}
        }
        if handout.is_empty()
            && let FollowState::HandingOut(handout) = mem::replace(&mut self.state, FollowState::Due)
        {
            self.state = match handout.then {
                AfterHandout::Read(round) => FollowState::Reading(round),
                AfterHandout::Close(end) => self.close(end),
            };
        }
        item
    }

    fn failed(&mut self, error: Error, round: Option<Box<FollowRound>>) -> Error {
        if round.is_none() {
            self.backoff.fail(&error, &self.shared.retry, &*self.shared.clock);
        }
        self.state = FollowState::Failed(round);
        error
    }

    /// Moves mark and settled to the end of a round, and decides what follows.
    fn close(&mut self, end: RoundEnd) -> FollowState {
        if let Some(RoundBounds { end, horizon }) = end.bounds {
            self.progress.advance(end, horizon);
        }
        self.progress.forget_settled();
        self.position = end.to;
        self.has_reached_now = end.to.is_none();
        if end.to.is_some() {
            return FollowState::Due;
        }
        let at = self.shared.clock.now();
        let clocks = &self.shared.response_stats;
        if let Some(ahead) = self.ahead_of(clocks.confirmed_time(at)) {
            return FollowState::Failing(Error::Clock { ahead: ahead.to_std().unwrap_or_default() });
        }
        self.backoff.succeed();
        if !end.is_doubtful && self.ahead_of(clocks.service_time(at)).is_none() {
            self.agreed_at = end.began;
        }
        let wait = self.every.saturating_sub(at.saturating_duration_since(end.began));
        if wait.is_zero() { FollowState::Due } else { FollowState::Waiting(Timer::new(at, wait)) }
    }
}

impl Stream for Follow {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                FollowState::Due => {
                    let begun = match ready!(this.backoff.poll(&*this.shared.clock, cx)) {
                        Ok(waited) => {
                            this.stats.waited = this.stats.waited.saturating_add(waited);
                            this.begin()
                        }
                        Err(error) => Err(error),
                    };
                    match begun {
                        Ok(round) => this.state = FollowState::Reading(Box::new(round)),
                        Err(error) => return Poll::Ready(Some(Err(this.failed(error, None)))),
                    }
                }
                FollowState::Reading(round) => {
                    let page = ready!(round.pages.poll_next_unpin(cx));
                    let FollowState::Reading(round) = mem::replace(&mut this.state, FollowState::Due) else {
                        continue;
                    };
                    match page {
                        Some(Ok(page)) => this.state = this.take(round, page),
                        None => this.state = this.confirm(round, CONFIRMING_REQUESTS),
                        Some(Err(error)) => {
                            let round = if error.is_transient() {
                                Some(round)
                            } else {
                                this.stats = this.stats + round.cost();
                                None
                            };
                            return Poll::Ready(Some(Err(this.failed(error, round))));
                        }
                    }
                }
                FollowState::Confirming(confirmation) => {
                    let page = ready!(confirmation.pages.poll_next_unpin(cx));
                    let FollowState::Confirming(confirmation) =
                        mem::replace(&mut this.state, FollowState::Due)
                    else {
                        continue;
                    };
                    let Confirmation { round, pages, left } = *confirmation;
                    this.stats = this.stats + Stats { pages: 0, events: 0, malformed: 0, ..pages.stats() };
                    // An error is one of the next round too. The round that was read does not need the response.
                    this.state = this.confirm(round, if matches!(page, Some(Ok(_))) { left } else { 0 });
                }
                FollowState::HandingOut(_) => {
                    if let Some(item) = this.next_item() {
                        return Poll::Ready(Some(item));
                    }
                }
                FollowState::Waiting(timer) => {
                    let waited = ready!(timer.poll(&*this.shared.clock, cx));
                    this.state = FollowState::Due;
                    if let Err(error) = waited {
                        return Poll::Ready(Some(Err(this.failed(error, None))));
                    }
                }
                FollowState::Failing(_) => {
                    if let FollowState::Failing(error) = mem::replace(&mut this.state, FollowState::Due) {
                        return Poll::Ready(Some(Err(this.failed(error, None))));
                    }
                }
                FollowState::Failed(_) => {
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
            .field("mark", &self.progress.mark())
            .field("is_caught_up", &self.is_caught_up())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
