//! `ringfence demo`: the main job on a fresh machine with nothing installed. A seeded town
//! and a day of its card traffic against a real service in this process: embedded store in
//! a temporary folder, HTTP, real signatures; and at the end the books, proved.
//!
//! [`town`], [`traffic`] and [`regulars`] are pure and know no engine; [`houses`] runs the ten
//! programmes of `config/programmes/` in the town; [`poster`] knows only HTTP;
//! [`books`] compares the two sides; [`summary`] tells it.

pub mod books;
pub mod circles;
mod course;
pub mod day;
pub mod dialect;
pub mod houses;
pub mod poster;
pub mod regulars;
pub mod stage;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod town;
pub mod traffic;

use crate::app::App;
use crate::clock::Clock;
use crate::commands::Failure;
use crate::domain::{MemberId, Timestamp};
use crate::{telemetry, wire};
use circles::Circles;
use indicatif::{ProgressBar, ProgressStyle};
use poster::Poster;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use regulars::Regulars;
use stage::{Folder, Secrets};
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use summary::{Style, Told, grouped, rate};
use town::{Town, TownOffer};

/// What can be said about the demo.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct DemoArgs {
    /// Leave at the end instead of serving until Ctrl-C.
    #[arg(long)]
    pub exit: bool,
    /// The same seed makes the same town and the same day.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// People in the town.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub members: u32,
    /// Webhooks of the day, roughly.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub events: u32,
}

impl Default for DemoArgs {
    fn default() -> Self {
        Self { exit: false, seed: 7, members: 1_000, events: 20_000 }
    }
}

/// Runs the demo.
///
/// # Errors
/// When something could not be done, or is not proved: the summary says what.
pub fn run(args: DemoArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let signal = wire::shutdown_signal()?;
        // Before all else, so that it is dropped after all else.
        let folder = Folder::make()?;
        let mut signal = std::pin::pin!(signal);
        tokio::select! {
            done = play(args, &folder) => {
                let (stage, proved) = done?;
                if !args.exit {
                    stage.serve_on(&folder, signal.as_mut()).await?;
                }
                stage.stop().await?;
                if proved { Ok(()) } else { Err("not everything is proved: see above".into()) }
            }
            name = signal.as_mut() => Err(format!("interrupted ({name})").into()),
        }
    })
}

/// A service that plays its part.
struct Stage {
    doors: Arc<crate::api::Doors>,
    address: std::net::SocketAddr,
    secrets: Secrets,
    clock: Clock,
    town: Town,
    stop: tokio::sync::oneshot::Sender<()>,
    server: tokio::task::JoinHandle<Result<wire::Stopped, crate::engine::EngineError>>,
}

