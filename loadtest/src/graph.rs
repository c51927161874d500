//! Time and memory of the whole-graph algorithms on a drawn network with skewed degrees, and of
//! other libraries on the same links in the same run (`--peers PYTHON`).

use crate::fault::{Fault, fault};
use crate::random::Random;
use clap::Parser;
use ringfence::commands::network_files::peak_memory_bytes;
use ringfence::graph::algorithms::components::components;
use ringfence::graph::algorithms::fraudar::blocks;
use ringfence::graph::algorithms::kcore::core_numbers;
use ringfence::graph::algorithms::louvain::louvain;
use ringfence::graph::algorithms::pagerank::pagerank;
use ringfence::graph::algorithms::propagation::labels;
use ringfence::graph::csr::Csr;
use std::hint::black_box;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Rounds of label propagation, and of PageRank.
const ROUNDS: usize = 20;
/// Members of each dense block that is hidden, and what each of them links.
const BLOCK: u32 = 200;

/// What to measure.
#[derive(Debug, Parser)]
pub struct Args {
    /// Nodes.
    #[arg(long, default_value_t = 1_000_000)]
    nodes: u32,
    /// Links.
    #[arg(long, default_value_t = 5_000_000)]
    links: u32,
    /// Threads, ours where they help and the peers'.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Each is timed so often; the least time counts.
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// Seed of the links.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A Python with `networkit` and `numba`, to time those beside.
    #[arg(long, value_name = "PYTHON")]
    peers: Option<PathBuf>,
    /// Where the links are left for the peers, pairs of four-byte numbers.
    #[arg(long, default_value = "target/graph-links.bin")]
    file: PathBuf,
}

/// Links with skewed receivers and a few dense blocks. Numbers are scattered, so that neighbours
/// in the graph are none in memory.
fn draw(args: &Args) -> Vec<(u32, u32)> {
    let mut random = Random(args.seed);
    let mut place: Vec<u32> = (0..args.nodes).collect();
    for last in (1..args.nodes).rev() {
        let other = random.below_u32(last + 1);
        place.swap(last as usize, other as usize);
    }
    let count = args.links as usize;
    let mut links: Vec<(u32, u32)> = Vec::with_capacity(count);
    let block = BLOCK.min(args.nodes / 8);
    for number in 0..3 {
        let first = args.nodes / 4 * number + args.nodes / 8;
        for member in 0..block {
            for _ in 0..20 {
                links.push((first + member, first + random.below_u32(block)));
            }
        }
    }
    links.truncate(count);
    while links.len() < count {
        links.push((random.below_u32(args.nodes), random.halved(args.nodes)));
    }
    for (from, to) in &mut links {
        (*from, *to) = (place[*from as usize], place[*to as usize]);
    }
    links.sort_unstable();
    links
}

/// Measures and prints.
///
/// # Errors
/// When the links cannot be left for the peers, or these fail.
pub fn run(args: &Args) -> Result<(), Fault> {
    let links = draw(args);
    println!("{} nodes, {} links, seconds (least of {})", args.nodes, links.len(), args.times);
    let build = || Csr::of(args.nodes as usize, links.iter().copied());
    time(args, "build", build);
    let graph = build();
    let most = graph.nodes().map(|node| graph.degree(node)).max().unwrap_or(0);
    println!(
        "  {} neighbours in all, {most} of one node; {} bytes in two arrays",
        graph.edge_count() * 2,
        graph.memory_bytes()
    );
    time(args, "components", || components(&graph));
    time(args, "k-core", || core_numbers(&graph));
    time(args, "pagerank, 20 rounds", || pagerank(&graph, ROUNDS, args.threads));
    time(args, "label propagation", || labels(&graph, ROUNDS));
    time(args, "louvain", || louvain(&graph, 1.0));
    let found = time(args, "fraudar, one block", || blocks(&links, args.nodes as usize, 1));
    for block in found {
        println!("  {} givers, {} receivers, density {:.4}", block.givers.len(), block.receivers.len(), block.density);
    }
    if let Some(peak) = peak_memory_bytes() {
        println!("peak memory of all together: {} MiB", peak >> 20);
    }
    match &args.peers {
        Some(python) => run_peers(args, python, &links),
        None => Ok(()),
    }
}

fn time<T>(args: &Args, what: &str, run: impl Fn() -> T) -> T {
    let once = || {
        let begun = Instant::now();
        let result = black_box(run());
        (begun.elapsed().as_secs_f64(), result)
    };
    let (mut least, mut result) = once();
    for _ in 1..args.times {
        let (seconds, again) = once();
        least = least.min(seconds);
        result = again;
    }
    println!("  {what:<22} {least:>8.3}");
    result
}

fn run_peers(args: &Args, python: &Path, links: &[(u32, u32)]) -> Result<(), Fault> {
    let write = || -> std::io::Result<()> {
        if let Some(folder) = args.file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut out = BufWriter::new(std::fs::File::create(&args.file)?);
        for (from, to) in links {
            out.write_all(&from.to_le_bytes())?;
            out.write_all(&to.to_le_bytes())?;
        }
        out.flush()
    };
    write().map_err(|error| fault(format!("{}: {error}", args.file.display())))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/graph.py");
    let [nodes, threads, times] = [args.nodes as usize, args.threads, args.times].map(|number| number.to_string());
    let status = Command::new(python).arg(script).arg(&args.file).args([nodes, threads, times]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(fault(format!("the peers ended with {status}"))),
        Err(error) => Err(fault(format!("{}: {error}", python.display()))),
    }
}
