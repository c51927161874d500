//! Fidel, Kard, Marqeta and HTTP basic: answers computed by another program, every bit
//! changed, headers by hand.

use super::*;

const FIDEL: &str = "fidel-k3y-R7mQ2xW9pL4vT8zN";
const KARD: &str = "kard-k3y-R7mQ2xW9pL4vT8zN";
const MARQETA: &str = "marqeta-k3y-R7mQ2xW9pL4vT8zN";
const PASSWORD: &str = "net:Pw-R7mQ2xW9:pL4vT8zN";

const FIDEL_TAG: &str = "RzOmBhNt6++NjG+7CweHlEC+osjTxvD/ZD49FINGslg=";
const FIDEL_MS: i64 = 1_700_000_000_123;
const KARD_TAG: &str = "wT/lDvpHkHheVATTWiMyGbUgkAgsTGe3uBXxU8aPV70=";
const MARQETA_SHA1: &str = "b4edd2c15a1232bdec937211d22a634be86ee816";
const MARQETA_SHA256: &str = "1d995ad72f5c39ac1eb6035bb23e763958a636b12e13b17df58e8d723cfc6b11";
const BASIC: &str = "Basic bmV0OlB3LVI3bVEyeFc5OnBMNHZUOHpO";

fn of(scheme: Scheme, secrets: &[&str]) -> Verifier {
    of_url(scheme, secrets, URL)
}
fn of_url(scheme: Scheme, secrets: &[&str], url: &str) -> Verifier {
    let secrets: Vec<_> = secrets.iter().map(|text| (scheme, Secret::new(*text))).collect();
    let ways = Ways { schemes: &[scheme], secrets: &secrets, public_url: Some(url), age_seconds_max: 300 };
    Verifier::of(ways).unwrap()
}
fn fidel(timestamp: &str, tag: &str) -> HeaderMap {
    fields(&[("x-fidel-timestamp", timestamp.as_bytes()), ("x-fidel-signature", tag.as_bytes())])
}
fn one(name: &str, value: &str) -> HeaderMap {
    fields(&[(name, value.as_bytes())])
}

/// Each computed with Python 3 alone:
///
/// ```text
/// python3 -c '
/// import hmac, base64 as b
/// body = b"{\"id\":\"evt_1\",\"amount\":{\"minor\":4250,\"currency\":\"USD\"}}"
/// mac = lambda key, text, how="sha256": hmac.new(key, text, how)
/// fidel, url = b"fidel-k3y-R7mQ2xW9pL4vT8zN", b"https://offers.example.org/v1/webhooks/fidel?a=1"
/// inner = b.b64encode(mac(fidel, body + url + b"1700000000123").digest())
/// print(b.b64encode(mac(fidel, inner).digest()))
/// print(b.b64encode(mac(b"kard-k3y-R7mQ2xW9pL4vT8zN", body).digest()))
/// print(mac(b"marqeta-k3y-R7mQ2xW9pL4vT8zN", body, "sha1").hexdigest())
/// print(mac(b"marqeta-k3y-R7mQ2xW9pL4vT8zN", body).hexdigest())
/// print(b.b64encode(b"net:Pw-R7mQ2xW9:pL4vT8zN"))'
/// ```
#[test]
fn inv_01_answers_of_another_program_hold() {
    let timestamp = FIDEL_MS.to_string();
    for (scheme, secret, headers) in [
        (Scheme::Fidel, FIDEL, fidel(&timestamp, FIDEL_TAG)),
        (Scheme::Kard, KARD, one("notify-signature", KARD_TAG)),
        (Scheme::Marqeta, MARQETA, one("x-marqeta-signature", MARQETA_SHA256)),
        (Scheme::Marqeta, MARQETA, one("x-marqeta-signature", MARQETA_SHA1)),
        (Scheme::Basic, PASSWORD, one("authorization", BASIC)),
    ] {
        assert_eq!(outcome(&of(scheme, &[secret]), &headers, BODY, SIGNED_AT), "ok", "{scheme}");
        let signer = Signer::new(scheme, &Secret::new(secret)).unwrap().posting_to(URL);
        let made = signer.sign("", Timestamp::from_ms(FIDEL_MS), BODY).unwrap();
        if headers.values().all(|value| value != MARQETA_SHA1) {
            for (name, value) in made {
                assert_eq!(text(&headers, name), value, "we sign as they do: {scheme}");
            }
        }
    }
}

