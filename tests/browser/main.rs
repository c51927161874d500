//! The consoles in a real Chromium: the flows people work by, with mouse and by keyboard alone,
//! and every page looked at by axe-core. `bash tests/run` installs Chromium and its driver.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

#[path = "../world/mod.rs"]
mod world;

mod flows;
mod pages;
mod scene;
mod window;
