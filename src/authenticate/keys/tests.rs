//! What a caller of `KeyRing` can see, with two rings on one file where it matters.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

const BOOTSTRAP: &str = "a-bootstrap-key-of-32-characters";

/// A folder of its own, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ringfence-keys-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
    fn ring(&self) -> KeyRing {
        KeyRing::load(&self.0, Some(&Secret::new(BOOTSTRAP))).unwrap()
    }
    fn file(&self) -> PathBuf {
        self.0.join("keys.json")
    }
}
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn now() -> Timestamp {
    Timestamp::from_ms(1_700_000_000_000)
}
fn new(role: Role) -> NewKey {
    let merchant = (role == Role::Merchant).then(|| MerchantId::new("blue-bottle").unwrap());
    NewKey { role, merchant, label: None }
}
fn random(seed: u8) -> [u8; KEY_RANDOM_BYTES] {
    std::array::from_fn(|place| seed.wrapping_mul(31).wrapping_add(u8::try_from(place).unwrap()))
}
fn make(ring: &KeyRing, role: Role, seed: u8) -> (KeyRecord, Secret) {
    ring.create(new(role), now(), &random(seed)).unwrap()
}

#[test]
fn a_key_says_who_calls() {
    let folder = Folder::new();
    let ring = folder.ring();
    for (seed, role) in (0..).zip(Role::ALL) {
        let (record, text) = make(&ring, role, seed);
        assert_eq!(text.expose().len(), 3 + 12 + 1 + 64);
        assert!(text.expose().starts_with(&format!("rf_{}_", record.id)));
        let caller = ring.verify(text.expose()).unwrap();
        assert_eq!((&caller.key_id, caller.role), (&record.id, role));
        assert_eq!(caller.merchant.is_some(), role == Role::Merchant);
        assert_eq!(role.to_string().parse(), Ok(role));
        assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
    }
    assert_eq!(ring.list().len(), 5);
    // A restart remembers all of them.
    let again = folder.ring();
    assert_eq!(again.list().iter().map(|r| r.role).collect::<Vec<_>>(), Role::ALL);
    assert!("Operator".parse::<Role>().is_err());
}

#[test]
fn anything_but_the_key_is_nobody() {
    let folder = Folder::new();
    let ring = folder.ring();
    let (record, text) = make(&ring, Role::Operator, 1);
    let text = text.expose();
    let other = make(&ring, Role::Risk, 2).1;
    let mut wrong: Vec<String> = ["", "rf_", "rf__", "Bearer", BOOTSTRAP, &"x".repeat(5000), "é", "rf_é_é"]
        .into_iter()
        .map(str::to_owned)
        .collect();
    wrong.extend([
        text.to_uppercase(),
        format!("{text} "),
        format!(" {text}"),
        format!("{text}0"),
        text[..text.len() - 1].to_owned(),
        format!("rf_{}_{}", record.id, "0".repeat(64)),
        format!("rf_{}_{}", record.id, &other.expose()[16..]),
        format!("rf_aaaaaaaaaaaa_{}", &text[16..]),
        format!("rf_{}_{}", record.id, serde_json::to_string(&record.secret_sha256).unwrap().trim_matches('"')),
    ]);
    for place in 0..text.len() {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] ^= 1;
        wrong.push(String::from_utf8(bytes).unwrap());
    }
    for text in wrong {
        assert_eq!(ring.verify(&text), None, "{text}");
    }
    assert!(ring.verify(text).is_some());
}

#[test]
fn role_and_merchant_must_fit() {
    let folder = Folder::new();
    let ring = folder.ring();
    let merchant = Some(MerchantId::new("m").unwrap());
    let make = |new| ring.create(new, now(), &random(1)).map(|_| ()).unwrap_err();
    let bare = NewKey { role: Role::Merchant, merchant: None, label: None };
    assert!(matches!(make(bare), KeysError::MerchantNeeded));
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Merchant) {
        let bound = NewKey { role, merchant: merchant.clone(), label: None };
        assert!(matches!(make(bound), KeysError::MerchantRefused(found) if found == role));
    }
    for label in [String::new(), "a\nb".to_owned(), "x".repeat(129)] {
        let labelled = NewKey { role: Role::App, merchant: None, label: Some(label) };
        assert!(matches!(make(labelled), KeysError::BadLabel));
    }
    assert!(!folder.file().exists(), "what is refused leaves nothing");
}

