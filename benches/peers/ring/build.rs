fn main() {
    println!("cargo::rerun-if-changed=src/ring.c");
    cc::Build::new().file("src/ring.c").opt_level(3).warnings(true).compile("ring");
}
