//! A browser of sorts: one keep-alive connection that signs in to the consoles, gets pages one after the
//! other and says when the first byte of each came.

use crate::drive;
use crate::fault::{Fault, fault};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest that one page is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A signed-in visitor.
#[derive(Debug)]
pub struct Browser {
    stream: TcpStream,
    cookie: String,
}

/// A page as it came.
#[derive(Debug)]
pub struct Got {
    /// Its status.
    pub status: u16,
    /// From the last byte sent to the first that came.
    pub first_byte: Duration,
    /// Head and body.
    pub text: String,
}

impl Browser {
    /// Signs in with a key.
    pub fn signed_in(to: SocketAddr, key: &str) -> Result<Self, Fault> {
        let stream =
            TcpStream::connect_timeout(&to, PATIENCE).map_err(|e| fault(format!("connecting to {to}: {e}")))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut browser = Self { stream, cookie: String::new() };
        let door = browser.get("/console/sign-in")?;
        browser.cookie = cookie(&door.text)?;
        let csrf = between(&door.text, "name=\"csrf\" value=\"", "\"")?;
        let entered = browser.send("POST", "/console/sign-in", &format!("csrf={csrf}&key={key}"))?;
        if entered.status != 303 {
            return Err(fault(format!("signing in to the consoles answers {}", entered.status)));
        }
        browser.cookie = cookie(&entered.text)?;
        Ok(browser)
    }

    /// Gets a page.
    pub fn get(&mut self, path: &str) -> Result<Got, Fault> {
        self.send("GET", path, "")
    }

    fn send(&mut self, method: &str, path: &str, form: &str) -> Result<Got, Fault> {
        let headers = [("cookie", self.cookie.as_str())];
        let head = drive::head(method, path, &headers, form.len());
        let head = head.replace("application/json", "application/x-www-form-urlencoded");
        self.stream.write_all(format!("{head}{form}").as_bytes())?;
        let begun = Instant::now();
        let mut first_byte = None;
        let mut bytes = Vec::new();
        let mut scratch = [0; 64 << 10];
        loop {
            let read = self.stream.read(&mut scratch)?;
            if read == 0 {
                return Err(fault(format!("the connection ended within {path}")));
            }
            first_byte.get_or_insert_with(|| begun.elapsed());
            bytes.extend_from_slice(&scratch[..read]);
            if let Some((status, _)) = drive::parse(&bytes)? {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return Ok(Got { status, first_byte: first_byte.unwrap_or_default(), text });
            }
        }
    }
}

/// What stands between two texts of a page.
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> Result<&'a str, Fault> {
    let rest = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    rest.map(|(found, _)| found).ok_or_else(|| fault(format!("a page has no `{before}`")))
}

fn cookie(text: &str) -> Result<String, Fault> {
    Ok(between(text, "set-cookie: ", ";")?.to_owned())
}
