//! Load, bounds and capacity: what the service does, how fast, beside how fast the least of it
//! could be. Every run ends with proof that what was fast was also right.

mod bounds;
mod console;
mod cpu;
mod curve;
mod descriptors;
mod disk;
mod drive;
mod fault;
mod figures;
mod graph;
mod language;
mod matching;
mod members;
mod normalising;
mod pages;
mod random;
mod screening;
mod server;
mod shared;
mod stage;
mod town;
mod traffic;
mod webhooks;

use bounds::Bound;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The bounds allocate as the service does, or the ratios would measure allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Ringfence
#[derive(Debug, Parser)]
#[command(version)]
struct Main {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A mix of signed webhooks on schedule, latency from the intended time, then the proof of the books
    Webhooks(webhooks::Args),
    /// Server CPU time per webhook, ours beside the bounds
    Cpu(cpu::Args),
    /// Crediting on disk: the most per second, webhooks per sync, latency at half the most, beside the bound
    Disk(disk::Args),
    /// Bytes on disk and in memory of a member with a card, and the time of restarts
    Members(members::Args),
    /// Time of a match in a catalogue of millions, and the memory of its index
    Match(matching::Args),
    /// Time of matching a statement text among a million shops, and the memory of that index
    Descriptors(descriptors::Args),
    /// Time to decide twenty offers with conditions over history for a member with two hundred purchases
    Language(language::Args),
    /// Time to read each format's samples, per event, beside what is enough
    Normalise(normalising::Args),
    /// Time and memory of the whole-graph algorithms on a drawn network, other libraries beside
    Graph(graph::Args),
    /// Screening as records come: time of each, the most per second, memory, and a whole pass
    Screening(screening::Args),
    /// Rings of growing camouflage and honest circles, day by day: what is flagged in time, and who is held
    Town(curve::Args),
    /// A crediting webhook on a Redis: CPU there and here beside the embedded store, commands, memory
    Shared(shared::Args),
    /// The first byte of every page of the consoles while webhooks are served, and what each reads at most
    Console(console::Args),
    #[command(hide = true)]
    ServeBare(bounds::Args),
    #[command(hide = true)]
    ServeRead(bounds::Args),
    #[command(hide = true)]
    ServeAppend(bounds::Args),
}

fn main() -> ExitCode {
    let done = match Main::parse().what {
        What::Webhooks(args) => webhooks::run(&args),
        What::Cpu(args) => cpu::run(&args),
        What::Disk(args) => disk::run(&args),
        What::Shared(args) => shared::run(&args),
        What::Console(args) => console::run(&args),
        What::Screening(args) => screening::run(&args),
        What::Town(args) => curve::run(&args),
        What::Members(args) => members::run(&args),
        What::Match(args) => {
            matching::run(&args);
            Ok(())
        }
        What::Descriptors(args) => {
            descriptors::run(&args);
            Ok(())
        }
        What::Language(args) => {
            language::run(&args);
            Ok(())
        }
        What::Normalise(args) => normalising::run(&args),
        What::Graph(args) => graph::run(&args),
        What::ServeBare(args) => bounds::serve(Bound::Bare, &args),
        What::ServeRead(args) => bounds::serve(Bound::Read, &args),
        What::ServeAppend(args) => bounds::serve(Bound::Append, &args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("failed: {fault}");
            ExitCode::FAILURE
        }
    }
}
