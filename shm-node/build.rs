//! Links the addon.

fn main() {
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    // On Windows nothing is linked: see Cargo.toml.
    if os != "windows" {
        napi_build::setup();
    }
    // A worker's end closes the library. Ours must stay: a signal handler and an exit handler point into it.
    if os == "linux" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