/// Names are the same in any case, and none of these schemes needs another one's headers.
#[test]
fn published_spellings_of_the_headers_are_found() {
    let headers = one("Notify-Signature", KARD_TAG);
    assert_eq!(outcome(&of(Scheme::Kard, &[KARD]), &headers, BODY, SIGNED_AT), "ok");
    let headers = one("X-Marqeta-Signature", MARQETA_SHA1);
    assert_eq!(outcome(&of(Scheme::Marqeta, &[MARQETA]), &headers, BODY, SIGNED_AT), "ok");
}

/// Everything a text becomes when one of its bits is turned.
fn flipped(text: &[u8]) -> Vec<Vec<u8>> {
    let turned = |bit: usize| {
        let mut text = text.to_vec();
        text[bit / 8] ^= 1 << (bit % 8);
        text
    };
    (0..8 * text.len()).map(turned).collect()
}

#[test]
fn inv_01_no_bit_of_body_address_or_time_may_change() {
    let timestamp = FIDEL_MS.to_string();
    let good = fidel(&timestamp, FIDEL_TAG);
    let (kard, marqeta) = (of(Scheme::Kard, &[KARD]), of(Scheme::Marqeta, &[MARQETA]));
    let verifier = of(Scheme::Fidel, &[FIDEL]);
    for body in flipped(BODY) {
        assert_eq!(outcome(&verifier, &good, &body, SIGNED_AT), "no_matching_signature");
        let headers = one("notify-signature", KARD_TAG);
        assert_eq!(outcome(&kard, &headers, &body, SIGNED_AT), "no_matching_signature");
        for tag in [MARQETA_SHA1, MARQETA_SHA256] {
            let headers = one("x-marqeta-signature", tag);
            assert_eq!(outcome(&marqeta, &headers, &body, SIGNED_AT), "no_matching_signature");
        }
    }
    for url in flipped(URL.as_bytes()).into_iter().filter_map(|url| String::from_utf8(url).ok()) {
        assert_eq!(outcome(&of_url(Scheme::Fidel, &[FIDEL], &url), &good, BODY, SIGNED_AT), "no_matching_signature");
    }
    for url in ["", "https://offers.example.org/v1/webhooks/fidel", "https://offers.example.org/v1/webhooks/fidel?a=1/"]
    {
        assert_eq!(outcome(&of_url(Scheme::Fidel, &[FIDEL], url), &good, BODY, SIGNED_AT), "no_matching_signature");
    }
    let mut changed = 0;
    for time in flipped(timestamp.as_bytes()).into_iter().filter_map(|time| String::from_utf8(time).ok()) {
        let Ok(value) = HeaderValue::from_str(&time) else { continue };
        let mut headers = good.clone();
        headers.insert("x-fidel-timestamp", value);
        assert_ne!(outcome(&verifier, &headers, BODY, SIGNED_AT), "ok", "{time}");
        changed += 1;
    }
    assert!(changed > 50);
}

