//! A window of Chromium with a driver and a profile of its own; all of it is gone when its flow
//! ends, also by a panic. Waits for what must come, never for time.

use crate::world::{Folder, Service};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt as _;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long something that must come is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most presses of Tab from one place of a page to another.
const TABS_MAX: usize = 300;

const ARGUMENTS: [&str; 6] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--window-size=1440,900",
];

/// The window.
pub struct Window {
    client: Client,
    base: String,
}

/// The driver's process, ended with its last owner.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Driver {
    /// Starts one on a port that it chooses, and tells the port.
    fn start() -> (Self, u16) {
        let started = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let child = started.expect("chromedriver starts (Debian: apt-get install chromium chromium-driver)");
        let mut driver = Self(child);
        let said = BufReader::new(driver.0.stdout.take().expect("a pipe")).lines();
        let port = said.map_while(Result::ok).find_map(|line| {
            line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
        });
        (driver, port.expect("chromedriver names its port"))
    }
}

/// Opens a window on a service, does something in it, and closes it whatever came of that.
pub async fn with(service: &Service, flow: impl AsyncFnOnce(&Window)) {
    let (driver, port) = Driver::start();
    let profile = Folder::new("chromium");
    let mut arguments: Vec<String> = ARGUMENTS.iter().map(ToString::to_string).collect();
    arguments.push(format!("--user-data-dir={}", profile.0.display()));
    let wanted = json!({"goog:chromeOptions": {"args": arguments}});
    let client = ClientBuilder::new(HttpConnector::new())
        .capabilities(wanted.as_object().expect("an object").clone())
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .expect("Chromium starts");
    let window = Window { client: client.clone(), base: format!("http://{}", service.address) };
    let done = AssertUnwindSafe(flow(&window)).catch_unwind().await;
    if done.is_err() {
        eprintln!("it happened at {:?}:\n{}", client.current_url().await, window.text("body").await);
    }
    let _ = client.close().await;
    drop(driver);
    if let Err(panicked) = done {
        resume_unwind(panicked);
    }
}

impl Window {
    /// Loads a page.
    pub async fn open(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    /// Signs in with a name and a password.
    pub async fn sign_in(&self, (name, password): (&str, &str)) {
        self.client.delete_all_cookies().await.unwrap();
        self.open("/console/sign-in").await;
        self.fill("input[name=name]", name).await;
        self.fill("input[name=password]", password).await;
        self.click("#with-password button").await;
        self.see("header.top .who").await;
    }

    /// Waits for an element.
    pub async fn see(&self, css: &str) -> Element {
        self.client
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(css))
            .await
            .unwrap_or_else(|e| panic!("{css}: {e}"))
    }

    /// Waits for a text somewhere on the page.
    pub async fn see_text(&self, text: &str) {
        let there = format!("//*[contains(normalize-space(.), '{text}')]");
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::XPath(&there)).await;
        found.unwrap_or_else(|e| panic!("{text}: {e}"));
    }

    /// Clicks what a selector means, when it is there.
    pub async fn click(&self, css: &str) {
        let found = self.see(css).await;
        // What is below the fold is brought up first, as a person would.
        let shown = "arguments[0].scrollIntoView({block: 'center'})";
        self.client.execute(shown, vec![serde_json::to_value(&found).unwrap()]).await.unwrap();
        found.click().await.unwrap_or_else(|e| panic!("{css}: {e}"));
    }

    /// Types into a field that is emptied before.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.see(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// What an element says.
    pub async fn text(&self, css: &str) -> String {
        match self.client.find(Locator::Css(css)).await {
            Ok(found) => found.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Goes by Tab to what a selector means.
    pub async fn tab_to(&self, css: &str) {
        for _ in 0..TABS_MAX {
            let there = self.run("return document.activeElement.matches(arguments[0])", vec![json!(css)]).await;
            if there == json!(true) {
                return;
            }
            self.press(Key::Tab).await;
        }
        panic!("Tab does not reach {css}");
    }

    /// Presses a key where the focus is.
    pub async fn press(&self, key: Key) {
        self.type_in(&char::from(key).to_string()).await;
    }

    /// Types where the focus is.
    pub async fn type_in(&self, text: &str) {
        self.client.active_element().await.unwrap().send_keys(text).await.unwrap();
    }

    /// Runs a script in the page; of a promise its value.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap_or_else(|e| panic!("{e}"))
    }

    /// Shows pages as on a screen of this size, by daylight or in the dark.
    pub async fn as_on(&self, width: u32, height: u32, dark: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tell("Emulation.setDeviceMetricsOverride", size).await.unwrap();
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tell("Emulation.setEmulatedMedia", media).await.unwrap();
    }

    /// A picture of what is on the screen.
    pub async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    async fn tell(&self, command: &'static str, params: Value) -> Result<Value, CmdError> {
        self.client.issue_cmd(Tell { command, params }).await
    }
}

/// A word in the browser's own tongue, for what the common one of all browsers has none.
#[derive(Debug)]
struct Tell {
    command: &'static str,
    params: Value,
}

impl WebDriverCompatibleCommand for Tell {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }
    fn method_and_body(&self, _: &url::Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(json!({"cmd": self.command, "params": self.params}).to_string()))
    }
}
