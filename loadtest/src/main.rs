//! Load tests.

mod matching;

#[derive(clap::Parser)]
struct Main {
    #[command(flatten)]
    matching: matching::Args,
}

fn main() {
    let main = <Main as clap::Parser>::parse();
    matching::run(&main.matching);
}