#[test]
fn inv_01_no_bit_of_a_tag_or_password_may_change() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let now = FIDEL_MS.to_string();
    let tags = |tag: &str| -> Vec<String> {
        flipped(&STANDARD.decode(tag).unwrap()).iter().map(|tag| STANDARD.encode(tag)).collect()
    };
    for tag in tags(FIDEL_TAG) {
        let headers = fidel(&now, &tag);
        assert_eq!(outcome(&of(Scheme::Fidel, &[FIDEL]), &headers, BODY, SIGNED_AT), "no_matching_signature");
    }
    for tag in tags(KARD_TAG) {
        let headers = one("notify-signature", &tag);
        assert_eq!(outcome(&of(Scheme::Kard, &[KARD]), &headers, BODY, SIGNED_AT), "no_matching_signature");
    }
    let mut digits = flipped(&hex::decoded::<20>(MARQETA_SHA1).unwrap());
    digits.extend(flipped(&hex::decoded::<32>(MARQETA_SHA256).unwrap()));
    for tag in digits.iter().map(|tag| hex::encoded(tag)) {
        let headers = one("x-marqeta-signature", &tag);
        assert_eq!(outcome(&of(Scheme::Marqeta, &[MARQETA]), &headers, BODY, SIGNED_AT), "no_matching_signature");
    }
    for text in tags(&BASIC[6..]) {
        let headers = one("authorization", &format!("Basic {text}"));
        assert_eq!(outcome(&of(Scheme::Basic, &[PASSWORD]), &headers, BODY, SIGNED_AT), "no_matching_signature");
    }
}

/// `body + address + time` has no separators. Moving the cuts never leaves the same address
/// before digits alone.
#[test]
fn inv_01_what_fidel_signs_cannot_be_cut_elsewhere() {
    let signer = Signer::new(Scheme::Fidel, &Secret::new(FIDEL)).unwrap();
    for url in ["https://h/1", "http://h/17", "https://h/1700000000123", URL] {
        let verifier = of_url(Scheme::Fidel, &[FIDEL], url);
        let body = format!("{{}}{url}1700000000{url}");
        let made = signer.clone().posting_to(url).sign("", at(SIGNED_AT), body.as_bytes()).unwrap();
        let (time, tag) = (&made[0].1, &made[1].1);
        let signed = format!("{body}{url}{time}");
        assert_eq!(outcome(&verifier, &fidel(time, tag), body.as_bytes(), SIGNED_AT), "ok");
        for first in 0..signed.len() {
            for second in first..signed.len() {
                if (first, &signed[second..]) != (body.len(), time) {
                    let headers = fidel(&signed[second..], tag);
                    let at = signed[second..].parse::<i64>().unwrap_or(0) / 1000;
                    assert_ne!(outcome(&verifier, &headers, &signed.as_bytes()[..first], at), "ok", "{first} {second}");
                }
            }
        }
    }
}

#[test]
fn fidel_headers_are_read_strictly() {
    let verifier = of(Scheme::Fidel, &[FIDEL]);
    let now = FIDEL_MS.to_string();
    let good = fidel(&now, FIDEL_TAG);
    for (name, value, want) in [
        ("x-fidel-signature", FIDEL_TAG, "ok"),
        ("x-fidel-signature", KARD_TAG, "no_matching_signature"),
        ("x-fidel-signature", FIDEL_TAG.trim_end_matches('='), "malformed_header"),
        ("x-fidel-signature", &FIDEL_TAG.replace('/', "_").replace('+', "-"), "malformed_header"),
        ("x-fidel-signature", &format!("{FIDEL_TAG} "), "malformed_header"),
        ("x-fidel-signature", &format!("v1,{FIDEL_TAG}"), "malformed_header"),
        ("x-fidel-signature", &format!("{FIDEL_TAG},{FIDEL_TAG}"), "malformed_header"),
        ("x-fidel-signature", MARQETA_SHA256, "malformed_header"),
        ("x-fidel-signature", "", "malformed_header"),
        ("x-fidel-signature", &"A".repeat(100_000), "malformed_header"),
        ("x-fidel-timestamp", "", "malformed_header"),
        // Seconds are no milliseconds, nor is anything `parse` would forgive.
        ("x-fidel-timestamp", "1700000000", "too_old"),
        ("x-fidel-timestamp", "+1700000000123", "timestamp_malformed"),
        ("x-fidel-timestamp", "1700000000123 ", "timestamp_malformed"),
        ("x-fidel-timestamp", "1700000000123.0", "timestamp_malformed"),
        ("x-fidel-timestamp", "2023-11-14T22:13:20Z", "timestamp_malformed"),
        ("x-fidel-timestamp", "01700000000123", "no_matching_signature"),
        ("x-fidel-timestamp", "1700000000124", "no_matching_signature"),
        ("x-fidel-timestamp", "9999999999999999", "timestamp_malformed"),
        ("x-fidel-timestamp", "999999999999999", "too_new"),
    ] {
        assert_eq!(outcome(&verifier, &with(good.clone(), name, value), BODY, SIGNED_AT), want, "{name}: {value}");
    }
    for name in ["x-fidel-signature", "x-fidel-timestamp"] {
        let mut without = good.clone();
        without.remove(name);
        assert_eq!(outcome(&verifier, &without, BODY, SIGNED_AT), "missing_header");
        let mut twice = good.clone();
        twice.append(name, good[name].clone());
        assert_eq!(outcome(&verifier, &twice, BODY, SIGNED_AT), "malformed_header");
    }
    // To the millisecond, both ways.
    for (offset_ms, ok) in [(300_000, true), (-300_000, true), (300_001, false), (-300_001, false)] {
        let verified = verifier.verify(&good, Bytes::from_static(BODY), Timestamp::from_ms(FIDEL_MS + offset_ms));
        assert_eq!(verified.is_ok(), ok, "{offset_ms}");
    }
    let verified = verifier.verify(&good, Bytes::from_static(BODY), at(SIGNED_AT)).unwrap();
    assert_eq!(verified.signed_at, Some(Timestamp::from_ms(FIDEL_MS)));
}

