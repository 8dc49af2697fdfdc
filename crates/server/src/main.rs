//! The binary. All of it is in the library.

/// Large requests and answers come and go on many threads. The allocator of the C library keeps what each thread ever
/// held; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    milepost::cli::main()
}