#[test]
fn a_revoked_key_is_nobody_at_once_and_keeps_its_first_time() {
    let folder = Folder::new();
    let ring = folder.ring();
    let (record, text) = make(&ring, Role::Operator, 1);
    let later = now().plus_days(1);
    assert_eq!(ring.revoke(&record.id, later).unwrap().revoked_at, Some(later));
    assert_eq!(ring.verify(text.expose()), None);
    assert_eq!(ring.revoke(&record.id, later.plus_days(1)).unwrap().revoked_at, Some(later));
    assert_eq!(folder.ring().verify(text.expose()), None);
    let unknown = "aaaaaaaaaaaa".parse().unwrap();
    assert!(matches!(ring.revoke(&unknown, later), Err(KeysError::Unknown(id)) if id == unknown));
}

#[test]
fn the_bootstrap_key_lives_until_the_first_key_and_never_again() {
    let folder = Folder::new();
    let (service, command_line) = (folder.ring(), folder.ring());
    let caller = service.verify(BOOTSTRAP).unwrap();
    assert_eq!((caller.role, caller.key_id.as_str(), caller.merchant), (Role::Operator, "bootstrap", None));
    assert_eq!(service.verify(&BOOTSTRAP[1..]), None);

    let (record, text) = make(&command_line, Role::Operator, 1);
    assert_eq!(service.verify(BOOTSTRAP), None, "dead at once, before any timer looks at the file");
    assert!(service.verify(text.expose()).is_some());
    command_line.revoke(&record.id, now()).unwrap();
    service.reload_if_changed().unwrap();
    assert_eq!(service.verify(BOOTSTRAP), None, "revoked keys count");
    assert_eq!(folder.ring().verify(BOOTSTRAP), None);

    let without = KeyRing::load(&folder.0, None).unwrap();
    assert_eq!(without.verify(BOOTSTRAP), None);
}

#[test]
fn a_short_bootstrap_key_is_named() {
    let folder = Folder::new();
    let error = KeyRing::load(&folder.0, Some(&Secret::new("x".repeat(31)))).unwrap_err();
    assert_eq!(error.to_string(), "RINGFENCE_BOOTSTRAP_KEY has 31 characters, at least 32 are needed");
    assert!(KeyRing::load(&folder.0, Some(&Secret::new("é".repeat(32)))).is_ok());
}

#[test]
fn a_running_service_sees_what_the_command_line_wrote() {
    let folder = Folder::new();
    let (service, command_line) = (folder.ring(), folder.ring());
    assert!(!service.reload_if_changed().unwrap());
    let (record, text) = make(&command_line, Role::App, 1);
    assert_eq!(service.verify(text.expose()), None);
    assert!(service.reload_if_changed().unwrap());
    assert!(!service.reload_if_changed().unwrap());
    assert!(service.verify(text.expose()).is_some());
    command_line.revoke(&record.id, now()).unwrap();
    assert!(service.reload_if_changed().unwrap());
    assert_eq!(service.verify(text.expose()), None);
    // The writer itself has nothing to read anew.
    assert!(!command_line.reload_if_changed().unwrap());
}

#[test]
fn writers_at_once_lose_nothing() {
    let folder = Folder::new();
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let folder = &folder;
            scope.spawn(move || {
                let ring = folder.ring();
                for round in 0..4 {
                    make(&ring, Role::App, thread * 4 + round);
                }
            });
        }
    });
    assert_eq!(folder.ring().list().len(), 32);
}

