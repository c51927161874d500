//! The other side: makes the signatures that `Verifier` checks, for `ringfence sign`, the
//! demo and the load generator, and the `curl` command a person can paste.
//!
//! Must not be used to answer a webhook, and never puts the secret into what it prints.

use super::mac::MacKey;
use super::secret::SecretFault;
use super::{Scheme, Secret, base64_tag, basic, fidel, hex, kard, marqeta, standard_webhooks, stripe};
use crate::domain::Timestamp;
use std::fmt::Write;
use zeroize::Zeroizing;

/// Headers to send, names in lower case.
pub type SignedHeaders = Vec<(&'static str, String)>;

/// Longest body written inside a command's argument, in bytes; Linux takes 128 KiB.
const ARGUMENT_BYTES_MAX: usize = 64 * 1024;

/// Why something cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The secret has not the form the scheme needs.
    #[error("the secret does not fit `{scheme}`")]
    Secret {
        /// The scheme asked for.
        scheme: Scheme,
        /// What is wrong with it.
        #[source]
        fault: SecretFault,
    },
    /// No verifier would take this id.
    #[error("a message id is 1 to 256 visible ASCII characters without an all-digit part after a full stop")]
    MessageId,
    /// The scheme signs the address, and none was given.
    #[error("`{0}` signs the address posted to, and none is given")]
    NoPublicUrl(Scheme),
    /// No verifier would take this time.
    #[error("the time {0} lies outside what a signature can carry")]
    Time(Timestamp),
}

/// A scheme with its key prepared: cheap enough to sign every request of a load run.
#[derive(Clone)]
pub struct Signer {
    scheme: Scheme,
    key: Key,
    public_url: Option<Box<str>>,
}

/// What a scheme signs with.
#[derive(Clone)]
enum Key {
    StandardWebhooks(MacKey),
    Stripe(MacKey),
    Fidel(MacKey),
    Kard(MacKey),
    Marqeta(marqeta::Key),
    /// The header itself.
    Basic(Zeroizing<String>),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({}, ..)", self.scheme)
    }
}

impl Signer {
    /// Prepares the key.
    ///
    /// # Errors
    /// [`SignError::Secret`] when the secret has not the form the scheme needs.
    pub fn new(scheme: Scheme, secret: &Secret) -> Result<Self, SignError> {
        let key = match scheme {
            Scheme::StandardWebhooks => standard_webhooks::key(secret).map(Key::StandardWebhooks),
            Scheme::Stripe => stripe::key(secret).map(Key::Stripe),
            Scheme::Fidel => fidel::key(secret).map(Key::Fidel),
            Scheme::Kard => kard::key(secret).map(Key::Kard),
            Scheme::Marqeta => marqeta::key(secret).map(Key::Marqeta),
            Scheme::Basic => basic::key(secret).map(|_| Key::Basic(basic::credentials(secret))),
        };
        let key = key.map_err(|fault| SignError::Secret { scheme, fault })?;
        Ok(Self { scheme, key, public_url: None })
    }

    /// Says which address is posted to, for a scheme that signs it.
    #[must_use]
    pub fn posting_to(mut self, public_url: &str) -> Self {
        self.public_url = Some(public_url.into());
        self
    }

    /// The headers that prove this body. `id` is the message's, for schemes that send one.
    ///
    /// # Errors
    /// [`SignError`] when no verifier would take the id or the time, or when an address is
    /// signed and none is given.
    pub fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> Result<SignedHeaders, SignError> {
        if now.as_seconds() < 0 || now > Timestamp::MAX {
            return Err(SignError::Time(now));
        }
        let seconds = || now.as_seconds().to_string();
        Ok(match &self.key {
            Key::StandardWebhooks(key) => {
                if !standard_webhooks::is_message_id(id) {
                    return Err(SignError::MessageId);
                }
                let timestamp = seconds();
                let tag = standard_webhooks::tag(key, id, &timestamp, body);
                vec![
                    (standard_webhooks::ID, id.to_owned()),
                    (standard_webhooks::TIMESTAMP, timestamp),
                    (standard_webhooks::SIGNATURE, standard_webhooks::signature(&tag)),
                ]
            }
            Key::Stripe(key) => {
                let timestamp = seconds();
                let tag = stripe::tag(key, &timestamp, body);
                vec![(stripe::SIGNATURE, stripe::signature(&timestamp, &tag))]
            }
            Key::Fidel(key) => {
                let public_url = self.public_url.as_deref().ok_or(SignError::NoPublicUrl(self.scheme))?;
                let timestamp = now.as_ms().to_string();
                let tag = fidel::tag(key, body, public_url, &timestamp);
                vec![(fidel::TIMESTAMP, timestamp), (fidel::SIGNATURE, base64_tag::encoded(&tag))]
            }
            Key::Kard(key) => vec![(kard::SIGNATURE, base64_tag::encoded(&kard::tag(key, body)))],
            Key::Marqeta(key) => vec![(marqeta::SIGNATURE, hex::encoded(&key.tag(body)))],
            Key::Basic(header) => vec![(basic::CREDENTIALS, header.as_str().to_owned())],
        })
    }
}

