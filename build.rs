//! The schemas are compiled in; a change of one of them must compile them in again.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
