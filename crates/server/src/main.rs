//! The binary. All of it is in the library.

/// Large requests and answers come and go on many threads. The allocator of the C library keeps what each thread ever
/// held; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // With pages of 2 MiB, a buffer that is asked for and hardly filled holds 2 MiB: as many as there are streams. Where it
    // cannot be had, more memory is used and nothing else is different.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    milepost::cli::main()
}
