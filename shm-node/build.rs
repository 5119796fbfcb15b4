//! Links the addon.

fn main() {
    napi_build::setup();
    // A worker's end closes the library. Ours must stay: a signal handler and an exit handler point into it.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
