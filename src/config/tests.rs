use super::*;

fn no_files(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

#[test]
fn the_compiled_in_file_is_right() {
    let settings = Settings::compiled_in();
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    let _ = Settings::load(None, &BTreeMap::new(), &no_files).unwrap();
}
