//! netcell: a network namespace of its own for a process or container on a small Linux host.

fn main() {
    eprintln!("netcell: nothing is built yet");
    std::process::exit(125);
}
