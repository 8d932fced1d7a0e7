//! Build script: hands the linker what a Node.js addon needs. Does nothing without the `node` feature.

fn main() {
    #[cfg(feature = "node")]
    napi_build::setup();
}
