//! The same for hours: thousands of kills of all kinds, with all faults together.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use fastrand::Rng;

use crate::{
    export, follow,
    job::{Job, Kind},
    seeds,
    signals::Stops,
    tally::Tally,
    weather::{Fault, Weather},
};

/// The number of concurrent jobs.
const WORKERS: u64 = 3;

/// The job of this seed, with more events than in the other tests, and all faults in every second one.
fn job(seed: u64) -> Job {
    let mut rng = Rng::with_seed(!seed);
    let weather = if rng.bool() { Weather::of(&Fault::ALL) } else { Weather::draw(&mut rng) };
    let events = rng.usize(300..3000);
    let has_lists = rng.u8(0..4) == 0;
    let job = match seed % 3 {
        0 => export::job(Kind::Folder, seed, weather, events),
        1 => export::job(Kind::File, seed, weather, events),
        _ => follow::job(seed, weather, events),
    };
    if has_lists { job.split() } else { job }
}

/// Uses one seed after another until there were enough kills.
fn work(next: &AtomicU64, tallies: &Mutex<(Tally, Stops)>, kills: usize) {
    loop {
        let seed = next.fetch_add(1, Relaxed);
        let (mut tally, mut stops) = (Tally::default(), Stops::default());
        let mut job = job(seed);
        let most = job.rng.usize(1..30);
        if job.rng.u8(0..5) == 0 {
            job.obey(most, &mut stops);
        } else {
            let span = job.rng.u64(2..60);
            job.survive(most, span, &mut tally);
        }
        let mut all = tallies.lock().unwrap();
        all.0.add(&tally);
        all.1.add(&stops);
        if seed.is_multiple_of(20) {
            eprintln!("{:?}\n{:?}", all.0, all.1);
        }
        if all.0.kills >= kills {
            return;
        }
    }
}

#[test]
#[ignore = "it takes minutes: KILLS is the number of kills, and KILLS_SEED the first seed"]
fn soak() {
    let kills = seeds::kills(3000);
    let next = AtomicU64::new(seeds::first());
    let tallies = Mutex::new((Tally::default(), Stops::default()));
    let began = Instant::now();
    thread::scope(|scope| {
        let worker = || work(&next, &tallies, kills);
        let start =
            |_| thread::Builder::new().name("soak::soak".to_owned()).spawn_scoped(scope, worker).unwrap();
        let workers: Vec<_> = (0..WORKERS).map(start).collect();
        for worker in workers {
            worker.join().unwrap();
        }
    });
    let (tally, stops) = tallies.into_inner().unwrap();
    eprintln!("{stops:?}, in {} s", began.elapsed().as_secs());
    tally.assert(kills);
}