#[test]
fn kard_and_marqeta_headers_are_read_strictly() {
    let upper = MARQETA_SHA1.to_uppercase();
    let (short, long) = (&MARQETA_SHA256[1..], format!("{MARQETA_SHA1}00"));
    for (scheme, secret, name, value, want) in [
        (Scheme::Kard, KARD, "notify-signature", KARD_TAG, "ok"),
        (Scheme::Kard, KARD, "notify-signature", FIDEL_TAG, "no_matching_signature"),
        (Scheme::Kard, KARD, "notify-signature", KARD_TAG.trim_end_matches('='), "malformed_header"),
        (Scheme::Kard, KARD, "notify-signature", MARQETA_SHA256, "malformed_header"),
        (Scheme::Kard, KARD, "notify-signature", "", "malformed_header"),
        (Scheme::Kard, KARD, "notify-signature", "é", "malformed_header"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", MARQETA_SHA1, "ok"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", &upper, "ok"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", &MARQETA_SHA256.to_uppercase(), "ok"),
        // A SHA-256's first 20 bytes are not a SHA-1.
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", &MARQETA_SHA256[..40], "no_matching_signature"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", short, "malformed_header"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", &long, "malformed_header"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", &MARQETA_SHA1.replace('b', "g"), "malformed_header"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", &format!("sha1={MARQETA_SHA1}"), "malformed_header"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", &"0".repeat(40), "no_matching_signature"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", &"0".repeat(64), "no_matching_signature"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", &"0".repeat(5000), "malformed_header"),
        (Scheme::Marqeta, MARQETA, "x-marqeta-signature", &format!("{MARQETA_SHA1}\u{e9}"), "malformed_header"),
    ] {
        let verifier = of(scheme, &[secret]);
        let headers = with(HeaderMap::new(), name, value);
        assert_eq!(outcome(&verifier, &headers, BODY, SIGNED_AT), want, "{scheme} {value}");
        let mut twice = headers.clone();
        twice.append(name, headers[name].clone());
        assert_eq!(outcome(&verifier, &twice, BODY, SIGNED_AT), "malformed_header");
        assert_eq!(outcome(&verifier, &HeaderMap::new(), BODY, SIGNED_AT), "missing_header");
    }
}