async fn play(args: DemoArgs, folder: &Folder) -> Result<(Stage, bool), Failure> {
    let begun = Instant::now();
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    // The day before yesterday: all of it is over everywhere, the night's clearings too, and
    // what is held for no days can be paid today.
    let today = Clock::Machine.now().day();
    let mut town = Town::build(&mut rng, usize::try_from(args.members)?);
    let mut day = traffic::generate(&town, &mut rng, today - 2, usize::try_from(args.events)?);
    let circles = Circles::draw(&town, args.seed, day.start);

    let secrets = Secrets::draw()?;
    let settings = stage::settings(folder.path(), &secrets)?;
    let houses = houses::all(day.start)?;
    telemetry::init_logging(settings.log.level, settings.log.format)?;
    let clock = Clock::manual(day.start);
    let app = App::start(&settings, clock.clone(), None).await?;
    let (doors, address) = (Arc::clone(&app.doors), app.address());
    let engine = Arc::clone(&doors.engine);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(app.serve(async {
        // A sender that is gone says stop as well.
        let _ = stopped.await;
    }));
    let kept_out =
        |member: &MemberId, offer: &TownOffer| engine.policy.held_out(member, &offer.id, offer.terms.holdout_percent);
    let regulars = Regulars::join(&mut town, &mut day, &houses, &kept_out);
    stage::enter(&engine, &town, &houses, &regulars, day.start).await?;
    let poster = Arc::new(Poster::new(address, &secrets, clock.clone())?);
    let key = stage::operator_key(&doors.keys, clock.now())?;
    for said in circles.said.iter().chain([&regulars.said, &regulars.signals]) {
        poster.tell(&key, said).await?;
    }
    stage::mark(&engine, day.start).await?;
    let shops = town.shops.len() + houses.iter().map(|house| house.shops.len()).sum::<usize>();
    let offers = town.offers.len() + houses.iter().map(|house| house.offers.len()).sum::<usize>();
    eprintln!(
        "ringfence serves on http://{address}; {} members, {shops} shops and {offers} offers entered in {} ms",
        grouped(town.people.len() as u64),
        begun.elapsed().as_millis()
    );

    let progress = Progress::begin(day.webhooks());
    let posting = Instant::now();
    let step = async |now: Timestamp| {
        progress.says(now);
        stage::mark(&engine, now).await
    };
    let bar = progress.bar.clone();
    let mut tally = poster.post_day(&day, step, move |count| bar.inc(count)).await?;
    let took = posting.elapsed();
    progress.end(took);

    clock.set(Timestamp::start_of_day(today));
    stage::mark(&engine, clock.now()).await?;
    let paid = books::pay_day(&engine, &town).await?;
    stage::spend(&engine, &regulars).await?;
    let who: Vec<usize> = paid.iter().map(|paid| paid.person).collect();
    clock.set(clock.now().plus_ms(600_000));
    let regrets = traffic::regrets(&town, &mut day, &who, clock.now());
    tally.add(&poster.post_all(&regrets, |_| {}).await?)?;
    clock.set(Clock::Machine.now());
    let books = books::gather(&engine, &town, paid, Timestamp::start_of_day(today)).await?;
    let flagged = books::flagged(&doors, &circles).await?;
    let mut proofs = books::prove(&town, &day, &tally, &books)?;
    proofs.push(books.programmes(&regulars));
    proofs.push(flagged.proof());
    proofs.push(books::audit(&settings).await?);
    let proved = proofs.iter().all(|proof| proof.holds);
    let told = Told {
        town: &town,
        houses: &houses,
        day: &day,
        tally: &tally,
        books: &books,
        flagged: &flagged,
        proofs: &proofs,
        took,
        seed: args.seed,
    };
    let style = Style { colours: std::io::stdout().is_terminal() };
    let text = told.text(style)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{text}\n  in {}.{} seconds, all told",
        begun.elapsed().as_secs(),
        begun.elapsed().subsec_millis() / 100
    )?;
    out.flush()?;
    Ok((Stage { doors, address, secrets, clock, town, stop, server }, proved))
}

impl Stage {
    /// Serves on, with a clock that goes as the machine's, until the signal.
    async fn serve_on(&self, folder: &Folder, signal: impl Future<Output = &'static str>) -> Result<(), Failure> {
        let clock = self.clock.clone();
        let follow = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                clock.set(Clock::Machine.now());
            }
        });
        let key = stage::operator_key(&self.doors.keys, Clock::Machine.now())?;
        let address = self.address.to_string();
        let config = stage::write_config(folder, &self.secrets, &address)?;
        let now = Clock::Machine.now();
        let (person, source, body) = traffic::one_more(&self.town, now).ok_or("nobody lives in this town")?;
        let body = folder.write("webhook.json", &body)?;
        let me = std::env::current_exe().map_or_else(|_| "ringfence".to_owned(), |path| path.display().to_string());
        let (config, body, source) = (config.display(), body.display(), town::SOURCES[source].name);
        let sign = format!("{me} sign --config {config} --source {source} {body} | sh");
        let once = stage::once(&self.doors.keys, &key, now)?;
        println!("{}", summary::next_steps(&address, (key.expose(), once.expose()), person, &sign));
        signal.await;
        follow.abort();
        Ok(())
    }

    async fn stop(self) -> Result<(), Failure> {
        drop(self.stop);
        self.server.await??;
        Ok(())
    }
}

/// How far the day has come, on stderr.
struct Progress {
    bar: ProgressBar,
    plain: bool,
    begun: Instant,
}

impl Progress {
    fn begin(webhooks: u64) -> Self {
        let bar = ProgressBar::new(webhooks);
        let template = "  {msg} [{bar:32}] {human_pos}/{human_len} webhooks, {per_sec}, {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, plain: !std::io::stderr().is_terminal(), begun: Instant::now() }
    }
    fn says(&self, now: Timestamp) {
        let local = now.local(&jiff::tz::TimeZone::UTC);
        self.bar.set_message(local.strftime("%a %H:%M UTC").to_string());
        if self.plain && self.bar.position() > 0 {
            self.line(self.begun.elapsed());
        }
    }
    fn line(&self, took: Duration) {
        let (posted, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        eprintln!("  {} of {} webhooks, {} per second", grouped(posted), grouped(all), grouped(rate(posted, took)));
    }
    fn end(&self, took: Duration) {
        self.bar.finish_and_clear();
        if self.plain {
            self.line(took);
        }
    }
}