/// Signs one body. For many, or for an address that is signed too, keep a [`Signer`].
///
/// # Errors
/// [`SignError`] as [`Signer::new`] and [`Signer::sign`] have it.
pub fn sign(
    scheme: Scheme,
    secret: &Secret,
    id: &str,
    now: Timestamp,
    body: &[u8],
) -> Result<SignedHeaders, SignError> {
    Signer::new(scheme, secret)?.sign(id, now, body)
}

/// Where a printed command takes the body from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurlBody<'a> {
    /// The bytes are in the command.
    Inline(&'a [u8]),
    /// The command reads this file, which must hold the signed bytes still.
    File(&'a str),
}

/// Where a printed command takes a user and password from: it names the place, never the
/// secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurlUser<'a> {
    /// This variable of the shell it is run in. A name, which a shell needs no quotes for.
    Variable(&'a str),
    /// This file, line ends aside.
    File(&'a str),
}

/// A POSIX shell command that posts the body with these headers, byte for byte, and, when
/// there is a user, with HTTP basic.
#[must_use]
pub fn curl(url: &str, headers: &[(&'static str, String)], user: Option<CurlUser<'_>>, body: CurlBody<'_>) -> String {
    // `--globoff`: brackets in an address are brackets. A body of other bytes than plain
    // text travels through `printf`: a shell argument cannot hold NUL, a terminal may act
    // on control characters, and curl takes a leading `@` for a file name.
    let (before, data) = match body {
        CurlBody::File("-") => (String::new(), quoted("@./-")),
        CurlBody::File(path) => (String::new(), quoted(&format!("@{path}"))),
        CurlBody::Inline(bytes) => match plain(bytes) {
            Some(text) => (String::new(), quoted(text)),
            None => (format!("{} | ", printf(bytes)), "@-".to_owned()),
        },
    };
    let mut command = format!("{before}curl --globoff --request POST --url {}", quoted(url));
    for (name, value) in std::iter::once(("content-type", "application/json"))
        .chain(headers.iter().map(|(name, value)| (*name, value.as_str())))
    {
        write!(command, " \\\n  --header {}", quoted(&format!("{name}: {value}"))).expect("a String takes all");
    }
    match user {
        None => Ok(()),
        Some(CurlUser::Variable(name)) => write!(command, " \\\n  --user \"${{{name}}}\""),
        Some(CurlUser::File(path)) => write!(command, " \\\n  --user \"$(tr -d '\\r\\n' < {})\"", quoted(path)),
    }
    .expect("a String takes all");
    write!(command, " \\\n  --data-binary {data}").expect("a String takes all");
    command
}

/// One word for a POSIX shell. Inside single quotes nothing has a meaning but the quote.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn plain(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let fits = text.len() <= ARGUMENT_BYTES_MAX && !text.starts_with('@');
    (fits && !text.chars().any(|c| c != '\n' && c.is_control())).then_some(text)
}

/// A `printf` that writes exactly these bytes, in printable ASCII alone.
fn printf(bytes: &[u8]) -> String {
    let mut command = String::with_capacity(bytes.len() + 16);
    command.push_str("printf '");
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            // A dash in front would begin an option.
            b'-' if at == 0 => command.push_str("\\055"),
            b'%' => command.push_str("%%"),
            b'\'' | b'\\' | 0..=0x1f | 0x7f.. => write!(command, "\\{byte:03o}").expect("a String takes all"),
            _ => command.push(char::from(*byte)),
        }
    }
    command.push('\'');
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    /// What a real shell makes of a command when `curl` is a function that shows its last
    /// argument, or its input when that is `@-`.
    fn posted(command: &str) -> Vec<u8> {
        let fake = r#"curl() { for last; do :; done; if [ "$last" = "@-" ]; then cat; else printf %s "$last"; fi; }"#;
        let out = Command::new("sh").arg("-c").arg(format!("{fake}\n{command}")).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
        out.stdout
    }

    const NAUGHTY: &[&[u8]] = &[
        b"",
        b"{}",
        br#"{"it":"isn't"}"#,
        b"'; touch /tmp/pwned; '",
        b"'\\''",
        b"$(echo hi) `echo hi` ${HOME} $HOME !! ~ * ? [a] {a,b} \\ \\n \\\\",
        b"--data-binary",
        b"-i\r",
        b"@/etc/passwd",
        b"@-",
        b"two\nlines\n\n",
        b"\r\n\t",
        b"nul\0here%s%n%%\\0101",
        b"\x1b[31mred\x07",
        b"\xff\xfe'%\\ not text",
        "emoji 💶 ünïcödé \u{202e}".as_bytes(),
    ];

    #[test]
    fn a_shell_gives_curl_exactly_the_body() {
        for body in NAUGHTY {
            assert_eq!(posted(&curl("http://h/", &[], None, CurlBody::Inline(body))), *body, "{body:?}");
        }
        let long = vec![b'x'; ARGUMENT_BYTES_MAX + 1];
        assert_eq!(posted(&curl("http://h/", &[], None, CurlBody::Inline(&long))), long);
    }

    #[test]
    fn a_shell_gives_quoted_words_as_they_were() {
        for text in NAUGHTY.iter().filter_map(|body| std::str::from_utf8(body).ok()).filter(|text| !text.contains('\0'))
        {
            let out = Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(text))).output().unwrap();
            assert_eq!(out.stdout, text.as_bytes(), "{text:?}");
        }
    }

    /// What a real shell hands to curl as user and password.
    #[test]
    fn a_user_comes_from_where_it_is_kept_and_is_not_printed() {
        let folder = std::env::temp_dir().join(format!("ringfence-sign-{} it's", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("pass word");
        let secret = "net:$(pwd)'\"`x` *?!%s\\n:Ab1";
        std::fs::write(&file, format!("{secret}\r\n")).unwrap();
        let fake = r#"curl() { while [ "$1" != --user ]; do shift; done; printf %s "$2"; }"#;
        for user in [CurlUser::Variable("RINGFENCE_NET"), CurlUser::File(file.to_str().unwrap())] {
            for body in [CurlBody::Inline(b"{}"), CurlBody::Inline(b"\0"), CurlBody::File("x")] {
                let command = curl("http://h/", &[], Some(user), body);
                assert!(!command.contains("Ab1"), "{command}");
                let script = format!("{fake}\n{command}");
                let out = Command::new("sh").arg("-c").arg(script).env("RINGFENCE_NET", secret).output().unwrap();
                assert_eq!(String::from_utf8(out.stdout).unwrap(), secret, "{command}");
            }
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_is_named_as_one_word() {
        for (path, want) in [("a b.json", "@a b.json"), ("it's", "@it's"), ("-", "@./-"), ("$(x)", "@$(x)")] {
            assert_eq!(posted(&curl("http://h/", &[], None, CurlBody::File(path))), want.as_bytes());
        }
    }

    #[test]
    fn the_command_reads_as_a_person_expects() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let now = Timestamp::from_ms(1_614_265_330_000);
        let body = br#"{"test": 2432232314}"#;
        let headers = sign(Scheme::StandardWebhooks, &secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", now, body).unwrap();
        let command = curl("http://127.0.0.1:8080/v1/webhooks/visa-eu", &headers, None, CurlBody::Inline(body));
        assert_eq!(
            command,
            r#"curl --globoff --request POST --url 'http://127.0.0.1:8080/v1/webhooks/visa-eu' \
  --header 'content-type: application/json' \
  --header 'webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek' \
  --header 'webhook-timestamp: 1614265330' \
  --header 'webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=' \
  --data-binary '{"test": 2432232314}'"#
        );
    }

    #[test]
    fn what_no_verifier_takes_is_not_signed() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signer = Signer::new(Scheme::StandardWebhooks, &secret).unwrap();
        let now = Timestamp::from_ms(1_000);
        for id in ["", "a b", "a\n", "é", "a.1", "a.b.22", &"x".repeat(257)] {
            assert_eq!(signer.sign(id, now, b""), Err(SignError::MessageId), "{id:?}");
        }
        assert!(signer.sign("a.b.c1", now, b"").is_ok());
        let before = Timestamp::from_ms(-1);
        assert_eq!(signer.sign("a", before, b""), Err(SignError::Time(before)));
        assert_eq!(format!("{signer:?}"), "Signer(standard-webhooks, ..)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_body_survives_the_shell(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(posted(&curl("http://h/", &[], None, CurlBody::Inline(&body))), body);
        }
    }
}