#[test]
fn basic_headers_are_read_as_rfc_7617_has_them() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let verifier = of(Scheme::Basic, &["net:Another-Pw-R7mQ2xW9", PASSWORD]);
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for (value, want) in [
        (BASIC.to_owned(), "ok"),
        (BASIC.replace("Basic", "bAsIc"), "ok"),
        (BASIC.replace(' ', "  "), "ok"),
        (basic("net:Another-Pw-R7mQ2xW9"), "ok"),
        (basic("net:Pw-R7mQ2xW9"), "no_matching_signature"),
        (basic("net:Pw-R7mQ2xW9:pL4vT8z"), "no_matching_signature"),
        (basic("net:Pw-R7mQ2xW9:pL4vT8zN\0"), "no_matching_signature"),
        (basic("NET:Pw-R7mQ2xW9:pL4vT8zN"), "no_matching_signature"),
        (basic("other:Pw-R7mQ2xW9:pL4vT8zN"), "no_matching_signature"),
        (basic(""), "no_matching_signature"),
        (basic(":"), "no_matching_signature"),
        (STANDARD.encode(PASSWORD), "malformed_header"),
        (format!("Basic {PASSWORD}"), "malformed_header"),
        ("Basic".to_owned(), "malformed_header"),
        (BASIC.replace("Basic", "Bearer"), "no_known_version"),
        (BASIC.replace(' ', "\t"), "malformed_header"),
        (format!("{BASIC} "), "malformed_header"),
        (format!("{BASIC}="), "malformed_header"),
        (format!("{BASIC}, {BASIC}"), "malformed_header"),
        (basic(&"x".repeat(4000)), "malformed_header"),
        (basic(&"x".repeat(3000)), "no_matching_signature"),
        (String::new(), "malformed_header"),
    ] {
        let headers = with(HeaderMap::new(), "authorization", &value);
        assert_eq!(outcome(&verifier, &headers, BODY, SIGNED_AT), want, "{value}");
    }
    let mut twice = one("authorization", BASIC);
    twice.append("authorization", HeaderValue::from_static(BASIC));
    assert_eq!(outcome(&verifier, &twice, BODY, SIGNED_AT), "malformed_header");
    assert!(verifier.asks_for_password() && !of(Scheme::Kard, &[KARD]).asks_for_password());
    for text in ["nobody", ":no-user-R7mQ2xW9pL4vT8zN", ""] {
        let fault = Verifier::new(&[Scheme::Basic], vec![Secret::new(text)], 300).unwrap_err();
        let (position, scheme, fault_is) = (1, Scheme::Basic, SecretFault::NotUserAndPassword);
        assert_eq!(fault, VerifierError::Secret { position, scheme, fault: fault_is }, "{text}");
    }
    let short = Verifier::new(&[Scheme::Basic], vec![Secret::new("a-long-user-name:short")], 300).unwrap_err();
    assert!(matches!(short, VerifierError::Secret { fault: SecretFault::TooShort(5), .. }));
}

