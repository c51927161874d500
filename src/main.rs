//! The words of the command line; what they do is in `ringfence::commands`.

use clap::{Parser, Subcommand};
use ringfence::authenticate::Role;
use ringfence::authenticate::keys::users::UserName;
use ringfence::commands::backtest::BacktestArgs;
use ringfence::commands::fit::FitArgs;
use ringfence::commands::ingest::IngestArgs;
use ringfence::commands::screen::ScreenArgs;
use ringfence::commands::{self, ConfigArgs, Failure};
use ringfence::demo::{self, DemoArgs};
use ringfence::normalise::Format;
use ringfence::pipeline::Chain;
use std::path::PathBuf;
use std::process::ExitCode;

/// The service makes and drops many small values per webhook; this allocator does that at
/// less than half the cost of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Card-linked offers and fraud screening: signed card webhooks in, cashback out, in books
/// that balance. Without a command: the demo.
#[derive(Debug, Parser)]
#[command(version)]
struct Words {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A town's day of card traffic against a service of its own, with the books proved at the end.
    Demo(DemoArgs),
    /// The service.
    Serve(ConfigArgs),
    /// Says what is wrong with the configuration and the store; exit 1 when something is.
    Check(ConfigArgs),
    /// Proves the books from the journal alone; exit 1 on any difference. Stop the service first.
    Audit {
        #[command(flatten)]
        config: ConfigArgs,
        /// Journals to read, in place of the configured one; several are one book.
        #[arg(long, num_args = 1..)]
        journal: Vec<PathBuf>,
        /// Seed of the shuffled order in which members are decided again.
        #[arg(long)]
        seed: Option<u64>,
        /// One JSON document in place of the table.
        #[arg(long)]
        json: bool,
    },
    /// Replays the journals of a stopped service into an empty store and compares the books.
    Migrate {
        #[command(flatten)]
        config: ConfigArgs,
        /// Journals to read, in place of the configured one: all of the processes that shared a store.
        #[arg(long, num_args = 1..)]
        journal: Vec<PathBuf>,
        /// The empty store: embedded:PATH, redis://HOST:PORT or redis-cluster://HOST:PORT,HOST:PORT.
        #[arg(long, value_name = "STORE")]
        to: String,
        /// Empty folder for the one journal that an embedded store goes on with, where there are several.
        #[arg(long, value_name = "FOLDER")]
        into: Option<PathBuf>,
    },
    /// What samples of a network's messages come to, and whether that is as expected.
    Conformance {
        /// Whose words single files speak; of a folder, the only format looked at.
        #[arg(long)]
        format: Option<Format>,
        /// Folders of FORMAT/NAME.json with NAME.expected.json beside each, or single files.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// API keys.
    Keys {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(subcommand)]
        what: Keys,
    },
    /// Users of the consoles.
    Users {
        #[command(flatten)]
        config: ConfigArgs,
        #[command(subcommand)]
        what: Users,
    },
    /// Takes a source's messages from a file, one JSON document per line, by your authority in
    /// place of a signature. What was taken before counts once; exit 1 when lines were lost.
    Ingest(IngestArgs),
    /// Matches labelled statement texts to shops and prints precision and recall.
    Descriptors {
        #[command(flatten)]
        config: ConfigArgs,
        /// Texts: `descriptor,mcc,country,postcode,label,group`; the label is a location's id or `none`.
        #[arg(long, value_name = "FILE")]
        labelled: PathBuf,
        /// Shops: `id,merchant,name,city,postcode,country,mcc,store_numbers,descriptors`.
        #[arg(long, value_name = "FILE")]
        locations: PathBuf,
        /// In place of `matching.descriptor_confidence_min`. (0..1000)
        #[arg(long, value_parser = clap::value_parser!(u16).range(0..=1000))]
        threshold: Option<u16>,
        /// Also each text that was not matched as its label says.
        #[arg(long)]
        wrong: bool,
    },
    /// Scores every member of a network given as files: who belongs to a ring, and why.
    Screen(ScreenArgs),
    /// Fits the model that `screen --model` takes, from labels, and says how well it does on
    /// communities it has not seen.
    Fit(FitArgs),
    /// What another threshold, model or detector's version would have found in a period that is over,
    /// beside what reviews said. Reads the journals of a stopped service, or a copy; writes nothing.
    Backtest(BacktestArgs),
    /// Prints a curl command with a source's signature for a body (from FILE or stdin).
    Sign {
        #[command(flatten)]
        config: ConfigArgs,
        /// The source, as configured.
        #[arg(long)]
        source: String,
        /// The body.
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Makes a key; its secret is shown once.
    Create {
        /// operator, risk, merchant, app or auditor.
        #[arg(long)]
        role: Role,
        /// The merchant, for the role merchant.
        #[arg(long)]
        merchant: Option<String>,
        /// A note for people.
        #[arg(long)]
        label: Option<String>,
    },
    /// Lists keys.
    List,
    /// Revokes a key.
    Revoke {
        /// Its id, as listed.
        id: String,
    },
    /// Prints a sign-in to the console for a key's holder, good once and for ten minutes.
    Link {
        /// Its id, as listed.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
enum Users {
    /// Enters a user, and prints the link by which they choose their password.
    Add {
        /// 2 to 32 characters of a to z, 0 to 9, dots and dashes.
        name: UserName,
        /// operator, risk or merchant.
        #[arg(long)]
        role: Role,
        /// The merchant, for the role merchant.
        #[arg(long)]
        merchant: Option<String>,
    },
    /// Lists users.
    List,
    /// Prints a link by which a user comes in once and may choose a new password.
    Link {
        /// As listed.
        name: UserName,
    },
    /// Sets a user's password to the first line of stdin.
    Password {
        /// As listed.
        name: UserName,
    },
    /// Takes a user away.
    Remove {
        /// As listed.
        name: UserName,
    },
}

fn main() -> ExitCode {
    match run(Words::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ringfence: {}", Chain(failure.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(words: Words) -> Result<(), Failure> {
    match words.command {
        None => demo::run(DemoArgs::default()),
        Some(Command::Demo(args)) => demo::run(args),
        Some(Command::Serve(config)) => commands::serve::serve(&config),
        Some(Command::Check(config)) => commands::serve::check(&config),
        Some(Command::Conformance { format, paths }) => commands::conformance::conformance(format, &paths),
        Some(Command::Migrate { config, journal, to, into }) => {
            commands::migrate::migrate(&config, &journal, &to, into.as_deref())
        }
        Some(Command::Audit { config, journal, seed, json }) => commands::audit::audit(&config, &journal, seed, json),
        Some(Command::Keys { config, what }) => match what {
            Keys::Create { role, merchant, label } => commands::keys::create(&config, role, merchant, label),
            Keys::List => commands::keys::list(&config),
            Keys::Revoke { id } => commands::keys::revoke(&config, &id),
            Keys::Link { id } => commands::keys::link(&config, &id),
        },
        Some(Command::Users { config, what }) => match what {
            Users::Add { name, role, merchant } => commands::keys::add_user(&config, &name, role, merchant),
            Users::List => commands::keys::list_users(&config),
            Users::Link { name } => commands::keys::link_user(&config, &name),
            Users::Password { name } => commands::keys::set_password(&config, &name),
            Users::Remove { name } => commands::keys::remove_user(&config, &name),
        },
        Some(Command::Ingest(args)) => commands::ingest::ingest(&args),
        Some(Command::Descriptors { config, labelled, locations, threshold, wrong }) => {
            commands::descriptors::descriptors(&config, &labelled, &locations, threshold, wrong)
        }
        Some(Command::Screen(args)) => commands::screen::screen(&args),
        Some(Command::Fit(args)) => commands::fit::fit(&args),
        Some(Command::Backtest(args)) => commands::backtest::backtest(&args),
        Some(Command::Sign { config, source, file }) => commands::sign::sign(&config, &source, file.as_deref()),
    }
}
