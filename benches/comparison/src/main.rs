//! The bus beside what a user would pick instead: the same work for all, interleaved, in one run on one machine.
//! See the crate's README for how each was run and how to read the figures. It is *not* a profile of the bus:
//! the benches of the library itself are that.

mod args;
mod clock;
mod contest;
mod driver;
mod item;
mod ledger;
mod limits;
mod line;
mod peer;
mod peers;
mod percentiles;
mod plots;
mod shapes;
mod single;
mod table;
mod targets;
mod watchdog;

use args::Wish;
use line::Line;
use peer::Fault;
use shapes::{Context, Plan, Shape};
use std::process::exit;
use std::time::Instant;

/// It counts in the processes that weigh, and only there.
#[cfg(not(feature = "mimalloc"))]
#[path = "../../support/alloc.rs"]
mod alloc;

#[cfg(not(feature = "mimalloc"))]
#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The allocator that everybody uses in this build.
const ALLOCATOR_NAME: &str = if cfg!(feature = "mimalloc") {
    "mimalloc"
} else {
    "system"
};

fn main() {
    if shapes::was_child() {
        return;
    }
    #[cfg(not(feature = "mimalloc"))]
    alloc::stop_counting();
    match args::parse(std::env::args_os()) {
        Err(error) => {
            eprintln!("comparison: {error}\ntry --help");
            exit(2);
        }
        Ok(Wish::Help) => print!("{}", args::HELP),
        Ok(Wish::List) => list(),
        Ok(Wish::Run(run)) => {
            // Threads that hang are no reason to hang: the process ends without a look back.
            if let Err(fault) = measure(&run) {
                eprintln!("comparison: {fault}");
                exit(1);
            }
        }
    }
}

/// What there is to measure, and to measure with.
fn list() {
    println!("shapes:");
    for shape in shapes::all() {
        println!("  {:<16} {}", shape.name, shape.about);
    }
    println!("peers:");
    legend(peers::all());
}

fn legend(peers: impl Iterator<Item = &'static dyn peer::Peer>) {
    for peer in peers {
        println!("  {:<32} {}", peer.name(), peer.how());
    }
}

fn measure(run: &args::Run) -> Result<(), Fault> {
    let mut lines = Vec::new();
    for path in &run.from {
        lines.extend(line::read(path)?);
    }
    if run.from.is_empty() {
        lines = measure_shapes(run)?;
    } else {
        show(&lines);
    }
    println!("\n{}", targets::report(&lines));
    println!("{}", limits::report(&lines));
    plots::draw(&lines, &run.plots)?;
    if let Some(path) = &run.json {
        line::write(path, &lines)?;
    }
    Ok(())
}

fn measure_shapes(run: &args::Run) -> Result<Vec<Line>, Fault> {
    let context = Context {
        peers: run.peers.clone(),
        plan: Plan::new(run.quick),
    };
    println!("allocator: {ALLOCATOR_NAME}; {}", context.plan);
    println!("how each is run:");
    legend(context.peers.iter().copied());
    println!("figures: median (least .. greatest) of the rounds");
    // Whatever is asked for: without it nobody can tell two machines apart.
    let machine = &shapes::MACHINE;
    let mut lines = measure_shape(machine, &context)?;
    let others = run.shapes.iter().filter(|it| it.name != machine.name);
    for shape in others {
        lines.extend(measure_shape(shape, &context)?);
    }
    // Virtual cores move: what was near may be far by now. It is told, and not kept.
    println!("\nonce more, after all others:");
    measure_shape(machine, &context)?;
    Ok(lines)
}

fn measure_shape(shape: &Shape, context: &Context) -> Result<Vec<Line>, Fault> {
    let begin = Instant::now();
    let found = (shape.run)(shape, context)?;
    let took = begin.elapsed().as_secs_f64();
    println!("\n{}: {} ({took:.1} s)", shape.name, shape.about);
    println!("{}", table::of(&found));
    Ok(found)
}

/// What was measured elsewhere or before.
fn show(lines: &[Line]) {
    for shape in shapes::all() {
        let of_shape = lines.iter().filter(|line| line.shape == shape.name);
        let of_shape: Vec<Line> = of_shape.cloned().collect();
        if !of_shape.is_empty() {
            println!("\n{}: {}", shape.name, shape.about);
            println!("{}", table::of(&of_shape));
        }
    }
}