/// Marqeta as it comes: a password and a signature, each with secrets of its own, each rotated
/// on its own day.
#[test]
fn ways_with_secrets_of_their_own_are_rotated_apart() {
    let (schemes, new) = ([Scheme::Basic, Scheme::Marqeta], "marqeta-new-Zc5Hs8Kd1Yf3Gt6B");
    let secrets = [
        (Scheme::Marqeta, Secret::new(new)),
        (Scheme::Basic, Secret::new(PASSWORD)),
        (Scheme::Marqeta, Secret::new(MARQETA)),
    ];
    let ways = Ways { schemes: &schemes, secrets: &secrets, public_url: None, age_seconds_max: 300 };
    let verifier = Verifier::of(ways).unwrap();
    let both = |tag: &str| fields(&[("authorization", BASIC.as_bytes()), ("x-marqeta-signature", tag.as_bytes())]);
    let newer = Signer::new(Scheme::Marqeta, &Secret::new(new)).unwrap();
    let newer = newer.sign("", at(SIGNED_AT), BODY).unwrap().remove(0).1;
    for (tag, want) in [(MARQETA_SHA1, vec![1, 2]), (MARQETA_SHA256, vec![1, 2]), (&newer, vec![0, 1])] {
        let verified = verifier.verify(&both(tag), Bytes::from_static(BODY), at(SIGNED_AT)).unwrap();
        assert_eq!((places(&verified), verified.signed_at), (want, None));
    }
    for (headers, want) in [
        (one("authorization", BASIC), "missing_header"),
        (one("x-marqeta-signature", MARQETA_SHA1), "missing_header"),
        (both(&"0".repeat(40)), "no_matching_signature"),
    ] {
        assert_eq!(outcome(&verifier, &headers, BODY, SIGNED_AT), want);
    }
    // No secret opens the other way: the signature's key is no password.
    let as_password = Signer::new(Scheme::Basic, &Secret::new(format!("net:{MARQETA}"))).unwrap();
    let as_password = as_password.sign("", at(SIGNED_AT), BODY).unwrap().remove(0).1;
    let headers = with(both(MARQETA_SHA1), "authorization", &as_password);
    assert_eq!(outcome(&verifier, &headers, BODY, SIGNED_AT), "no_matching_signature");
}

#[test]
fn ways_that_cannot_work_are_named() {
    let build = |schemes: &[Scheme], secrets: &[(Scheme, &str)], public_url: Option<&str>| {
        let secrets: Vec<_> = secrets.iter().map(|(scheme, text)| (*scheme, Secret::new(*text))).collect();
        Verifier::of(Ways { schemes, secrets: &secrets, public_url, age_seconds_max: 300 }).map(|_| ()).unwrap_err()
    };
    let (basic, marqeta, fidel) = ((Scheme::Basic, PASSWORD), (Scheme::Marqeta, MARQETA), (Scheme::Fidel, FIDEL));
    let both = [Scheme::Basic, Scheme::Marqeta];
    assert_eq!(build(&both, &[], None), VerifierError::NoSecret);
    assert_eq!(build(&both, &[basic], None), VerifierError::NoSecretFor(Scheme::Marqeta));
    assert_eq!(build(&both, &[marqeta; 9], None), VerifierError::TooManySecrets(9));
    let other = VerifierError::SecretForOther { position: 2, scheme: Scheme::Basic };
    assert_eq!(build(&[Scheme::Marqeta], &[marqeta, basic], None), other);
    assert_eq!(build(&[Scheme::Fidel], &[fidel], None), VerifierError::NoPublicUrl(Scheme::Fidel));
    // The position is that in the whole list, not among the scheme's own.
    let short = build(&both, &[basic, marqeta, (Scheme::Marqeta, "short")], None);
    let (position, scheme) = (3, Scheme::Marqeta);
    assert_eq!(short, VerifierError::Secret { position, scheme, fault: SecretFault::TooShort(5) });
    let unsaid = Signer::new(Scheme::Fidel, &Secret::new(FIDEL)).unwrap().sign("", at(SIGNED_AT), BODY);
    assert_eq!(unsaid, Err(SignError::NoPublicUrl(Scheme::Fidel)));
}

#[test]
fn inv_10_no_password_shows() {
    let verifier = of(Scheme::Basic, &[PASSWORD]);
    let signer = Signer::new(Scheme::Basic, &Secret::new(PASSWORD)).unwrap();
    let fault = Verifier::new(&[Scheme::Basic], vec![Secret::new("Pw-R7mQ2xW9pL4vT8zN")], 300).unwrap_err();
    let denied = verifier.verify(&one("authorization", "Basic UHctUjdtUTJ4Vzk="), Bytes::new(), at(0)).unwrap_err();
    let source = std::error::Error::source(&fault).map(ToString::to_string);
    let shown = format!("{verifier:?} {signer:?} {fault} {fault:?} {source:?} {denied} {denied:?}");
    assert!(!shown.contains("R7mQ") && !shown.contains("UHct") && !shown.contains("bmV0"), "{shown}");
}
