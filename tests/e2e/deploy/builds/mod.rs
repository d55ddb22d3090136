//! What compiles everything anew, as people do who install it: `tests/run.sh builds`, and a job of CI
//! of its own. `tests/run.sh` leaves it out: it costs as much CPU time as half of all other tests.

mod from_sources;
mod package;
mod release;

use std::ffi::OsStr;
use std::time::Duration;

use sitewatch_tests::command::Run;

/// Compiling, or what dpkg and Debian's judges do meanwhile.
const TIMEOUT: Duration = Duration::from_secs(600);

/// A run that may fetch and compile: it knows where Cargo's things are, and trusts the CA certificates
/// that the system does.
fn compiling(program: impl AsRef<OsStr>) -> Run {
    let inherited = [
        "PATH",
        "HOME",
        "TMPDIR",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
        "RUSTFLAGS",
        "SITEWATCH_CACHE",
        "SSL_CERT_FILE",
    ];
    Run::program(program.as_ref())
        .bare()
        .vars(
            inherited
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .timeout(TIMEOUT)
}
