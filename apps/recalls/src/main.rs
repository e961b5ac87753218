use std::process::ExitCode;

fn main() -> ExitCode {
    millstream_app::main(&recalls::APP)
}