#[test]
fn inv_10_the_file_is_private_and_holds_no_secret() {
    let folder = Folder::new();
    let ring = folder.ring();
    std::fs::create_dir_all(&folder.0).unwrap();
    std::fs::write(folder.0.join("keys.json.new"), "left by a crash").unwrap();
    let (record, text) = make(&ring, Role::Operator, 7);
    let secret = &text.expose()[16..];
    for name in ["keys.json", "keys.lock"] {
        let mode = std::fs::metadata(folder.0.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(!folder.0.join("keys.json.new").exists());
    let kept = std::fs::read_to_string(folder.file()).unwrap();
    let shown = format!("{record:?} {ring:?} {text:?} {:?}", ring.verify(text.expose()));
    assert!(!kept.contains(secret) && !shown.contains(secret));
    assert!(kept.contains(&hex::encoded(&Sha256::digest(secret.as_bytes()))) && kept.contains("2023-11-14T22:13:20Z"));
}

#[test]
fn a_broken_file_is_named_and_left_alone() {
    let folder = Folder::new();
    let ring = folder.ring();
    let (record, text) = make(&ring, Role::Operator, 1);
    let good = std::fs::read_to_string(folder.file()).unwrap();
    let id = record.id.as_str();
    let twice = good.replace("\"keys\": [", &format!("\"keys\": [{},", serde_json::to_string(&record).unwrap()));
    for (broken, word) in [
        (String::new(), "EOF"),
        (good[..good.len() / 2].to_owned(), "line"),
        (format!("{good}x"), "trailing"),
        (good.replace("\"role\"", "\"roll\""), "roll"),
        (good.replace("\"form\": 1", "\"form\": 2"), "form 2"),
        (good.replace("\"operator\"", "\"king\""), "king"),
        (good.replace("\"operator\"", "\"merchant\""), "needs a merchant"),
        (good.replace("\"role\"", "\"merchant\": \"m\", \"role\""), "has no merchant"),
        (good.replace(id, "SHORT"), "twelve"),
        (good.replace("\"secret_sha256\": \"", "\"secret_sha256\": \"0"), "64 hex digits"),
        (good.replace("\"created_at\"", "\"extra\": 1, \"created_at\""), "extra"),
        (twice, "twice"),
    ] {
        assert_ne!(broken, good);
        std::fs::write(folder.file(), &broken).unwrap();
        let error = KeyRing::load(&folder.0, None).unwrap_err().to_string();
        assert!(error.contains("keys.json is broken: ") && error.contains(word), "{error}");
        assert!(matches!(ring.create(new(Role::App), now(), &random(2)), Err(KeysError::Broken { .. })));
        assert!(matches!(ring.reload_if_changed(), Err(KeysError::Broken { .. })));
        assert_eq!(std::fs::read_to_string(folder.file()).unwrap(), broken);
        assert!(ring.verify(text.expose()).is_some(), "the keys read before stay in force");
    }
    std::fs::remove_file(folder.file()).unwrap();
    assert!(matches!(ring.reload_if_changed(), Err(KeysError::Vanished(_))));
    assert!(matches!(ring.create(new(Role::App), now(), &random(2)), Err(KeysError::Vanished(_))));
    assert_eq!(ring.verify(BOOTSTRAP), None);
    std::fs::write(folder.file(), good).unwrap();
    assert!(ring.reload_if_changed().unwrap());
}

#[test]
fn an_id_is_never_given_twice() {
    let folder = Folder::new();
    let ring = folder.ring();
    let (record, _) = make(&ring, Role::App, 1);
    assert!(matches!(ring.create(new(Role::App), now(), &random(1)), Err(KeysError::IdTaken(id)) if id == record.id));
    for text in ["", "aaaaaaaaaaa", "aaaaaaaaaaaaa", "aaaaaaaaaaa1", "AAAAAAAAAAAA", "aaaaaaaaaaé", "bootstrap"] {
        assert_eq!(text.parse::<KeyId>(), Err(BadKeyId), "{text}");
    }
}

#[test]
fn inv_09_keys_are_bounded() {
    let folder = Folder::new();
    let ring = folder.ring();
    let (record, _) = make(&ring, Role::App, 1);
    assert!(matches!(
        file::write(&folder.0, file::Content { keys: vec![record; KEYS_MAX + 1], ..Default::default() }),
        Err(KeysError::TooMany)
    ));
}

proptest::proptest! {
    #[test]
    fn any_bearer_is_nobody_and_never_panics(bearer in "(rf_)?\\PC{0,40}_?\\PC{0,80}") {
        let ring = KeyRing::load("/nonexistent/ringfence", None).unwrap();
        proptest::prop_assert_eq!(ring.verify(&bearer), None);
    }
}
