//! The consoles over real HTTP: who gets in, what each role sees, a case decided and taken back
//! with its money, an offer written, published and changed; and that nothing of it can be forged
//! or run as a script.

mod desk;
mod operate;
mod portal;

use crate::world::ring::key;
use crate::world::{Answer, Service};
use ringfence::authenticate::keys::Role;
use ringfence::console::session;

/// A browser of sorts: keeps cookies and reads forms.
struct Browser<'a> {
    service: &'a Service,
    cookies: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    fn new(service: &'a Service) -> Self {
        Self { service, cookies: Vec::new() }
    }

    /// Signed in with a key.
    async fn signed_in(service: &'a Service, key: &str) -> Self {
        let mut browser = Self::new(service);
        let door = browser.get("/console/sign-in").await;
        assert_eq!(door.status, 200);
        let entered = browser.post("/console/sign-in", &door, &[("key", key)]).await;
        assert_eq!(entered.status, 303, "{}", text(&entered));
        browser
    }

    async fn get(&mut self, path: &str) -> Answer {
        let answer = self.service.send("GET", path, &self.headers(false), Vec::new()).await;
        self.keep(&answer);
        answer
    }

    /// Sends a form with the token that its page carries.
    async fn post(&mut self, path: &str, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let csrf = between(&text(page), "name=\"csrf\" value=\"", "\"");
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        self.post_raw(path, &all).await
    }

    async fn post_raw(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let answer = self.service.send("POST", path, &self.headers(true), body.join("&").into_bytes()).await;
        self.keep(&answer);
        answer
    }

    /// Sends a form with a file.
    async fn upload(&mut self, path: &str, page: &Answer, fields: &[(&str, &str)], file: &[u8]) -> Answer {
        let csrf = between(&text(page), "name=\"csrf\" value=\"", "\"");
        let mut body = Vec::new();
        for (name, value) in [("csrf", csrf.as_str())].iter().chain(fields) {
            let head = format!("--frontier\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(head.as_bytes());
        }
        let head = "--frontier\r\nContent-Disposition: form-data; name=\"file\"; filename=\"shops.csv\"\r\nContent-Type: text/csv\r\n\r\n";
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n--frontier--\r\n");
        let mut headers = self.headers(true);
        headers[1].1 = "multipart/form-data; boundary=frontier".to_owned();
        let answer = self.service.send("POST", path, &headers, body).await;
        self.keep(&answer);
        answer
    }

    fn headers(&self, form: bool) -> Vec<(String, String)> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = vec![("cookie".to_owned(), cookies.join("; "))];
        if form {
            headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
            headers.push(("origin".to_owned(), format!("http://{}", self.service.address)));
        }
        headers
    }

    fn keep(&mut self, answer: &Answer) {
        for line in answer.headers.get_all("set-cookie") {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn between(text: &str, before: &str, after: &str) -> String {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).unwrap().0.to_owned()
}

fn place(answer: &Answer) -> String {
    answer.headers.get("location").map(|place| place.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn who_gets_in_and_for_how_long() {
    let service = Service::start(&[]).await;
    let risk = key(&service, Role::Risk, None);
    let mut browser = Browser::new(&service);
    let turned = browser.get("/console/cases").await;
    assert_eq!((turned.status, place(&turned).as_str()), (303, "/console/sign-in"));

    let door = browser.get("/console/sign-in").await;
    let header = |answer: &Answer, name: &str| answer.headers[name].to_str().unwrap().to_owned();
    let policy = header(&door, "content-security-policy");
    assert!(policy.contains("script-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header(&door, "x-content-type-options"), "nosniff");
    for (wrong, status) in [("rf_nonsense", 401), ("", 401), (&key(&service, Role::App, None), 403)] {
        let answer = browser.post("/console/sign-in", &door, &[("key", wrong)]).await;
        assert_ne!(answer.status, 303, "{wrong}");
        // The form is fresh every time, and the one before is old.
        let again = browser.get("/console/sign-in").await;
        let answer = browser.post("/console/sign-in", &again, &[("key", wrong)]).await;
        assert_eq!(answer.status, status, "{wrong}");
    }
    let forged = browser.post_raw("/console/sign-in", &[("csrf", "guess"), ("key", &risk)]).await;
    assert_eq!(forged.status, 403);

    let door = browser.get("/console/sign-in").await;
    let entered = browser.post("/console/sign-in", &door, &[("key", &risk)]).await;
    assert_eq!((entered.status, place(&entered).as_str()), (303, "/console/cases"));
    let cookie = header(&entered, "set-cookie");
    assert!(["HttpOnly", "SameSite=Strict", "Path=/console"].iter().all(|part| cookie.contains(part)), "{cookie}");
    assert!(!cookie.contains("Secure") && !cookie.contains(&risk), "{cookie}");
    let queue = browser.get("/console/cases").await;
    assert_eq!(queue.status, 200);
    assert!(text(&queue).contains("Nothing waits for you"), "{}", text(&queue));

    // Of another site's page the browser says so; without the token a form is nobody's.
    let forged = browser.post_raw("/console/sign-out", &[]).await;
    assert_eq!(forged.status, 403);
    let mut headers = browser.headers(true);
    headers.retain(|(name, _)| name != "origin");
    headers.push(("origin".to_owned(), "https://elsewhere.example".to_owned()));
    let body = format!("csrf={}", between(&text(&queue), "name=\"csrf\" value=\"", "\"")).into_bytes();
    assert_eq!(service.send("POST", "/console/sign-out", &headers, body).await.status, 403);

    service.clock.set(service.clock.now().plus_ms(session::IDLE_MS));
    assert_eq!(browser.get("/console/cases").await.status, 303, "an hour without a page");
    let mut browser = Browser::signed_in(&service, &risk).await;
    let queue = browser.get("/console/cases").await;
    assert_eq!(browser.post("/console/sign-out", &queue, &[]).await.status, 303);
    assert_eq!(browser.get("/console/cases").await.status, 303);

    let mut browser = Browser::signed_in(&service, &risk).await;
    let id = service.doors.keys.list().into_iter().find(|record| record.role == Role::Risk).unwrap().id;
    service.doors.keys.revoke(&id, service.clock.now()).unwrap();
    assert_eq!(browser.get("/console/cases").await.status, 303, "the key was revoked");

    let operator = key(&service, Role::Operator, None);
    let caller = service.doors.keys.verify(&operator).unwrap();
    let once = service.doors.keys.invite(&caller.key_id, service.clock.now(), &[5; 32]).unwrap();
    let mut browser = Browser::new(&service);
    let way = format!("/console/sign-in?once={}", once.expose());
    // Whatever looks at a link before its reader does must not use it up.
    for _ in 0..2 {
        assert_eq!(browser.get(&way).await.status, 200);
    }
    let door = browser.get(&way).await;
    let entered = browser.post("/console/sign-in", &door, &[("once", once.expose())]).await;
    assert_eq!(place(&entered), "/console/cases");
    assert_eq!(browser.get("/console/offers").await.status, 200);
    let mut other = Browser::new(&service);
    let door = other.get(&way).await;
    let again = other.post("/console/sign-in", &door, &[("once", once.expose())]).await;
    assert_eq!(again.status, 401, "good once");
    let headers = [("x-forwarded-proto".to_owned(), "https".to_owned())];
    let door = service.send("GET", "/console/sign-in", &headers, Vec::new()).await;
    assert!(header(&door, "set-cookie").contains("; Secure"));
    service.stop().await;
}

#[tokio::test]
async fn a_user_is_entered_chooses_a_password_and_is_taken_away() {
    let service = Service::start(&[]).await;
    let mut operator = Browser::signed_in(&service, &key(&service, Role::Operator, None)).await;
    let page = operator.get("/console/access").await;
    for (fields, said) in [
        ([("name", "Anna"), ("role", "risk"), ("merchant", "")], "a user&#39;s name is 2 to 32"),
        ([("name", "anna"), ("role", "risk"), ("merchant", "shop")], "has no merchant"),
        ([("name", "anna"), ("role", "app"), ("merchant", "")], "has no console"),
        ([("name", "anna"), ("role", "merchant"), ("merchant", "")], "needs a merchant"),
    ] {
        let refused = operator.post("/console/access/users", &page, &fields).await;
        assert!(refused.status == 422 && text(&refused).contains(said), "{said}: {}", text(&refused));
    }
    let anna = [("name", "anna"), ("role", "risk"), ("merchant", "")];
    let made = operator.post("/console/access/users", &page, &anna).await;
    let way = between(&text(&made), "<code>http://", "</code>");
    let way = format!("/{}", way.split_once('/').unwrap().1);
    let taken = operator.post("/console/access/users", &page, &anna).await;
    assert!(taken.status == 422 && text(&taken).contains("already"), "{}", text(&taken));

    let mut browser = Browser::new(&service);
    let door = browser.get(&way).await;
    let once = between(&text(&door), "name=\"once\" value=\"", "\"");
    let entered = browser.post("/console/sign-in", &door, &[("once", &once)]).await;
    assert_eq!(place(&entered), "/console/password");
    let page = browser.get("/console/password").await;
    for (new, again) in [("long enough by far", "another one by far"), ("too short", "too short")] {
        let refused = browser.post("/console/password", &page, &[("new", new), ("again", again)]).await;
        assert_eq!(refused.status, 422, "{new}");
    }
    let set = [("new", "long enough by far"), ("again", "long enough by far")];
    assert_eq!(place(&browser.post("/console/password", &page, &set).await), "/console/cases");
    assert!(text(&browser.get("/console/cases").await).contains("risk · anna"));
    assert_eq!(browser.get("/console/access").await.status, 403, "an operator's");

    // Signed in by the password, the old one is asked for.
    let signed_in = async |name: &str, password: &str| {
        let mut browser = Browser::new(&service);
        let door = browser.get("/console/sign-in").await;
        let entered = browser.post("/console/sign-in", &door, &[("name", name), ("password", password)]).await;
        (browser, entered)
    };
    let (mut second, entered) = signed_in("anna", "long enough by far").await;
    assert_eq!(place(&entered), "/console/cases");
    let page = second.get("/console/password").await;
    let next = [("old", "a guess, no more"), ("new", "another good one"), ("again", "another good one")];
    assert_eq!(second.post("/console/password", &page, &next).await.status, 422);
    let next = [("old", "long enough by far"), ("new", "another good one"), ("again", "another good one")];
    assert_eq!(second.post("/console/password", &page, &next).await.status, 303);
    assert_eq!(second.get("/console/cases").await.status, 200);
    assert_eq!(browser.get("/console/cases").await.status, 303, "elsewhere it is over");

    // A wrong password and an unknown name read the same, and after some tries both wait.
    let (_, wrong) = signed_in("anna", "not the password").await;
    let (_, nobody) = signed_in("nemo", "not the password").await;
    assert_eq!((wrong.status, nobody.status), (401, 401));
    let said = |answer: &Answer, name: &str| {
        let text = text(answer).replace(name, "N");
        let csrf = between(&text, "name=\"csrf\" value=\"", "\"");
        text.replace(&csrf, "")
    };
    assert_eq!(said(&wrong, "anna"), said(&nobody, "nemo"));
    let mut refused = None;
    for _ in 0..100 {
        let (_, answer) = signed_in("nemo", "not the password").await;
        refused = Some(answer.status);
        if answer.status == 429 {
            break;
        }
    }
    assert_eq!(refused, Some(429));

    let page = operator.get("/console/access").await;
    assert_eq!(operator.post("/console/access/users/nobody/remove", &page, &[]).await.status, 404);
    assert_eq!(operator.post("/console/access/users/anna/remove", &page, &[]).await.status, 303);
    assert_eq!(second.get("/console/cases").await.status, 303, "who is taken away is out");

    // Keys are made and ended on the same page.
    let made = operator.post("/console/access/keys", &page, &[("role", "risk"), ("label", "desk")]).await;
    let secret = between(&text(&made), "Key: <code>", "</code>");
    let id = service.doors.keys.verify(&secret).unwrap().key_id;
    assert_eq!(operator.post(&format!("/console/access/keys/{id}/revoke"), &page, &[]).await.status, 303);
    assert_eq!(service.doors.keys.verify(&secret), None);
    service.stop().await;
}

#[tokio::test]
async fn files_come_from_here_and_may_be_kept() {
    let service = Service::start(&[]).await;
    for name in [
        "console.css",
        "console.js",
        "chart.js",
        "htmx.js",
        "cytoscape.js",
        "uplot.js",
        "uplot.css",
        "uplot.LICENSE",
        "icon.svg",
    ] {
        let answer = service.send("GET", &format!("/console/static/{name}"), &[], Vec::new()).await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.headers["cache-control"].to_str().unwrap().contains("immutable"), "{name}");
        assert!(answer.body.len() > 100, "{name}");
    }
    for path in ["/console/static/..%2Fmod.rs", "/console/static/none", "/consoles", "/console/%ff"] {
        let answer = service.send("GET", path, &[], Vec::new()).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    service.stop().await;
}
